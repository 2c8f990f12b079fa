//! Element-wise operations on two values, part by part: each pair of parts that share units becomes
//! one merge of two narrow tensors. Units that are constant in one operand are written as
//! constants; a zero that is added is left out.

use super::lower::Lower;
use super::part::{NOWHERE, Part};
use crate::graph::{Node, ValueId};
use crate::ops::Merge;
use crate::proxy::error::Reason;
use crate::quant::FixedOp;

impl<'a> Lower<'a> {
    pub(super) fn merge(&mut self, node: &'a Node<FixedOp>, merge: Merge, a: ValueId, b: ValueId) -> Result<Vec<Part>, Reason> {
        let (left, right) = (self.partial(a), self.partial(b));
        let wanted = self.live_units(node.output);
        let shared = |p: &Part, q: &Part| -> Vec<usize> {
            p.elements.iter().copied().filter(|e| wanted.contains(e) && q.elements.contains(e)).collect()
        };
        let alone = |p: &Part, others: &[Part]| -> Vec<usize> {
            let free = |e: &usize| wanted.contains(e) && !others.iter().any(|o| o.elements.contains(e));
            p.elements.iter().copied().filter(free).collect()
        };
        let mut written = Vec::new();
        for p in &left {
            for q in &right {
                let elements = shared(p, q);
                if !elements.is_empty() {
                    let (x, y) = (self.operand(node, a, p, &elements)?, self.operand(node, b, q, &elements)?);
                    written.push(self.merged(node, merge, x, y)?);
                }
            }
        }
        let mut one_sided = |own: ValueId, other: ValueId, parts: &[Part], others: &[Part], first: bool| {
            for p in parts {
                let elements = alone(p, others);
                let (zeros, rest): (Vec<usize>, Vec<usize>) = elements.into_iter().partition(|&e| {
                    let adds = merge == Merge::Add || (merge == Merge::Sub && first);
                    adds && self.spans[other][e].is_zero()
                });
                if !zeros.is_empty() {
                    written.push(self.operand(node, own, p, &zeros)?);
                }
                if !rest.is_empty() {
                    let x = self.operand(node, own, p, &rest)?;
                    let y = self.constants(node, other, &x)?;
                    let (x, y) = if first { (x, y) } else { (y, x) };
                    written.push(self.merged(node, merge, x, y)?);
                }
            }
            Ok::<(), Reason>(())
        };
        one_sided(a, b, &left, &right, true)?;
        one_sided(b, a, &right, &left, false)?;
        // constant in both, but not everywhere
        let missing: Vec<usize> = wanted.iter().copied().filter(|e| !written.iter().any(|p| p.elements.contains(e))).collect();
        written.extend(self.constant_part(&node.name, node.output, missing)?);
        self.joined(node.output, written)
    }

    /// Exactly `elements` of a part.
    pub(super) fn operand(
        &mut self,
        node: &Node<FixedOp>,
        value: ValueId,
        part: &Part,
        elements: &[usize],
    ) -> Result<Part, Reason> {
        if part.elements == elements && !part.is_flipped() {
            return Ok(part.clone());
        }
        self.selected(&node.name, value, vec![part.clone()], elements.to_vec())
    }

    /// The constants of `value` for the units of `like`, on the same positions: a product of it
    /// with 0 and a bias.
    fn constants(&mut self, node: &Node<FixedOp>, value: ValueId, like: &Part) -> Result<Part, Reason> {
        let zero = Part { elements: vec![NOWHERE; like.elements.len()], ..like.clone() };
        self.selected(&node.name, value, vec![zero], like.elements.clone())
    }

    fn merged(&mut self, node: &Node<FixedOp>, merge: Merge, a: Part, b: Part) -> Result<Part, Reason> {
        let (mut a, mut b) = (a, b);
        if merge == Merge::Mul {
            // products of narrow types only
            (a, b) = (self.plain(&node.name, node.inputs[0], a)?, self.plain(&node.name, node.inputs[1], b)?);
        }
        let stem = self.model.values[node.output].name.clone();
        let out = self.b.name(&format!("{stem}_{}", merge.onnx().to_lowercase()));
        let tensor =
            self.b.node(merge.onnx(), vec![a.tensor, b.tensor], out, &super::part::shape(&a.lead, a.elements.len()), Vec::new());
        Ok(Part { tensor, signed: true, bare: true, lead: a.lead, elements: a.elements, negated: a.negated })
    }
}
