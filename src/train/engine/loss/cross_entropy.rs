//! Softmax cross-entropy to labels, to probabilities of the classes, and to a teacher.

use super::{LossBlock, LossSum, Part};

impl LossBlock<'_> {
    /// Adds the gradient of `part` to `dz`, which is 0 there; returns its loss.
    #[inline(always)]
    pub(super) fn cross_entropy(&mut self, part: Part) -> LossSum {
        let alpha = self.loss.teacher_weight;
        let Part { column, outputs, temperature, .. } = part;
        let stride = self.stride - column;
        let inverse_t = 1.0 / temperature;
        // T² keeps gradients alive when softening; sharpening needs no such factor
        let distilled = alpha * temperature.max(1.0) * temperature.max(1.0);
        let (p, t) = self.scratch.split_at_mut(self.stride);
        let (p, t) = (&mut p[..stride], &mut t[..stride]);
        let mut sum = LossSum::default();
        for r in 0..self.rows {
            let z = &self.z[r * self.stride + column..][..stride];
            let dz = &mut self.dz[r * self.stride + column..][..stride];
            let row = self.first + r;
            let mut best = 0;
            for c in 1..outputs {
                if z[c] > z[best] {
                    best = c;
                }
            }
            let label = part.label(self.targets, row);
            sum.correct += (label == Some(best)) as u32;
            let weight = part.weight(label);
            let per_row = weight / self.batch as f32;
            if let (Some(label), true) = (label, alpha < 1.0) {
                let total = softmax(z, z[best], 1.0, outputs, p);
                sum.loss += f64::from((1.0 - alpha) * weight) * f64::from(total.ln() + z[best] - z[label]);
                let scale = (1.0 - alpha) * per_row;
                add_scaled(dz, p, scale / total);
                dz[label] -= scale;
            }
            if let (None, true, Some(shares)) = (label, alpha < 1.0, part.shares(self.targets, row, self.outputs)) {
                // shares add up to 1
                let total = softmax(z, z[best], 1.0, outputs, p);
                let mean: f32 = shares.iter().zip(z).map(|(share, z)| share * z).sum();
                sum.loss += f64::from(1.0 - alpha) * f64::from(total.ln() + z[best] - mean);
                let scale = (1.0 - alpha) * per_row;
                add_scaled(dz, p, scale / total);
                add_scaled(dz, shares, -scale);
            }
            if alpha > 0.0 {
                let teacher = &self.targets.teacher[row * self.outputs + column..][..outputs];
                let most = teacher.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let total = softmax(z, z[best], inverse_t, outputs, p);
                let teacher_total = softmax(teacher, most, inverse_t, outputs, t);
                let mean: f32 = t[..outputs].iter().zip(z).map(|(t, z)| t * z).sum();
                let log_total = total.ln() + z[best] * inverse_t;
                sum.loss += f64::from(distilled * weight) * f64::from(log_total - mean * inverse_t / teacher_total);
                let scale = distilled * inverse_t * per_row;
                add_scaled(dz, p, scale / total);
                add_scaled(dz, t, -scale / teacher_total);
            }
        }
        sum.loss /= self.batch as f64;
        sum
    }
}

#[inline(always)]
fn add_scaled(to: &mut [f32], from: &[f32], scale: f32) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from * scale);
}

/// `out = exp((z − most)·inverse_t)`, 0 in the padding; returns the sum.
#[inline(always)]
fn softmax(z: &[f32], most: f32, inverse_t: f32, outputs: usize, out: &mut [f32]) -> f32 {
    for (out, &z) in out.iter_mut().zip(z) {
        *out = exp((z - most) * inverse_t);
    }
    out[outputs..].fill(0.0);
    out[..outputs].iter().sum()
}

/// `e^x` for `x ≤ 0`, relative error about 1e-7, straight-line so that a loop over it vectorises:
/// `2^k·e^r`, `|r| ≤ ln2/2`.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // below -87 the result would leave the normal range; padding may hold anything
    let x = x.clamp(-87.0, 80.0);
    let k = (x * std::f32::consts::LOG2_E).round_ties_even();
    let r = (x - k * LN2_HIGH) - k * LN2_LOW;
    let p = 1.0 / 720.0f32;
    let p = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * p)))));
    p * f32::from_bits(((k as i32 + 127) << 23) as u32)
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn exponential_is_accurate() {
        for n in 0..4000 {
            let x = -(n as f32) * 0.02;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) - want).abs() <= 3e-7 * want, "{x}");
        }
    }
}
