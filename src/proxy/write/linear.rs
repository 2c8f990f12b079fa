//! Matrices: `Quant(W) → MatMul → Add Quant(b) → [Mul, Add] → [Relu] → Quant`, one per output
//! format (docs/hls4ml-contract.md#d-1 and #d-1b); on a grid the same with a `Conv`, whose kernel
//! is 1 where only units are selected.
//!
//! With several input parts each has its own `MatMul` with an exact wide `Quant` after, a balanced
//! tree of Adds joins them, and 0/1 selections hand the sum to the output formats. The output's
//! bias goes into the selection, or into the first term where there is nothing to select (a
//! constant Add directly after a merge crashes hls4ml 1.3.0).

use super::build::{QuantType, float};
use super::constant::{covering, quant_type, quantised};
use super::lower::Lower;
use super::offset::offset;
use super::part::{Base, Group, NOWHERE, Part, Stage, shape};
use crate::graph::Window;
use crate::ops::Elementwise;
use crate::proxy::error::Reason;
use crate::quant::interval::Span;
use crate::quant::port::DEFAULT_PORT;
use crate::quant::{Kif, Rounding};

fn signed(s: Span, negate: bool) -> Span {
    if negate { s.negated() } else { s }
}

pub(super) fn sum(a: Span, b: Span) -> Result<Span, Reason> {
    a.plus(b).ok_or(Reason::TooWide { what: "a bias", bits: 127 })
}

impl<'a> Lower<'a> {
    /// Writes a stage whose base is a matrix; one part per group, or more where nothing has to be
    /// added up (see [`super::pieces`]).
    pub(super) fn linear(&mut self, stage: &Stage<'a>, groups: &[Group]) -> Result<Vec<Part>, Reason> {
        if let Some(written) = self.separate(stage, groups)? {
            return Ok(written);
        }
        let window = stage.window();
        let stem = self.model.values[stage.value].name.clone();
        let mut columns: Vec<usize> = groups.iter().flat_map(|g| g.elements.iter().copied()).collect();
        columns.sort_unstable();
        let parts: Vec<&Part> =
            stage.parts.iter().filter(|p| self.weights(stage, p, &columns, false).iter().any(|w| !w.is_zero())).collect();
        let mut written = Vec::new();
        match parts[..] {
            [] | [_] => {
                for (at, group) in groups.iter().enumerate() {
                    let stem = numbered(&stem, at, groups.len());
                    // a layer that reads nothing multiplies some tensor by 0
                    let (input, weights) = match parts.first() {
                        Some(part) => ((*part).clone(), self.weights(stage, part, &group.elements, self.flips(stage, group))),
                        None => {
                            let on_grid = !self.leads[stage.source].is_empty();
                            let input = match stage.parts.first().filter(|_| on_grid) {
                                Some(part) => part.clone(),
                                None => self.nothing(&self.leads[stage.source].clone())?,
                            };
                            let rows = input.elements.len() * window.map_or(1, Window::taps);
                            (input, vec![Span::ZERO; rows * group.elements.len()])
                        }
                    };
                    let bias = self.bias(stage, group)?;
                    let base = self.product(&stem, &input, window, &weights, &bias, false)?;
                    written.push(self.tail(&stem, stage, group, base)?);
                }
            }
            _ => {
                let whole = matches!(groups, [g] if !g.negate);
                let first = if whole { self.bias(stage, &groups[0])? } else { vec![Span::ZERO; columns.len()] };
                if whole {
                    columns = groups[0].elements.clone();
                }
                let total = self.sum_of_terms(&stem, stage, &parts, &columns, first)?;
                if whole {
                    return Ok(vec![self.tail(&stem, stage, &groups[0], total.tensor)?]);
                }
                for (at, group) in groups.iter().enumerate() {
                    let stem = numbered(&stem, at, groups.len());
                    let one = signed(Span::new(1, 1, 0), self.flips(stage, group));
                    let select =
                        columns.iter().flat_map(|c| group.elements.iter().map(move |e| if e == c { one } else { Span::ZERO }));
                    let (select, bias) = (select.collect::<Vec<_>>(), self.bias(stage, group)?);
                    let base = self.product(&format!("{stem}_select"), &total, None, &select, &bias, false)?;
                    written.push(self.tail(&stem, stage, group, base)?);
                }
            }
        }
        Ok(written)
    }

