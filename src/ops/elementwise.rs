//! Functions of single elements. Each is what stock hls4ml 1.3.0 computes for it, bit for bit
//! (docs/hls4ml-contract.md#functions).
//!
//! All of them rise, so the bounds of a result are the results of the bounds.

use super::shl;
use super::table::{BELOW_INPUT_FRAC, Below, OUTPUT_FRAC, SELU, Table};

/// Significant bits that hls4ml keeps of a slope or an `alpha`.
const PARAMETER_BITS: i32 = 8;
/// Slopes and `alpha` as far as they were compiled: from 2^-16 to below 2^7.
const PARAMETERS: std::ops::Range<f32> = 1.0 / 65536.0..128.0;
/// Fractional bits of hls4ml's `λ` of Selu, an `ap_ufixed<16,1>`.
const LAMBDA_FRAC: i32 = 15;
/// It, in units of `2^-15`.
const LAMBDA: i128 = 34429;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Elementwise {
    Relu,
    /// `x` from 0 on, `slope·x` below.
    LeakyRelu {
        slope: f32,
    },
    /// `x` above `alpha`, else 0.
    ThresholdedRelu {
        alpha: f32,
    },
    /// `x` from 0 on, `alpha·(e^x − 1)` below.
    Elu {
        alpha: f32,
    },
    /// `λ·x` from 0 on, `λ·α·(e^x − 1)` below.
    Selu,
    Table(Table),
}

