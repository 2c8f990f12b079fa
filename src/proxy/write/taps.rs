//! Largest values under windows that overlap or leave gaps, for io_stream, whose pools have the
//! stride of their kernel: axis by axis one strided convolution per tap, which moves values and
//! computes nothing, and the largest of them.

use super::constant::quant_type;
use super::lower::Lower;
use super::part::{Part, shape};
use crate::graph::Window;
use crate::proxy::error::Reason;
use crate::quant::Kif;
use crate::quant::interval::Span;

impl Lower<'_> {
    /// The largest values of `part`, which has two axes of positions and needs no padding; `kif`
    /// holds every value.
    pub(super) fn largest_by_taps(&mut self, stem: &str, mut part: Part, window: &Window, kif: Kif) -> Result<Part, Reason> {
        for (axis, name) in [(1, "column"), (0, "row")] {
            if (window.kernel[axis], window.stride[axis]) != (1, 1) {
                part = self.largest_along(&format!("{stem}_{name}"), part, window, axis, kif)?;
            }
        }
        Ok(part)
    }

    fn largest_along(&mut self, stem: &str, part: Part, window: &Window, axis: usize, kif: Kif) -> Result<Part, Reason> {
        let (n, taps) = (part.elements.len(), window.kernel[axis]);
        let depthwise = self.target.has_depthwise() && n > 1;
        let (mut kernel, mut stride) = ([1, 1], [1, 1]);
        (kernel[axis], stride[axis]) = (taps, window.stride[axis]);
        let groups = if depthwise { n } else { 1 };
        let along = Window { input: [part.lead[0], part.lead[1], n], kernel, stride, pads: [0; 4], groups };
        let lead = along.output().to_vec();
        let (shape, quant) = (shape(&lead, n), quant_type("a tap of a pool", kif, false)?);
        let one = |is: bool| Span::new(is.into(), is.into(), 0);
        let mut largest: Option<String> = None;
        for tap in 0..taps {
            let weights: Vec<Span> = match depthwise {
                true => (0..taps * n).map(|k| one(k / n == tap)).collect(),
                false => (0..taps * n * n).map(|k| one(k / n / n == tap && k / n % n == k % n)).collect(),
            };
            let stem = format!("{stem}{tap}");
            let moved = self.product(&stem, &part, Some(&along), &weights, &vec![Span::ZERO; n], depthwise)?;
            let out = self.b.name(&format!("{stem}_quant"));
            let moved = self.b.quant(moved, out, &shape, quant);
            largest = Some(match largest {
                None => moved,
                Some(other) => {
                    let out = self.b.name(&format!("{stem}_max"));
                    self.b.node("Max", vec![other, moved], out, &shape, Vec::new())
                }
            });
        }
        let out = self.b.name(&format!("{stem}_quant"));
        let tensor = largest.ok_or_else(|| Reason::Structure("a pool has no taps".into()))?;
        let tensor = if taps > 1 { self.b.quant(tensor, out, &shape, quant) } else { tensor };
        Ok(Part { tensor, lead, ..part })
    }
}
