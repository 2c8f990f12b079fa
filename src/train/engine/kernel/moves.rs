//! Movement of runs of floats within a sample, forward as a copy and backward as a sum. Most runs
//! are as short as a pixel has channels: they are sorted by length, so that each loop moves a fixed
//! number of floats.

use super::{Has, Lane, Vectorized, holds};

/// Longer runs are cut: one cache line.
const LONGEST: usize = 16;

/// Which floats of a sample go where in another one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moves {
    /// Offsets `[from, to]` of the runs of each length `1..=LONGEST`.
    runs: Vec<Vec<[u32; 2]>>,
    /// What the samples must at least hold.
    from_len: usize,
    to_len: usize,
}

impl Moves {
    /// From pairs `(from, to)` of offsets; neighbours become runs. `None` when an offset does not
    /// fit.
    pub fn new(pairs: impl Iterator<Item = (usize, usize)>) -> Option<Moves> {
        let mut m = Moves { runs: vec![Vec::new(); LONGEST], from_len: 0, to_len: 0 };
        let mut run = (0, 0, 0);
        for (from, to) in pairs {
            if from.max(to) >= u32::MAX as usize {
                return None;
            }
            (m.from_len, m.to_len) = (m.from_len.max(from + 1), m.to_len.max(to + 1));
            let (start, target, len) = run;
            if len > 0 && len < LONGEST && (start + len, target + len) == (from, to) {
                run.2 += 1;
            } else {
                m.push(run);
                run = (from, to, 1);
            }
        }
        m.push(run);
        Some(m)
    }

    fn push(&mut self, (from, to, len): (usize, usize, usize)) {
        if len > 0 {
            self.runs[len - 1].push([from as u32, to as u32]);
        }
    }

    fn check(&self, samples: usize, (from, from_stride): (usize, usize), (to, to_stride): (usize, usize)) {
        assert!(self.from_len <= from_stride && holds(from, samples, from_stride));
        assert!(self.to_len <= to_stride && holds(to, samples, to_stride));
    }
}

/// `to = from` on all runs of `samples` samples; other floats of `to` are left alone.
pub struct MoveForward<'a> {
    pub moves: &'a Moves,
    pub samples: usize,
    pub from: &'a [f32],
    pub from_stride: usize,
    pub to: &'a mut [f32],
    pub to_stride: usize,
}

impl Vectorized for MoveForward<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        self.moves.check(self.samples, (self.from.len(), self.from_stride), (self.to.len(), self.to_stride));
        for s in 0..self.samples {
            // SAFETY: `check` and `Moves::new`: the runs of this sample lie in the slices, which
            // are disjoint borrows.
            unsafe {
                let from = self.from.as_ptr().add(s * self.from_stride);
                let to = self.to.as_mut_ptr().add(s * self.to_stride);
                each(self.moves, Copy { from, to });
            }
        }
    }
}

/// `from += to` on all runs: the gradient of [`MoveForward`].
pub struct MoveBackward<'a> {
    pub moves: &'a Moves,
    pub samples: usize,
    pub from: &'a mut [f32],
    pub from_stride: usize,
    pub to: &'a [f32],
    pub to_stride: usize,
}

impl Vectorized for MoveBackward<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        self.moves.check(self.samples, (self.from.len(), self.from_stride), (self.to.len(), self.to_stride));
        for s in 0..self.samples {
            // SAFETY: as above.
            unsafe {
                let from = self.from.as_mut_ptr().add(s * self.from_stride);
                let to = self.to.as_ptr().add(s * self.to_stride);
                each(self.moves, Sum { from, to });
            }
        }
    }
}

trait Run {
    /// # Safety
    /// `from` and `to` must name `N` floats of the sample.
    unsafe fn run<const N: usize>(&self, from: usize, to: usize);
}

struct Copy {
    from: *const f32,
    to: *mut f32,
}

impl Run for Copy {
    #[inline(always)]
    unsafe fn run<const N: usize>(&self, from: usize, to: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.to.add(to).cast::<[f32; N]>().write_unaligned(self.from.add(from).cast::<[f32; N]>().read_unaligned()) }
    }
}

struct Sum {
    from: *mut f32,
    to: *const f32,
}

impl Run for Sum {
    #[inline(always)]
    unsafe fn run<const N: usize>(&self, from: usize, to: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let (into, add) = (self.from.add(from).cast::<[f32; N]>(), self.to.add(to).cast::<[f32; N]>().read_unaligned());
            let mut sum = into.read_unaligned();
            for (a, b) in sum.iter_mut().zip(add) {
                *a += b;
            }
            into.write_unaligned(sum);
        }
    }
}

/// # Safety
/// All runs must lie in the samples that `r` points to.
#[inline(always)]
unsafe fn each<R: Run>(moves: &Moves, r: R) {
    macro_rules! lengths {
        ($($n:literal)*) => {$(
            for &[from, to] in &moves.runs[$n - 1] {
                // SAFETY: the caller's promise.
                unsafe { r.run::<$n>(from as usize, to as usize) }
            }
        )*};
    }
    lengths!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
}