    /// One matrix per part, each exact and quantised, added pairwise. `first` is the bias of the
    /// first term.
    fn sum_of_terms(
        &mut self,
        stem: &str,
        stage: &Stage,
        parts: &[&Part],
        columns: &[usize],
        first: Vec<Span>,
    ) -> Result<Part, Reason> {
        let mut terms = Vec::with_capacity(parts.len());
        let shape = shape(&stage.lead, columns.len());
        let zeros = vec![Span::ZERO; columns.len()];
        for (at, part) in parts.iter().enumerate() {
            let bias = if at == 0 { &first } else { &zeros };
            let weights = self.weights(stage, part, columns, false);
            let mut widths = bias.clone();
            let rows = self.rows(stage, part);
            for (x, weights) in rows.iter().zip(self.plain_weights(stage, part, columns).chunks(columns.len())) {
                for (width, w) in widths.iter_mut().zip(weights) {
                    let product = i64::try_from(w.lo).ok().and_then(|v| x.times(v, w.frac));
                    *width = product.and_then(|p| width.plus(p)).ok_or(Reason::TooWide { what: "a product", bits: 127 })?;
                }
            }
            let stem = format!("{stem}_term{at}");
            let base = self.product(&stem, part, stage.window(), &weights, bias, false)?;
            let q = quant_type("a term of the sum", covering(widths.iter()), false)?;
            let out = self.b.name(&stem);
            terms.push(self.b.quant(base, out, &shape, q));
        }
        while terms.len() > 1 {
            let mut next = Vec::with_capacity(terms.len().div_ceil(2));
            for pair in terms.chunks(2) {
                next.push(match pair {
                    [a, b] => {
                        let out = self.b.name(&format!("{stem}_sum"));
                        self.b.node("Add", vec![a.clone(), b.clone()], out, &shape, Vec::new())
                    }
                    _ => pair.concat(),
                });
            }
            terms = next;
        }
        Ok(Part::new(terms.concat(), &stage.lead, columns.to_vec(), false, true))
    }

    /// True when the matrix (and not the affine after it) must change the sign.
    pub(super) fn flips(&self, stage: &Stage, group: &Group) -> bool {
        group.negate && stage.affine.is_none()
    }

    /// Entries of the matrix for the rows of `part`, row-major `[tap, unit][column]`, as they
    /// multiply the part's tensor.
    pub(super) fn weights(&self, stage: &Stage, part: &Part, columns: &[usize], negate: bool) -> Vec<Span> {
        let plain = self.plain_weights(stage, part, columns);
        let signs = part.negated.iter().cycle().flat_map(|&n| std::iter::repeat_n(n != negate, columns.len()));
        plain.into_iter().zip(signs).map(|(w, minus)| signed(w, minus)).collect()
    }

    pub(super) fn plain_weights(&self, stage: &Stage, part: &Part, columns: &[usize]) -> Vec<Span> {
        let window = stage.window();
        let entry = |tap: usize, unit: usize, column: usize| match stage.base {
            Base::Dense(d) => {
                let row = match window {
                    None => (unit != NOWHERE).then_some(unit),
                    Some(w) => w.row(tap, unit, column, d.outputs),
                };
                let w = row.and_then(|row| d.weight.ints.get(row * d.outputs + column)).copied().unwrap_or(0).into();
                Span::new(w, w, d.weight.frac)
            }
            Base::Select | Base::Copy => Span::new((unit == column).into(), (unit == column).into(), 0),
        };
        let rows = (0..window.map_or(1, Window::taps)).flat_map(|tap| part.elements.iter().map(move |&unit| (tap, unit)));
        rows.flat_map(|(tap, unit)| columns.iter().map(move |&column| entry(tap, unit, column))).collect()
    }

