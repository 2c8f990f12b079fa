//! Every rounding as a constant plus `FLOOR` (or `ROUND`), docs/hgq-spec.md#a5 and
//! docs/hls4ml-contract.md#e-rounding.
//!
//! With `u = v·2^f` on the producer's grid `2^-(drop)`: half-up `⌊u+½⌋`; half-down
//! `⌈u−½⌉ = ⌊u+½−2^-drop⌋`; ceil `⌈u⌉ = ⌊u+1−2^-drop⌋`. Half-even is QONNX `ROUND`.

use crate::quant::Rounding;
use crate::quant::interval::Span;

/// The constant to add, in front of a floor to `2^-fractional`, when the producer's grid is
/// `2^-grid`. Zero where nothing is rounded.
pub fn offset(rounding: Rounding, grid: i32, fractional: i32) -> Span {
    let drop = grid - fractional;
    if drop <= 0 {
        return Span::ZERO;
    }
    let one = Span::new(1, 1, fractional);
    let half = Span::new(1, 1, fractional + 1);
    let step = Span::new(-1, -1, grid);
    match rounding {
        Rounding::Floor | Rounding::HalfEven => Span::ZERO,
        Rounding::HalfUp => half,
        Rounding::HalfDown => half.plus(step).unwrap_or(half),
        Rounding::Ceil => one.plus(step).unwrap_or(one),
    }
}

/// The rounding of `−v` that gives minus the rounding of `v`.
pub fn mirrored(rounding: Rounding) -> Rounding {
    match rounding {
        Rounding::HalfUp => Rounding::HalfDown,
        Rounding::HalfDown => Rounding::HalfUp,
        Rounding::Floor => Rounding::Ceil,
        Rounding::Ceil => Rounding::Floor,
        Rounding::HalfEven => Rounding::HalfEven,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::rounding::shl;

    #[test]
    fn floor_of_the_shifted_value_is_the_rounding() {
        use Rounding::*;
        for rounding in [Floor, HalfUp, HalfDown, Ceil] {
            for (grid, fractional) in [(5, 2), (3, 2), (2, 2), (0, -3), (1, 4)] {
                let off = offset(rounding, grid, fractional);
                for v in -100i128..100 {
                    let fine = grid.max(off.frac);
                    let moved = shl(v, fine - grid).unwrap() + shl(off.lo, fine - off.frac).unwrap();
                    let want = rounding.shift(v, grid - fractional);
                    assert_eq!(Floor.shift(moved, fine - fractional), want, "{rounding:?} {v} {grid}->{fractional}");
                    assert_eq!(-mirrored(rounding).shift(-v, grid - fractional), want, "{rounding:?} mirrored");
                }
            }
        }
        assert_eq!(-HalfEven.shift(-5, 1), HalfEven.shift(5, 1));
    }
}
