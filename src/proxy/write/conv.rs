//! Convolutions as stock hls4ml reads them: channels last, weight `(O, kh, kw, I/g)` and bias
//! through their own `Quant`, every attribute present, `Conv` of one axis for one-dimensional data
//! (docs/hls4ml-contract.md#f-layers).

use super::build::{int, ints};
use super::constant::quantised;
use super::lower::Lower;
use super::part::{Part, is_line, shape};
use crate::graph::Window;
use crate::proxy::error::Reason;
use crate::proxy::target::Io;
pub use crate::proxy::write::part::lead_of;
use crate::quant::interval::Span;

impl Lower<'_> {
    /// `x·W + b`, at every position under `window`, or (without one) of the tensor. `weights` is
    /// row-major `[tap, unit of the tensor][output]`; with `depthwise` `[tap][unit]`.
    pub(super) fn product(
        &mut self,
        stem: &str,
        input: &Part,
        window: Option<&Window>,
        weights: &[Span],
        bias: &[Span],
        depthwise: bool,
    ) -> Result<String, Reason> {
        let (n, rows) = (bias.len(), input.elements.len());
        if window.is_none() && input.lead.is_empty() {
            let w = quantised(&mut self.b, &format!("{stem}_weight"), "weight", weights, &[rows, n])?;
            let out = self.b.name(&format!("{stem}_matmul"));
            let product = self.b.node("MatMul", vec![input.tensor.clone(), w], out, &[1, n], Vec::new());
            return self.shift(&format!("{stem}_bias"), product, &[], bias);
        }
        let pointwise;
        let (window, line) = match window {
            Some(w) => (w, is_line(w, &input.lead)),
            None => {
                let lead = lead_of(&input.lead);
                let (height, width) = if lead.len() == 2 { (lead[0], lead[1]) } else { (1, lead.iter().product()) };
                pointwise = Window::pointwise(height, width, rows);
                (&pointwise, lead.len() < 2)
            }
        };
        let from = usize::from(line);
        let mut tensor = self.shaped(input, &window.input[from..2])?;
        let per_group = if depthwise { 1 } else { rows };
        let kernel = &window.kernel[from..];
        // (O, kh, kw, I/g)
        let mut ordered = Vec::with_capacity(weights.len());
        for o in 0..n {
            for row in 0..window.taps() * per_group {
                ordered.push(weights[row * n + o]);
            }
        }
        let w = quantised(&mut self.b, &format!("{stem}_weight"), "weight", &ordered, &[&[n], kernel, &[per_group]].concat())?;
        let b = quantised(&mut self.b, &format!("{stem}_constant"), "bias", bias, &[n])?;
        let mut pads: Vec<usize> = if line { vec![window.pads[1], window.pads[3]] } else { window.pads.to_vec() };
        if line && window.is_padded() && self.target.io == Io::Stream {
            // hls4ml puts the padding in front of another reader of the same tensor, or leaves it
            // out
            tensor = self.zeros_around(stem, tensor, &window.input[1..2], rows, &pads[..1], &pads[1..]);
            pads.fill(0);
        }
        let attributes = vec![
            ints("kernel_shape", kernel),
            ints("pads", &pads),
            ints("strides", &window.stride[from..]),
            ints("dilations", &vec![1; kernel.len()]),
            int("group", if depthwise { rows as i64 } else { 1 }),
        ];
        let out = self.b.name(&format!("{stem}_conv"));
        let lead = &window.output()[from..];
        Ok(self.b.node("Conv", vec![tensor, w, b], out, &shape(lead, n), attributes))
    }

    /// The tensor of a part on other positions.
    pub(super) fn shaped(&mut self, part: &Part, lead: &[usize]) -> Result<String, Reason> {
        if part.lead == lead {
            return Ok(part.tensor.clone());
        }
        let out = self.b.name(&format!("{}_shaped", part.tensor));
        self.reshaped(part, lead, out)
    }

    /// The tensor of a part on as many other positions, called `out`.
    pub(super) fn reshaped(&mut self, part: &Part, lead: &[usize], out: String) -> Result<String, Reason> {
        let (found, wanted) = (part.lead.iter().product::<usize>(), lead.iter().product::<usize>());
        if found != wanted {
            return Err(Reason::Shape { what: "positions", found, wanted });
        }
        Ok(self.b.reshape(part.tensor.clone(), out, &shape(lead, part.elements.len())))
    }
}