impl Elementwise {
    /// The ONNX operator.
    pub fn onnx(self) -> &'static str {
        match self {
            Elementwise::Relu => "Relu",
            Elementwise::LeakyRelu { .. } => "LeakyRelu",
            Elementwise::ThresholdedRelu { .. } => "ThresholdedRelu",
            Elementwise::Elu { .. } => "Elu",
            Elementwise::Selu => "Selu",
            Elementwise::Table(table) => table.onnx(),
        }
    }

    /// ONNX's attribute `alpha`, where the operator has one that may vary.
    pub fn alpha(self) -> Option<f32> {
        match self {
            Elementwise::LeakyRelu { slope: alpha } | Elementwise::ThresholdedRelu { alpha } | Elementwise::Elu { alpha } => {
                Some(alpha)
            }
            Elementwise::Relu | Elementwise::Selu | Elementwise::Table(_) => None,
        }
    }

    /// The function of the source.
    pub fn real(self, x: f64) -> f64 {
        match self {
            Elementwise::Relu => x.max(0.0),
            Elementwise::LeakyRelu { slope } => {
                if x < 0.0 {
                    x * f64::from(slope)
                } else {
                    x
                }
            }
            Elementwise::ThresholdedRelu { alpha } => {
                if x > f64::from(alpha) {
                    x
                } else {
                    0.0
                }
            }
            Elementwise::Elu { alpha } => {
                if x < 0.0 {
                    f64::from(alpha) * Below::Elu.real(x)
                } else {
                    x
                }
            }
            Elementwise::Selu => {
                if x < 0.0 {
                    Below::Selu.real(x)
                } else {
                    SELU.0 * x
                }
            }
            Elementwise::Table(table) => table.real(x),
        }
    }

    /// The same as training computes it.
    #[inline(always)]
    pub fn forward(self, x: f32) -> f32 {
        match self {
            Elementwise::Relu => {
                if x > 0.0 {
                    x
                } else {
                    0.0
                }
            }
            Elementwise::LeakyRelu { slope } => {
                if x > 0.0 {
                    x
                } else {
                    slope * x
                }
            }
            Elementwise::ThresholdedRelu { alpha } => {
                if x > alpha {
                    x
                } else {
                    0.0
                }
            }
            Elementwise::Elu { alpha } => {
                if x > 0.0 {
                    x
                } else {
                    alpha * x.exp_m1()
                }
            }
            Elementwise::Selu => SELU.0 as f32 * if x > 0.0 { x } else { SELU.1 as f32 * x.exp_m1() },
            Elementwise::Table(table) => table.forward(x),
        }
    }

    /// Derivative at `x`, where the function is `y`; from the left where it has two.
    #[inline(always)]
    pub fn derivative(self, x: f32, y: f32) -> f32 {
        match self {
            Elementwise::Relu => {
                if x > 0.0 {
                    1.0
                } else {
                    0.0
                }
            }
            Elementwise::LeakyRelu { slope } => {
                if x > 0.0 {
                    1.0
                } else {
                    slope
                }
            }
            Elementwise::ThresholdedRelu { alpha } => {
                if x > alpha {
                    1.0
                } else {
                    0.0
                }
            }
            Elementwise::Elu { alpha } => {
                if x > 0.0 {
                    1.0
                } else {
                    y + alpha
                }
            }
            Elementwise::Selu => {
                if x > 0.0 {
                    SELU.0 as f32
                } else {
                    y + (SELU.0 * SELU.1) as f32
                }
            }
            Elementwise::Table(table) => table.derivative(x, y),
        }
    }

    /// The function that hls4ml has: its parameter with the bits that are kept of it.
    ///
    /// # Errors
    /// What is wrong with a parameter that hls4ml has no exact function for.
    pub fn in_hls4ml(self) -> Result<Elementwise, String> {
        let kept = |name: &str, v: f32| match PARAMETERS.contains(&v) {
            true => Ok(kept(v)),
            false => Err(format!("{name} {v} is not between 2^-16 and 2^7, where hls4ml is exact")),
        };
        Ok(match self {
            Elementwise::LeakyRelu { slope: 0.0 } => Elementwise::Relu,
            Elementwise::LeakyRelu { slope } => Elementwise::LeakyRelu { slope: kept("slope", slope)? },
            Elementwise::ThresholdedRelu { alpha: 0.0 } => Elementwise::Relu,
            Elementwise::ThresholdedRelu { alpha } => match alpha > 0.0 && alpha.is_finite() {
                true => self,
                false => return Err(format!("alpha {alpha} is negative: the function falls there")),
            },
            Elementwise::Elu { alpha: 0.0 } => Elementwise::Relu,
            Elementwise::Elu { alpha } => Elementwise::Elu { alpha: kept("alpha", alpha)? },
            Elementwise::Relu | Elementwise::Selu | Elementwise::Table(_) => self,
        })
    }

    /// Fractional bits of the result for an input with `frac`.
    pub fn output_frac(self, frac: i32) -> i32 {
        match self {
            Elementwise::Relu | Elementwise::ThresholdedRelu { .. } => frac,
            Elementwise::LeakyRelu { slope } => frac + integer(slope).1.max(0),
            Elementwise::Elu { alpha } => frac.max(OUTPUT_FRAC + integer(alpha).1.max(0)),
            Elementwise::Selu => (frac + LAMBDA_FRAC).max(OUTPUT_FRAC),
            Elementwise::Table(_) => OUTPUT_FRAC,
        }
    }

    /// hls4ml's result for `v·2^-frac`, in units of 2 to minus [`Self::output_frac`]; `None` where
    /// it needs more than 126 bits. The parameter is that of [`Self::in_hls4ml`].
    #[inline(always)]
    pub fn exact(self, v: i128, frac: i32) -> Option<i128> {
        let to = self.output_frac(frac);
        let narrow = || v.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        match self {
            Elementwise::Relu => Some(v.max(0)),
            Elementwise::LeakyRelu { slope } if v < 0 => times(v, frac, slope, to),
            Elementwise::ThresholdedRelu { alpha } if !is_above(v, frac, alpha) => Some(0),
            Elementwise::ThresholdedRelu { .. } => Some(v),
            Elementwise::Elu { alpha } if v < 0 => times(Below::Elu.lookup(narrow(), frac).into(), OUTPUT_FRAC, alpha, to),
            Elementwise::Selu if v < 0 => shl(Below::Selu.lookup(narrow(), frac).into(), to - OUTPUT_FRAC),
            Elementwise::Selu => shl(v.checked_mul(LAMBDA)?, to - frac - LAMBDA_FRAC),
            Elementwise::LeakyRelu { .. } | Elementwise::Elu { .. } => shl(v, to - frac),
            Elementwise::Table(table) => Some(table.lookup(narrow(), frac).into()),
        }
    }

    /// [`Self::exact`] in floats, for `x` on a grid of at most [`Self::max_input_frac`] bits; exact
    /// while the result fits the mantissa.
    #[inline(always)]
    pub fn exact_real(self, x: f64) -> f64 {
        const UNIT: f64 = 1.0 / (1 << OUTPUT_FRAC) as f64;
        let below = |table: Below| table.lookup((x * 128.0) as i64, BELOW_INPUT_FRAC) as f64 * UNIT;
        match self {
            // nothing is cut off there
            Elementwise::Relu | Elementwise::LeakyRelu { .. } | Elementwise::ThresholdedRelu { .. } => self.real(x),
            Elementwise::Elu { alpha } => {
                if x < 0.0 {
                    below(Below::Elu) * f64::from(alpha)
                } else {
                    x
                }
            }
            Elementwise::Selu => {
                if x < 0.0 {
                    below(Below::Selu)
                } else {
                    x * (LAMBDA as f64 / (1i64 << LAMBDA_FRAC) as f64)
                }
            }
            Elementwise::Table(table) => {
                let limit = table.max_input_frac();
                table.lookup((x * (1i64 << limit) as f64) as i64, limit) as f64 * UNIT
            }
        }
    }

    /// Finest input grid, if there is a limit.
    pub fn max_input_frac(self) -> Option<i32> {
        match self {
            Elementwise::Relu | Elementwise::LeakyRelu { .. } | Elementwise::ThresholdedRelu { .. } => None,
            Elementwise::Elu { .. } | Elementwise::Selu => Some(BELOW_INPUT_FRAC),
            Elementwise::Table(table) => Some(table.max_input_frac()),
        }
    }

    /// The result holds no more than the bits of a table: finer steps of it are none.
    pub fn is_table(self) -> bool {
        matches!(self, Elementwise::Table(_))
    }

    /// What hls4ml computes is not the ONNX operator's result, cut off once: another executor of
    /// the file gives other numbers.
    pub fn is_approximated(self) -> bool {
        match self {
            Elementwise::Relu | Elementwise::LeakyRelu { .. } | Elementwise::ThresholdedRelu { .. } | Elementwise::Table(_) => {
                false
            }
            Elementwise::Elu { .. } | Elementwise::Selu => true,
        }
    }

    /// Its input is a quantized tensor: hls4ml takes the grid of the function, or the type of its
    /// threshold, from that.
    pub fn reads_quantized(self) -> bool {
        match self {
            Elementwise::Relu | Elementwise::LeakyRelu { .. } => false,
            Elementwise::ThresholdedRelu { .. } | Elementwise::Elu { .. } | Elementwise::Selu | Elementwise::Table(_) => true,
        }
    }

    /// No result is below 0.
    pub fn is_never_negative(self) -> bool {
        match self {
            Elementwise::Relu | Elementwise::ThresholdedRelu { .. } => true,
            Elementwise::LeakyRelu { .. } | Elementwise::Elu { .. } | Elementwise::Selu => false,
            Elementwise::Table(table) => table.limits().0 >= 0.0,
        }
    }

    /// Its result has the widths of its argument (docs/hgq-spec.md#a2-3): quantizers are looked for
    /// through it.
    pub fn keeps_widths(self) -> bool {
        match self {
            Elementwise::Relu | Elementwise::LeakyRelu { .. } => true,
            Elementwise::ThresholdedRelu { .. } | Elementwise::Elu { .. } | Elementwise::Selu | Elementwise::Table(_) => false,
        }
    }

    /// `f(2^k·x) = 2^k·f(x)`: the scale of its input may be any.
    pub fn is_homogeneous(self) -> bool {
        match self {
            Elementwise::Relu | Elementwise::LeakyRelu { .. } => true,
            Elementwise::ThresholdedRelu { .. } | Elementwise::Elu { .. } | Elementwise::Selu | Elementwise::Table(_) => false,
        }
    }

    /// Smallest and largest result of the source's function.
    pub fn limits(self) -> (f64, f64) {
        match self {
            Elementwise::Relu | Elementwise::ThresholdedRelu { .. } => (0.0, f64::INFINITY),
            Elementwise::LeakyRelu { .. } => (f64::NEG_INFINITY, f64::INFINITY),
            Elementwise::Elu { alpha } => (-f64::from(alpha), f64::INFINITY),
            Elementwise::Selu => (-SELU.0 * SELU.1, f64::INFINITY),
            Elementwise::Table(table) => table.limits(),
        }
    }

    /// Bounds of the results of arguments from `lo` to `hi`, which may be infinite.
    pub fn bounds(self, (lo, hi): (f64, f64)) -> (f64, f64) {
        let (least, most) = self.limits();
        let at = |x: f64, limit: f64| if x.is_finite() { self.real(x) } else { limit };
        (at(lo, least), at(hi, most))
    }

    /// Its product with a parameter is a type of few integer bits in hls4ml; rounding that half to
    /// even to a coarse step reads a bit that is not there and aborts. So it gets all its bits
    /// first.
    pub fn rounds_exact_first(self) -> bool {
        match self {
            Elementwise::Relu | Elementwise::Table(_) => false,
            Elementwise::LeakyRelu { .. } | Elementwise::ThresholdedRelu { .. } | Elementwise::Elu { .. } | Elementwise::Selu => {
                true
            }
        }
    }

    /// The constant that one side of the argument is multiplied with, as an integer on a grid of
    /// its own.
    pub fn slope(self) -> Option<i64> {
        match self {
            Elementwise::LeakyRelu { slope } => i64::try_from(integer(slope).0).ok(),
            Elementwise::Selu => i64::try_from(LAMBDA).ok(),
            Elementwise::Relu | Elementwise::ThresholdedRelu { .. } | Elementwise::Elu { .. } | Elementwise::Table(_) => None,
        }
    }

    /// It commutes with every rounding, so that a rounding offset may be added in front of it.
    pub fn commutes_with_rounding(self) -> bool {
        self == Elementwise::Relu
    }
}

