//! The model with quantizers: what is trained. Latent float weights, latent float bit widths.

use super::groups::Groups;
use super::kif::Kif;
use super::rounding::{Overflow, Rounding};
use crate::graph::{Dag, Window};
use crate::ops::{Elementwise, Merge, Move};

/// A graph whose weights, biases and activations carry quantizers.
pub type Model = Dag<QOp>;

/// An operation of the trainable model.
#[derive(Clone, Debug, PartialEq)]
pub enum QOp {
    Quantizer(Quantizer),
    Dense(QDense),
    /// The same with HGQ2's quantizers on weights and bias.
    SaturatingDense(Box<SaturatingDense>),
    /// Fixed element-wise scale and shift on exact constants; not trained.
    Affine(FixedAffine),
    /// One that [`Elementwise::in_hls4ml`] gives.
    Elementwise(Elementwise),
    /// `−1` where `x < 0`, else `0`; straight-through gradient `½` for `|x| ≤ 1` (an affine of 2
    /// after it makes it the sign).
    Sign,
    MaxPool(Window),
    AveragePool(AveragePool),
    Merge(Merge),
    Move(Move),
}

/// A quantizer on an activation (or on the model input).
#[derive(Clone, Debug, PartialEq)]
pub struct Quantizer {
    pub groups: Groups,
    /// Fractional bits per group, latent: used as `rhe(f)`, docs/hgq-spec.md#a1-2. The bits `b` of
    /// [`Range::SaturatingKbi`].
    pub f: Vec<f32>,
    pub range: Range,
    pub rounding: Rounding,
    /// Upper bound of `f`: 23 in general (docs/hgq-spec.md#a1-1), less where the hardware sets a
    /// limit (input port, tables).
    pub max_f: f32,
    pub trainable: bool,
    /// True when the widths come from an annotation in the file and were not trained since.
    pub annotated: bool,
}

/// Where the integer bits come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Range {
    /// HGQ v1: unlimited in training, from traced minimum and maximum afterwards
    /// (docs/hgq-spec.md#a1-2, #a2-2, #a4).
    Traced,
    /// HGQ2 SAT / SAT_SYM: clips at trainable integer bits (docs/hgq-spec.md#b1-1). One entry per
    /// group.
    Saturating { keep_negative: Vec<bool>, i: Vec<f32>, symmetric: bool },
    /// Clips at integer bits that were declared: neither trained nor lowered to what the data
    /// reach. One entry per group.
    Declared { keep_negative: Vec<bool>, i: Vec<f32> },
    /// [`Range::Saturating`] in HGQ2's other parametrisation: `b` bits without the sign and `i` are
    /// trained, `f = b − i` (docs/hgq-spec.md#b1-1).
    SaturatingKbi { keep_negative: Vec<bool>, i: Vec<f32>, symmetric: bool },
    /// HGQ2 WRAP: unlimited in training, where `i` follows the largest magnitude of each batch and
    /// decays (docs/hgq-spec.md#b1-2); traced afterwards. One entry per group.
    Tracked { i: Vec<f32> },
}

/// Mean under a window: `y = reciprocal·Σ x`, one group per channel, padding counts as zeros. The
/// reciprocal is exact where the divisor is a power of two, else on a fixed-point grid, for
/// training and hardware alike.
#[derive(Clone, Debug, PartialEq)]
pub struct AveragePool {
    pub window: Window,
    /// One element.
    pub reciprocal: FixedTensor,
}

/// A dense layer with quantized weights, row-major `[inputs][outputs]`; weights round half up. For
/// `window` see [`crate::graph::Dense`].
#[derive(Clone, Debug, PartialEq)]
pub struct QDense {
    pub inputs: usize,
    pub outputs: usize,
    /// Latent weights.
    pub weight: Vec<f32>,
    pub weight_groups: Groups,
    /// Fractional bits per weight group, latent.
    pub weight_f: Vec<f32>,
    /// Latent bias, length `outputs`.
    pub bias: Vec<f32>,
    pub bias_bits: BiasBits,
    pub window: Option<Window>,
    /// Share of the positions of a window that the hardware computes in parallel
    /// (`parallel_factor / positions`, docs/hgq-spec.md#a2-3): EBOPs are multiplied by it. 1: all
    /// of them.
    pub ebops_scale: f64,
    /// The formats the file declared, per element; dropped as soon as the layer is trained. Only
    /// for `ebops_hgq2`.
    pub declared: Option<Declared>,
    pub trainable: bool,
}

