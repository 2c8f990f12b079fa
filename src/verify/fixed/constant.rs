//! Constants as exact dyadic numbers, broadcasting, and the parameters of `Quant`.

use crate::onnx::attribute::Attributes;
use crate::onnx::proto::NodeProto;
use crate::onnx::tensor::Tensor;
use crate::quant::model::fractional_bits;
use crate::quant::rounding::cast;
use crate::quant::{Kif, Overflow, Rounding};

/// A constant tensor, `ints·2^-frac` element by element.
#[derive(Clone, Debug)]
pub struct Constant {
    pub shape: Vec<usize>,
    pub values: Vec<(i64, i32)>,
}

impl Constant {
    /// Exact reading of a stored tensor.
    pub fn of(tensor: &Tensor) -> Result<Constant, String> {
        if let Some(integers) = tensor.to_i64().filter(|_| !tensor.is_float()) {
            return Ok(Constant { shape: tensor.shape.clone(), values: integers.into_iter().map(|v| (v, 0)).collect() });
        }
        let values = tensor.to_f64().into_iter().map(dyadic).collect::<Option<_>>();
        Ok(Constant { shape: tensor.shape.clone(), values: values.ok_or("a value is not finite")? })
    }

    /// All values on the finest grid among them.
    pub fn common(&self) -> Result<(Vec<i64>, i32), String> {
        let frac = self.values.iter().filter(|v| v.0 != 0).map(|v| v.1).max().unwrap_or(0);
        let ints = self.values.iter().map(|&(v, f)| if v == 0 { Some(0) } else { raise(v, frac - f) }).collect::<Option<_>>();
        Ok((ints.ok_or("its constants need more than 63 bits on a common grid")?, frac))
    }

    /// One value per element of a sample of `shape`, by ONNX broadcasting (the batch counts as 1).
    pub fn expand(&self, shape: &[usize]) -> Result<Constant, String> {
        let target = [&[1], shape].concat();
        let source =
            broadcast(&self.shape, &target).ok_or_else(|| format!("shape {:?} does not broadcast to {target:?}", self.shape))?;
        let values = source.into_iter().map(|e| self.values[e]).collect();
        Ok(Constant { shape: shape.to_vec(), values })
    }
}

/// `v·2^by`, `None` beyond 62 bits.
pub fn raise(v: i64, by: i32) -> Option<i64> {
    let room = v.unsigned_abs().leading_zeros() as i32 - 2;
    (0..=room).contains(&by).then(|| v << by)
}

fn dyadic(v: f64) -> Option<(i64, i32)> {
    if v == 0.0 {
        return Some((0, 0));
    }
    if !v.is_finite() {
        return None;
    }
    let mantissa = (v.to_bits() & ((1 << 52) - 1)) as i64;
    let exponent = ((v.to_bits() >> 52) & 0x7ff) as i32;
    let full = if exponent == 0 { mantissa } else { mantissa | 1 << 52 };
    let int = full >> full.trailing_zeros();
    Some((if v < 0.0 { -int } else { int }, fractional_bits(v)))
}

/// For each element of `to` the element of `from`; trailing axes aligned. `None` where the shapes
/// disagree.
pub fn broadcast(from: &[usize], to: &[usize]) -> Option<Vec<usize>> {
    if from.len() > to.len() {
        return None;
    }
    let pad = to.len() - from.len();
    if from.iter().zip(&to[pad..]).any(|(&a, &b)| a != b && a != 1) {
        return None;
    }
    let len = to.iter().product();
    Some(
        (0..len)
            .map(|e| {
                let (mut rest, mut at, mut stride) = (e, 0, 1);
                for axis in (0..to.len()).rev() {
                    let here = rest % to[axis];
                    rest /= to[axis];
                    if axis >= pad {
                        let size = from[axis - pad];
                        at += if size == 1 { 0 } else { here } * stride;
                        stride *= size;
                    }
                }
                at
            })
            .collect(),
    )
}

/// The parameters of a `Quant`, one format per element.
#[derive(Clone, Debug)]
pub struct Casts {
    pub formats: Vec<Kif>,
    pub rounding: Rounding,
    pub overflow: Overflow,
}

