//! `MatMul` with a constant on the right.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use super::super::unsupported::TWO_TENSORS;
use super::dense;
use crate::graph::dag::ValueId;
use crate::graph::op::Op;
use crate::graph::window::Window;
use crate::onnx::Tensor;
use crate::ops::{Merge, Move};

/// A row times a column: products of two tensors, summed up.
fn dot<'m>(context: &mut Context<'m>, node: &NodeView<'m>, values: [ValueId; 2]) -> Result<Item, Fault> {
    let [a, b] = values.map(|v| context.shape(v).to_vec());
    let (&[1, inner], &[other, 1]) = (&a[..], &b[..]) else { return Err(Fault::new(TWO_TENSORS)) };
    if inner != other {
        return Err(Fault::new(format!("its operands have sample shapes {a:?} and {b:?}, which do not fit")));
    }
    let name = |what: &str| format!("{}_{what}", node.name);
    let flat = |context: &mut Context<'m>, value: ValueId, at: usize| {
        context.step(&name(&format!("operand{at}")), Op::Move(Move::Reshape), vec![value], vec![inner])
    };
    let (a, b) = (flat(context, values[0], 0), flat(context, values[1], 1));
    let products = context.step(&name("products"), Op::Merge(Merge::Mul), vec![a, b], vec![inner]);
    context.spend(inner)?;
    let ones = Constant::new(&name("ones"), Tensor::f32(vec![inner, 1], vec![1.0; inner]));
    dense::emit(context, node, products, &ones, None, vec![1, 1], None)
}

pub fn matmul<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let (input, weight) = match (context.item(node, 0)?, context.item(node, 1)?) {
        (Item::Data(input), Item::Const(weight)) => (input, weight),
        (Item::Data(a), Item::Data(b)) => return dot(context, node, [a, b]),
        (Item::Const(_), Item::Data(_)) => {
            return Err(Fault::new("the constant is on the left and mixes the samples of a batch; put the weight on the right"));
        }
        _ => return Err(Fault::new("only a tensor times a constant is supported")),
    };
    let shape = context.shape(input).to_vec();
    let ones = weight.shape().len().saturating_sub(2);
    if weight.shape()[..ones].iter().any(|&d| d != 1) || weight.shape().len() < 2 {
        return Err(Fault::new(format!("weight `{}` has shape {:?}, not two dimensions", weight.name, weight.shape())));
    }
    let weight = if ones > 0 { weight.reshaped(weight.shape()[ones..].to_vec()) } else { weight };
    let outputs = weight.shape()[1];
    let Some((&inputs, positions)) = shape.split_last() else {
        return Err(Fault::new("its input is a single number per sample"));
    };
    // [N, 1, …, K] is one dense layer; [N, T, K] and [N, H, W, K] one that is shared by all
    // positions
    let window = match positions {
        _ if positions.iter().all(|&d| d == 1) => None,
        [length] => Some(Window::pointwise(1, *length, inputs)),
        [height, width] => Some(Window::pointwise(*height, *width, inputs)),
        _ => Some(Window::pointwise(1, positions.iter().product(), inputs)),
    };
    if positions.len() > 2 && window.is_some() {
        let rows: usize = positions.iter().product();
        let name = |what: &str| format!("{}_{what}", node.name);
        let flat = context.step(&name("positions"), Op::Move(Move::Reshape), vec![input], vec![rows, inputs]);
        let view = NodeView { proto: node.proto, name: node.name.clone() };
        let item = dense::emit(context, &view, flat, &weight, None, vec![rows, outputs], window)?;
        let Item::Data(value) = item else { return Err(Fault::new("its result is no tensor")) };
        context.graph.values[value].name = name("rows");
        return Ok(context.emit(node, Op::Move(Move::Reshape), value, [positions, &[outputs]].concat()));
    }
    let output = [positions, &[outputs]].concat();
    dense::emit(context, node, input, &weight, None, output, window)
}
