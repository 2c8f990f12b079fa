//! QONNX `Quant` / `IntQuant` / `BipolarQuant` as operators of tract, on data of any rank.
//!
//! `y = (round(clip(x/s + z, lo, hi)) − z)·s`, with the parameters broadcast to `x` as NumPy does.
//! The quotient and the rounding are computed in f64, so that adding a half is exact. A scalar
//! signed width of 1 is bipolar (−1, +1) as in QONNX; a width per element is two's complement {−1,
//! 0} (see [`crate::graph::annotation`]).

use super::op::{Operator, tract_op};
use crate::simd::{Has, Isa, Lane, Vectorized, dispatch};
use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_hir::internal::{InferenceOp, expand};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Mode {
    HalfEven,
    HalfUp,
    HalfDown,
    Ceil,
    Floor,
    Up,
    Down,
    /// ap_fixed's `RND`: ties go up.
    TiesUp,
    /// ap_fixed's `RND_MIN_INF`: ties go down.
    TiesDown,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Quant {
    signed: bool,
    narrow: bool,
    mode: Mode,
    /// The attributes of the proxy's element-wise form ([`crate::proxy::write::elementwise`]).
    elementwise: Option<Elementwise>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Elementwise {
    wrap: bool,
    /// One flag per bit width, or none: all are as `signed` says.
    keep_negative: Vec<i64>,
}

/// `y = x ≥ 0 ? s : −s`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Bipolar;

/// The parameters of one element.
struct Cell {
    scale: f64,
    zero_point: f64,
    /// Smallest and largest integer; `None` is bipolar.
    range: Option<(f64, f64)>,
}

tract_op!(Quant, "QonnxQuant", 4);
tract_op!(Bipolar, "QonnxBipolarQuant", 2);

pub fn register(ops: &mut OnnxOpRegister) {
    ops.insert("Quant", parse);
    ops.insert("IntQuant", parse);
    ops.insert("BipolarQuant", |_, _| Ok((expand(Bipolar), vec![])));
}

fn parse(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let find = |name: &str| node.attribute.iter().find(|a| a.name == name);
    // absent means true, as the import reads it
    let flag = |name: &str| find(name).is_none_or(|a| a.i != 0);
    let mode = find("rounding_mode").map_or("ROUND".into(), |a| String::from_utf8_lossy(&a.s).to_ascii_uppercase());
    let mode = match mode.as_str() {
        "ROUND" | "HALF_EVEN" => Mode::HalfEven,
        "HALF_UP" => Mode::HalfUp,
        "HALF_DOWN" => Mode::HalfDown,
        "CEIL" => Mode::Ceil,
        "FLOOR" => Mode::Floor,
        "UP" => Mode::Up,
        "DOWN" => Mode::Down,
        "RND" => Mode::TiesUp,
        "RND_MIN_INF" => Mode::TiesDown,
        other => bail!("rounding mode {other} is unknown"),
    };
    let elementwise = find("overflow_mode").map(|a| Elementwise {
        wrap: a.s == b"WRAP",
        keep_negative: find("keep_negative").map_or(Vec::new(), |a| a.ints.clone()),
    });
    Ok((expand(Quant { signed: flag("signed"), narrow: flag("narrow"), mode, elementwise }), vec![]))
}

impl Mode {
    #[inline(always)]
    fn round(self, v: f64) -> f64 {
        let away = |magnitude: f64| magnitude.copysign(v);
        match self {
            Mode::HalfEven => v.round_ties_even(),
            Mode::HalfUp => v.round(),
            Mode::HalfDown => away((v.abs() - 0.5).ceil()),
            Mode::Ceil => v.ceil(),
            Mode::Floor => v.floor(),
            Mode::Up => away(v.abs().ceil()),
            Mode::Down => v.trunc(),
            Mode::TiesUp => (v + 0.5).floor(),
            Mode::TiesDown => (v - 0.5).ceil(),
        }
    }
}

impl Quant {
    fn range(&self, signed: bool, bits: f64, per_element: bool) -> Option<(f64, f64)> {
        let narrow = f64::from(u8::from(self.narrow && (signed || self.elementwise.is_none())));
        match signed {
            // no bits, no value but 0
            _ if bits == 0.0 && self.elementwise.is_some() => Some((0.0, 0.0)),
            true if bits == 1.0 && !per_element => None,
            true => Some((narrow - (bits - 1.0).exp2(), (bits - 1.0).exp2() - 1.0)),
            false => Some((0.0, bits.exp2() - 1.0 - narrow)),
        }
    }

    #[inline(always)]
    fn apply(x: f64, cell: &Cell, wrap: bool, round: impl Fn(f64) -> f64) -> f64 {
        let v = x / cell.scale + cell.zero_point;
        let q = match cell.range {
            None if v >= 0.0 => 1.0,
            None => -1.0,
            Some((low, high)) if wrap => (round(v) - low).rem_euclid(high - low + 1.0) + low,
            Some((low, high)) => {
                // in QONNX's order, which also defines what an empty range gives
                let v = if v > high { high } else { v };
                round(if v < low { low } else { v })
            }
        };
        (q - cell.zero_point) * cell.scale
    }
}

/// A Quant over its data, with the instructions of the machine: it is most of the time that a proxy
/// takes here.
struct Casts<'a> {
    mode: Mode,
    wrap: bool,
    x: &'a [f32],
    /// Repeated over the data.
    cells: &'a [Cell],
}

impl Vectorized for Casts<'_> {
    type Out = Vec<f32>;
    #[inline(always)]
    fn run<L: Lane>(self, _: Has<L>) -> Vec<f32> {
        match self.mode {
            // a constant mode leaves the loop without branches
            Mode::Floor => self.with(|v| Mode::Floor.round(v)),
            Mode::HalfEven => self.with(|v| Mode::HalfEven.round(v)),
            mode => self.with(move |v| mode.round(v)),
        }
    }
}

