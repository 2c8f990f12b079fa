//! QONNX `Quant` / `IntQuant` / `BipolarQuant` as operators of tract.
//!
//! `y = (round(clip(x/s + z, lo, hi)) − z)·s`, with the parameters broadcast to `x`. The quotient and the rounding are
//! computed in f64, so that adding a half is exact. A scalar signed width of 1 is bipolar (−1, +1) as in QONNX; a width
//! per element is two's complement {−1, 0} (see [`crate::graph::annotation`]).

use tract_onnx::{
    model::{OnnxOpRegister, ParsingContext},
    pb::NodeProto,
    tract_core::internal::*,
    tract_hir::internal::{
        Expansion, InferenceOp, InferenceResult, Solver, TensorProxy, check_input_arity, check_output_arity, expand,
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Mode {
    HalfEven,
    HalfUp,
    HalfDown,
    Ceil,
    Floor,
    Up,
    Down,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Quant {
    signed: bool,
    narrow: bool,
    mode: Mode,
}

/// `y = x ≥ 0 ? s : −s`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Bipolar;

pub fn register(ops: &mut OnnxOpRegister) {
    ops.insert("Quant", parse);
    ops.insert("IntQuant", parse);
    ops.insert("BipolarQuant", |_, _| Ok((expand(Bipolar), vec![])));
}

fn parse(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let find = |name: &str| node.attribute.iter().find(|a| a.name == name);
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
        other => bail!("rounding mode {other} is unknown"),
    };
    Ok((expand(Quant { signed: flag("signed"), narrow: flag("narrow"), mode }), vec![]))
}

impl Mode {
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
        }
    }
}

impl Quant {
    fn apply(&self, x: f64, scale: f64, zero_point: f64, bits: f64, per_element: bool) -> f64 {
        let v = x / scale + zero_point;
        let q = if self.signed && bits == 1.0 && !per_element {
            if v >= 0.0 { 1.0 } else { -1.0 }
        } else {
            let (low, high) = match (self.signed, self.narrow) {
                (true, narrow) => (f64::from(u8::from(narrow)) - (bits - 1.0).exp2(), (bits - 1.0).exp2() - 1.0),
                (false, narrow) => (0.0, bits.exp2() - 1.0 - f64::from(u8::from(narrow))),
            };
            // in QONNX's order, which also defines what an empty range gives
            let v = if v > high { high } else { v };
            self.mode.round(if v < low { low } else { v })
        };
        (q - zero_point) * scale
    }
}

/// A parameter in f64, broadcast to `shape`.
fn parameter(tensor: &Tensor, shape: &[usize]) -> TractResult<Vec<f64>> {
    let tensor = tensor.cast_to::<f64>()?;
    let view = tensor.to_plain_array_view::<f64>()?;
    match view.broadcast(shape) {
        Some(view) => Ok(view.iter().copied().collect()),
        // a batch axis of one in front of a sample that has none, and the reverse, are handled by broadcasting
        None => bail!("a quantization parameter of shape {:?} does not broadcast to {shape:?}", view.shape()),
    }
}

fn unchanged_facts<'r, 'p: 'r>(
    solver: &mut Solver<'r>,
    inputs: &'p [TensorProxy],
    outputs: &'p [TensorProxy],
    arity: usize,
) -> InferenceResult {
    check_input_arity(inputs, arity)?;
    check_output_arity(outputs, 1)?;
    solver.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
    solver.equals(&inputs[0].shape, &outputs[0].shape)?;
    Ok(())
}

macro_rules! tract_op {
    ($op:ty, $name:literal, $arity:literal) => {
        impl Expansion for $op {
            fn name(&self) -> StaticName {
                $name.into()
            }

            fn rules<'r, 'p: 'r, 's: 'r>(
                &'s self,
                solver: &mut Solver<'r>,
                inputs: &'p [TensorProxy],
                outputs: &'p [TensorProxy],
            ) -> InferenceResult {
                unchanged_facts(solver, inputs, outputs, $arity)
            }

            fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
                model.wire_node(prefix, self.clone(), inputs)
            }
        }

        impl Op for $op {
            fn name(&self) -> StaticName {
                $name.into()
            }

            op_as_typed_op!();
        }

        impl EvalOp for $op {
            op_out_of_plan!();

            fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
                self.evaluate(&inputs)
            }
        }

        impl TypedOp for $op {
            fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
                Ok(tvec!(inputs[0].datum_type.fact(inputs[0].shape.clone())))
            }

            as_op!();
        }
    };
}

tract_op!(Quant, "QonnxQuant", 4);
tract_op!(Bipolar, "QonnxBipolarQuant", 2);

impl Quant {
    fn evaluate(&self, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let [x, scale, zero_point, bits] = inputs else { bail!("Quant has {} inputs, not 4", inputs.len()) };
        let shape = x.shape();
        let per_element = bits.len() > 1;
        let (scale, zero_point, bits) = (parameter(scale, shape)?, parameter(zero_point, shape)?, parameter(bits, shape)?);
        let values = x.cast_to::<f32>()?;
        let values = values.to_plain_array_view::<f32>()?;
        let parameters = scale.iter().zip(&zero_point).zip(&bits);
        let quantized: Vec<f32> = (values.iter().zip(parameters))
            .map(|(&x, ((&s, &z), &b))| self.apply(x.into(), s, z, b, per_element) as f32)
            .collect();
        Ok(tvec!(Tensor::from_shape(shape, &quantized)?.into_tvalue()))
    }
}

impl Bipolar {
    fn evaluate(&self, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let [x, scale] = inputs else { bail!("BipolarQuant has {} inputs, not 2", inputs.len()) };
        let scale = parameter(scale, x.shape())?;
        let values = x.cast_to::<f32>()?;
        let values = values.to_plain_array_view::<f32>()?;
        let signs: Vec<f32> = values.iter().zip(&scale).map(|(&x, &s)| if x >= 0.0 { s } else { -s } as f32).collect();
        Ok(tvec!(Tensor::from_shape(x.shape(), &signs)?.into_tvalue()))
    }
}
