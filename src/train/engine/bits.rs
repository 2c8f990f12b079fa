//! Training-time bits of what the layers multiply (docs/hgq-spec.md#a2-1): widths of quantizer
//! groups, the largest of several where pooling lies between (docs/hgq-spec.md#a2-3), summed over
//! the positions of a window.

use super::ebops::RunningRange;
use super::params::Params;
use super::quantizer_plan::QuantizerPlan;

/// The width of one group of a quantizer, with or without a Relu after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BitVar {
    /// Index into the plan's quantizers.
    pub quantizer: u32,
    pub group: u32,
    pub relu: bool,
}

/// All widths that some layer multiplies.
#[derive(Clone, Debug, Default)]
pub struct BitTable {
    pub vars: Vec<BitVar>,
    /// A width is the largest of some [`BitTable::vars`]; the first largest one gets the gradient.
    pub sets: Vec<Vec<u32>>,
}

/// Widths of the current step.
#[derive(Clone, Debug, Default)]
pub struct BitState {
    vars: Vec<f32>,
    sets: Vec<f32>,
}

/// The widths under each entry of a layer's patch.
#[derive(Clone, Debug, Default)]
pub struct LayerBits {
    /// Where the terms of each entry end; the entry of input `k` and part `p` of `parts`
    /// ([`super::op::dense::DenseOp::parts`]) is `k·parts + p`.
    pub ends: Vec<u32>,
    /// Set and number of positions that read it.
    pub terms: Vec<(u32, u32)>,
}

impl BitTable {
    /// Widths for the latent parameters and the running ranges.
    pub fn evaluate(&self, quantizers: &[QuantizerPlan], params: &Params, ranges: &[RunningRange]) -> BitState {
        let vars: Vec<f32> = self
            .vars
            .iter()
            .map(|v| {
                let (n, g) = (v.quantizer as usize, v.group as usize);
                let (q, range) = (&quantizers[n], &ranges[n]);
                let i = q.i.map(|i| params.get(i)[g]);
                q.op.bits(g, params.get(q.f)[g], i, (range.min[g], range.max[g]), v.relu)
            })
            .collect();
        let widest = |set: &Vec<u32>| match set[..] {
            [one] => vars[one as usize],
            _ => set.iter().map(|&v| vars[v as usize]).fold(0.0, f32::max),
        };
        let sets = self.sets.iter().map(widest).collect();
        BitState { vars, sets }
    }
}

impl LayerBits {
    fn entries(&self) -> impl Iterator<Item = &[(u32, u32)]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let terms = &self.terms[start..end as usize];
            start = end as usize;
            terms
        })
    }

    /// `Σ bits` over the positions, per entry.
    pub fn sums(&self, state: &BitState) -> Vec<f32> {
        self.entries().map(|terms| terms.iter().map(|&(set, count)| count as f32 * state.sets[set as usize]).sum()).collect()
    }

    /// Adds the gradient of `strength·Σ bits·weights` to f and i of the quantizers: `weights` per
    /// entry, `strengths` per quantizer.
    pub fn gradient(
        &self,
        (table, state): (&BitTable, &BitState),
        weights: &[f32],
        strengths: &[f32],
        quantizers: &[QuantizerPlan],
        params: &mut Params,
    ) {
        for (terms, &weight) in self.entries().zip(weights) {
            for &(set, count) in terms {
                let bits = state.sets[set as usize];
                if bits <= 0.0 {
                    continue;
                }
                let Some(&first) = table.sets[set as usize].iter().find(|&&v| state.vars[v as usize] == bits) else { continue };
                let var = table.vars[first as usize];
                let q = &quantizers[var.quantizer as usize];
                let gradient = strengths[var.quantizer as usize] * weight * count as f32;
                for segment in [Some(q.f), q.i.filter(|_| q.op.counts_i())].into_iter().flatten() {
                    let at = params.segments[segment].offset + var.group as usize;
                    params.grads[at] += gradient;
                }
            }
        }
    }
}
