//! Matrices: `Quant(W) → MatMul → Add Quant(b) → [Mul, Add] → [Relu] → Quant`, one per output format (contract 1 and 1b).
//!
//! With several input parts each has its own `MatMul` with an exact wide `Quant` behind, a balanced tree of Adds joins them, and
//! 0/1 selections hand the sum to the output formats. The output's bias goes into the selection, or into the first term where
//! there is nothing to select (a constant Add directly behind a merge crashes hls4ml 1.3.0).

use super::build::{QuantType, float};
use super::constant::{covering, quant_type, quantised};
use super::error::Reason;
use super::interval::Span;
use super::lower::Lower;
use super::offset::offset;
use super::part::{Activation, Base, Part, Stage};
use super::port::DEFAULT_PORT;
use crate::quant::{Kif, Rounding};

/// Elements that share one output format.
#[derive(Clone, Debug)]
pub struct Group {
    pub elements: Vec<usize>,
    pub kif: Kif,
    /// Of what is written, that is of `−x` when `negate`.
    pub rounding: Rounding,
    pub narrow: bool,
    /// Write `−x`.
    pub negate: bool,
    /// Reserved name of the tensor.
    pub name: Option<String>,
}

impl Group {
    /// A `Quant` that changes nothing.
    pub fn exact(elements: Vec<usize>, kif: Kif, name: Option<String>) -> Group {
        Group { elements, kif, rounding: Rounding::Floor, narrow: false, negate: false, name }
    }
}

fn signed(s: Span, negate: bool) -> Span {
    if negate { s.negated() } else { s }
}

fn sum(a: Span, b: Span) -> Result<Span, Reason> {
    a.plus(b).ok_or(Reason::TooWide { what: "a bias", bits: 127 })
}

