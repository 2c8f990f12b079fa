//! Powers of two in the data and in hidden channels change nothing: the same EBOPs, metrics and
//! fronts, the same outputs bit for bit.

use crate::support::files::npz_of;
use crate::support::jobs::{Samples, config, convert, outputs};
use crate::support::onnx::{Attr, Net};
use hgq_onnx::data::Rng;
use hgq_onnx::onnx::Tensor;
use prost::Message;

/// Seeded nets of each kind.
const NETS: u64 = 52;
const SAMPLES: usize = 96;
/// Powers of two that channels are scaled by, either way.
const MOST: u64 = 12;

/// Factors of inputs and of hidden channels; all 1 for the net as it is.
struct Factors {
    input: Vec<f32>,
    hidden: Vec<Vec<f32>>,
}

impl Factors {
    fn plain(input: usize, hidden: &[usize]) -> Factors {
        Factors { input: vec![1.0; input], hidden: hidden.iter().map(|&n| vec![1.0; n]).collect() }
    }

    fn random(rng: &mut Rng, input: usize, hidden: &[usize]) -> Factors {
        let mut some = |n: usize| (0..n).map(|_| 2f32.powi(rng.below(2 * MOST + 1) as i32 - MOST as i32)).collect::<Vec<f32>>();
        Factors { input: some(input), hidden: hidden.iter().map(|&n| some(n)).collect() }
    }
}

/// `[from][to]` weights, rows divided by `from` and columns multiplied by `to`.
fn weights(rng: &mut Rng, from: &[f32], to: &[f32], share: f32) -> Vec<f32> {
    let scale = share / (from.len() as f32).sqrt();
    let mut all = Vec::new();
    for f in from {
        for t in to {
            all.push((2.0 * rng.unit() as f32 - 1.0) * scale * t / f);
        }
    }
    all
}

fn biases(rng: &mut Rng, to: &[f32]) -> Vec<f32> {
    to.iter().map(|t| (rng.unit() as f32 - 0.4) * t).collect()
}

fn gemm(net: &mut Net, rng: &mut Rng, name: &str, from: &[f32], to: &[f32]) {
    centred(net, rng, name, from, to, 0.0);
}

/// A `Gemm` whose bias takes `offset` away from every second input, so that what is after it
/// depends on the data.
fn centred(net: &mut Net, rng: &mut Rng, name: &str, from: &[f32], to: &[f32], offset: f32) {
    let (w, b) = (format!("{name}_w"), format!("{name}_b"));
    let values = weights(rng, from, to, 2.0);
    let moved = |o: usize| (1..from.len()).step_by(2).map(|i| values[i * to.len() + o] * from[i] * offset).sum::<f32>();
    let moved: Vec<f32> = (0..to.len()).map(moved).collect();
    net.constant(&w, Tensor::f32(vec![from.len(), to.len()], values));
    let values = biases(rng, to).iter().zip(moved).map(|(b, m)| b - m).collect();
    net.constant(&b, Tensor::f32(vec![to.len()], values));
    net.node("Gemm", &["@", &w, &b], name, &[]);
}

/// What a net is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Mlp,
    Residual,
    BatchNorm,
    Conv,
}

impl Kind {
    fn of(seed: u64) -> Kind {
        [Kind::Mlp, Kind::Residual, Kind::BatchNorm, Kind::Conv][(seed % 4) as usize]
    }

    /// Elements of a sample, channels of its input, and channels of hidden values.
    fn sizes(self, rng: &mut Rng) -> (usize, usize, Vec<usize>) {
        let mut n = |least: usize| least + rng.below(4) as usize;
        match self {
            Kind::Mlp => {
                let x = n(3);
                (x, x, vec![n(4), n(3)])
            }
            Kind::Residual | Kind::BatchNorm => {
                let x = n(3);
                (x, x, vec![n(4)])
            }
            Kind::Conv => (2 * 16, 2, vec![n(2)]),
        }
    }

