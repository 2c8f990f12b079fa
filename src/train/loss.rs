//! Task losses and their gradients at the output, one block of rows at a time.
//!
//! With weight α on the teacher: `(1−α)·L(labels) + α·L(teacher)`. Cross-entropy: mean over samples, distillation
//! `T²·CE(softmax(t/T), softmax(z/T))`. MSE and BCE (on logits; teacher = sigmoid of its logits): mean over samples and outputs.

use super::data::TrainSet;
use super::error::TrainError;
use super::kernel::{Isa, Lane, Vectorized, dispatch};

/// Kind of task loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossKind {
    /// Softmax cross-entropy on logits, integer labels.
    CrossEntropy,
    /// Mean squared error to `values`.
    Mse,
    /// Binary cross-entropy on logits; `values` in [0, 1], or labels 0/1 with one output.
    Bce,
    /// `Σ y·values`, summed over samples: passes `values` in as the upstream gradient.
    Upstream,
}

/// The task part of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaskLoss {
    pub kind: LossKind,
    /// α in [0, 1]: 0 uses labels or values only, 1 the teacher only.
    pub teacher_weight: f32,
    /// T > 0 of the distillation, cross-entropy only: logits are divided by it; above 1 the term is multiplied by T².
    pub temperature: f32,
}

impl TaskLoss {
    /// A loss without teacher.
    pub fn new(kind: LossKind) -> TaskLoss {
        TaskLoss { kind, teacher_weight: 0.0, temperature: 1.0 }
    }

    /// Whether `set` holds what the loss needs.
    ///
    /// # Errors
    /// [`TrainError::Option`] for α or T out of range, [`TrainError::Data`] for missing targets.
    pub fn check(&self, set: &TrainSet) -> Result<(), TrainError> {
        if !(0.0..=1.0).contains(&self.teacher_weight) {
            return Err(TrainError::Option {
                option: "teacher_weight",
                what: format!("{} is not in [0, 1]", self.teacher_weight),
            });
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Err(TrainError::Option { option: "temperature", what: format!("{} is not positive", self.temperature) });
        }
        let missing = |what: &str| Err(TrainError::Data(format!("the {:?} loss needs {what}", self.kind)));
        if self.teacher_weight > 0.0 && set.teacher.is_none() {
            return missing("teacher outputs");
        }
        if self.teacher_weight < 1.0 {
            match self.kind {
                LossKind::CrossEntropy if set.labels.is_none() => return missing("labels"),
                LossKind::Mse | LossKind::Upstream if set.values.is_none() => return missing("target values"),
                LossKind::Bce if set.values.is_none() && !(set.outputs == 1 && set.labels.is_some()) => {
                    return missing("target values, or labels 0/1 with one output");
                }
                _ => {}
            }
        }
        if let (LossKind::CrossEntropy, Some(labels)) = (self.kind, set.labels) {
            // TrainSet allows label 1 with one output, for BCE
            if set.outputs == 1 && labels.contains(&1) {
                return Err(TrainError::Data("cross-entropy with one output cannot have a label 1; use BCE".into()));
            }
        }
        Ok(())
    }
}

/// The targets of some rows, compact.
#[derive(Clone, Default)]
pub struct Targets {
    pub labels: Vec<u32>,
    /// rows × outputs, or empty.
    pub values: Vec<f32>,
    pub teacher: Vec<f32>,
}

/// One block: `z`, `dz` rows × `stride`, `outputs` columns used; `first`: index of the block's first row in `targets`.
pub struct LossBlock<'a> {
    pub loss: TaskLoss,
    pub z: &'a [f32],
    pub dz: &'a mut [f32],
    pub stride: usize,
    pub outputs: usize,
    pub rows: usize,
    pub targets: &'a Targets,
    pub first: usize,
    /// Rows of the whole batch.
    pub batch: usize,
    /// Two padded rows.
    pub scratch: &'a mut [f32],
}

/// Sum of the samples' losses divided by the batch, and how many predictions were right.
#[derive(Clone, Copy, Debug, Default)]
pub struct LossSum {
    pub loss: f64,
    pub correct: u32,
}

