//! `MatMul` with a constant on the right.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use super::super::unsupported::TWO_TENSORS;
use super::dense;
use crate::graph::window::Window;

pub fn matmul<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let (input, weight) = match (context.item(node, 0)?, context.item(node, 1)?) {
        (Item::Data(input), Item::Const(weight)) => (input, weight),
        (Item::Data(_), Item::Data(_)) => return Err(Fault::new(TWO_TENSORS)),
        (Item::Const(_), Item::Data(_)) => {
            return Err(Fault::new("the constant is on the left and mixes the samples of a batch; put the weight on the right"));
        }
        _ => return Err(Fault::new("only a tensor times a constant is supported")),
    };
    let shape = context.shape(input).to_vec();
    let &[_, outputs] = weight.shape() else {
        return Err(Fault::new(format!("weight `{}` has shape {:?}, not two dimensions", weight.name, weight.shape())));
    };
    let Some((&inputs, positions)) = shape.split_last() else {
        return Err(Fault::new("its input is a single number per sample"));
    };
    // [N, 1, …, K] is one dense layer; [N, T, K] and [N, H, W, K] one that is shared by all
    // positions
    let window = match positions {
        _ if positions.iter().all(|&d| d == 1) => None,
        [length] => Some(Window::pointwise(1, *length, inputs)),
        [height, width] => Some(Window::pointwise(*height, *width, inputs)),
        _ => {
            return Err(Fault::new(format!("a weight shared over the positions of {shape:?} is supported for at most two axes")));
        }
    };
    let output = [positions, &[outputs]].concat();
    dense::emit(context, node, input, &weight, None, output, window)
}
