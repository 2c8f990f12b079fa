//! Blocked, parallel execution; the result does not depend on the number of threads.

use super::FixedError;
use super::input::floor_to_port;
use super::program::{Output, Outputs, Program};
use super::step::Step;
use crate::simd::{Buffer, Has, Isa, Lane, Vectorized, dispatch};
use rayon::prelude::*;

/// Samples per block: the tensors of a few thousand elements stay in the second-level cache.
const BLOCK: usize = 64;
/// Elements of all tensors of a block: larger nets take fewer samples at once (128 MiB).
const BLOCK_ELEMENTS: usize = 1 << 24;

/// All steps on a block of `n` samples.
struct Steps<'a> {
    steps: &'a [Step],
    tensors: &'a mut [Buffer<i64>],
    n: usize,
    saturations: &'a mut [u64],
}

impl Vectorized for Steps<'_> {
    type Out = ();
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) {
        for step in self.steps {
            step.run(self.tensors, self.n, self.saturations);
        }
    }
}

struct Part {
    outputs: Vec<Vec<i64>>,
    saturations: Vec<u64>,
    port_overflow: u64,
}

impl Program {
    /// Runs `samples` rows of every input (row-major, in the order of the file).
    ///
    /// # Errors
    /// [`FixedError::Inputs`], [`FixedError::Length`] where arrays do not fit the proxy,
    /// [`FixedError::NotFinite`].
    pub fn run(&self, inputs: &[&[f32]], samples: usize) -> Result<Outputs, FixedError> {
        if inputs.len() != self.inputs.len() {
            return Err(FixedError::Inputs { given: inputs.len(), wanted: self.inputs.len() });
        }
        for (port, data) in self.inputs.iter().zip(inputs) {
            let each = self.lengths[port.tensor];
            if data.len() != samples * each {
                return Err(FixedError::Length { name: port.name.clone(), given: data.len(), samples, each });
            }
            if let Some(at) = data.iter().position(|v| !v.is_finite()) {
                return Err(FixedError::NotFinite { name: port.name.clone(), sample: at / each, element: at % each });
            }
        }
        let elements = self.lengths.iter().sum::<usize>().max(1);
        let size = (BLOCK_ELEMENTS / elements).clamp(1, BLOCK).min(samples.max(1));
        let fresh = || self.lengths.iter().map(|&len| Buffer::new(len * size)).collect::<Vec<_>>();
        let parts: Vec<Part> = (0..samples.div_ceil(size))
            .into_par_iter()
            .map_init(fresh, |tensors, block| self.block(tensors, inputs, block * size, size.min(samples - block * size)))
            .collect();
        Ok(self.gather(&parts, samples))
    }

    fn block(&self, tensors: &mut [Buffer<i64>], inputs: &[&[f32]], first: usize, n: usize) -> Part {
        let mut outside = vec![false; n];
        for (tensor, &len) in tensors.iter_mut().zip(&self.lengths) {
            // the last block is shorter
            tensor.resize(len * n);
        }
        for (port, data) in self.inputs.iter().zip(inputs) {
            let len = self.lengths[port.tensor];
            let tensor = &mut tensors[port.tensor];
            for (s, row) in data[first * len..][..n * len].chunks_exact(len.max(1)).enumerate() {
                for (e, &v) in row.iter().enumerate() {
                    let (int, out) = floor_to_port(v, self.port);
                    tensor[e * n + s] = int;
                    outside[s] |= out;
                }
            }
        }
        let mut saturations = vec![0; self.quants.len()];
        dispatch(Isa::detect(), Steps { steps: &self.steps, tensors, n, saturations: &mut saturations });
        let outputs = self.outputs.iter().map(|sink| {
            let (tensor, len) = (&tensors[sink.tensor], self.lengths[sink.tensor]);
            (0..n).flat_map(|s| (0..len).map(move |e| tensor[e * n + s])).collect()
        });
        Part { outputs: outputs.collect(), saturations, port_overflow: outside.iter().filter(|&&o| o).count() as u64 }
    }

    fn gather(&self, parts: &[Part], samples: usize) -> Outputs {
        let outputs = self.outputs.iter().enumerate().map(|(at, sink)| {
            let mut ints = Vec::with_capacity(samples * self.lengths[sink.tensor]);
            parts.iter().for_each(|p| ints.extend_from_slice(&p.outputs[at]));
            Output { name: sink.name.clone(), frac: sink.frac, ints }
        });
        let count = |q: usize| parts.iter().map(|p| p.saturations[q]).sum();
        Outputs {
            outputs: outputs.collect(),
            saturations: self.quants.iter().enumerate().map(|(q, name)| (name.clone(), count(q))).collect(),
            port_overflow: parts.iter().map(|p| p.port_overflow).sum(),
        }
    }
}
