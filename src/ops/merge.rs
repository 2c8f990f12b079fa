//! Functions of two values, element by element. `Add`, `Sub`, `Max` and `Min` want operands on one
//! grid, the grid of a product is the sum of theirs.

use std::ops::{Add, Mul, Sub};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    Add,
    Sub,
    Mul,
    Max,
    Min,
}

impl Merge {
    pub const ALL: [Merge; 5] = [Merge::Add, Merge::Sub, Merge::Mul, Merge::Max, Merge::Min];

    /// The ONNX operator.
    pub fn onnx(self) -> &'static str {
        match self {
            Merge::Add => "Add",
            Merge::Sub => "Sub",
            Merge::Mul => "Mul",
            Merge::Max => "Max",
            Merge::Min => "Min",
        }
    }

    /// The function, on floats or on integers of a grid.
    #[inline(always)]
    pub fn apply<T: Copy + PartialOrd + Add<Output = T> + Sub<Output = T> + Mul<Output = T>>(self, a: T, b: T) -> T {
        match self {
            Merge::Add => a + b,
            Merge::Sub => a - b,
            Merge::Mul => a * b,
            Merge::Max if a >= b => a,
            Merge::Min if a <= b => a,
            Merge::Max | Merge::Min => b,
        }
    }

    /// Derivatives by both operands. Of equal operands of a maximum or minimum the first one gets
    /// it.
    #[inline(always)]
    pub fn derivatives(self, a: f32, b: f32) -> [f32; 2] {
        let one = |first: bool| if first { [1.0, 0.0] } else { [0.0, 1.0] };
        match self {
            Merge::Add => [1.0, 1.0],
            Merge::Sub => [1.0, -1.0],
            Merge::Mul => [b, a],
            Merge::Max => one(a >= b),
            Merge::Min => one(a <= b),
        }
    }

    /// No result of operands that are never below 0 is below 0.
    pub fn keeps_sign(self) -> bool {
        match self {
            Merge::Add | Merge::Mul | Merge::Max | Merge::Min => true,
            Merge::Sub => false,
        }
    }

    /// The grid `2^-frac` that holds the results of operands on grids `a` and `b`.
    pub fn output_frac(self, a: i32, b: i32) -> i32 {
        match self {
            Merge::Add | Merge::Sub | Merge::Max | Merge::Min => a.max(b),
            Merge::Mul => a.saturating_add(b),
        }
    }

    /// Bounds `(lo, hi)` of the results of operands within `a` and `b`, integers as for
    /// [`Merge::apply`]; `None` beyond 127 bits.
    pub fn bounds(self, a: (i128, i128), b: (i128, i128)) -> Option<(i128, i128)> {
        Some(match self {
            Merge::Add => (a.0.checked_add(b.0)?, a.1.checked_add(b.1)?),
            Merge::Sub => (a.0.checked_sub(b.1)?, a.1.checked_sub(b.0)?),
            Merge::Mul => {
                let [p, q, r, s] = [a.0.checked_mul(b.0)?, a.0.checked_mul(b.1)?, a.1.checked_mul(b.0)?, a.1.checked_mul(b.1)?];
                (p.min(q).min(r).min(s), p.max(q).max(r).max(s))
            }
            Merge::Max => (a.0.max(b.0), a.1.max(b.1)),
            Merge::Min => (a.0.min(b.0), a.1.min(b.1)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_and_integers_agree_and_bounds_hold_them() {
        let (a, b) = ((-3, 2), (-1, 4));
        for merge in Merge::ALL {
            let (lo, hi) = merge.bounds(a, b).unwrap();
            let (mut least, mut most) = (i128::MAX, i128::MIN);
            for x in a.0..=a.1 {
                for y in b.0..=b.1 {
                    let exact = merge.apply(x, y);
                    assert_eq!(exact as f64, merge.apply(x as f64, y as f64), "{merge:?} {x} {y}");
                    assert_eq!(exact as f32, merge.apply(x as f32, y as f32), "{merge:?} {x} {y}");
                    (least, most) = (least.min(exact), most.max(exact));
                    assert!(exact >= 0 || x < 0 || y < 0 || !merge.keeps_sign(), "{merge:?} {x} {y}");
                }
            }
            assert_eq!((lo, hi), (least, most), "{merge:?}");
        }
        assert_eq!(Merge::Mul.bounds((i128::MAX, i128::MAX), (2, 2)), None);
    }

    #[test]
    fn derivatives_are_those_of_the_functions() {
        for merge in Merge::ALL {
            for (a, b) in [(0.75f32, -1.5f32), (-2.0, 0.5), (3.0, 1.25)] {
                let at = |a: f32, b: f32| merge.apply(f64::from(a), f64::from(b));
                let step = 0.125;
                let slopes = [at(a + step, b) - at(a - step, b), at(a, b + step) - at(a, b - step)];
                assert_eq!(merge.derivatives(a, b).map(|d| f64::from(d * 2.0 * step)), slopes, "{merge:?} {a} {b}");
            }
        }
        assert_eq!((Merge::Max.derivatives(1.0, 1.0), Merge::Min.derivatives(1.0, 1.0)), ([1.0, 0.0], [1.0, 0.0]));
    }
}
