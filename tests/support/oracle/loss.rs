//! The task loss of a sample and its gradient.

use super::Samples;
use hgq_onnx::train::{Head, LossKind, TaskLoss};

/// Loss of one sample (already divided as the mean asks) and its gradient: the sum over the heads,
/// if there are any.
pub fn loss_of(z: &[f64], s: usize, batch: usize, data: &Samples, loss: &TaskLoss) -> (f64, Vec<f64>) {
    let all = Head {
        outputs: z.len(),
        kind: loss.kind,
        temperature: loss.temperature,
        labelled: data.labels.is_some(),
        class_weights: vec![],
    };
    let heads = if data.heads.is_empty() { std::slice::from_ref(&all) } else { data.heads };
    let labels = heads.iter().filter(|h| h.labelled).count();
    let (mut l, mut d, mut label, mut column) = (0.0, vec![], 0, 0);
    for head in heads {
        let class = head.labelled.then(|| data.labels.unwrap()[s * labels + label] as usize);
        label += head.labelled as usize;
        let of = |array: Option<&[f32]>| -> Option<Vec<f64>> {
            array.map(|v| v[s * z.len() + column..][..head.outputs].iter().map(|&v| f64::from(v)).collect())
        };
        let values = if data.heads.is_empty() || !head.labelled { of(data.values) } else { None };
        let (own, gradient) = head_loss(&z[column..][..head.outputs], head, class, values, of(data.teacher), loss);
        let weight = class.and_then(|c| head.class_weights.get(c)).map_or(1.0, |&w| f64::from(w));
        let count = match head.kind {
            LossKind::CrossEntropy => batch as f64,
            LossKind::Upstream => 1.0,
            _ => (batch * head.outputs) as f64,
        };
        l += weight * own / count;
        d.extend(gradient.into_iter().map(|g| weight * g / count));
        column += head.outputs;
    }
    (l, d)
}

/// Loss of a sample's output summed over its values, and the gradient.
pub fn head_loss(
    z: &[f64],
    head: &Head,
    label: Option<usize>,
    values: Option<Vec<f64>>,
    teacher: Option<Vec<f64>>,
    loss: &TaskLoss,
) -> (f64, Vec<f64>) {
    let (a, t) = (f64::from(loss.teacher_weight), f64::from(head.temperature));
    let n = z.len();
    let teacher = |c: usize| teacher.as_ref().map_or(0.0, |v| v[c]);
    let value = |c: usize| values.as_ref().map_or(label.map_or(0.0, |l| l as f64), |v| v[c]);
    let softmax = |v: Vec<f64>| {
        let m = v.iter().copied().fold(f64::MIN, f64::max);
        let e: Vec<f64> = v.iter().map(|v| (v - m).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.into_iter().map(|e| e / sum).collect::<Vec<f64>>()
    };
    let (mut l, mut d) = (0.0, vec![0.0; n]);
    match head.kind {
        LossKind::CrossEntropy => {
            let p = softmax(z.to_vec());
            let pt = softmax(z.iter().map(|z| z / t).collect());
            let q = softmax((0..n).map(|c| teacher(c) / t).collect());
            for c in 0..n {
                // a class, or the shares of all of them
                let hit = label.map_or_else(|| value(c), |l| (l == c) as u8 as f64);
                if a < 1.0 {
                    l -= (1.0 - a) * hit * p[c].ln();
                    d[c] += (1.0 - a) * (p[c] - hit);
                }
                if a > 0.0 {
                    let factor = a * t.max(1.0).powi(2);
                    l -= factor * q[c] * pt[c].ln();
                    d[c] += factor / t * (pt[c] - q[c]);
                }
            }
        }
        LossKind::Mse => {
            for c in 0..n {
                let (u, v) = (z[c] - value(c), z[c] - teacher(c));
                l += (1.0 - a) * u * u + a * v * v;
                d[c] = 2.0 * ((1.0 - a) * u + a * v);
            }
        }
        LossKind::Mae => {
            let sign = |x: f64| if x == 0.0 { 0.0 } else { x.signum() };
            for c in 0..n {
                let (u, v) = (z[c] - value(c), z[c] - teacher(c));
                l += (1.0 - a) * u.abs() + a * v.abs();
                d[c] = (1.0 - a) * sign(u) + a * sign(v);
            }
        }
        LossKind::Bce => {
            for c in 0..n {
                let p = 1.0 / (1.0 + (-z[c]).exp());
                let y = (1.0 - a) * value(c) + a / (1.0 + (-teacher(c)).exp());
                l -= y * p.ln() + (1.0 - y) * (1.0 - p).ln();
                d[c] = p - y;
            }
        }
        LossKind::Upstream => {
            for c in 0..n {
                l += z[c] * value(c);
                d[c] = value(c);
            }
        }
    }
    (l, d)
}
