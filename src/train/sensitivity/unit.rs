//! The weights of one unit, quantized by coordinate descent with error feedback.
//!
//! Minimises `½·((1−λ)·mean_s (g_s·Δ)² + λ·Σ_k d_k·Δ_k²) + Σ_k c_k·enclosed_bits(w_k + Δ_k)`, `g_s`
//! the gradient of sample `s` to the weights of the unit and its bias (the last entry, free),
//! `h_k = mean_s g_sk²` and `d_k ≥ h_k` a bound for what the samples do not show. Each step takes
//! the best value of one weight while the others stay: what rounding one of them does to the sum is
//! made up by the next ones.

use crate::quant::kif::{exp2i, floor_log2};
use crate::quant::model::fractional_bits;

/// Most significant bits of a weight that are tried: beyond them a bit changes the error by less
/// than f32 training would notice.
const MAX_SIGNIFICANT: i32 = 10;
/// Passes over the weights per call; each call starts where the last one ended.
const SWEEPS: usize = 2;
const LANES: usize = 8;

/// What the weights of a unit are quantized by.
pub(super) struct Unit<'a> {
    /// `[entry][sample]`, the bias last.
    pub gradients: &'a [f32],
    pub samples: usize,
    /// `h`, per entry.
    pub curvature: &'a [f32],
    /// The source's weights, the bias last.
    pub source: &'a [f32],
    /// `d`, per entry.
    pub damping: &'a [f32],
    /// λ in 0…1: trust in `d` against the curvature of the samples, which few of them estimate
    /// badly.
    pub shrink: f32,
    /// Finest grid allowed per weight.
    pub limits: &'a [i32],
}

impl Unit<'_> {
    /// Improves `weights` (the bias last); `costs` per weight in units of the error per bit.
    pub fn descend(&self, weights: &mut [f32], costs: &[f64]) {
        let n = self.samples.max(1);
        let row = |k: usize| &self.gradients[k * self.samples..(k + 1) * self.samples];
        let mut error = vec![0f32; self.samples];
        for (k, (w, s)) in weights.iter().zip(self.source).enumerate() {
            if w != s {
                add(&mut error, row(k), w - s);
            }
        }
        for _ in 0..SWEEPS {
            for (k, weight) in weights.iter_mut().enumerate() {
                let cost = costs.get(k);
                let own = (1.0 - self.shrink) * self.curvature[k];
                let h = own + self.shrink * self.damping[k];
                if h <= 0.0 {
                    // no sample depends on it: it may be what keeps the unit off, so it stays
                    if cost.is_some() {
                        *weight = quantized(self.source[k], 1.0, 0.0, self.limits[k]);
                    }
                    continue;
                }
                let delta = *weight - self.source[k];
                let pull = (1.0 - self.shrink) * dot(row(k), &error) / n as f32 - own * delta;
                let wanted = self.source[k] - pull / h;
                let new = cost.map_or(wanted, |&cost| quantized(wanted, f64::from(h), cost, self.limits[k]));
                if new != *weight {
                    add(&mut error, row(k), new - *weight);
                    *weight = new;
                }
            }
        }
    }
}

