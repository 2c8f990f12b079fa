//! One format per quantizer: the envelope of its elements, for tools that want plain layers.

use crate::quant::{FixedModel, FixedOp, Kif};

/// The model with every quantizer's formats replaced by their union. Elements of 0 bits stay
/// constant 0. The results change: elements get bits they did not have, so metrics must be
/// evaluated again.
pub fn envelope(model: &FixedModel) -> FixedModel {
    let mut model = model.clone();
    for node in &mut model.nodes {
        if let FixedOp::Quantize(q) = &mut node.op {
            let all = q.formats.iter().fold(Kif::ZERO, |a, &b| a.union(b));
            for format in &mut q.formats {
                if !format.is_zero() {
                    *format = all;
                }
            }
        }
    }
    model
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Node;
    use crate::quant::{FixedQuantizer, Overflow, Rounding};

    #[test]
    fn union_of_all_but_zeros() {
        let formats = vec![Kif::new(true, 2, 1), Kif::new(false, 0, 4), Kif::new(true, -3, 2)];
        let q = FixedQuantizer::new(formats, Rounding::Floor, Overflow::Sat);
        let mut m = FixedModel { name: "m".into(), values: vec![], nodes: vec![], inputs: vec![], outputs: vec![] };
        let (x, y) = (m.add_value("x", vec![3]), m.add_value("y", vec![3]));
        m.nodes.push(Node { name: "q".into(), op: FixedOp::Quantize(q), inputs: vec![x], output: y });
        let FixedOp::Quantize(q) = &envelope(&m).nodes[0].op else { panic!("still a quantizer") };
        assert_eq!(q.formats, [Kif::new(true, 2, 4), Kif::new(true, 2, 4), Kif::new(true, -3, 2)]);
    }
}