/// Where a bias gets its fractional bits from.
#[derive(Clone, Debug, PartialEq)]
pub enum BiasBits {
    /// From the quantizer after the layer, maximum over all axes but the channel
    /// (docs/hgq-spec.md#a1-4).
    Activation,
    /// Its own fixed grid, fractional bits per output.
    Own(Vec<i32>),
}

/// Declared formats of a layer's weights and bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    pub weight: Vec<Kif>,
    pub bias: Vec<Kif>,
}

/// The exact model: what the proxy computes, integer by integer.
pub type FixedModel = Dag<FixedOp>;

/// An operation of the exact model.
#[derive(Clone, Debug, PartialEq)]
pub enum FixedOp {
    Quantize(FixedQuantizer),
    Dense(FixedDense),
    Affine(FixedAffine),
    Elementwise(Elementwise),
    MaxPool(Window),
    AveragePool(AveragePool),
    Merge(Merge),
    Move(Move),
}

/// A fixed-point cast, one format per element.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedQuantizer {
    pub formats: Vec<Kif>,
    pub rounding: Rounding,
    pub overflow: Overflow,
    /// Subtracted from the elements of a model input before they are cast; nothing but a model
    /// input has one.
    pub offset: Option<FixedTensor>,
}

impl FixedQuantizer {
    /// A cast alone.
    pub fn new(formats: Vec<Kif>, rounding: Rounding, overflow: Overflow) -> Self {
        FixedQuantizer { formats, rounding, overflow, offset: None }
    }
}

/// Constants on a common grid: `value = ints·2^-frac`.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedTensor {
    pub ints: Vec<i64>,
    pub frac: i32,
}

/// A dense layer with exact weights, row-major `[inputs][outputs]`. For `window` see
/// [`crate::graph::Dense`].
#[derive(Clone, Debug, PartialEq)]
pub struct FixedDense {
    pub inputs: usize,
    pub outputs: usize,
    pub weight: FixedTensor,
    pub bias: FixedTensor,
    /// Width of each weight as HGQ2 counts it (`i + f` of its format, no sign),
    /// `[inputs][outputs]`; docs/hgq-spec.md#b2.
    pub weight_bits: Vec<u16>,
    /// The same for the bias.
    pub bias_bits: Vec<u16>,
    pub window: Option<Window>,
    /// Share of the positions that multiply at a time: `parallel_factor / positions`
    /// (docs/hgq-spec.md#a2-3), 1 for all.
    pub ebops_scale: f64,
}

/// Element-wise `y = x·scale + shift` on exact constants, both as long as the sample.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedAffine {
    pub scale: FixedTensor,
    pub shift: FixedTensor,
}

impl FixedTensor {
    /// The tensor of f64 values that are all multiples of `2^-frac`, on the coarsest grid that
    /// holds them. `None` when a value is not finite or does not fit i64 on the common grid.
    pub fn from_f64(values: &[f64]) -> Option<FixedTensor> {
        let mut frac = i32::MIN;
        for &v in values {
            if !v.is_finite() {
                return None;
            }
            if v != 0.0 {
                frac = frac.max(fractional_bits(v));
            }
        }
        if frac == i32::MIN {
            return Some(FixedTensor { ints: vec![0; values.len()], frac: 0 });
        }
        let mut ints = Vec::with_capacity(values.len());
        for &v in values {
            let scaled = v * 2f64.powi(frac);
            if scaled.abs() >= 2f64.powi(62) {
                return None;
            }
            ints.push(scaled as i64);
        }
        Some(FixedTensor { ints, frac })
    }

