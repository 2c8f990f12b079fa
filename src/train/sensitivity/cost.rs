//! What a bit costs, from the engine's table of who reads which width
//! (docs/hgq-spec.md#a2-1, #a2-3): all positions of a window, the widest under a pooling,
//! `parallel_factor`.

use crate::train::engine::Engine;

impl Engine {
    /// EBOPs of one enclosed bit of a weight: per dense layer and entry `k·parts + part` of its
    /// patch, at the current widths.
    pub(super) fn input_bits(&self) -> Vec<Vec<f64>> {
        let plan = self.plan();
        let state = plan.bits.evaluate(&plan.quantizers, &self.params, &self.ranges);
        let of = |d: &crate::train::engine::plan::DensePlan| {
            d.bits.sums(&state).into_iter().map(|b| f64::from(b) * d.ebops_scale).collect()
        };
        plan.dense.iter().map(of).collect()
    }

    /// EBOPs of one bit of each group of each quantizer: `enclosed` holds per layer the enclosed
    /// bits of the weights of each entry.
    pub(super) fn width_costs(&mut self, enclosed: &[Vec<f32>]) -> Vec<Vec<f64>> {
        let (plan, params) = (&self.prepared.plan, &mut self.params);
        let state = plan.bits.evaluate(&plan.quantizers, params, &self.ranges);
        params.grads.fill(0.0);
        for (d, enclosed) in plan.dense.iter().zip(enclosed) {
            let strengths = vec![d.ebops_scale as f32; plan.quantizers.len()];
            d.bits.gradient((&plan.bits, &state), enclosed, &strengths, &plan.quantizers, params);
        }
        let of = |f: usize| params.read(f, &params.grads).into_iter().map(f64::from).collect();
        plan.quantizers.iter().map(|q| of(q.f)).collect()
    }

    /// Sets f and i of every group of quantizer `n` of the plan.
    pub(super) fn set_widths(&mut self, n: usize, widths: &[(f32, f32)]) {
        let (f, i) = (self.plan().quantizers[n].f, self.plan().quantizers[n].i);
        self.params.write(f, &widths.iter().map(|w| w.0).collect::<Vec<_>>());
        if let Some(i) = i {
            self.params.write(i, &widths.iter().map(|w| w.1).collect::<Vec<_>>());
        }
    }

    /// f and i of every group of quantizer `n` of the plan; i is 0 where it has none.
    pub(super) fn widths(&self, n: usize) -> Vec<(f32, f32)> {
        let q = &self.plan().quantizers[n];
        let f = self.params.read(q.f, &self.params.values);
        let i = q.i.map_or_else(|| vec![0.0; f.len()], |i| self.params.read(i, &self.params.values));
        f.into_iter().zip(i).collect()
    }
}
