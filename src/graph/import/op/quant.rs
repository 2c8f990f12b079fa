//! QONNX `Quant` / `IntQuant`: an annotation of a tensor or of a constant. The parameters must be
//! constant; they are expanded to the tensor.

use super::super::broadcast;
use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use super::bipolar;
use crate::graph::annotation::{QuantSpec, RoundingMode};
use crate::graph::op::Op;
use std::sync::Arc;

/// Widest annotation: beyond it neither f64 nor the 64-bit integers of verification are exact.
const MAX_BITS: f64 = 64.0;

pub fn quant<'m>(context: &mut Context<'m>, node: &NodeView<'m>) -> Result<Item, Fault> {
    let attributes = node.attributes();
    let parameters = Parameters {
        scale: context.constant(node, 1, "scale (input 1)")?,
        zero_point: context.constant(node, 2, "zero point (input 2)")?,
        bits: context.constant(node, 3, "bit width (input 3)")?,
        signed: attributes.int("signed", 1)? != 0,
        narrow: attributes.int("narrow", 1)? != 0,
        rounding: rounding(&attributes.string("rounding_mode", "ROUND")?)?,
    };
    if parameters.is_bipolar() {
        return bipolar::quantized(context, node, &parameters.scale);
    }
    match context.item(node, 0)? {
        Item::Const(constant) => {
            constant.check_finite()?;
            let shape = constant.shape().to_vec();
            context.spend(5 * constant.tensor.len())?;
            let spec = parameters.expand(node, |from| {
                let fault = || Fault::new(format!("a parameter of shape {from:?} does not broadcast to the tensor's {shape:?}"));
                broadcast::indices(from, &shape).ok_or_else(fault)
            })?;
            // a constant that is annotated twice is quantized by the first annotation
            let tensor = if constant.quant.is_some() { constant.resolved() } else { constant.tensor.clone() };
            Ok(Item::Const(Constant { name: constant.name, tensor, quant: Some(Arc::new(spec)) }))
        }
        Item::Data(value) => {
            let shape = context.shape(value).to_vec();
            context.spend(5 * context.graph.len_of(value))?;
            let spec = parameters.expand(node, |from| broadcast::onto_sample(from, &shape))?;
            Ok(context.emit(node, Op::Quant(spec), value, shape))
        }
        _ => Err(Fault::new("its input is computed from shapes")),
    }
}

fn rounding(mode: &str) -> Result<RoundingMode, Fault> {
    Ok(match mode.to_ascii_uppercase().as_str() {
        "ROUND" | "HALF_EVEN" => RoundingMode::HalfEven,
        "HALF_UP" => RoundingMode::HalfUp,
        "HALF_DOWN" => RoundingMode::HalfDown,
        "CEIL" => RoundingMode::Ceil,
        "FLOOR" => RoundingMode::Floor,
        "UP" => RoundingMode::Up,
        "DOWN" => RoundingMode::Down,
        _ => return Err(Fault::new(format!("rounding_mode `{mode}` is unknown; use ROUND, FLOOR, HALF_UP, CEIL, UP or DOWN"))),
    })
}

struct Parameters {
    scale: Constant,
    zero_point: Constant,
    bits: Constant,
    signed: bool,
    narrow: bool,
    rounding: RoundingMode,
}

impl Parameters {
    /// One signed bit is −1 and +1, unless widths are given per element.
    fn is_bipolar(&self) -> bool {
        let one = |constant: &Constant, value: f64| constant.resolved().to_f64() == [value];
        self.signed && one(&self.bits, 1.0) && one(&self.zero_point, 0.0)
    }

    /// Checks the values and expands each parameter with the indices that `source` gives for its
    /// shape.
    fn expand(&self, node: &NodeView<'_>, source: impl Fn(&[usize]) -> Result<Vec<usize>, Fault>) -> Result<QuantSpec, Fault> {
        let scale = self.scale.resolved().to_f64();
        if let Some(bad) = scale.iter().find(|s| !s.is_finite() || **s <= 0.0) {
            return Err(Fault::new(format!("scale {bad} in `{}`; every scale must be positive and finite", self.scale.name)));
        }
        let zero_point = self.zero_point.resolved().to_f64();
        if let Some(bad) = zero_point.iter().find(|z| **z != 0.0) {
            return Err(Fault::new(format!("zero point {bad} in `{}`; fixed-point formats need zero", self.zero_point.name)));
        }
        let bits = self.bits.resolved().to_f64();
        let per_element = bits.len() > 1;
        let name = &self.bits.name;
        for &width in &bits {
            if !(width.fract() == 0.0 && (0.0..=MAX_BITS).contains(&width)) {
                return Err(Fault::new(format!("bit width {width} in `{name}`; it must be an integer from 1 to {MAX_BITS}")));
            }
            if width < 1.0 && (self.signed || !per_element) {
                return Err(Fault::new(format!("bit width {width} in `{name}`; it must be at least 1")));
            }
            if width == 0.0 && self.narrow {
                return Err(Fault::new(format!("an unsigned narrow width of 0 in `{name}` has no values")));
            }
        }
        let expand = |values: &[f64], constant: &Constant| -> Result<Vec<f64>, Fault> {
            Ok(source(constant.shape())?.into_iter().map(|index| values[index]).collect())
        };
        Ok(QuantSpec {
            node: node.name.clone(),
            scale: expand(&scale, &self.scale)?,
            zero_point: expand(&zero_point, &self.zero_point)?,
            bits: expand(&bits, &self.bits)?,
            bits_per_element: per_element,
            signed: self.signed,
            narrow: self.narrow,
            rounding: self.rounding,
            bipolar: false,
        })
    }
}