    /// Element `e` as f64 (exact while it has at most 53 significant bits).
    pub fn value(&self, e: usize) -> f64 {
        self.ints[e] as f64 * 2f64.powi(-self.frac)
    }
}

/// The least `f` such that `v·2^f` is an integer; `v` finite and not 0. May be negative.
pub fn fractional_bits(v: f64) -> i32 {
    let bits = v.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    let mantissa = bits & ((1 << 52) - 1);
    let (mantissa, exponent) = if exponent == 0 { (mantissa, -1074) } else { (mantissa | 1 << 52, exponent - 1075) };
    -(exponent + mantissa.trailing_zeros() as i32)
}

/// Rounds half up to the grid `2^-f`.
pub fn round_half_up(v: f64, f: i32) -> f64 {
    Rounding::HalfUp.apply(v * 2f64.powi(f)) * 2f64.powi(-f)
}

/// Bits between the most and the least significant one of `|v|`, inclusive; 0 for 0
/// (docs/hgq-spec.md#a2-2).
pub fn enclosed_bits(v: i64) -> u32 {
    let v = v.unsigned_abs();
    if v == 0 { 0 } else { 64 - v.leading_zeros() - v.trailing_zeros() }
}

/// The operator's name for people.
pub fn kind(op: &FixedOp) -> &'static str {
    match op {
        FixedOp::Quantize(_) => "Quant",
        FixedOp::Dense(d) => match &d.window {
            None => "Dense",
            Some(_) => "Conv",
        },
        FixedOp::Affine(_) => "Affine",
        FixedOp::Elementwise(f) => f.onnx(),
        FixedOp::MaxPool(_) => "MaxPool",
        FixedOp::AveragePool(_) => "AveragePool",
        FixedOp::Merge(m) => m.onnx(),
        FixedOp::Move(m) => m.onnx(),
    }
}

/// A layer with HGQ2 quantizers on its weights and its bias: they clip at trainable integer bits.
#[derive(Clone, Debug, PartialEq)]
pub struct SaturatingDense {
    /// Its `weight_f` is empty and its `bias_bits` are an empty list of own ones:
    /// [`SaturatingDense::weight`] and [`SaturatingDense::bias`] take their place. Its
    /// `weight_groups` are those of the weight quantizer.
    pub layer: QDense,
    /// On the weights, row-major `[inputs][outputs]`; its range saturates.
    pub weight: Quantizer,
    /// On the bias, one element per output; its range saturates.
    pub bias: Quantizer,
}

impl AveragePool {
    /// The same function as a convolution whose weights are all the reciprocal.
    pub fn as_dense(&self) -> FixedDense {
        let (taps, channels) = (self.window.taps(), self.window.input[2]);
        let reciprocal = self.reciprocal.ints.first().copied().unwrap_or(0);
        FixedDense {
            inputs: taps,
            outputs: channels,
            weight: FixedTensor { ints: vec![reciprocal; taps * channels], frac: self.reciprocal.frac },
            bias: FixedTensor { ints: vec![0; channels], frac: 0 },
            weight_bits: vec![0; taps * channels],
            bias_bits: vec![0; channels],
            ebops_scale: 1.0,
            window: Some(crate::graph::Window { groups: channels, ..self.window.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enclosed_bits_of_the_specification() {
        // 0.3125 = 0.0101b → 3; 6.5 = 110.1b → 4; a power of two → 1
        assert_eq!((enclosed_bits(5), enclosed_bits(13), enclosed_bits(-64), enclosed_bits(0)), (3, 4, 1, 0));
    }

    #[test]
    fn common_grid_is_the_coarsest() {
        let t = FixedTensor::from_f64(&[0.5, -3.0, 0.0]).unwrap();
        assert_eq!((t.frac, t.ints), (1, vec![1, -6, 0]));
        let t = FixedTensor::from_f64(&[8.0, 16.0]).unwrap();
        assert_eq!((t.frac, t.ints), (-3, vec![1, 2]));
        assert!(FixedTensor::from_f64(&[f64::NAN]).is_none());
        assert!(FixedTensor::from_f64(&[1e30, 1e-30]).is_none());
    }
}