impl Casts<'_> {
    #[inline(always)]
    fn with(&self, round: impl Fn(f64) -> f64) -> Vec<f32> {
        // plain loops: what iterators are collected with is compiled without the instructions of
        // the machine
        let mut to = vec![0.0; self.x.len()];
        if let [cell] = self.cells {
            for (to, x) in to.iter_mut().zip(self.x) {
                *to = Quant::apply(f64::from(*x), cell, self.wrap, &round) as f32;
            }
            return to;
        }
        let period = self.cells.len().max(1);
        for (to, x) in to.chunks_mut(period).zip(self.x.chunks(period)) {
            for ((to, x), cell) in to.iter_mut().zip(x).zip(self.cells) {
                *to = Quant::apply(f64::from(*x), cell, self.wrap, &round) as f32;
            }
        }
        to
    }
}

/// Parameters broadcast to the smallest trailing part of `shape` that none of them varies outside:
/// element `e` of the data takes entry `e % len`.
fn periodic<const N: usize>(tensors: [&Tensor; N], shape: &[usize]) -> TractResult<[Vec<f64>; N]> {
    let trimmed = |t: &Tensor| t.shape().iter().skip_while(|&&d| d == 1).count();
    let rank = tensors.iter().map(|t| trimmed(t)).max().unwrap_or(0);
    let Some(tail) = shape.len().checked_sub(rank).and_then(|from| shape.get(from..)) else {
        bail!("a quantization parameter has more axes than the data of shape {shape:?}");
    };
    let mut all = [const { Vec::new() }; N];
    for (values, tensor) in all.iter_mut().zip(tensors) {
        let own = tensor.shape().get(tensor.rank() - trimmed(tensor)..).unwrap_or_default().to_vec();
        let tensor = tensor.cast_to::<f64>()?.into_owned().into_shape(&own)?;
        let view = tensor.to_plain_array_view::<f64>()?;
        let Some(view) = view.broadcast(tail) else {
            bail!("a quantization parameter of shape {own:?} does not broadcast to {shape:?}");
        };
        *values = view.iter().copied().collect();
    }
    Ok(all)
}

/// `f(x, cell)` with the cells repeated.
fn map<C>(x: &Tensor, cells: &[C], f: impl Fn(f64, &C) -> f64) -> TractResult<Tensor> {
    let values = x.cast_to::<f32>()?;
    let values = values.to_plain_array_view::<f32>()?;
    let cells = cells.iter().cycle();
    let mapped: Vec<f32> = values.iter().zip(cells).map(|(&x, cell)| f(x.into(), cell) as f32).collect();
    Tensor::from_shape(x.shape(), &mapped)
}

fn same_as_first(shapes: &[Vec<usize>]) -> TractResult<Vec<usize>> {
    Ok(shapes.first().context("no input")?.clone())
}

impl Operator for Quant {
    fn shape(&self, shapes: &[Vec<usize>]) -> TractResult<Vec<usize>> {
        same_as_first(shapes)
    }

    fn evaluate(&self, inputs: &[TValue]) -> TractResult<Tensor> {
        let [x, scale, zero_point, bits] = inputs else { bail!("Quant has {} inputs, not 4", inputs.len()) };
        let per_element = bits.len() > 1 || self.elementwise.is_some();
        let keep = self.elementwise.as_ref().map_or(&[][..], |e| &e.keep_negative);
        let [scale, zero_point, bits] = periodic([scale, zero_point, bits], x.shape())?;
        if !keep.is_empty() && keep.len() != bits.len() {
            bail!("keep_negative has {} flags for {} bit widths", keep.len(), bits.len());
        }
        let signed = |at: usize| self.signed && keep.get(at).is_none_or(|&k| k != 0);
        let cells: Vec<Cell> = (scale.iter().zip(&zero_point).zip(&bits).enumerate())
            .map(|(at, ((&scale, &zero_point), &bits))| Cell {
                scale,
                zero_point,
                range: self.range(signed(at), bits, per_element),
            })
            .collect();
        let values = x.cast_to::<f32>()?;
        let values = values.to_plain_array_view::<f32>()?;
        let values = values.as_slice().context("data with gaps")?;
        Tensor::from_shape(
            x.shape(),
            &dispatch(
                Isa::detect(),
                Casts { mode: self.mode, wrap: self.elementwise.as_ref().is_some_and(|e| e.wrap), x: values, cells: &cells },
            ),
        )
    }
}

impl Operator for Bipolar {
    fn shape(&self, shapes: &[Vec<usize>]) -> TractResult<Vec<usize>> {
        same_as_first(shapes)
    }

    fn evaluate(&self, inputs: &[TValue]) -> TractResult<Tensor> {
        let [x, scale] = inputs else { bail!("BipolarQuant has {} inputs, not 2", inputs.len()) };
        let [scale] = periodic([scale], x.shape())?;
        map(x, &scale, |x, &s| if x >= 0.0 { s } else { -s })
    }
}
