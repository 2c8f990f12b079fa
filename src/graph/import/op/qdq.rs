//! QCDQ: `QuantizeLinear → [Clip] → DequantizeLinear` on a tensor or a constant, and
//! `DequantizeLinear` of stored integers.
//!
//! `QuantizeLinear` gives `q = clip(rhe(x/s) + z)` in the range of its integer type, `Clip` narrows
//! that range, `DequantizeLinear` gives `(q − z)·s`: together a [`QuantSpec`] whose integers are
//! the range less `z`, which must be that of a signed or unsigned format.

use super::super::broadcast;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, IntegerSource, Integers, Item};
use crate::graph::annotation::{QuantSpec, RoundingMode};
use crate::graph::dag::ValueId;
use crate::graph::op::{Affine, Op};
use crate::onnx::proto::tensor_proto::DataType;
use crate::onnx::{Tensor, Values};
use std::sync::Arc;

/// Range of an integer type that quantized tensors are stored in.
pub fn range(kind: DataType) -> Option<(i64, i64)> {
    Some(match kind {
        DataType::Int4 => (-8, 7),
        DataType::Uint4 => (0, 15),
        DataType::Int8 => (-(1 << 7), (1 << 7) - 1),
        DataType::Uint8 => (0, (1 << 8) - 1),
        DataType::Int16 => (-(1 << 15), (1 << 15) - 1),
        DataType::Uint16 => (0, (1 << 16) - 1),
        DataType::Int32 => (-(1 << 31), (1 << 31) - 1),
        _ => return None,
    })
}

pub fn quantize<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let parameters = Parameters::read(context, node)?;
    let kind = parameters.zero_point.as_ref().map_or(DataType::Uint8, |z| z.tensor.data_type);
    let Some((lo, hi)) = range(kind) else {
        return Err(Fault::new(format!("it quantizes to {}; int8, uint8, int16 and uint16 are supported", kind.as_str_name())));
    };
    let source = match context.item(node, 0)? {
        Item::Data(value) => IntegerSource::Data(value),
        Item::Const(constant) => IntegerSource::Const(constant),
        _ => return Err(Fault::new("its input is not a tensor of floats")),
    };
    let Parameters { scale, axis, .. } = parameters.clone();
    Ok(Item::Integers(Integers { source, scale: Some(scale), zero_point: parameters.zero_point()?, axis, lo, hi }))
}

/// `Clip` between the two: a narrower range. `None` where the input holds no integers.
pub fn clip<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Option<Result<Item, Fault>> {
    let integers = match context.item(node, 0).ok()? {
        Item::Integers(integers) => integers,
        Item::Const(constant) if !constant.tensor.is_float() => stored(constant)?,
        _ => return None,
    };
    Some(bounded(context, node, integers))
}

fn bounded<'m>(context: &mut Context<'m>, node: &NodeView<'m>, integers: Integers) -> Result<Item, Fault> {
    let bound = |index: usize, what: &str| -> Result<Option<i64>, Fault> {
        let Some(constant) = context.optional(node, index, what)? else { return Ok(None) };
        match constant.tensor.to_i64().as_deref() {
            Some(&[value]) => Ok(Some(value)),
            _ => Err(Fault::new(format!("its {what} is not a single integer"))),
        }
    };
    let (low, high) = (bound(1, "lower bound (input 1)")?, bound(2, "upper bound (input 2)")?);
    let (lo, hi) = (low.map_or(integers.lo, |l| l.max(integers.lo)), high.map_or(integers.hi, |h| h.min(integers.hi)));
    if lo > hi {
        return Err(Fault::new(format!("its range {lo} … {hi} is empty")));
    }
    Ok(Item::Integers(Integers { lo, hi, ..integers }))
}

/// Integers that the file stores, in the range of their type.
fn stored(constant: Constant) -> Option<Integers> {
    let (lo, hi) = range(constant.tensor.data_type)?;
    Some(Integers { source: IntegerSource::Stored(constant), scale: None, zero_point: vec![], axis: 0, lo, hi })
}

