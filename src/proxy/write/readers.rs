//! Few readers for every tensor: in io_stream hls4ml hands a tensor on to at most [`MAX_READERS`]
//! layers.
//!
//! A tensor with more is copied first. A copy is two `Quant`s that change nothing, the first a bit
//! wider: hls4ml drops a `Quant` whose type is that of its input, and with it the copy.

use super::build::{Builder, QuantType};
use crate::onnx::proto::NodeProto;
use crate::proxy::error::{MAX_BITS, Reason};
use crate::quant::Kif;
use std::collections::HashMap;

/// Readers of one tensor, a model output among them (hls4ml's `CloneOutput`).
pub const MAX_READERS: usize = 7;

/// Copies tensors until none has more readers than hls4ml takes. `inputs` have the type `port`.
///
/// # Errors
/// A tensor that is too wide to be copied.
pub fn limit(b: &mut Builder, inputs: &[(String, Vec<usize>)], outputs: &[String], port: Kif) -> Result<(), Reason> {
    let mut rest = b.take_nodes();
    let mut formats: HashMap<String, Kif> = HashMap::new();
    for (name, shape) in inputs {
        formats.insert(name.clone(), port);
        spread(b, name, Some(shape), Some(port), outputs, &mut rest)?;
    }
    for at in 0..rest.len() {
        let (done, behind) = rest.split_at_mut(at + 1);
        let node = std::mem::take(&mut done[at]);
        let format = b.format_of(&node).or_else(|| derived(&node, &formats));
        let written = node.output.clone();
        b.push(node);
        for name in written {
            formats.extend(format.map(|f| (name.clone(), f)));
            spread(b, &name, None, format, outputs, behind)?;
        }
    }
    Ok(())
}

/// What a node that is no `Quant` writes: a type that holds it.
fn derived(node: &NodeProto, formats: &HashMap<String, Kif>) -> Option<Kif> {
    let of = |n: usize| formats.get(node.input.get(n)?).copied();
    let more = |k: Kif, bits: i32| Kif { integer: k.integer + bits, ..k };
    match node.op_type() {
        "Reshape" | "Transpose" | "MaxPool" | "Pad" => of(0),
        "Concat" | "Max" | "Min" => Some(of(0)?.union(of(1)?)),
        "Add" => Some(more(of(0)?.union(of(1)?), 1)),
        "Sub" => Some(Kif { keep_negative: true, ..more(of(0)?.union(of(1)?), 1) }),
        "Mul" => {
            let (a, b) = (of(0)?, of(1)?);
            let keep_negative = a.keep_negative || b.keep_negative;
            Some(Kif::new(keep_negative, a.integer + b.integer + 1, a.fractional + b.fractional))
        }
        // has its own Quant right after it, and no other reader
        _ => None,
    }
}

/// Lets the readers of `tensor` in `nodes` read copies of it where they are too many. `shape`,
/// batch included: of a model input.
fn spread(
    b: &mut Builder,
    tensor: &str,
    shape: Option<&[usize]>,
    format: Option<Kif>,
    outputs: &[String],
    nodes: &mut [NodeProto],
) -> Result<(), Reason> {
    let inputs = nodes.iter_mut().flat_map(|n| &mut n.input);
    let readers: Vec<&mut String> = inputs.filter(|i| *i == tensor).collect();
    let free = MAX_READERS - usize::from(outputs.iter().any(|o| o == tensor));
    let Some(format) = format.filter(|_| readers.len() > free) else { return Ok(()) };
    if format.bits() >= MAX_BITS {
        return Err(Reason::TooWide { what: "a copy of a tensor", bits: format.bits() + 1 });
    }
    let shape = shape.map_or_else(|| b.shape_of(tensor), <[usize]>::to_vec);
    hand_out(b, tensor.to_string(), &shape, format, readers, free);
    Ok(())
}

/// Gives `readers` the tensor, which may have `free` of them, or copies.
fn hand_out(b: &mut Builder, tensor: String, shape: &[usize], format: Kif, mut readers: Vec<&mut String>, free: usize) {
    if readers.len() <= free {
        readers.into_iter().for_each(|r| r.clone_from(&tensor));
        return;
    }
    for left in (1..=free).rev() {
        let own = readers.split_off(readers.len() - readers.len().div_ceil(left));
        if let [_] = own[..] {
            own.into_iter().for_each(|r| r.clone_from(&tensor));
            continue;
        }
        let wide = Kif { integer: format.integer + 1, ..format };
        let out = b.name(&format!("{tensor}_wide"));
        let between = b.quant(tensor.clone(), out, shape, exact(wide));
        let out = b.name(&format!("{tensor}_copy"));
        let copy = b.quant(between, out, shape, exact(format));
        hand_out(b, copy, shape, format, own, MAX_READERS);
    }
}

/// The `Quant` of a format that holds what it reads.
fn exact(format: Kif) -> QuantType {
    QuantType { signed: format.keep_negative, narrow: false, bits: format.bits(), frac: format.fractional, round: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(nodes: &[NodeProto], tensor: &str) -> usize {
        nodes.iter().flat_map(|n| &n.input).filter(|i| *i == tensor).count()
    }

    #[test]
    fn no_tensor_has_more_readers_than_hls4ml_takes() {
        let mut b = Builder::default();
        let x = b.name("x");
        let two_bits = QuantType { signed: false, narrow: false, bits: 2, frac: 1, round: false };
        let q = b.name("q");
        let q = b.quant(x.clone(), q, &[1, 3], two_bits);
        for n in 0..60 {
            let out = b.name(&format!("r{n}"));
            b.node("Reshape", vec![q.clone()], out, &[1, 3], Vec::new());
        }
        limit(&mut b, &[(x, vec![1, 3])], std::slice::from_ref(&q), Kif::new(true, 15, 16)).unwrap();
        let nodes = b.take_nodes();
        let written: Vec<&String> = nodes.iter().flat_map(|n| &n.output).collect();
        let most = written.iter().map(|t| count(&nodes, t)).max();
        assert!(most <= Some(MAX_READERS) && count(&nodes, &q) < MAX_READERS, "{most:?}");
        // each is written before it is read, and leads to what the readers had
        for (at, node) in nodes.iter().enumerate() {
            assert!(node.input[0] == "x" || nodes[..at].iter().any(|n| n.output[0] == node.input[0]), "{node:?}");
        }
        assert_eq!(nodes.iter().filter(|n| n.op_type() == "Reshape").count(), 60);
    }
}
