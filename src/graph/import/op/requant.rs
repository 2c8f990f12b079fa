//! `RequantShift` of PULP's Deeploy: `⌊(x·mul + add) / div⌋`, clipped to 8 bits or as many as it
//! has levels. Everything is an integer, so the weights in front are a format too.

use super::super::broadcast;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::Item;
use crate::graph::annotation::{QuantSpec, RoundingMode};
use crate::graph::dag::ValueId;
use crate::graph::op::{Affine, Op};

/// Widest integers that weights of a file are taken for.
const MAX_WEIGHT_BITS: u32 = 32;

pub fn requant_shift<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let number = |name: &str| -> Result<f64, Fault> {
        let attributes = node.attributes();
        let value = match attributes.tensor(name) {
            Ok(tensor) => tensor.map(|t| t.to_f64()),
            Err(_) => Some(vec![attributes.int(name, 0)? as f64]),
        };
        match value.as_deref() {
            Some(&[v]) => Ok(v),
            _ => Err(Fault::new(format!("attribute `{name}` is missing or not one number"))),
        }
    };
    let levels = number("n_levels_out").or_else(|_| number("n_levels"))?;
    let (div, signed) = (number("div")?, number("signed")? != 0.0);
    let bits = levels.log2();
    if !(div > 0.0 && div.log2().fract() == 0.0 && bits.fract() == 0.0 && (1.0..=32.0).contains(&bits)) {
        return Err(Fault::new(format!("div {div} or {levels} levels are no powers of two")));
    }
    let value = context.data(node, 0)?;
    let shape = context.shape(value).to_vec();
    let (mul, add) = (context.constant(node, 1, "mul")?, context.constant(node, 2, "add")?);
    let len = shape.iter().product::<usize>();
    context.spend(8 * len)?;
    let expanded = |constant: &super::super::item::Constant| -> Result<Vec<f64>, Fault> {
        let values = constant.finite()?;
        Ok(broadcast::onto_sample(constant.shape(), &shape)?.into_iter().map(|e| values[e] / div).collect())
    };
    let affine = Affine { scale: expanded(&mul)?, shift: expanded(&add)? };
    integers(context, value);
    let scaled = context.step(&format!("{}_scaled", node.name), Op::Affine(affine), vec![value], shape.clone());
    let spec = QuantSpec {
        node: node.name.clone(),
        scale: vec![1.0; len],
        zero_point: vec![0.0; len],
        bits: vec![bits; len],
        bits_per_element: false,
        signed,
        narrow: false,
        rounding: RoundingMode::Floor,
        bipolar: false,
    };
    Ok(context.emit(node, Op::Quant(spec), scaled, shape))
}

/// The weights of the layer that gives `value`, where all are integers, get the format of integers:
/// nothing is folded into them.
fn integers(context: &mut Context<'_>, value: ValueId) {
    let mut at = value;
    let layer = loop {
        let Some(node) = context.graph.producer(at) else { return };
        let op = &context.graph.nodes[node].op;
        if matches!(op, Op::Dense(_)) {
            break node;
        }
        if !matches!(op, Op::Move(_)) {
            return;
        }
        at = context.graph.nodes[node].inputs[0];
    };
    let name = context.graph.nodes[layer].name.clone();
    let Op::Dense(dense) = &mut context.graph.nodes[layer].op else { return };
    let format = |values: &[f32]| -> Option<QuantSpec> {
        let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
        let bits = (f64::from(largest) + 1.0).log2().ceil() as u32 + 1;
        let whole = values.iter().all(|v| v.fract() == 0.0) && bits <= MAX_WEIGHT_BITS;
        whole.then(|| QuantSpec {
            node: name.clone(),
            scale: vec![1.0; values.len()],
            zero_point: vec![0.0; values.len()],
            bits: vec![f64::from(bits.max(2)); values.len()],
            bits_per_element: false,
            signed: true,
            narrow: false,
            rounding: RoundingMode::HalfEven,
            bipolar: false,
        })
    };
    if let (None, Some(weight), Some(bias)) = (&dense.weight_quant, format(&dense.weight), format(&dense.bias)) {
        dense.weight_quant = Some(weight);
        dense.bias_quant = dense.bias.iter().any(|&b| b != 0.0).then_some(bias);
    }
}