pub fn dequantize<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let parameters = Parameters::read(context, node)?;
    let integers = match context.item(node, 0)? {
        Item::Integers(integers) => integers,
        Item::Const(constant) => {
            let kind = constant.tensor.data_type;
            let text = || {
                Fault::new(format!(
                    "it reads a constant of type {}; int8, uint8, int16 and int32 are supported",
                    kind.as_str_name()
                ))
            };
            stored(constant).ok_or_else(text)?
        }
        _ => return Err(Fault::new("its input is not quantized by a QuantizeLinear in front of it, nor a constant of integers")),
    };
    let zero_point = parameters.zero_point()?;
    if let Some(scale) = &integers.scale {
        let alike = scale.tensor.to_f64() == parameters.scale.tensor.to_f64() && integers.zero_point == zero_point;
        if !alike || (scale.tensor.len() > 1 && integers.axis != parameters.axis) {
            return Err(Fault::new(
                "its scale or zero point is not that of the QuantizeLinear before it; quantize and dequantize with the same",
            ));
        }
    }
    match integers.source.clone() {
        IntegerSource::Data(value) => {
            let value = match integers.scale {
                Some(_) => value,
                None => scaled(context, &node.name, value, &parameters, &zero_point)?,
            };
            let quantized = on_data(context, &node.name, value, &parameters, &integers, &zero_point)?;
            context.graph.values[quantized].name = node.output().to_string();
            Ok(Item::Data(quantized))
        }
        IntegerSource::Const(constant) => {
            constant.check_finite()?;
            let format = Format::of(&integers, &zero_point)?;
            let spec = constant_spec(context, node, &parameters, &format, constant.shape())?;
            let tensor = if constant.quant.is_some() { constant.resolved() } else { constant.tensor.clone() };
            Ok(Item::Const(Constant { name: constant.name, tensor, quant: Some(Arc::new(spec)) }))
        }
        IntegerSource::Stored(constant) => {
            // the values are there: a format that holds them is enough
            let format = Format::of(&integers, &zero_point).or_else(|_| Format::around(&integers, &zero_point))?;
            let spec = constant_spec(context, node, &parameters, &format, constant.shape())?;
            let zeros = parameters.expand_zero_point(&zero_point, constant.shape())?;
            let integers = constant.tensor.to_i64().unwrap_or_default();
            // (q − z)·s lies on the grid of its own annotation
            let values =
                integers.iter().zip(zeros).enumerate().map(|(e, (&q, z))| (q.saturating_sub(z) as f64 * spec.scale[e]) as f32);
            let tensor =
                Tensor { shape: constant.shape().to_vec(), values: Values::F32(values.collect()), data_type: DataType::Float };
            Ok(Item::Const(Constant { name: constant.name, tensor: Arc::new(tensor), quant: Some(Arc::new(spec)) }))
        }
    }
}

/// What a quantizer makes of `value`. Where the integers less the zero point have the range of no
/// format, a wider format and bounds on its grid.
fn on_data(
    context: &mut Context<'_>,
    name: &str,
    value: ValueId,
    parameters: &Parameters,
    integers: &Integers,
    zero_point: &[i64],
) -> Result<ValueId, Fault> {
    let shape = context.shape(value).to_vec();
    context.spend(5 * context.graph.len_of(value))?;
    let scale = parameters.scale_shape(shape.len() + 1)?;
    let source = broadcast::onto_sample(&scale, &shape)?;
    let quantized = |context: &mut Context<'_>, name: &str, format: &Format, value: ValueId| -> Result<ValueId, Fault> {
        let spec = parameters.spec(name, format, &source)?;
        Ok(context.step(name, Op::Quant(spec), vec![value], shape.clone()))
    };
    let fault = match Format::of(integers, zero_point) {
        Ok(format) => return quantized(context, name, &format, value),
        Err(fault) => fault,
    };
    let (&[scale], &[zero]) = (&parameters.scale.tensor.to_f64()[..], zero_point) else { return Err(fault) };
    let format = Format::around(integers, zero_point)?;
    let bound = |v: i64| v.saturating_sub(zero) as f64 * scale;
    let wide = quantized(context, &format!("{name}_wide"), &format, value)?;
    let op = Op::Clip { lo: bound(integers.lo), hi: bound(integers.hi) };
    context.spend(6 * shape.iter().product::<usize>())?;
    let clipped = context.step(&format!("{name}_range"), op, vec![wide], shape.clone());
    quantized(context, name, &format, clipped)
}