impl LossBlock<'_> {
    /// Loss of the block; writes `dz`, padding included.
    pub fn compute(self, isa: Isa) -> LossSum {
        dispatch(isa, self)
    }

    #[inline(always)]
    fn cross_entropy(self) -> LossSum {
        let LossBlock { loss: TaskLoss { teacher_weight: alpha, temperature, .. }, outputs, stride, .. } = self;
        let (inverse_t, per_row) = (1.0 / temperature, 1.0 / self.batch as f32);
        // T² keeps gradients alive when softening; sharpening needs no such factor
        let weight = alpha * temperature.max(1.0) * temperature.max(1.0);
        let (p, t) = self.scratch.split_at_mut(stride);
        let mut sum = LossSum::default();
        for r in 0..self.rows {
            let z = &self.z[r * stride..][..stride];
            let dz = &mut self.dz[r * stride..][..stride];
            dz.fill(0.0);
            let row = self.first + r;
            let mut best = 0;
            for c in 1..outputs {
                if z[c] > z[best] {
                    best = c;
                }
            }
            if let Some(&label) = self.targets.labels.get(row) {
                sum.correct += (best == label as usize) as u32;
            }
            if alpha < 1.0 {
                let label = self.targets.labels[row] as usize;
                let total = softmax(z, z[best], 1.0, outputs, p);
                sum.loss += f64::from(1.0 - alpha) * f64::from(total.ln() + z[best] - z[label]);
                let scale = (1.0 - alpha) * per_row;
                add_scaled(dz, p, scale / total);
                dz[label] -= scale;
            }
            if alpha > 0.0 {
                let teacher = &self.targets.teacher[row * outputs..][..outputs];
                let most = teacher.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let total = softmax(z, z[best], inverse_t, outputs, p);
                let teacher_total = softmax(teacher, most, inverse_t, outputs, t);
                let mean: f32 = t[..outputs].iter().zip(z).map(|(t, z)| t * z).sum();
                let log_total = total.ln() + z[best] * inverse_t;
                sum.loss += f64::from(weight) * f64::from(log_total - mean * inverse_t / teacher_total);
                let scale = weight * inverse_t * per_row;
                add_scaled(dz, p, scale / total);
                add_scaled(dz, t, -scale / teacher_total);
            }
        }
        sum.loss /= self.batch as f64;
        sum
    }

    #[inline(always)]
    fn elementwise(self) -> LossSum {
        let LossBlock { loss, outputs, stride, .. } = self;
        let alpha = loss.teacher_weight;
        let count = if loss.kind == LossKind::Upstream { 1.0 } else { (self.batch * outputs) as f32 };
        let mut sum = LossSum::default();
        for r in 0..self.rows {
            let z = &self.z[r * stride..][..outputs];
            let dz = &mut self.dz[r * stride..][..stride];
            dz.fill(0.0);
            let row = self.first + r;
            let at = row * outputs;
            let label = self.targets.labels.get(row);
            for (c, (&z, dz)) in z.iter().zip(dz).enumerate() {
                let value = self.targets.values.get(at + c).copied().unwrap_or(label.map_or(0.0, |&l| l as f32));
                let teacher = self.targets.teacher.get(at + c).copied().unwrap_or(0.0);
                let (l, d) = match loss.kind {
                    LossKind::Mse => {
                        let (a, b) = (z - value, z - teacher);
                        ((1.0 - alpha) * a * a + alpha * b * b, 2.0 * ((1.0 - alpha) * a + alpha * b))
                    }
                    LossKind::Bce => {
                        let target = (1.0 - alpha) * value + alpha / (1.0 + (-teacher).exp());
                        let softplus = z.max(0.0) + (-z.abs()).exp().ln_1p();
                        (softplus - z * target, 1.0 / (1.0 + (-z).exp()) - target)
                    }
                    LossKind::CrossEntropy | LossKind::Upstream => (z * value, value),
                };
                sum.loss += f64::from(l);
                *dz = d / count;
            }
            if let (LossKind::Bce, 1, Some(&label)) = (loss.kind, outputs, label) {
                sum.correct += ((z[0] > 0.0) == (label == 1)) as u32;
            }
        }
        sum.loss /= f64::from(count);
        sum
    }
}

impl Vectorized for LossBlock<'_> {
    type Out = LossSum;
    #[inline(always)]
    fn run<L: Lane>(self) -> LossSum {
        match self.loss.kind {
            LossKind::CrossEntropy => self.cross_entropy(),
            _ => self.elementwise(),
        }
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

/// `e^x` for `x ≤ 0`, relative error about 1e-7, straight-line so that a loop over it vectorises: `2^k·e^r`, `|r| ≤ ln2/2`.
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
