//! Worst-case integer range and grid of every element of every value of a [`FixedModel`]: how wide an exact `Quant` must be,
//! and which elements are constant.

mod merge;
mod window;

use crate::graph::moves;
use crate::ops::Elementwise;
use crate::proxy::error::{Fault, MAX_BITS, Reason};
use crate::quant::rounding::{Overflow, cast, shl};
use crate::quant::{FixedAffine, FixedDense, FixedModel, FixedOp, FixedQuantizer, FixedTensor, Kif};

/// All values `n·2^-frac` with `lo ≤ n ≤ hi`. A constant 0 has `frac` 0 so that it refines no grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub lo: i128,
    pub hi: i128,
    pub frac: i32,
}

impl Span {
    pub const ZERO: Span = Span { lo: 0, hi: 0, frac: 0 };

    /// The span, with trailing zero bits of a constant removed.
    pub fn new(lo: i128, hi: i128, frac: i32) -> Span {
        if lo == 0 && hi == 0 {
            return Span::ZERO;
        }
        if lo == hi {
            let spare = lo.trailing_zeros() as i32;
            return Span { lo: lo >> spare, hi: hi >> spare, frac: frac - spare };
        }
        Span { lo, hi, frac }
    }

    pub fn is_constant(&self) -> bool {
        self.lo == self.hi
    }

    pub fn is_zero(&self) -> bool {
        self.lo == 0 && self.hi == 0
    }

    /// Everything a format can hold.
    pub fn of(format: Kif) -> Span {
        Span::new(format.min_int().into(), format.max_int().into(), format.fractional)
    }

    /// `−x`.
    pub fn negated(self) -> Span {
        Span { lo: -self.hi, hi: -self.lo, frac: self.frac }
    }

    /// The narrowest format of the span.
    pub fn kif(&self) -> Kif {
        Kif::covering(self.lo, self.hi, self.frac)
    }

    /// `x·w·2^-frac`; `None` beyond 127 bits.
    pub fn times(self, w: i64, frac: i32) -> Option<Span> {
        if w == 0 {
            return Some(Span::ZERO);
        }
        // on the weight's own grid: that of its tensor may be far finer
        let spare = w.trailing_zeros();
        let (a, b) = (self.lo.checked_mul((w >> spare).into())?, self.hi.checked_mul((w >> spare).into())?);
        Some(Span::new(a.min(b), a.max(b), self.frac.checked_add(frac)?.checked_sub(spare as i32)?))
    }

    /// `x + y`; `None` beyond 127 bits.
    pub fn plus(self, other: Span) -> Option<Span> {
        if self.is_zero() {
            return Some(other);
        }
        if other.is_zero() {
            return Some(self);
        }
        let frac = self.frac.max(other.frac);
        let at = |v: i128, from: i32| shl(v, frac - from);
        Some(Span::new(
            at(self.lo, self.frac)?.checked_add(at(other.lo, other.frac)?)?,
            at(self.hi, self.frac)?.checked_add(at(other.hi, other.frac)?)?,
            frac,
        ))
    }

    /// Everything that either holds, on the finer grid; `None` beyond 127 bits.
    pub fn union(self, other: Span) -> Option<Span> {
        let frac = match (self.is_zero(), other.is_zero()) {
            (true, _) => other.frac,
            (_, true) => self.frac,
            _ => self.frac.max(other.frac),
        };
        let at = |v: i128, from: i32| shl(v, frac - from);
        Some(Span::new(
            at(self.lo, self.frac)?.min(at(other.lo, other.frac)?),
            at(self.hi, self.frac)?.max(at(other.hi, other.frac)?),
            frac,
        ))
    }

    /// Element `e` of a constant tensor.
    pub fn constant(tensor: &FixedTensor, e: usize) -> Span {
        let v = tensor.ints.get(e).copied().unwrap_or(0).into();
        Span::new(v, v, tensor.frac)
    }
}

/// Spans of all values, per element. The graph inputs hold every value of `port`.
///
/// # Errors
/// Every node one of whose elements needs more than [`MAX_BITS`] bits, and every node whose operand has the wrong length.
pub fn spans(model: &FixedModel, port: Kif) -> Result<Vec<Vec<Span>>, Vec<Fault>> {
    let mut all: Vec<Vec<Span>> = model.values.iter().map(|v| vec![Span::ZERO; v.len()]).collect();
    let mut faults = Vec::new();
    for &input in &model.inputs {
        all[input].fill(Span::of(port));
    }
    for node in &model.nodes {
        let operands: Vec<&[Span]> = node.inputs.iter().map(|&v| &all[v][..]).collect();
        match step(&node.op, &operands, &model.shapes(&node.inputs), model.len_of(node.output)) {
            Ok(result) => {
                let bits = result.iter().map(|s| s.kif().bits()).max().unwrap_or(0);
                if bits > MAX_BITS {
                    faults.push(Fault { node: node.name.clone(), reason: Reason::TooWide { what: "the result", bits } });
                } else {
                    all[node.output] = result;
                }
            }
            Err(reason) => faults.push(Fault { node: node.name.clone(), reason }),
        }
    }
    if faults.is_empty() { Ok(all) } else { Err(faults) }
}