/// The value that minimises `½·h·(q − wanted)² + cost·enclosed_bits(q)` on grids of at most `limit`
/// fractional bits.
pub(super) fn quantized(wanted: f32, h: f64, cost: f64, limit: i32) -> f32 {
    let w = f64::from(wanted);
    if !w.is_finite() || w == 0.0 {
        return 0.0;
    }
    let (mut best, mut least) = (0.0, 0.5 * h * w * w);
    let exponent = floor_log2(w.abs());
    for significant in 0..=MAX_SIGNIFICANT {
        let f = (significant - exponent).min(limit);
        let q = (w * exp2i(f) + 0.5).floor() * exp2i(-f);
        if q != 0.0 {
            let bits = (floor_log2(q.abs()) + fractional_bits(q) + 1) as f64;
            let total = 0.5 * h * (q - w) * (q - w) + cost * bits;
            if total < least {
                (best, least) = (q, total);
            }
        }
        if f == limit || cost * f64::from(significant) > least {
            break;
        }
    }
    best as f32
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let (a_parts, b_parts) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_parts.remainder().iter().zip(b_parts.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_parts.zip(b_parts) {
        sums.iter_mut().zip(x).zip(y).for_each(|((s, x), y)| *s += x * y);
    }
    sums.iter().sum::<f32>() + rest
}

fn add(to: &mut [f32], from: &[f32], factor: f32) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t += factor * f);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rng::Rng;

    #[test]
    fn a_bit_is_kept_while_it_is_worth_its_cost() {
        // 0.6875 = 0.1011b: 4 bits exact, 0.75 (2 bits) at ½·h·2^-8, 0.5 (1 bit), 0
        assert_eq!(quantized(0.6875, 2.0, 0.0, 20), 0.6875);
        assert_eq!(quantized(0.6875, 2.0, 0.0019, 20), 0.6875);
        assert_eq!(quantized(0.6875, 2.0, 0.0020, 20), 0.75);
        assert_eq!(quantized(0.6875, 2.0, 0.5, 20), 0.0);
        assert_eq!(quantized(0.6875, 2.0, 0.0, 2), 0.75);
        assert_eq!(quantized(-0.6875, 2.0, 0.0, 1), -0.5);
    }

    /// The objective of the module documentation, computed directly.
    fn objective(unit: &Unit, weights: &[f32], costs: &[f64]) -> f64 {
        let delta: Vec<f64> = weights.iter().zip(unit.source).map(|(w, s)| f64::from(w - s)).collect();
        let mut squares = 0.0;
        for s in 0..unit.samples {
            let e: f64 = delta.iter().enumerate().map(|(k, d)| d * f64::from(unit.gradients[k * unit.samples + s])).sum();
            squares += e * e;
        }
        let own: f64 = delta.iter().zip(unit.damping).map(|(d, &h)| d * d * f64::from(h)).sum();
        let lambda = f64::from(unit.shrink);
        let bits = |w: f32| if w == 0.0 { 0 } else { floor_log2(f64::from(w.abs())) + fractional_bits(f64::from(w)) + 1 };
        let cost: f64 = weights.iter().zip(costs).map(|(&w, c)| c * f64::from(bits(w))).sum();
        0.5 * ((1.0 - lambda) * squares / unit.samples as f64 + lambda * own) + cost
    }

    #[test]
    fn descent_ends_where_no_single_weight_can_improve_and_beats_rounding_alone() {
        let (entries, samples) = (12, 203);
        let mut rng = Rng::new(3);
        // correlated inputs: neighbours share most of their value
        let common: Vec<f32> = (0..samples).map(|_| rng.unit() as f32).collect();
        let gradients: Vec<f32> =
            (0..=entries).flat_map(|_| common.iter().map(|c| c + 0.2 * rng.unit() as f32).collect::<Vec<_>>()).collect();
        let curvature: Vec<f32> =
            gradients.chunks_exact(samples).map(|r| r.iter().map(|g| g * g).sum::<f32>() / samples as f32).collect();
        let source: Vec<f32> = (0..=entries).map(|_| rng.unit() as f32 * 2.0 - 1.0).collect();
        let (limits, costs) = (vec![20; entries], vec![2e-4; entries]);
        let unit = Unit {
            gradients: &gradients,
            samples,
            curvature: &curvature,
            damping: &curvature,
            source: &source,
            shrink: 0.1,
            limits: &limits,
        };
        let alone: Vec<f32> = (0..=entries)
            .map(|k| if k == entries { source[k] } else { quantized(source[k], f64::from(curvature[k]), costs[k], 20) })
            .collect();
        let mut weights = source.clone();
        let mut last = f64::INFINITY;
        for _ in 0..20 {
            unit.descend(&mut weights, &costs);
            let now = objective(&unit, &weights, &costs);
            assert!(now <= last + 1e-6, "{now} after {last}");
            last = now;
        }
        assert!(last < 0.7 * objective(&unit, &alone, &costs), "{last} against {}", objective(&unit, &alone, &costs));
        for k in 0..entries {
            for step in [1.0 / 64.0, -1.0 / 64.0, -weights[k]] {
                let mut other = weights.clone();
                other[k] += step;
                assert!(objective(&unit, &other, &costs) >= last - 1e-6, "weight {k} by {step}");
            }
        }
    }
}