/// `v·2^-frac > alpha`, exactly.
fn is_above(v: i128, frac: i32, alpha: f32) -> bool {
    let (int, fine) = integer(alpha);
    let common = frac.max(fine);
    match (shl(v, common - frac), shl(int, common - fine)) {
        (Some(v), Some(alpha)) => v > alpha,
        // what does not fit is far away
        (None, _) => v > 0,
        (Some(_), None) => false,
    }
}

/// `v·2^-frac` times a parameter, in units of `2^-to`.
fn times(v: i128, frac: i32, parameter: f32, to: i32) -> Option<i128> {
    let (int, fine) = integer(parameter);
    shl(v.checked_mul(int)?, to - frac - fine)
}

/// A number as `int·2^-frac` with an odd `int`.
fn integer(v: f32) -> (i128, i32) {
    if v == 0.0 || !v.is_finite() {
        return (0, 0);
    }
    let bits = v.to_bits();
    let (exponent, fraction) = ((bits >> 23 & 0xff) as i32, i128::from(bits & 0x7f_ffff));
    let (int, frac) = if exponent == 0 { (fraction, 149) } else { (fraction | 0x80_0000, 150 - exponent) };
    let zeros = int.trailing_zeros() as i32;
    let int = int >> zeros;
    (if v < 0.0 { -int } else { int }, frac - zeros)
}