fn step(op: &FixedOp, operands: &[&[Span]], shapes: &[&[usize]], outputs: usize) -> Result<Vec<Span>, Reason> {
    let (x, shape) = match (op, operands, shapes) {
        (FixedOp::Concat { axis }, ..) => return merge::concat(operands, shapes, *axis, outputs),
        (FixedOp::Merge(merge), [a, b], _) => return merge::merge(*merge, a, b, outputs),
        (_, [x], [shape]) => (*x, *shape),
        _ => return Err(Reason::Structure(format!("reads {} values", operands.len()))),
    };
    let result: Vec<Span> = match op {
        FixedOp::Quantize(q) => quantized(q, x)?,
        FixedOp::Dense(d) if d.window.is_some() => window::dense(d, x)?,
        FixedOp::AveragePool(pool) => window::dense(&pool.as_dense(), x)?,
        FixedOp::MaxPool(window) => window::max(window, x)?,
        FixedOp::Pad { before, after } => {
            if before.len() != shape.len() || after.len() != shape.len() {
                return Err(Reason::Shape { what: "padded axes", found: before.len(), wanted: shape.len() });
            }
            moves::pad(shape, before, after).into_iter().map(|from| from.map_or(Span::ZERO, |e| x[e])).collect()
        }
        FixedOp::Dense(d) => dense(d, x)?,
        FixedOp::Affine(a) => affine(a, x)?,
        FixedOp::Elementwise(f) => x.iter().map(|s| through(*s, *f).ok_or_else(wide)).collect::<Result<_, _>>()?,
        FixedOp::Reshape => x.to_vec(),
        FixedOp::Merge(_) | FixedOp::Concat { .. } => return Err(Reason::Structure("reads one value".into())),
    };
    if result.len() == outputs { Ok(result) } else { Err(Reason::Shape { what: "output", found: result.len(), wanted: outputs }) }
}

/// The fault of a sum or product beyond 127 bits.
fn wide() -> Reason {
    Reason::TooWide { what: "the result", bits: 127 }
}

/// Whether `what` has one entry for each element of `x`.
fn length(what: &'static str, found: usize, x: &[Span]) -> Result<(), Reason> {
    if found == x.len() { Ok(()) } else { Err(Reason::Shape { what, found, wanted: x.len() }) }
}

fn quantized(q: &FixedQuantizer, x: &[Span]) -> Result<Vec<Span>, Reason> {
    length("formats", q.formats.len(), x)?;
    let shifted = |(e, s): (usize, &Span)| match &q.offset {
        Some(offset) => s.plus(Span::constant(offset, e).negated()).ok_or_else(wide),
        None => Ok(*s),
    };
    let cast_to = |s: Span, format: Kif| {
        let at = |v| cast(v, s.frac, format, q.rounding, q.overflow);
        match q.overflow {
            _ if format.is_zero() => Span::ZERO,
            // not monotone: assume everything
            Overflow::Wrap => Span::of(format),
            Overflow::Sat | Overflow::SatSym => Span::new(at(s.lo), at(s.hi), format.fractional),
        }
    };
    let each = x.iter().enumerate().zip(&q.formats);
    each.map(|(x, &format)| Ok(cast_to(shifted(x)?, format))).collect()
}

/// A layer without a window.
fn dense(d: &FixedDense, x: &[Span]) -> Result<Vec<Span>, Reason> {
    length("dense inputs", d.inputs, x)?;
    if d.weight.ints.len() != d.inputs * d.outputs || d.bias.ints.len() != d.outputs {
        return Err(Reason::Shape { what: "dense weights", found: d.weight.ints.len(), wanted: d.inputs * d.outputs });
    }
    let mut out: Vec<Span> = (0..d.outputs).map(|j| Span::constant(&d.bias, j)).collect();
    for (row, s) in d.weight.ints.chunks(d.outputs.max(1)).zip(x) {
        for (o, &w) in out.iter_mut().zip(row) {
            if w != 0 && !s.is_zero() {
                *o = s.times(w, d.weight.frac).and_then(|p| o.plus(p)).ok_or_else(wide)?;
            }
        }
    }
    Ok(out)
}

fn affine(a: &FixedAffine, x: &[Span]) -> Result<Vec<Span>, Reason> {
    length("scales", a.scale.ints.len(), x)?;
    length("shifts", a.shift.ints.len(), x)?;
    x.iter()
        .enumerate()
        .map(|(e, s)| s.times(a.scale.ints[e], a.scale.frac).and_then(|p| p.plus(Span::constant(&a.shift, e))).ok_or_else(wide))
        .collect()
}

fn through(s: Span, f: Elementwise) -> Option<Span> {
    // what is never below 0 keeps its grid
    if matches!(f, Elementwise::LeakyRelu { .. }) && s.lo >= 0 {
        return Some(s);
    }
    Some(Span::new(f.exact(s.lo, s.frac)?, f.exact(s.hi, s.frac)?, f.output_frac(s.frac)))
}