/// Operators that move integers, or take the largest: the same on what they stand for.
const MOVES: [&str; 10] =
    ["Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "MaxPool", "Slice", "Gather", "Identity", "GlobalMaxPool"];

/// The values that the integers at input 0 stand for, where the node only moves them; with them the
/// node gives integers again.
pub fn moved<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Option<(ValueId, Integers)>, Fault> {
    if !MOVES.contains(&node.proto.op_type()) {
        return Ok(None);
    }
    let Some(Item::Integers(integers)) = node.input(0).and_then(|i| context.items.get(i)).cloned() else {
        return Ok(None);
    };
    let IntegerSource::Data(value) = integers.source else { return Ok(None) };
    if integers.scale.is_none() {
        return Ok(Some((value, integers)));
    }
    let value = standing_for(context, &format!("{}_integers", node.name), &integers)?;
    Ok(Some((value, integers)))
}

/// The values that integers of data stand for.
///
/// # Errors
/// Integers of something else, or with a scale per channel.
pub fn standing_for(context: &mut Context<'_>, name: &str, integers: &Integers) -> Result<ValueId, Fault> {
    let (IntegerSource::Data(value), Some(scale)) = (&integers.source, &integers.scale) else {
        return Err(Fault::new("it holds integers that stand for no values; make what DequantizeLinear gives the output"));
    };
    if scale.tensor.len() != 1 {
        return Err(Fault::new("its integers have a scale per channel; make what DequantizeLinear gives the output"));
    }
    let parameters = Parameters { scale: scale.clone(), zero_point: None, axis: integers.axis };
    on_data(context, name, *value, &parameters, integers, &integers.zero_point)
}

/// `(q − z)·s` of integers that are an input.
fn scaled(
    context: &mut Context<'_>,
    name: &str,
    value: ValueId,
    parameters: &Parameters,
    zero_point: &[i64],
) -> Result<ValueId, Fault> {
    let (&[scale], &[zero]) = (&parameters.scale.tensor.to_f64()[..], zero_point) else {
        return Err(Fault::new("an input of integers has one scale and one zero point"));
    };
    let shape = context.shape(value).to_vec();
    let len = shape.iter().product::<usize>();
    context.spend(2 * len)?;
    let affine = Affine { scale: vec![scale; len], shift: vec![-(zero as f64) * scale; len] };
    Ok(context.step(&format!("{name}_scaled"), Op::Affine(affine), vec![value], shape))
}

fn constant_spec<'m>(
    context: &mut Context<'m>,
    node: &NodeView<'m>,
    parameters: &Parameters,
    format: &Format,
    shape: &[usize],
) -> Result<QuantSpec, Fault> {
    let scale = parameters.scale_shape(shape.len())?;
    let fault = || {
        Fault::new(format!(
            "{} scales do not fit axis {} of a tensor of shape {shape:?}",
            scale.iter().product::<usize>(),
            parameters.axis
        ))
    };
    context.spend(5 * shape.iter().product::<usize>())?;
    parameters.spec(&node.name, format, &broadcast::indices(&scale, shape).ok_or_else(fault)?)
}

/// Scale, zero point and axis of a node.
#[derive(Clone)]
struct Parameters {
    scale: Constant,
    zero_point: Option<Constant>,
    axis: i64,
}

