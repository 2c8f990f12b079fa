//! Layers of the interpreter: dense, convolution and pooling over `[samples][elements]`.

use crate::graph::{
    annotation::QuantSpec,
    op::{Dense, Op},
    window::Window,
};
use crate::simd::{Has, Isa, Lane, Vectorized, dispatch};

/// What a node needs for every sample and computes once.
pub enum Prepared {
    Dense(Weights),
    /// Weights and, per output position and tap, the pixel.
    Conv(Weights, Window, Vec<Option<usize>>),
    /// As for `Conv`; what is done with the elements under the window is in the operation.
    Pool(Window, Vec<Option<usize>>),
    Nothing,
}

/// Weight `[inputs][outputs]` and bias of a layer with their annotations applied.
pub struct Weights {
    weight: Vec<f64>,
    bias: Vec<f64>,
}

impl Prepared {
    pub fn of(op: &Op) -> Prepared {
        if let Op::Dense(dense) = op {
            let weights = Weights::of(dense);
            match &dense.window {
                None => Prepared::Dense(weights),
                Some(w) => Prepared::Conv(weights, w.clone(), pixels(w)),
            }
        } else if let Op::MaxPool(window) | Op::AveragePool { window, .. } = op {
            Prepared::Pool(window.clone(), pixels(window))
        } else {
            Prepared::Nothing
        }
    }
}

impl Weights {
    fn of(dense: &Dense) -> Weights {
        let quantized = |values: &[f32], spec: &Option<QuantSpec>| -> Vec<f64> {
            let quantize = |(e, &x): (usize, &f32)| spec.as_ref().map_or(f64::from(x), |q| q.apply(e, x.into()));
            values.iter().enumerate().map(quantize).collect()
        };
        Weights { weight: quantized(&dense.weight, &dense.weight_quant), bias: quantized(&dense.bias, &dense.bias_quant) }
    }
}

/// [`Window::pixel`] of every position and tap, `[positions][taps]`.
fn pixels(w: &Window) -> Vec<Option<usize>> {
    let taps = w.taps();
    (0..w.positions() * taps).map(|at| w.pixel(at / taps, at % taps)).collect()
}

/// `y = x·W + b` of `[samples][elements]`; with a window at every position, each group on its own
/// channels.
struct Products<'a> {
    x: &'a [f64],
    weights: &'a Weights,
    samples: usize,
    window: Option<(&'a Window, &'a [Option<usize>])>,
}

impl Vectorized for Products<'_> {
    type Out = Vec<f64>;
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) -> Vec<f64> {
        match self.window {
            None => products(self.x, self.weights, self.samples),
            Some((w, pixels)) => products_at_positions(self.x, self.weights, w, pixels, self.samples),
        }
    }
}

pub fn dense(x: &[f64], weights: &Weights, samples: usize) -> Vec<f64> {
    dispatch(Isa::detect(), Products { x, weights, samples, window: None })
}

pub fn conv(x: &[f64], weights: &Weights, w: &Window, pixels: &[Option<usize>], samples: usize) -> Vec<f64> {
    dispatch(Isa::detect(), Products { x, weights, samples, window: Some((w, pixels)) })
}

/// Zeros of `x` (after Relu about half) cost nothing.
#[inline(always)]
fn products(x: &[f64], Weights { weight, bias }: &Weights, samples: usize) -> Vec<f64> {
    let outputs = bias.len();
    let inputs = x.len() / samples.max(1);
    let mut y = Vec::with_capacity(samples * outputs);
    for row in x.chunks(inputs.max(1)) {
        let start = y.len();
        y.extend_from_slice(bias);
        for (&x, column) in row.iter().zip(weight.chunks(outputs.max(1))) {
            if x != 0.0 {
                y[start..].iter_mut().zip(column).for_each(|(y, w)| *y += x * w);
            }
        }
    }
    y
}

/// `y[p] = Σ x[pixel]·W[tap] + b`.
#[inline(always)]
fn products_at_positions(
    x: &[f64],
    Weights { weight, bias }: &Weights,
    w: &Window,
    pixels: &[Option<usize>],
    samples: usize,
) -> Vec<f64> {
    let (channels, outputs, per_group) = (w.input[2], bias.len(), w.group_channels());
    let group_outputs = w.group_outputs(outputs);
    let mut y = Vec::with_capacity(samples * w.positions() * outputs);
    for sample in x.chunks(w.input.iter().product::<usize>().max(1)) {
        for taps in pixels.chunks(w.taps()) {
            let start = y.len();
            y.extend_from_slice(bias);
            let y = &mut y[start..];
            for (tap, pixel) in taps.iter().enumerate() {
                let Some(pixel) = pixel else { continue };
                let inputs = &sample[pixel * channels..(pixel + 1) * channels];
                let rows = &weight[tap * per_group * outputs..(tap + 1) * per_group * outputs];
                if group_outputs == 1 && per_group == 1 {
                    y.iter_mut().zip(inputs).zip(rows).for_each(|((y, x), w)| *y += x * w);
                    continue;
                }
                for (channel, &x) in inputs.iter().enumerate().filter(|(_, x)| **x != 0.0) {
                    let (group, k) = (channel / per_group, channel % per_group);
                    let columns = group * group_outputs..(group + 1) * group_outputs;
                    let row = &rows[k * outputs..(k + 1) * outputs];
                    y[columns.clone()].iter_mut().zip(&row[columns]).for_each(|(y, w)| *y += x * w);
                }
            }
        }
    }
    y
}

/// `fold` over the elements under the window, per channel, from `start` on; then `end`.
pub fn pool(
    x: &[f64],
    w: &Window,
    pixels: &[Option<usize>],
    start: f64,
    fold: impl Fn(f64, f64) -> f64,
    end: impl Fn(f64) -> f64,
) -> Vec<f64> {
    let channels = w.input[2];
    let mut y = Vec::new();
    for sample in x.chunks(w.input.iter().product::<usize>().max(1)) {
        for taps in pixels.chunks(w.taps()) {
            let at = y.len();
            y.resize(at + channels, start);
            let y = &mut y[at..];
            for pixel in taps.iter().flatten() {
                let inputs = &sample[pixel * channels..(pixel + 1) * channels];
                y.iter_mut().zip(inputs).for_each(|(y, &x)| *y = fold(*y, x));
            }
            y.iter_mut().for_each(|y| *y = end(*y));
        }
    }
    y
}