impl Lower<'_> {
    /// Writes a stage whose base is a matrix; one part per group.
    pub(super) fn linear(&mut self, stage: &Stage, groups: &[Group]) -> Result<Vec<Part>, Reason> {
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
                    // a layer that reads nothing multiplies the model input by 0
                    let (tensor, rows, weights) = match parts.first() {
                        Some(part) => (
                            &part.tensor,
                            part.elements.len(),
                            self.weights(stage, part, &group.elements, self.flips(stage, group)),
                        ),
                        None => (
                            &self.raw.tensor,
                            self.raw.elements.len(),
                            vec![Span::ZERO; self.raw.elements.len() * group.elements.len()],
                        ),
                    };
                    let (tensor, bias) = (tensor.clone(), self.bias(stage, group)?);
                    let base = self.dense(&stem, tensor, rows, &weights, &bias)?;
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
                    return Ok(vec![self.tail(&stem, stage, &groups[0], total)?]);
                }
                for (at, group) in groups.iter().enumerate() {
                    let stem = numbered(&stem, at, groups.len());
                    let one = signed(Span::new(1, 1, 0), self.flips(stage, group));
                    let select =
                        columns.iter().flat_map(|c| group.elements.iter().map(move |e| if e == c { one } else { Span::ZERO }));
                    let (select, bias) = (select.collect::<Vec<_>>(), self.bias(stage, group)?);
                    let base = self.dense(&format!("{stem}_select"), total.clone(), columns.len(), &select, &bias)?;
                    written.push(self.tail(&stem, stage, group, base)?);
                }
            }
        }
        Ok(written)
    }

    /// One matrix per part, each exact and quantised, added pairwise. `first` is the bias of the first term.
    fn sum_of_terms(
        &mut self,
        stem: &str,
        stage: &Stage,
        parts: &[&Part],
        columns: &[usize],
        first: Vec<Span>,
    ) -> Result<String, Reason> {
        let mut terms = Vec::with_capacity(parts.len());
        let zeros = vec![Span::ZERO; columns.len()];
        for (at, part) in parts.iter().enumerate() {
            let bias = if at == 0 { &first } else { &zeros };
            let weights = self.weights(stage, part, columns, false);
            let mut widths = bias.clone();
            for (&row, weights) in part.elements.iter().zip(self.plain_weights(stage, part, columns).chunks(columns.len())) {
                for (width, w) in widths.iter_mut().zip(weights) {
                    let product = i64::try_from(w.lo).ok().and_then(|v| self.spans[stage.source][row].times(v, w.frac));
                    *width = product.and_then(|p| width.plus(p)).ok_or(Reason::TooWide { what: "a product", bits: 127 })?;
                }
            }
            let stem = format!("{stem}_term{at}");
            let base = self.dense(&stem, part.tensor.clone(), part.elements.len(), &weights, bias)?;
            let q = quant_type("a term of the sum", covering(widths.iter()), false)?;
            let out = self.b.name(&stem);
            terms.push(self.b.quant(base, out, &[1, columns.len()], q));
        }
        while terms.len() > 1 {
            let mut next = Vec::with_capacity(terms.len().div_ceil(2));
            for pair in terms.chunks(2) {
                next.push(match pair {
                    [a, b] => {
                        let out = self.b.name(&format!("{stem}_sum"));
                        self.b.node("Add", vec![a.clone(), b.clone()], out, &[1, columns.len()], Vec::new())
                    }
                    _ => pair.concat(),
                });
            }
            terms = next;
        }
        Ok(terms.concat())
    }

    /// True when the matrix (and not the affine behind it) must change the sign.
    fn flips(&self, stage: &Stage, group: &Group) -> bool {
        group.negate && stage.affine.is_none()
    }

    /// Entries of the matrix for the rows of `part`, row-major, as they multiply the part's tensor.
    fn weights(&self, stage: &Stage, part: &Part, columns: &[usize], negate: bool) -> Vec<Span> {
        let plain = self.plain_weights(stage, part, columns);
        let signs = part.negated.iter().flat_map(|&n| std::iter::repeat_n(n != negate, columns.len()));
        plain.into_iter().zip(signs).map(|(w, minus)| signed(w, minus)).collect()
    }

    fn plain_weights(&self, stage: &Stage, part: &Part, columns: &[usize]) -> Vec<Span> {
        let entry = |row: usize, column: usize| match stage.base {
            Base::Dense(d) => {
                let w = d.weight.ints[row * d.outputs + column].into();
                Span::new(w, w, d.weight.frac)
            }
            Base::Select | Base::Copy => Span::new((row == column).into(), (row == column).into(), 0),
        };
        part.elements.iter().flat_map(|&row| columns.iter().map(move |&column| entry(row, column))).collect()
    }

    /// Bias of one group; includes the rounding offset when no affine follows.
    fn bias(&self, stage: &Stage, group: &Group) -> Result<Vec<Span>, Reason> {
        let spans = &self.spans[stage.base_value];
        let held = |e: usize| stage.parts.iter().any(|p| p.elements.contains(&e));
        let plain = group.elements.iter().map(|&e| match stage.base {
            Base::Dense(d) => Ok(Span::constant(&d.bias, e)),
            _ if held(e) => Ok(Span::ZERO),
            _ if spans[e].is_constant() => Ok(spans[e]),
            _ => Err(Reason::Structure(format!("element {e} was never written"))),
        });
        if stage.affine.is_some() {
            return plain.collect();
        }
        let add = self.offset_of(stage, group);
        let floors = group.rounding != Rounding::HalfEven && stage.activation.is_none_or(Activation::passes_offset);
        let grid = group.kif.fractional.max(self.product_grid(stage, group));
        plain
            .map(|b| {
                let b = sum(signed(b?, group.negate), add)?;
                // finer than the products and the output: the floor behind does not see it
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
            for (&row, weights) in part.elements.iter().zip(weights.chunks(group.elements.len().max(1))) {
                let fine = weights.iter().filter(|w| !w.is_zero()).map(|w| w.frac).max();
                grid = grid.max(fine.map_or(i32::MIN, |f| f + self.spans[stage.source][row].frac));
            }
        }
        grid
    }

    /// The rounding constant of a group.
    pub(super) fn offset_of(&self, stage: &Stage, group: &Group) -> Span {
        let grid = group.elements.iter().map(|&e| self.spans[stage.value][e].frac).max().unwrap_or(0);
        offset(group.rounding, grid, group.kif.fractional)
    }

    fn dense(&mut self, stem: &str, input: String, rows: usize, weights: &[Span], bias: &[Span]) -> Result<String, Reason> {
        let n = bias.len();
        let w = quantised(&mut self.b, &format!("{stem}_weight"), "weight", weights, &[rows, n])?;
        let out = self.b.name(&format!("{stem}_matmul"));
        let product = self.b.node("MatMul", vec![input, w], out, &[1, n], Vec::new());
        self.shift(&format!("{stem}_bias"), product, bias)
    }

    /// `Add Quant(values)`.
    pub(super) fn shift(&mut self, stem: &str, tensor: String, values: &[Span]) -> Result<String, Reason> {
        let c = quantised(&mut self.b, &format!("{stem}_constant"), "bias", values, &[values.len()])?;
        let out = self.b.name(stem);
        Ok(self.b.node("Add", vec![tensor, c], out, &[1, values.len()], Vec::new()))
    }

    /// What follows the matrix: affine, activation, quantizer.
    fn tail(&mut self, stem: &str, stage: &Stage, group: &Group, mut tensor: String) -> Result<Part, Reason> {
        if stage.affine.is_some() {
            let kif = covering(group.elements.iter().map(|&e| &self.spans[stage.base_value][e]));
            let out = self.b.name(&format!("{stem}_exact"));
            tensor =
                self.b.quant(tensor, out, &[1, group.elements.len()], quant_type("the layer in front of a scale", kif, false)?);
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
        let Some(affine) = stage.affine else { return Ok(tensor) };
        let n = group.elements.len();
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
        let mut scaled = self.b.node("Mul", vec![tensor, c], out, &[1, n], Vec::new());
        if !shift.iter().all(fits_fused_bias) {
            let product = |&e: &usize| {
                let span = self.spans[stage.base_value][e].times(affine.scale.ints[e], affine.scale.frac);
                span.map(|s| signed(s, group.negate)).ok_or(Reason::TooWide { what: "the scaled value", bits: 128 })
            };
            let products = group.elements.iter().map(product).collect::<Result<Vec<_>, _>>()?;
            let kif = quant_type("the scaled value", covering(products.iter()), false)?;
            let out = self.b.name(&format!("{stem}_scaled_exact"));
            scaled = self.b.quant(scaled, out, &[1, n], kif);
        }
        self.shift(&format!("{stem}_shift"), scaled, &shift)
    }

    /// Activation and quantizer.
    pub(super) fn close(&mut self, stem: &str, stage: &Stage, group: &Group, mut tensor: String) -> Result<Part, Reason> {
        let shape = [1, group.elements.len()];
        if let Some(activation) = stage.activation {
            let (op, attributes) = match activation {
                Activation::Relu => ("Relu", Vec::new()),
                Activation::LeakyRelu { log2_slope } => ("LeakyRelu", vec![float("alpha", 2f32.powi(log2_slope))]),
                Activation::Sigmoid => ("Sigmoid", Vec::new()),
                Activation::Tanh => ("Tanh", Vec::new()),
            };
            let out = self.b.name(&format!("{stem}_{}", op.to_lowercase()));
            tensor = self.b.node(op, vec![tensor], out, &shape, attributes);
            // hls4ml's product with the slope is a type of few integer bits; rounding it half to even to a coarse step reads a bit
            // that is not there and aborts
            if matches!(activation, Activation::LeakyRelu { .. }) && group.rounding == Rounding::HalfEven {
                let kif = covering(group.elements.iter().map(|&e| &self.spans[stage.value][e]));
                let out = self.b.name(&format!("{stem}_leaky_exact"));
                tensor = self.b.quant(tensor, out, &shape, quant_type("the LeakyRelu", kif, false)?);
            }
        }
        let out = group.name.clone().unwrap_or_else(|| self.b.name(&format!("{stem}_quant")));
        let q = quant_type("the quantizer", group.kif, group.rounding == Rounding::HalfEven)?;
        let q = QuantType { narrow: group.narrow, ..q };
        Ok(Part::new(self.b.quant(tensor, out, &shape, q), group.elements.clone(), group.negate))
    }
}

/// hls4ml fuses `Mul` and `Add` and types the fused bias with the default precision `fixed<32,16>`, whatever its own `Quant` says.
fn fits_fused_bias(s: &Span) -> bool {
    let (integer, fractional) = (DEFAULT_PORT.integer, DEFAULT_PORT.fractional);
    let kif = s.kif();
    s.is_zero() || (kif.fractional <= fractional && kif.integer <= integer)
}

fn numbered(stem: &str, at: usize, of: usize) -> String {
    if of == 1 { stem.to_string() } else { format!("{stem}_g{at}") }
}
