//! Sliding windows over a channels-last block, vectorised over channels: maximum, mean, and
//! multiply-accumulate with one weight per tap and channel. A table says which row of the sample
//! lies under each tap of each output position.

use super::{Has, LANES, Lane, Vectorized, holds};

/// Marks a tap in the padding.
const OUTSIDE: u32 = u32::MAX;

/// For each output position and tap the row of the input sample under it.
#[derive(Clone, Debug, PartialEq)]
pub struct Taps {
    /// `[position][tap]`: offset of the row in floats, or [`OUTSIDE`].
    at: Vec<u32>,
    taps: usize,
    positions: usize,
    row: usize,
    /// Floats of an input sample.
    sample: usize,
}

impl Taps {
    /// `at(position, tap)` names one of `rows` rows of `row` floats (whole lanes). `None` when a
    /// name does not fit, or a sample is too large for the table.
    pub fn new(
        positions: usize,
        taps: usize,
        rows: usize,
        row: usize,
        at: impl Fn(usize, usize) -> Option<usize>,
    ) -> Option<Taps> {
        let sample = rows.checked_mul(row).filter(|&s| s < OUTSIDE as usize && row.is_multiple_of(LANES))?;
        let mut table = Vec::with_capacity(positions * taps);
        for position in 0..positions {
            for tap in 0..taps {
                table.push(match at(position, tap) {
                    Some(r) if r < rows => (r * row) as u32,
                    Some(_) => return None,
                    None => OUTSIDE,
                });
            }
        }
        Some(Taps { at: table, taps, positions, row, sample })
    }

    /// `samples` of input and output must fit these lengths.
    fn check(&self, samples: usize, x: usize, y: usize) {
        let rows = samples.checked_mul(self.positions);
        assert!(holds(x, samples, self.sample) && rows.is_some_and(|rows| holds(y, rows, self.row)));
        assert!(self.at.len() == self.positions * self.taps);
    }

    /// Calls `f(output offset, taps)` for each output row of each sample; `f` gets the sample's
    /// first float.
    #[inline(always)]
    fn rows(&self, samples: usize, mut f: impl FnMut(usize, usize, &[u32])) {
        for s in 0..samples {
            let mut y = s * self.positions * self.row;
            for taps in self.at.chunks_exact(self.taps.max(1)) {
                f(s * self.sample, y, taps);
                y += self.row;
            }
        }
    }
}

/// `y = max` over the taps inside, or `y = factor·Σ`.
pub struct PoolForward<'a> {
    pub taps: &'a Taps,
    pub samples: usize,
    pub x: &'a [f32],
    pub y: &'a mut [f32],
    /// `None`: the maximum.
    pub factor: Option<f32>,
}

impl Vectorized for PoolForward<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        self.taps.check(self.samples, self.x.len(), self.y.len());
        let (x, y, row) = (self.x.as_ptr(), self.y.as_mut_ptr(), self.taps.row);
        // SAFETY: `check` and `Taps::new`: every offset names a whole row of a sample in the
        // slices.
        self.taps.rows(self.samples, |from, to, taps| unsafe {
            for c in (0..row).step_by(L::N) {
                let mut acc = L::splat(if self.factor.is_some() { 0.0 } else { f32::NEG_INFINITY });
                for &tap in taps.iter().filter(|&&t| t != OUTSIDE) {
                    let v = L::load(x.add(from + tap as usize + c));
                    acc = if self.factor.is_some() { acc.add(v) } else { acc.max(v) };
                }
                if let Some(factor) = self.factor {
                    acc = acc.mul(L::splat(factor));
                }
                acc.store(y.add(to + c));
            }
        });
    }
}

/// Adds to `dx`: of a maximum, `dy` to the first tap that has it; of a mean, `factor·dy` to each.
pub struct PoolBackward<'a> {
    pub taps: &'a Taps,
    pub samples: usize,
    pub x: &'a [f32],
    pub y: &'a [f32],
    pub dy: &'a [f32],
    pub dx: &'a mut [f32],
    pub factor: Option<f32>,
}