    /// The net with these factors, for data with that offset; the same random weights for a seed.
    fn net(self, seed: u64, x: usize, f: &Factors, offset: f32) -> Vec<u8> {
        let rng = &mut Rng::new(seed ^ 0x5ca1e);
        let one = vec![1.0; 3];
        let shape: &[i64] = if self == Kind::Conv { &[1, 2, 4, 4] } else { &[1, x as i64] };
        let net = &mut Net::new(13, shape);
        match self {
            Kind::Mlp => {
                centred(net, rng, "a", &f.input, &f.hidden[0], offset);
                net.node("Relu", &["@"], "ar", &[]);
                gemm(net, rng, "b", &f.hidden[0], &f.hidden[1]);
                net.node("Relu", &["@"], "br", &[]);
                gemm(net, rng, "c", &f.hidden[1], &one);
            }
            Kind::Residual => {
                centred(net, rng, "a", &f.input, &f.hidden[0], offset);
                net.node("Relu", &["@"], "ar", &[]);
                gemm(net, rng, "b", &f.hidden[0], &f.hidden[0]);
                net.node("Add", &["@", "ar"], "sum", &[]).node("Relu", &["@"], "br", &[]);
                gemm(net, rng, "c", &f.hidden[0], &one);
            }
            Kind::BatchNorm => {
                let h = &f.hidden[0];
                centred(net, rng, "a", &f.input, &vec![1.0; h.len()], offset);
                let values = |rng: &mut Rng, low: f32, by: Option<&[f32]>| {
                    let of = |(n, _): (usize, &f32)| (low + rng.unit() as f32) * by.map_or(1.0, |by| by[n]);
                    Tensor::f32(vec![h.len()], h.iter().enumerate().map(of).collect())
                };
                let (g, b) = (values(rng, 0.5, Some(h)), values(rng, -0.3, Some(h)));
                let (m, v) = (values(rng, -0.3, None), values(rng, 0.3, None));
                net.constant("g", g).constant("bb", b).constant("m", m).constant("v", v);
                net.node("BatchNormalization", &["@", "g", "bb", "m", "v"], "bn", &[]).node("Relu", &["@"], "ar", &[]);
                gemm(net, rng, "c", h, &one);
            }
            Kind::Conv => {
                let h = &f.hidden[0];
                let mut w = Vec::new();
                for o in h {
                    for i in &f.input {
                        w.extend((0..9).map(|_| (2.0 * rng.unit() as f32 - 1.0) * 0.5 * o / i));
                    }
                }
                // every second element has the offset: half of it in the mean of a window
                let moved = |o: usize| {
                    let kernels = w[o * f.input.len() * 9..].chunks(9).zip(&f.input);
                    kernels.map(|(k, i)| k.iter().sum::<f32>() * i * offset / 2.0).sum::<f32>()
                };
                let b = biases(rng, h).iter().enumerate().map(|(o, b)| b - moved(o)).collect();
                net.constant("kw", Tensor::f32(vec![h.len(), 2, 3, 3], w));
                net.constant("kb", Tensor::f32(vec![h.len()], b));
                net.node("Conv", &["@", "kw", "kb"], "conv", &[("pads", Attr::Is(&[1, 1, 1, 1]))]);
                net.node("Relu", &["@"], "cr", &[]);
                net.node("MaxPool", &["@"], "mp", &[("kernel_shape", Attr::Is(&[2, 2])), ("strides", Attr::Is(&[2, 2]))]);
                net.node("Flatten", &["@"], "fl", &[]);
                let rows: Vec<f32> = h.iter().flat_map(|&f| [f; 4]).collect();
                gemm(net, rng, "c", &rows, &one);
            }
        }
        net.model().encode_to_vec()
    }
}

