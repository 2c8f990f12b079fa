//! QONNX `Quant` / `IntQuant` attributes as they stand in a file, expanded to the tensor they
//! annotate.

/// `rounding_mode` of the QONNX definition (`qonnx.custom_op.general.Quant`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundingMode {
    /// `ROUND` and `HALF_EVEN`: nearest, ties to even.
    HalfEven,
    /// Nearest, ties away from zero.
    HalfUp,
    /// Nearest, ties toward zero.
    HalfDown,
    Ceil,
    Floor,
    /// Away from zero.
    Up,
    /// Toward zero.
    Down,
}

/// One `Quant` node: `y = (round(clip(x/scale + zero_point)) − zero_point)·scale`, everything
/// expanded to the annotated tensor in its row-major order (after every rewrite of that tensor).
#[derive(Clone, Debug, PartialEq)]
pub struct QuantSpec {
    /// Name of the node in the file, for messages.
    pub node: String,
    pub scale: Vec<f64>,
    pub zero_point: Vec<f64>,
    pub bits: Vec<f64>,
    /// True when the file gave one bit width per element and not a scalar: then a signed width of 1
    /// is the two's complement {−1, 0} (how HGQ2 nets write "no bits"), not QONNX's bipolar {−1,
    /// +1}.
    pub bits_per_element: bool,
    pub signed: bool,
    pub narrow: bool,
    pub rounding: RoundingMode,
    /// `BipolarQuant`: `+scale` where `x ≥ 0`, else `−scale`; `bits` is 1 and the other fields do
    /// not matter. Only on constants; on activations it is a [`crate::graph::Op::Sign`] and an
    /// affine.
    pub bipolar: bool,
}

impl RoundingMode {
    /// Rounds to an integer.
    pub fn apply(self, v: f64) -> f64 {
        match self {
            RoundingMode::HalfEven => v.round_ties_even(),
            RoundingMode::HalfUp => (v.abs() + 0.5).floor().copysign(v),
            RoundingMode::HalfDown => (v.abs() - 0.5).ceil().copysign(v),
            RoundingMode::Ceil => v.ceil(),
            RoundingMode::Floor => v.floor(),
            RoundingMode::Up => v.abs().ceil().copysign(v),
            RoundingMode::Down => v.trunc(),
        }
    }
}

impl QuantSpec {
    /// Smallest and largest integer of element `e` (QONNX `min_int`, `max_int`).
    pub fn int_range(&self, e: usize) -> (f64, f64) {
        if self.bipolar {
            return (-1.0, 1.0);
        }
        let b = self.bits[e];
        match (self.signed, self.narrow) {
            (true, false) => (-(b - 1.0).exp2(), (b - 1.0).exp2() - 1.0),
            (true, true) => (-(b - 1.0).exp2() + 1.0, (b - 1.0).exp2() - 1.0),
            (false, false) => (0.0, b.exp2() - 1.0),
            (false, true) => (0.0, b.exp2() - 2.0),
        }
    }

    /// The annotation of a tensor whose element `e` is element `source[e]` of this one.
    pub fn gather(&self, source: &[usize]) -> QuantSpec {
        let pick = |values: &[f64]| source.iter().map(|&s| values[s]).collect();
        QuantSpec {
            scale: pick(&self.scale),
            zero_point: pick(&self.zero_point),
            bits: pick(&self.bits),
            node: self.node.clone(),
            ..*self
        }
    }

    /// The quantized value of element `e`, in f64.
    pub fn apply(&self, e: usize, x: f64) -> f64 {
        if self.bipolar {
            return if x >= 0.0 { self.scale[e] } else { -self.scale[e] };
        }
        let (lo, hi) = self.int_range(e);
        let v = (x / self.scale[e] + self.zero_point[e]).clamp(lo, hi);
        (self.rounding.apply(v) - self.zero_point[e]) * self.scale[e]
    }
}