impl Vectorized for PoolBackward<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        self.taps.check(self.samples, self.x.len().min(self.dx.len()), self.y.len().min(self.dy.len()));
        let (x, y, dy, dx, row) = (self.x.as_ptr(), self.y.as_ptr(), self.dy.as_ptr(), self.dx.as_mut_ptr(), self.taps.row);
        // SAFETY: as above.
        self.taps.rows(self.samples, |from, to, taps| unsafe {
            for c in (0..row).step_by(L::N) {
                let (zero, y) = (L::splat(0.0), L::load(y.add(to + c)));
                let mut g = L::load(dy.add(to + c));
                if let Some(factor) = self.factor {
                    g = g.mul(L::splat(factor));
                }
                for &tap in taps.iter().filter(|&&t| t != OUTSIDE) {
                    let at = from + tap as usize + c;
                    let mut part = g;
                    if self.factor.is_none() {
                        let x = L::load(x.add(at));
                        part = x.if_ge(y, g, zero);
                        g = x.if_ge(y, zero, g);
                    }
                    part.add(L::load(dx.add(at))).store(dx.add(at));
                }
            }
        });
    }
}

/// `z = bias + Σ_tap x·w[tap]`, `w` taps × row.
pub struct TapsForward<'a> {
    pub taps: &'a Taps,
    pub samples: usize,
    pub x: &'a [f32],
    pub w: &'a [f32],
    pub bias: &'a [f32],
    pub z: &'a mut [f32],
}

impl Vectorized for TapsForward<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        let row = self.taps.row;
        self.taps.check(self.samples, self.x.len(), self.z.len());
        assert!(holds(self.w.len(), self.taps.taps, row) && self.bias.len() >= row);
        let (x, w, bias, z) = (self.x.as_ptr(), self.w.as_ptr(), self.bias.as_ptr(), self.z.as_mut_ptr());
        // SAFETY: as above, and `w`, `bias` checked.
        self.taps.rows(self.samples, |from, to, taps| unsafe {
            for c in (0..row).step_by(L::N) {
                let mut acc = L::load(bias.add(c));
                for (k, &tap) in taps.iter().enumerate() {
                    if tap != OUTSIDE {
                        acc = L::load(x.add(from + tap as usize + c)).fma(L::load(w.add(k * row + c)), acc);
                    }
                }
                acc.store(z.add(to + c));
            }
        });
    }
}

/// `dw += Σ x·dz`, `db += Σ dz`, and where `dx` is wanted `dx[tap] += w·dz`.
pub struct TapsBackward<'a> {
    pub taps: &'a Taps,
    pub samples: usize,
    pub x: &'a [f32],
    pub w: &'a [f32],
    pub dz: &'a [f32],
    pub dw: &'a mut [f32],
    pub db: &'a mut [f32],
    pub dx: Option<&'a mut [f32]>,
}

impl Vectorized for TapsBackward<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(mut self, _: Has<L>) {
        let row = self.taps.row;
        let x_len = self.dx.as_ref().map_or(usize::MAX, |d| d.len()).min(self.x.len());
        self.taps.check(self.samples, x_len, self.dz.len());
        assert!(holds(self.w.len().min(self.dw.len()), self.taps.taps, row) && self.db.len() >= row);
        let (x, w, dz) = (self.x.as_ptr(), self.w.as_ptr(), self.dz.as_ptr());
        let (dw, db) = (self.dw.as_mut_ptr(), self.db.as_mut_ptr());
        let dx = self.dx.as_mut().map_or(std::ptr::null_mut(), |d| d.as_mut_ptr());
        // SAFETY: as above, and `w`, `dw`, `db` checked.
        self.taps.rows(self.samples, |from, to, taps| unsafe {
            for c in (0..row).step_by(L::N) {
                let g = L::load(dz.add(to + c));
                g.add(L::load(db.add(c))).store(db.add(c));
                for (k, &tap) in taps.iter().enumerate() {
                    if tap == OUTSIDE {
                        continue;
                    }
                    let (at, weight) = (from + tap as usize + c, k * row + c);
                    L::load(x.add(at)).fma(g, L::load(dw.add(weight))).store(dw.add(weight));
                    if !dx.is_null() {
                        g.fma(L::load(w.add(weight)), L::load(dx.add(at))).store(dx.add(at));
                    }
                }
            }
        });
    }
}