impl Casts {
    /// Reads a node whose data has `shape` (of one sample, or of the whole constant with
    /// `batched = false`).
    pub fn of(node: &NodeProto, scale: &Constant, zero: &Constant, bits: &Constant, shape: &[usize]) -> Result<Casts, String> {
        let attributes = Attributes::of(node);
        let text = |e: crate::onnx::error::OnnxError| e.to_string();
        let signed = attributes.int("signed", 1).map_err(text)? != 0;
        let narrow = attributes.int("narrow", 0).map_err(text)? != 0;
        let mode = attributes.string("rounding_mode", "ROUND").map_err(text)?;
        // present in the element-wise form only, for which the plug-in has ap_fixed's own modes
        let overflow_mode = attributes.string("overflow_mode", "").map_err(text)?;
        let elementwise = !overflow_mode.is_empty();
        let rounding = match mode.as_str() {
            "ROUND" | "HALF_EVEN" => Rounding::HalfEven,
            "FLOOR" => Rounding::Floor,
            "RND" if elementwise => Rounding::HalfUp,
            "RND_MIN_INF" if elementwise => Rounding::HalfDown,
            other => return Err(format!("rounding mode {other} is not one that hls4ml has; use ROUND or FLOOR")),
        };
        if zero.values.iter().any(|v| v.0 != 0) {
            return Err("the zero point is not 0".into());
        }
        if narrow && !signed {
            return Err("narrow is defined here for signed types only".into());
        }
        let overflow = match overflow_mode.as_str() {
            "" | "SAT" | "SAT_SYM" if narrow => Overflow::SatSym,
            "" | "SAT" | "SAT_SYM" => Overflow::Sat,
            "WRAP" if !narrow => Overflow::Wrap,
            other => return Err(format!("overflow mode {other} (narrow = {narrow}) is not SAT, SAT_SYM or WRAP")),
        };
        let scalar = bits.values.len() == 1 && !elementwise;
        let keep = keep_negative(node, signed && elementwise, bits)?.expand(shape)?;
        let (scale, bits) = (scale.expand(shape)?, bits.expand(shape)?);
        let formats = scale.values.iter().zip(&bits.values).zip(&keep.values).map(|((&(s, f), &(b, bf)), &(keep, _))| {
            if s != 1 {
                return Err("a scale is not a power of two".to_string());
            }
            if bf > 0 || b < 0 {
                return Err("a bit width is not a whole number ≥ 0".to_string());
            }
            let b = raise(b, -bf).filter(|&b| b <= 1024).ok_or("a bit width is above 1024")? as i32;
            if b == 1 && signed && scalar {
                return Err("a signed type of 1 bit is {−1, +1} to qonnx and {−1, 0} to hls4ml; use 2 bits".to_string());
            }
            if b > 63 || f.abs() > 1000 {
                return Err("its type needs more than 63 bits".to_string());
            }
            let k = i32::from(signed && keep == 1 && b > 0);
            Ok(if b == 0 { Kif::ZERO } else { Kif::new(k == 1, b - k - f, f) })
        });
        let formats = formats.collect::<Result<Vec<_>, _>>()?;
        Ok(Casts { formats, rounding, overflow })
    }

    /// The quantised constant.
    pub fn apply(&self, x: &Constant) -> Constant {
        let one = |(&(v, f), &k): (&(i64, i32), &Kif)| (cast(v.into(), f, k, self.rounding, self.overflow) as i64, k.fractional);
        Constant { shape: x.shape.clone(), values: x.values.iter().zip(&self.formats).map(one).collect() }
    }
}

/// Which entries of `bits` are signed: the attribute `keep_negative` where it is `read`, else all.
fn keep_negative(node: &NodeProto, read: bool, bits: &Constant) -> Result<Constant, String> {
    let given = Attributes::of(node).ints("keep_negative").map_err(|e| e.to_string())?.filter(|_| read);
    let values: Vec<(i64, i32)> = match given {
        Some(flags) => flags.iter().map(|&v| (v, 0)).collect(),
        None => vec![(1, 0); bits.values.len()],
    };
    if values.len() != bits.values.len() || values.iter().any(|v| !(0..=1).contains(&v.0)) {
        return Err("keep_negative is not one flag per bit width".into());
    }
    Ok(Constant { shape: bits.shape.clone(), values })
}
