//! Movement of elements: patches of a convolution, other layouts, concatenation, padding. Each element of the result is an element of
//! an input or 0; backward, each input gets the sum of the gradients of its copies.

use super::super::plan::Slot;

/// A run of neighbouring floats of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    from: u32,
    to: u32,
    len: u32,
}

/// Which floats go where, per sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// Runs of each input.
    runs: Vec<Vec<Run>>,
}

impl Gather {
    /// `sources`: for each element of the result, in order, the input and the element of it; `None` for a 0. `None` when a
    /// sample is too large for the table.
    pub fn new(inputs: &[Slot], y: Slot, sources: impl Iterator<Item = Option<(usize, usize)>>) -> Option<Gather> {
        if inputs.iter().chain([&y]).any(|s| s.stride() >= u32::MAX as usize) {
            return None;
        }
        let mut runs: Vec<Vec<Run>> = vec![Vec::new(); inputs.len()];
        for (e, source) in sources.enumerate() {
            let Some((which, from)) = source else { continue };
            let (from, to) = (inputs[which].offset(from) as u32, y.offset(e) as u32);
            match runs[which].last_mut() {
                Some(run) if run.from + run.len == from && run.to + run.len == to => run.len += 1,
                _ => runs[which].push(Run { from, to, len: 1 }),
            }
        }
        Some(Gather { runs })
    }

    /// Copies input number `which` into the result, `samples` samples. Floats of the result that no run reaches are left alone.
    pub fn forward(&self, which: usize, samples: usize, (x, x_stride): (&[f32], usize), (y, y_stride): (&mut [f32], usize)) {
        let pairs = y.chunks_exact_mut(y_stride.max(1)).zip(x.chunks_exact(x_stride.max(1)));
        for (y, x) in pairs.take(samples) {
            for &Run { from, to, len } in &self.runs[which] {
                let (from, to, len) = (from as usize, to as usize, len as usize);
                y[to..to + len].copy_from_slice(&x[from..from + len]);
            }
        }
    }

    /// Adds the gradient of the result to that of input number `which`.
    pub fn backward(&self, which: usize, samples: usize, (dy, y_stride): (&[f32], usize), (dx, x_stride): (&mut [f32], usize)) {
        let pairs = dy.chunks_exact(y_stride.max(1)).zip(dx.chunks_exact_mut(x_stride.max(1)));
        for (dy, dx) in pairs.take(samples) {
            for &Run { from, to, len } in &self.runs[which] {
                let (from, to, len) = (from as usize, to as usize, len as usize);
                dx[from..from + len].iter_mut().zip(&dy[to..to + len]).for_each(|(a, b)| *a += b);
            }
        }
    }
}
