//! Concatenation of values: along the units only their numbers change; along positions each operand
//! becomes one tensor.

use super::build::int;
use super::lower::Lower;
use super::part::Part;
use super::pool::renumbered;
use crate::graph::Node;
use crate::ops::movement;
use crate::proxy::error::Reason;
use crate::quant::FixedOp;

impl<'a> Lower<'a> {
    pub(super) fn join(&mut self, node: &'a Node<FixedOp>, axis: usize) -> Result<Vec<Part>, Reason> {
        let value = node.output;
        let lead = self.leads[value].clone();
        if lead.is_empty() {
            let mut to: Vec<Vec<usize>> = node.inputs.iter().map(|&v| vec![0; self.model.len_of(v)]).collect();
            movement::concat(&self.model.shapes(&node.inputs), axis)
                .into_iter()
                .enumerate()
                .for_each(|(at, (which, e))| to[which][e] = at);
            let mut parts = Vec::new();
            for (&v, to) in node.inputs.iter().zip(&to) {
                parts.extend(self.parts(v).into_iter().map(|p| renumbered(p, |e| to[e])));
            }
            return self.joined(value, parts);
        }
        if axis == lead.len() {
            let (mut parts, mut first) = (Vec::new(), 0);
            for &v in &node.inputs {
                parts.extend(self.parts(v).into_iter().map(|p| renumbered(p, |e| first + e)));
                first += self.spans[v].len();
            }
            return self.joined(value, parts);
        }
        if lead.len() > 2 {
            return Err(Reason::Structure("hls4ml joins tensors of at most three axes".into()));
        }
        let elements = self.live_units(value);
        if elements.is_empty() {
            return Ok(Vec::new());
        }
        let mut joined: Option<Part> = None;
        for &v in &node.inputs {
            let part = match &self.parts(v)[..] {
                [p] if p.elements == elements && !p.is_flipped() => p.clone(),
                parts => self.selected(&node.name, v, parts.to_vec(), elements.clone())?,
            };
            joined = Some(match joined {
                None => part,
                Some(a) => {
                    let mut lead = a.lead.clone();
                    lead[axis] += part.lead[axis];
                    let out = self.b.name(&format!("{}_concat", self.model.values[value].name));
                    let shape = super::part::shape(&lead, elements.len());
                    let attributes = vec![int("axis", axis as i64 + 1)];
                    let tensor = self.b.node("Concat", vec![a.tensor, part.tensor], out, &shape, attributes);
                    Part { tensor, lead, signed: a.signed || part.signed, bare: a.bare || part.bare, ..a }
                }
            });
        }
        Ok(joined.into_iter().collect())
    }
}
