//! What an operation makes of intervals, each element on a grid of its own: the one set of rules
//! for exact evaluation and for the proxy.

use super::error::Unfit;
use super::span::Span;
use super::window;
use crate::quant::kif::Kif;
use crate::quant::model::{FixedAffine, FixedDense, FixedOp, FixedQuantizer};
use crate::quant::rounding::{Overflow, cast};

/// The spans of the `outputs` elements of a result; `operands` of `shapes`.
///
/// # Errors
/// More than 127 bits, and operands that do not fit.
pub fn step(op: &FixedOp, operands: &[&[Span]], shapes: &[&[usize]], outputs: usize) -> Result<Vec<Span>, Unfit> {
    let several = || Unfit::Structure(format!("reads {} values", operands.len()));
    let one = || if let [x] = operands { Ok(*x) } else { Err(several()) };
    let result: Vec<Span> = match op {
        FixedOp::Quantize(q) => quantized(q, one()?)?,
        FixedOp::Dense(d) if d.window.is_some() => window::dense(d, one()?)?,
        FixedOp::Dense(d) => dense(d, one()?)?,
        FixedOp::Affine(a) => affine(a, one()?)?,
        FixedOp::Elementwise(f) => one()?.iter().map(|s| s.through(*f).ok_or(Unfit::Wide)).collect::<Result<_, _>>()?,
        FixedOp::MaxPool(window) => window::max(window, one()?)?,
        FixedOp::AveragePool(pool) => window::dense(&pool.as_dense(), one()?)?,
        FixedOp::Merge(m) => {
            let &[a, b] = operands else { return Err(several()) };
            length("the second operand", b.len(), a)?;
            a.iter().zip(b).map(|(a, b)| a.merged(*m, *b).ok_or(Unfit::Wide)).collect::<Result<_, _>>()?
        }
        FixedOp::Move(m) => {
            m.fits(shapes, outputs).map_err(Unfit::Structure)?;
            m.apply(operands, shapes, Span::ZERO)
        }
    };
    if result.len() == outputs { Ok(result) } else { Err(Unfit::Shape { what: "output", found: result.len(), wanted: outputs }) }
}

/// Whether `what` has one entry for each element of `x`.
fn length(what: &'static str, found: usize, x: &[Span]) -> Result<(), Unfit> {
    if found == x.len() { Ok(()) } else { Err(Unfit::Shape { what, found, wanted: x.len() }) }
}

fn quantized(q: &FixedQuantizer, x: &[Span]) -> Result<Vec<Span>, Unfit> {
    length("formats", q.formats.len(), x)?;
    let shifted = |(e, s): (usize, &Span)| match &q.offset {
        Some(offset) => s.plus(Span::constant(offset, e).negated()).ok_or(Unfit::Wide),
        None => Ok(*s),
    };
    x.iter().enumerate().zip(&q.formats).map(|(x, &format)| Ok(cast_to(q, shifted(x)?, format))).collect()
}

fn cast_to(q: &FixedQuantizer, s: Span, format: Kif) -> Span {
    let at = |v| cast(v, s.frac, format, q.rounding, q.overflow);
    match q.overflow {
        _ if format.is_zero() => Span::ZERO,
        // not monotone: assume everything
        Overflow::Wrap => Span::of(format),
        Overflow::Sat | Overflow::SatSym => Span::new(at(s.lo), at(s.hi), format.fractional),
    }
}

/// A layer without a window.
fn dense(d: &FixedDense, x: &[Span]) -> Result<Vec<Span>, Unfit> {
    length("dense inputs", d.inputs, x)?;
    if d.weight.ints.len() != d.inputs * d.outputs || d.bias.ints.len() != d.outputs {
        return Err(Unfit::Shape { what: "dense weights", found: d.weight.ints.len(), wanted: d.inputs * d.outputs });
    }
    let mut out: Vec<Span> = (0..d.outputs).map(|j| Span::constant(&d.bias, j)).collect();
    for (row, s) in d.weight.ints.chunks(d.outputs.max(1)).zip(x) {
        for (o, &w) in out.iter_mut().zip(row) {
            if w != 0 && !s.is_zero() {
                *o = s.times(w, d.weight.frac).and_then(|p| o.plus(p)).ok_or(Unfit::Wide)?;
            }
        }
    }
    Ok(out)
}

fn affine(a: &FixedAffine, x: &[Span]) -> Result<Vec<Span>, Unfit> {
    length("scales", a.scale.ints.len(), x)?;
    length("shifts", a.shift.ints.len(), x)?;
    let one = |(e, s): (usize, &Span)| s.times(a.scale.ints[e], a.scale.frac)?.plus(Span::constant(&a.shift, e));
    x.iter().enumerate().map(|x| one(x).ok_or(Unfit::Wide)).collect()
}