impl Parameters {
    fn read<'m>(context: &Context<'m>, node: &NodeView<'m>) -> Result<Parameters, Fault> {
        if node.attributes().int("block_size", 0)? != 0 {
            return Err(Fault::new("scales by blocks are not supported; quantize per tensor or per axis"));
        }
        let scale = context.constant(node, 1, "scale (input 1)")?;
        if let Some(bad) = scale.tensor.to_f64().iter().find(|s| !s.is_finite() || **s <= 0.0) {
            return Err(Fault::new(format!("scale {bad} in `{}`; every scale must be positive and finite", scale.name)));
        }
        if scale.shape().len() > 1 {
            return Err(Fault::new(format!(
                "scale `{}` has shape {:?}; a scalar or one per channel is supported",
                scale.name,
                scale.shape()
            )));
        }
        let zero_point = context.optional(node, 2, "zero point (input 2)")?;
        Ok(Parameters { scale, zero_point, axis: node.attributes().int("axis", 1)? })
    }

    /// The zero points as integers: none given is one 0.
    fn zero_point(&self) -> Result<Vec<i64>, Fault> {
        let Some(constant) = &self.zero_point else { return Ok(vec![0]) };
        let fault = || Fault::new(format!("zero point `{}` is not integer", constant.name));
        let values = constant.tensor.to_i64().filter(|_| !constant.tensor.is_float()).ok_or_else(fault)?;
        if values.len() != 1 && values.len() != self.scale.tensor.len() {
            return Err(Fault::new(format!(
                "zero point `{}` has {} values for {} scales",
                constant.name,
                values.len(),
                self.scale.tensor.len()
            )));
        }
        Ok(values)
    }

    /// The axis of several scales on a tensor of `rank` axes, batch included; `None` for one scale.
    fn on_axis(&self, rank: usize) -> Result<Option<usize>, Fault> {
        if self.scale.tensor.len() == 1 {
            return Ok(None);
        }
        let axis = if self.axis < 0 { self.axis + rank as i64 } else { self.axis };
        let fault = || Fault::new(format!("axis {} is not one of the {rank} axes of its input", self.axis));
        usize::try_from(axis).ok().filter(|&a| a < rank).map(Some).ok_or_else(fault)
    }

    /// The shape under which the scales broadcast to a tensor of `rank` axes.
    fn scale_shape(&self, rank: usize) -> Result<Vec<usize>, Fault> {
        let Some(axis) = self.on_axis(rank)? else { return Ok(vec![]) };
        let mut shape = vec![1; rank];
        shape[axis] = self.scale.tensor.len();
        Ok(shape)
    }

    fn expand_zero_point(&self, zero_point: &[i64], shape: &[usize]) -> Result<Vec<i64>, Fault> {
        let len = shape.iter().product();
        match zero_point {
            &[z] => Ok(vec![z; len]),
            _ => {
                let from = self.scale_shape(shape.len())?;
                let fault = || Fault::new("its zero points do not fit the axis");
                Ok(broadcast::indices(&from, shape).ok_or_else(fault)?.into_iter().map(|at| zero_point[at]).collect())
            }
        }
    }

    /// The annotation; `source` picks the scale of each element.
    fn spec(&self, name: &str, format: &Format, source: &[usize]) -> Result<QuantSpec, Fault> {
        let scale = self.scale.tensor.to_f64();
        Ok(QuantSpec {
            node: name.to_string(),
            scale: source.iter().map(|&at| scale[at]).collect(),
            zero_point: vec![0.0; source.len()],
            bits: vec![f64::from(format.bits); source.len()],
            bits_per_element: false,
            signed: format.signed,
            narrow: format.narrow,
            rounding: RoundingMode::HalfEven,
            bipolar: false,
        })
    }
}

/// An integer range as a format.
struct Format {
    signed: bool,
    narrow: bool,
    bits: u32,
}

impl Format {
    /// The narrowest signed or unsigned format that holds the integers less the zero point.
    fn around(integers: &Integers, zero_point: &[i64]) -> Result<Format, Fault> {
        let lows = zero_point.iter().map(|z| integers.lo.saturating_sub(*z));
        let highs = zero_point.iter().map(|z| integers.hi.saturating_sub(*z));
        let (lo, hi) = (lows.min().unwrap_or(0), highs.max().unwrap_or(0));
        if lo < i64::from(i32::MIN) * 4 || hi > i64::from(i32::MAX) * 4 {
            return Err(Fault::new("its zero point is outside of every integer type it could have"));
        }
        let width = |n: i64| 64 - n.max(0).leading_zeros();
        Ok(match lo {
            0.. => Format { signed: false, narrow: false, bits: width(hi).max(1) },
            _ => Format { signed: true, narrow: false, bits: width(hi).max(width(-1 - lo)) + 1 },
        })
    }

    /// The format of `lo − z … hi − z`.
    fn of(integers: &Integers, zero_point: &[i64]) -> Result<Format, Fault> {
        let z = zero_point.first().copied().unwrap_or(0);
        if i32::try_from(z).is_err() {
            return Err(Fault::new(format!("its zero point {z} is outside of every integer type it could have")));
        }
        if zero_point.iter().any(|&other| other != z) {
            return Err(Fault::new("its zero points differ between channels; fixed-point formats need the same, best 0"));
        }
        let (lo, hi) = (integers.lo.saturating_sub(z), integers.hi.saturating_sub(z));
        let width = |n: i64| 64 - n.max(0).leading_zeros();
        let power = |n: i64| n > 0 && n & (n - 1) == 0;
        if lo == 0 && power(hi + 1) {
            return Ok(Format { signed: false, narrow: false, bits: width(hi) });
        }
        if hi > 0 && power(hi + 1) && (lo == -hi - 1 || lo == -hi) {
            return Ok(Format { signed: true, narrow: lo == -hi, bits: width(hi) + 1 });
        }
        Err(Fault::new(format!(
            "its integers less the zero point {z} go from {lo} to {hi}, which is the range of no signed or unsigned fixed-point format; \
             use a zero point of 0 (signed) or the lower end of the range (unsigned)"
        )))
    }
}
