//! Constants of the proxy: values under one scalar power-of-two envelope `Quant`
//! (docs/hls4ml-contract.md#c-dense).

use super::build::{Builder, QuantType};
use crate::proxy::error::Reason;
use crate::quant::Kif;
use crate::quant::interval::Span;
use crate::quant::kif::exp2i;
use crate::quant::rounding::shl;

/// Significant bits of a float32.
const FLOAT_BITS: u32 = 24;

/// Writes an initializer and its `Quant`; returns the name of the quantised tensor. `values` are
/// constant spans.
///
/// # Errors
/// A value that is not a float32, an envelope that is too wide or whose scale is not a float32.
pub fn quantised(b: &mut Builder, stem: &str, what: &'static str, values: &[Span], shape: &[usize]) -> Result<String, Reason> {
    let q = envelope(what, values)?;
    for v in values {
        let bits = significant(v.lo);
        if bits > FLOAT_BITS {
            return Err(Reason::Constant { what, bits });
        }
    }
    let out = b.name(&format!("{stem}_q"));
    let raw = b.constant(stem, values.iter().map(value), shape);
    Ok(b.quant(raw, out, shape, q))
}

fn value(v: &Span) -> f64 {
    v.lo as f64 * exp2i(-v.frac)
}

fn significant(v: i128) -> u32 {
    let v = v.unsigned_abs();
    if v == 0 { 0 } else { 128 - v.leading_zeros() - v.trailing_zeros() }
}

/// The narrowest scalar type of all values; signed types have at least 2 bits, since stock tools
/// disagree about one.
fn envelope(what: &'static str, values: &[Span]) -> Result<QuantType, Reason> {
    let wide = || Reason::TooWide { what, bits: 127 };
    // trailing zeros of each value must not refine the grid
    let tight: Vec<Span> = values.iter().filter(|v| !v.is_zero()).map(|v| Span::new(v.lo, v.lo, v.frac)).collect();
    let Some(frac) = tight.iter().map(|v| v.frac).max() else {
        return Ok(QuantType { signed: false, narrow: false, bits: 1, frac: 0, round: true });
    };
    let (mut lo, mut hi) = (0, 0);
    for v in &tight {
        let at = shl(v.lo, frac - v.frac).ok_or_else(wide)?;
        (lo, hi) = (lo.min(at), hi.max(at));
    }
    let kif = Kif::covering(lo, hi, frac);
    quant_type(what, Kif { integer: kif.integer + i32::from(kif.keep_negative && kif.bits() == 1), ..kif }, true)
}

/// The `Quant` of a format.
///
/// # Errors
/// Formats beyond the limits of the file format or of the executor.
pub fn quant_type(what: &'static str, kif: Kif, round: bool) -> Result<QuantType, Reason> {
    if kif.bits() > crate::proxy::error::MAX_BITS {
        return Err(Reason::TooWide { what, bits: kif.bits() });
    }
    if kif.fractional.abs() > crate::proxy::error::MAX_FRACTION || kif.integer > crate::proxy::error::MAX_FRACTION {
        return Err(Reason::Scale { bits: kif.fractional });
    }
    Ok(QuantType { signed: kif.keep_negative, narrow: false, bits: kif.bits(), frac: kif.fractional, round })
}

/// The exact format of some spans for a `Quant` that changes nothing: at least one bit, two if
/// signed.
pub fn covering<'s>(spans: impl Iterator<Item = &'s Span>) -> Kif {
    let kif = spans.fold(Kif::ZERO, |a, s| a.union(s.kif()));
    match (kif.is_zero(), kif.keep_negative && kif.bits() == 1) {
        (true, _) => Kif::new(false, 1, 0),
        (_, true) => Kif { integer: kif.integer + 1, ..kif },
        _ => kif,
    }
}
