//! Width and integer bits of each group of one activation quantizer.
//!
//! A group with integer bits `i` (enough for the data) may have level `L = f + i ≥ 1` with `d`
//! integer bits less: it then has `k + L − d` bits and the error `rounding(L) + saturation(d)`; at
//! level 0 it is a constant 0.

/// Levels that are measured; finer ones follow the law of rounding, a quarter of the error per bit.
pub(super) const MEASURED_LEVELS: usize = 7;
const LEVELS: i32 = 14;
/// Integer bits less than the data need that are tried, at most.
pub(super) const MAX_CLIP: usize = 2;
/// An operand that no weight multiplies costs this many EBOPs per bit: width that is not needed is
/// not kept.
const MIN_COST: f64 = 1.0;

/// What is known about one quantizer.
pub(super) struct Widths {
    /// Integer bits that cover the data, per group.
    pub i: Vec<i32>,
    pub keep_negative: Vec<bool>,
    /// Finest grid allowed, per group.
    pub max_f: Vec<i32>,
    /// Annotated: at [`Widths::max_f`] the error is 0, that is the source itself.
    pub annotated: bool,
    /// Error of rounding at each measured level, per group.
    pub rounding: Vec<[f64; MEASURED_LEVELS]>,
    /// Error of `d` integer bits less, `d = 0…`, per group; infinite where it was not measured.
    pub saturation: Vec<[f64; MAX_CLIP + 1]>,
}

/// f and i of one group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    pub f: f32,
    pub i: f32,
}

/// f below `−i` at which every value of magnitude up to `2^i` rounds to 0.
pub(super) const ZERO_BELOW: i32 = 2;

impl Widths {
    pub fn groups(&self) -> usize {
        self.i.len()
    }

    /// `level` bits for group `g`, or as many as allowed.
    pub fn start(&self, g: usize, level: i32) -> Choice {
        Choice { f: (level - self.i[g]).min(self.max_f[g]) as f32, i: self.i[g] as f32 }
    }

    fn error(&self, g: usize, level: i32) -> f64 {
        let (measured, last) = (&self.rounding[g], MEASURED_LEVELS as i32 - 1);
        if self.annotated && level - self.i[g] >= self.max_f[g] {
            return 0.0;
        }
        match level {
            ..=0 => measured[0],
            l if l <= last => measured[l as usize],
            l => measured[last as usize] * 0.25f64.powi(l - last),
        }
    }

    /// The widths of group `g` that minimise error and cost, one bit costing `cost` EBOPs.
    pub fn choose(&self, g: usize, price: f64, cost: f64) -> Choice {
        let (i, k) = (self.i[g], i32::from(self.keep_negative[g]));
        let off = Choice { f: (-i - ZERO_BELOW) as f32, i: i as f32 };
        let (mut best, mut least) = (off, self.error(g, 0));
        for level in 1..=LEVELS.min(self.max_f[g] + i) {
            for (d, saturation) in self.saturation[g].iter().enumerate() {
                let d = d as i32;
                if d >= level {
                    continue;
                }
                let total = self.error(g, level) + saturation + price * cost.max(MIN_COST) * f64::from(k + level - d);
                if total < least {
                    (best, least) = (Choice { f: (level - i) as f32, i: (i - d) as f32 }, total);
                }
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widths() -> Widths {
        Widths {
            i: vec![1],
            keep_negative: vec![false],
            max_f: vec![20],
            annotated: false,
            rounding: vec![[1.0, 0.25, 0.0625, 1.0 / 64.0, 1.0 / 256.0, 1.0 / 1024.0, 1.0 / 4096.0]],
            saturation: vec![[0.0, 0.01, f64::INFINITY]],
        }
    }

    #[test]
    fn width_follows_the_price() {
        let w = widths();
        // nothing is worth its price, one bit is worth 0.75, saturating saves one bit for 0.01
        assert_eq!(w.choose(0, 1.0, 1.0), Choice { f: -3.0, i: 1.0 });
        assert_eq!(w.choose(0, 0.1, 1.0), Choice { f: 1.0, i: 0.0 });
        assert_eq!(w.choose(0, 0.001, 1.0), Choice { f: 4.0, i: 1.0 });
        // 14 levels at most
        assert_eq!(w.choose(0, 0.0, 1.0), Choice { f: 13.0, i: 1.0 });
        // a bit of a unit that many weights read costs more
        assert_eq!(w.choose(0, 0.001, 100.0), w.choose(0, 0.1, 1.0));
    }

    #[test]
    fn an_annotation_is_the_limit_and_exact() {
        let w = Widths { annotated: true, max_f: vec![1], ..widths() };
        assert_eq!(w.choose(0, 0.0, 1.0), Choice { f: 1.0, i: 1.0 });
        assert_eq!(w.start(0, 8), Choice { f: 1.0, i: 1.0 });
    }
}