    /// What each row of [`Self::plain_weights`] multiplies.
    fn rows(&self, stage: &Stage, part: &Part) -> Vec<Span> {
        let window = stage.window();
        let spans = &self.spans[stage.source];
        let of = |&unit: &usize| {
            let s = spans.get(unit).copied().unwrap_or(Span::ZERO);
            // the padding is 0
            if window.is_some_and(Window::is_padded) { Span::new(s.lo.min(0), s.hi.max(0), s.frac) } else { s }
        };
        (0..window.map_or(1, Window::taps)).flat_map(|_| part.elements.iter().map(of)).collect()
    }

    /// Bias of one group; includes the rounding offset when no affine follows.
    pub(super) fn bias(&self, stage: &Stage, group: &Group) -> Result<Vec<Span>, Reason> {
        let (spans, live) = (&self.spans[stage.base_value], &self.live[stage.base_value]);
        let held = |e: usize| stage.parts.iter().any(|p| p.elements.contains(&e));
        let plain = group.elements.iter().map(|&e| match stage.base {
            Base::Dense(d) => Ok(Span::constant(&d.bias, e)),
            _ if held(e) => Ok(stage.shift(e)),
            _ if spans[e].is_constant() => Ok(spans[e]),
            // nobody reads it: whole channels are written where some position is read
            _ if !live[e] => Ok(Span::ZERO),
            _ => Err(Reason::Structure(format!("element {e} was never written"))),
        });
        if stage.affine.is_some() {
            return plain.collect();
        }
        let add = self.offset_of(stage, group);
        let floors = group.rounding != Rounding::HalfEven && stage.activation.is_none_or(Elementwise::commutes_with_rounding);
        let grid = group.kif.fractional.max(self.product_grid(stage, group));
        plain
            .map(|b| {
                let b = sum(signed(b?, group.negate), add)?;
                // finer than the products and the output: the floor after does not see it
                let fine = floors && b.frac > grid;
                Ok(if fine {
                    let v = Rounding::Floor.shift(b.lo, b.frac - grid);
                    Span::new(v, v, grid)
                } else {
                    b
                })
            })
            .collect()
    }

    fn product_grid(&self, stage: &Stage, group: &Group) -> i32 {
        let mut grid = i32::MIN;
        for part in &stage.parts {
            let weights = self.plain_weights(stage, part, &group.elements);
            for (x, weights) in self.rows(stage, part).iter().zip(weights.chunks(group.elements.len().max(1))) {
                let fine = weights.iter().filter(|w| !w.is_zero()).map(|w| w.frac).max();
                grid = grid.max(fine.map_or(i32::MIN, |f| f + x.frac));
            }
        }
        grid
    }

    /// The rounding constant of a group.
    pub(super) fn offset_of(&self, stage: &Stage, group: &Group) -> Span {
        let grid = group.elements.iter().map(|&e| self.spans[stage.value][e].frac).max().unwrap_or(0);
        offset(group.rounding, grid, group.kif.fractional)
    }

    /// `Add Quant(values)`.
    pub(super) fn shift(&mut self, stem: &str, tensor: String, lead: &[usize], values: &[Span]) -> Result<String, Reason> {
        let c = quantised(&mut self.b, &format!("{stem}_constant"), "bias", values, &[values.len()])?;
        let out = self.b.name(stem);
        Ok(self.b.node("Add", vec![tensor, c], out, &shape(lead, values.len()), Vec::new()))
    }

    /// What follows the matrix: affine, activation, quantizer.
    pub(super) fn tail(&mut self, stem: &str, stage: &Stage, group: &Group, mut tensor: String) -> Result<Part, Reason> {
        if stage.affine.is_some() {
            let kif = covering(group.elements.iter().map(|&e| &self.spans[stage.base_value][e]));
            let out = self.b.name(&format!("{stem}_exact"));
            tensor = self.b.quant(
                tensor,
                out,
                &shape(&stage.lead, group.elements.len()),
                quant_type("the layer in front of a scale", kif, false)?,
            );
            tensor = self.affine(stem, stage, group, tensor, &vec![false; group.elements.len()])?;
        }
        self.close(stem, stage, group, tensor)
    }