/// What a job gave: EBOPs and metrics of the front, and the proxy's outputs on all samples.
fn job(kind: Kind, model: &[u8], x: &[f32], labels: &[i64], epochs: usize) -> (Vec<(u64, f64)>, Vec<f64>) {
    let width = x.len() / SAMPLES;
    let data = Samples { width, x, y: Some(labels) };
    let json = format!(r#"{{"epochs": {epochs}, "threads": 1, "batch_size": 16}}"#);
    let made = convert(model, &data, Some(&data), config(&json)).unwrap();
    let front = made.report["pareto"].as_array().unwrap().iter();
    let front = front.map(|p| (p["ebops"].as_u64().unwrap(), p["metric"].as_f64().unwrap())).collect();
    // the proxy has the channels last
    let last = |row: &[f32]| (0..row.len()).map(|e| row[e % 2 * 16 + e / 2]).collect::<Vec<f32>>();
    let x = if kind == Kind::Conv { x.chunks(width).flat_map(last).collect() } else { x.to_vec() };
    (front, outputs(&made.proxy, &x).1)
}

#[test]
fn powers_of_two_change_nothing() {
    for seed in 0..NETS {
        let (kind, rng) = (Kind::of(seed), &mut Rng::new(seed + 1));
        let (len, channels, hidden) = kind.sizes(rng);
        let (plain, scaled) = (Factors::plain(channels, &hidden), Factors::random(rng, channels, &hidden));
        let channel = |e: usize| if kind == Kind::Conv { e / 16 } else { e };
        let offset = if seed % 3 == 0 { 40.0 } else { 0.0 };
        let offset_of = |e: usize| offset * (e % 2) as f32;
        let mut x = Vec::new();
        for _ in 0..SAMPLES {
            x.extend((0..len).map(|e| 2.0 * rng.unit() as f32 - 1.0 + offset_of(e)));
        }
        let y: Vec<f32> = x.iter().enumerate().map(|(at, v)| v * scaled.input[channel(at % len)]).collect();
        let labels: Vec<i64> =
            x.chunks(len).map(|row| i64::from(row[0] > row[1] - offset_of(1)) + i64::from(row[1] > offset_of(1))).collect();
        let epochs = if seed % 2 == 0 { 0 } else { 6 };
        let a = job(kind, &kind.net(seed, len, &plain, offset), &x, &labels, epochs);
        let b = job(kind, &kind.net(seed, len, &scaled, offset), &y, &labels, epochs);
        assert!(a.0.iter().any(|p| p.0 > 0), "{seed}: {kind:?}");
        assert_eq!(a.0, b.0, "{seed}: {kind:?}: fronts");
        assert_eq!(a.1, b.1, "{seed}: {kind:?}: outputs");
    }
}

/// Targets in other units give the same model in those units.
#[test]
fn units_of_regression_targets_change_nothing() {
    let rng = &mut Rng::new(5);
    let x: Vec<f32> = (0..SAMPLES * 4).map(|_| 2.0 * rng.unit() as f32 - 1.0).collect();
    let y: Vec<f32> = x.chunks(4).map(|r| r[0] * r[1] + 0.5 * r[2] - 0.2 * r[3]).collect();
    let of = |unit: f32| {
        let rng = &mut Rng::new(9);
        let net = &mut Net::new(13, &[1, 4]);
        gemm(net, rng, "a", &[1.0; 4], &[1.0; 8]);
        net.node("Relu", &["@"], "r", &[]);
        gemm(net, rng, "b", &[1.0; 8], &[unit]);
        let train = npz_of(&[("x", 4, &x), ("y", 1, &y.iter().map(|v| v * unit).collect::<Vec<_>>())], &[]);
        let file = |name: &str| hgq_onnx::convert::DataFile::new(name, train.clone());
        let job = hgq_onnx::convert::Job {
            model: net.model().encode_to_vec(),
            calibration: file("c.npz"),
            train: Some(file("t.npz")),
            validation: None,
            config: config(r#"{"epochs": 8, "threads": 1, "batch_size": 16}"#),
        };
        let made = crate::support::made::run(&job, &mut |_| (), &Default::default()).unwrap();
        (made.ebops, outputs(&made.proxy, &x).1)
    };
    let (one, large) = (of(1.0), of(1024.0));
    assert_eq!(one.0, large.0);
    assert_eq!(one.1.iter().map(|v| v * 1024.0).collect::<Vec<_>>(), large.1);
}
