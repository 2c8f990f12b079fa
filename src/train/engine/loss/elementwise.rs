//! Losses that are sums over the outputs: squared, absolute and binary cross-entropy.

use super::{LossBlock, LossSum, Part};
use crate::train::engine::head::LossKind;

impl LossBlock<'_> {
    /// Writes the gradient of `part` into `dz`; returns its loss.
    #[inline(always)]
    pub(super) fn elementwise(&mut self, part: Part) -> LossSum {
        let alpha = self.loss.teacher_weight;
        let Part { kind, column, outputs, .. } = part;
        let count = if kind == LossKind::Upstream { 1.0 } else { (self.batch * outputs) as f32 };
        let mut sum = LossSum::default();
        for r in 0..self.rows {
            let z = &self.z[r * self.stride + column..][..outputs];
            let dz = &mut self.dz[r * self.stride + column..][..outputs];
            let row = self.first + r;
            let at = row * self.outputs + column;
            let label = part.label(self.targets, row);
            let weight = part.weight(label);
            for (c, (&z, dz)) in z.iter().zip(dz).enumerate() {
                let value = self.targets.values.get(at + c).copied();
                // where a head has labels, the values are those of other heads
                let value = if self.heads.is_empty() { value } else { value.filter(|_| !part.labelled) };
                let value = value.unwrap_or(label.map_or(0.0, |l| l as f32));
                let teacher = self.targets.teacher.get(at + c).copied().unwrap_or(0.0);
                let (l, d) = match kind {
                    LossKind::Mse => {
                        let (a, b) = (z - value, z - teacher);
                        ((1.0 - alpha) * a * a + alpha * b * b, 2.0 * ((1.0 - alpha) * a + alpha * b))
                    }
                    LossKind::Mae => {
                        let (a, b) = (z - value, z - teacher);
                        ((1.0 - alpha) * a.abs() + alpha * b.abs(), (1.0 - alpha) * sign(a) + alpha * sign(b))
                    }
                    LossKind::Bce => {
                        let target = (1.0 - alpha) * value + alpha / (1.0 + (-teacher).exp());
                        let softplus = z.max(0.0) + (-z.abs()).exp().ln_1p();
                        (softplus - z * target, 1.0 / (1.0 + (-z).exp()) - target)
                    }
                    LossKind::CrossEntropy | LossKind::Upstream => (z * value, value),
                };
                sum.loss += f64::from(weight * l);
                *dz = weight * d / count;
            }
            if let (LossKind::Bce, 1, Some(label)) = (kind, outputs, label) {
                sum.correct += ((z[0] > 0.0) == (label == 1)) as u32;
            }
        }
        sum.loss /= f64::from(count);
        sum
    }
}

/// −1, 0 or 1: a subgradient of the absolute value.
#[inline(always)]
fn sign(x: f32) -> f32 {
    (x > 0.0) as u8 as f32 - (x < 0.0) as u8 as f32
}