    /// `Mul`, `Add` with the rounding offset; `flipped` marks elements of `tensor` that hold `−x`.
    pub(super) fn affine(
        &mut self,
        stem: &str,
        stage: &Stage,
        group: &Group,
        tensor: String,
        flipped: &[bool],
    ) -> Result<String, Reason> {
        let Some(affine) = &stage.affine else { return Ok(tensor) };
        let n = group.elements.len();
        let shape = shape(&stage.lead, n);
        let scale: Vec<Span> = group
            .elements
            .iter()
            .zip(flipped)
            .map(|(&e, &f)| signed(Span::constant(&affine.scale, e), f != group.negate))
            .collect();
        let add = self.offset_of(stage, group);
        let shift = group.elements.iter().map(|&e| sum(signed(Span::constant(&affine.shift, e), group.negate), add));
        let shift = shift.collect::<Result<Vec<_>, _>>()?;
        let c = quantised(&mut self.b, &format!("{stem}_scale"), "scale", &scale, &[n])?;
        let out = self.b.name(&format!("{stem}_scaled"));
        let mut scaled = self.b.node("Mul", vec![tensor, c], out, &shape, Vec::new());
        if !shift.iter().all(fits_fused_bias) {
            let product = |&e: &usize| {
                let span = self.spans[stage.base_value][e].times(affine.scale.ints[e], affine.scale.frac);
                span.map(|s| signed(s, group.negate)).ok_or(Reason::TooWide { what: "the scaled value", bits: 128 })
            };
            let products = group.elements.iter().map(product).collect::<Result<Vec<_>, _>>()?;
            let kif = quant_type("the scaled value", covering(products.iter()), false)?;
            let out = self.b.name(&format!("{stem}_scaled_exact"));
            scaled = self.b.quant(scaled, out, &shape, kif);
        }
        self.shift(&format!("{stem}_shift"), scaled, &stage.lead, &shift)
    }

    /// Activation, quantizer and what is pooled after it.
    pub(super) fn close(&mut self, stem: &str, stage: &Stage, group: &Group, mut tensor: String) -> Result<Part, Reason> {
        let shape = shape(&stage.lead, group.elements.len());
        if let Some(activation) = stage.activation {
            let op = activation.onnx();
            let alpha = activation.alpha();
            let out = self.b.name(&format!("{stem}_{}", op.to_lowercase()));
            tensor = self.b.node(op, vec![tensor], out, &shape, alpha.map(|alpha| float("alpha", alpha)).into_iter().collect());
            if activation.rounds_exact_first() && group.rounding == Rounding::HalfEven {
                let kif = covering(group.elements.iter().map(|&e| &self.spans[stage.value][e]));
                let out = self.b.name(&format!("{stem}_leaky_exact"));
                tensor = self.b.quant(tensor, out, &shape, quant_type(op, kif, false)?);
            }
        }
        let last = stage.pools.is_empty() && stage.lead == self.leads[stage.value];
        let out = group.name.clone().filter(|_| last).unwrap_or_else(|| self.b.name(&format!("{stem}_quant")));
        let q = quant_type("the quantizer", group.kif, group.rounding == Rounding::HalfEven)?;
        let q = QuantType { narrow: group.narrow, ..q };
        let tensor = self.cast(stem, stage, group, q, tensor, out)?;
        let mut part = Part::new(tensor, &stage.lead, group.elements.clone(), group.negate, group.kif.keep_negative);
        for &window in &stage.pools {
            let negative = group.kif.keep_negative && group.elements.iter().any(|&e| self.spans[stage.value][e].lo < 0);
            part = self.pool(stem, part, window, Kif { keep_negative: negative, ..group.kif })?;
        }
        if last { Ok(part) } else { self.placed(part, stage.value, group.name.clone()) }
    }
}

/// hls4ml fuses `Mul` and `Add` and types the fused bias with the default precision `fixed<32,16>`,
/// whatever its own `Quant` says.
fn fits_fused_bias(s: &Span) -> bool {
    let (integer, fractional) = (DEFAULT_PORT.integer, DEFAULT_PORT.fractional);
    let kif = s.kif();
    s.is_zero() || (kif.fractional <= fractional && kif.integer <= integer)
}

fn numbered(stem: &str, at: usize, of: usize) -> String {
    if of == 1 { stem.to_string() } else { format!("{stem}_g{at}") }
}