/// The bits that hls4ml keeps of a parameter: the first eight, the others are cut off.
fn kept(v: f32) -> f32 {
    let (int, frac) = integer(v);
    let bits = 128 - int.unsigned_abs().leading_zeros() as i32;
    let drop = (bits - PARAMETER_BITS).max(0);
    ((int >> drop) as f64 * 2f64.powi(drop - frac)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Elementwise> {
        let tables = Table::ALL.map(Elementwise::Table);
        let others = [
            Elementwise::Relu,
            Elementwise::LeakyRelu { slope: 0.1 },
            Elementwise::LeakyRelu { slope: 2.5 },
            Elementwise::LeakyRelu { slope: 1.0 / 65536.0 },
            Elementwise::ThresholdedRelu { alpha: 0.7 },
            Elementwise::Elu { alpha: 1.0 },
            Elementwise::Elu { alpha: 0.3 },
            Elementwise::Selu,
        ];
        others.into_iter().chain(tables).map(|f| f.in_hls4ml().unwrap()).collect()
    }

    #[test]
    fn integers_and_floats_agree_rise_and_follow_the_function() {
        for f in all() {
            let frac = f.max_input_frac().unwrap_or(8);
            let unit = |frac: i32| 2f64.powi(-frac);
            let mut before = i128::MIN;
            for v in -2000i128..2000 {
                let x = v as f64 * unit(frac);
                let exact = f.exact(v, frac).unwrap();
                assert_eq!(exact as f64 * unit(f.output_frac(frac)), f.exact_real(x), "{f:?} {x}");
                assert!(exact >= before && (exact >= 0 || !f.is_never_negative()), "{f:?} {x}");
                before = exact;
                // an entry is cut off, and ends at ±8
                let off = f.exact_real(x) - f.real(x);
                assert!(off.abs() < 2e-3 * x.abs().max(1.0) || x.abs() > 7.9, "{f:?} {x} {off}");
                let (lo, hi) = f.limits();
                assert!((lo..=hi).contains(&f.real(x)) && f.bounds((x, f64::INFINITY)) == (f.real(x), hi));
                assert!((f64::from(f.forward(x as f32)) - f.real(x)).abs() < 1e-5, "{f:?} {x}");
            }
        }
    }

    #[test]
    fn derivatives_are_those_of_the_functions() {
        for f in all() {
            for x in [-3.3f64, -1.1, -0.4, 0.3, 0.9, 2.2] {
                // smooth there, unlike what hardware makes of it
                let slope = (f.real(x + 1e-6) - f.real(x - 1e-6)) / 2e-6;
                let found = f64::from(f.derivative(x as f32, f.real(x) as f32));
                assert!((slope - found).abs() < 1e-4, "{f:?} {x}: {found} for {slope}");
            }
        }
    }

    #[test]
    fn parameters_keep_eight_bits() {
        assert_eq!(Elementwise::LeakyRelu { slope: 0.2 }.in_hls4ml(), Ok(Elementwise::LeakyRelu { slope: 204.0 / 1024.0 }));
        assert_eq!(Elementwise::Elu { alpha: 1.6732632 }.in_hls4ml(), Ok(Elementwise::Elu { alpha: 214.0 / 128.0 }));
        assert_eq!(Elementwise::LeakyRelu { slope: 0.0 }.in_hls4ml(), Ok(Elementwise::Relu));
        for refused in [-0.1, 1e-6, 200.0, f32::NAN] {
            assert!(Elementwise::LeakyRelu { slope: refused }.in_hls4ml().is_err(), "{refused}");
        }
        assert!(Elementwise::ThresholdedRelu { alpha: -1.0 }.in_hls4ml().is_err());
        assert_eq!((integer(0.75), integer(-6.0), integer(0.0)), ((3, 2), (-3, -1), (0, 0)));
        assert!(is_above(3, 2, 0.7) && !is_above(3, 2, 0.75) && !is_above(2, 2, 0.7) && is_above(1, 0, 0.999));
    }
}
