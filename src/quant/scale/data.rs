//! Inputs in the domain.

use super::{Scales, offset::GRID};
use crate::graph::ValueId;
use crate::quant::exact::MinMax;
use crate::quant::kif::exp2i;
use std::borrow::Cow;

impl Scales {
    /// A range of graph input `n` in the domain.
    pub fn range(&self, n: usize, input: ValueId, range: &MinMax) -> MinMax {
        let Some(exponents) = self.of(input) else { return range.clone() };
        let offset = |e: usize| self.offsets.get(n).and_then(|c| c.get(e)).copied().unwrap_or(0.0);
        let at = |v: &[f64]| v.iter().zip(exponents).enumerate().map(|(e, (v, &x))| v * exp2i(-x) - offset(e)).collect();
        MinMax { min: at(&range.min), max: at(&range.max) }
    }

    /// Rows of graph input `n`, which is value `input`, in the domain. Elements with an offset are
    /// rounded down to a grid that is finer than any quantizer of an input: it does not see the
    /// difference.
    pub fn rows<'a>(&self, n: usize, input: ValueId, rows: &'a [f32]) -> Cow<'a, [f32]> {
        let Some(exponents) = self.of(input) else { return Cow::Borrowed(rows) };
        let offsets = self.offsets.get(n).filter(|c| !c.is_empty());
        if offsets.is_none() && exponents.iter().all(|&e| e == 0) {
            return Cow::Borrowed(rows);
        }
        let factors: Vec<f32> = exponents.iter().map(|&e| exp2i(-e) as f32).collect();
        let mut scaled = Vec::with_capacity(rows.len());
        for row in rows.chunks_exact(factors.len().max(1)) {
            match offsets {
                None => scaled.extend(row.iter().zip(&factors).map(|(v, f)| v * f)),
                Some(offsets) => scaled.extend(
                    row.iter()
                        .zip(&factors)
                        .zip(offsets)
                        .map(|((&v, &f), &c)| if c == 0.0 { v * f } else { shifted(f64::from(v) * f64::from(f), c) }),
                ),
            }
        }
        Cow::Owned(scaled)
    }
}

/// `x − c` on the grid, rounded down.
fn shifted(x: f64, c: f64) -> f32 {
    // both are integers here, so nothing is lost before the end
    (((x * exp2i(GRID)).floor() - c * exp2i(GRID)) * exp2i(-GRID)) as f32
}

#[cfg(test)]
mod tests {
    use super::shifted;

    #[test]
    fn a_shift_rounds_down() {
        assert_eq!(shifted(253.25, 253.5), -0.25);
        assert_eq!(shifted(-1e-30, 253.5), -253.5 - 2f32.powi(-17));
        assert_eq!(shifted(1e-30, 3.0), -3.0);
    }
}
