//! Element-wise functions as hls4ml computes them (docs/hls4ml-contract.md#functions), written
//! anew: only the values of the tables are those of the rest of the program.

use super::error::{WIDE, fits};
use crate::onnx::attribute::Attributes;
use crate::onnx::proto::NodeProto;
use crate::ops::table::{BELOW_INPUT_FRAC, Below, OUTPUT_FRAC, Table};

/// hls4ml's `λ` of Selu, cut off at `2^-15`.
const LAMBDA: (i64, i32) = (34_429, 15);
/// Significant bits of a parameter that hls4ml keeps, and the finest one that was compiled.
const PARAMETER_BITS: u32 = 8;
const FINEST: i32 = 40;

/// `int·2^-frac`
#[derive(Clone, Copy, Debug, PartialEq)]
struct Parameter {
    int: i64,
    frac: i32,
}

/// A function on integers of a grid that it knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    Relu,
    /// `v << up` from 0 on, `(v·slope) << extra` below.
    Leaky {
        slope: i64,
        up: u32,
    },
    /// `v` above the threshold, in units of its grid.
    Threshold(i64),
    /// `v << up` from 0 on, an entry times `alpha << extra` below.
    Elu {
        alpha: i64,
        up: u32,
        extra: u32,
        frac: i32,
    },
    Selu {
        up: u32,
        extra: u32,
        frac: i32,
    },
    Table {
        table: Table,
        frac: i32,
    },
}

impl Function {
    /// The result for a bound: checked before the shift, whose bits would leave. All of them rise.
    ///
    /// # Errors
    /// A result of more than 63 bits.
    pub fn bound(self, v: i128) -> Result<i128, String> {
        let v = i64::try_from(v).map_err(|_| WIDE.to_string())?;
        let (factor, up) = match self {
            Function::Leaky { slope, up } => (slope, up),
            Function::Elu { up, .. } => (1, up),
            Function::Selu { up, .. } => (LAMBDA.0, up),
            Function::Relu | Function::Threshold(_) | Function::Table { .. } => (1, 0),
        };
        let most = (i128::from(v) * i128::from(factor)) << up.min(63);
        fits(most)?;
        fits(self.apply(v).into())
    }

    /// The result, on the grid that [`of`] says.
    #[inline(always)]
    pub fn apply(self, v: i64) -> i64 {
        match self {
            Function::Relu => v.max(0),
            Function::Leaky { slope, up } => {
                if v < 0 {
                    v * slope
                } else {
                    v << up
                }
            }
            Function::Threshold(least) => {
                if v > least {
                    v
                } else {
                    0
                }
            }
            Function::Elu { alpha, up, extra, frac } => {
                if v < 0 {
                    (Below::Elu.lookup(v, frac) * alpha) << extra
                } else {
                    v << up
                }
            }
            Function::Selu { up, extra, frac } => {
                if v < 0 {
                    Below::Selu.lookup(v, frac) << extra
                } else {
                    (v * LAMBDA.0) << up
                }
            }
            Function::Table { table, frac } => table.lookup(v, frac),
        }
    }
}

/// Whether `op` is such a function.
pub fn is_function(op: &str) -> bool {
    matches!(op, "Relu" | "LeakyRelu" | "ThresholdedRelu" | "Elu" | "Selu") || Table::named(op).is_some()
}

/// The function of a node for inputs on the grid `2^-frac`, and the grid of its result.
pub fn of(node: &NodeProto, frac: i32) -> Result<(Function, i32), String> {
    let limited = |limit: i32| match frac > limit {
        true => Err(format!("its input has {frac} fractional bits; hls4ml's table is exact up to {limit}")),
        false => Ok(()),
    };
    let shift = |by: i32| u32::try_from(by).ok().filter(|&by| by < 62).ok_or_else(|| WIDE.to_string());
    Ok(match node.op_type() {
        "Relu" => (Function::Relu, frac),
        "LeakyRelu" => {
            let slope = parameter(node)?;
            let up = slope.frac.max(0);
            let whole = slope.int << shift(-slope.frac.min(0))?;
            (Function::Leaky { slope: whole, up: shift(up)? }, frac + up)
        }
        "ThresholdedRelu" => {
            let alpha = Attributes::of(node).float("alpha", 1.0).map_err(|e| e.to_string())?;
            // hls4ml's threshold has the type of the input: what is finer is cut off
            let least = (f64::from(alpha) * 2f64.powi(frac)).floor();
            if !(0.0..1e18).contains(&least) {
                return Err(format!("alpha {alpha} is negative, or out of reach"));
            }
            (Function::Threshold(least as i64), frac)
        }
        "Elu" => {
            limited(BELOW_INPUT_FRAC)?;
            let alpha = parameter(node)?;
            let to = frac.max(OUTPUT_FRAC + alpha.frac.max(0));
            let extra = shift(to - OUTPUT_FRAC - alpha.frac)?;
            (Function::Elu { alpha: alpha.int, up: shift(to - frac)?, extra, frac }, to)
        }
        "Selu" => {
            limited(BELOW_INPUT_FRAC)?;
            let to = (frac + LAMBDA.1).max(OUTPUT_FRAC);
            (Function::Selu { up: shift(to - frac - LAMBDA.1)?, extra: shift(to - OUTPUT_FRAC)?, frac }, to)
        }
        op => {
            let table = Table::named(op).ok_or_else(|| format!("`{op}` is not a function"))?;
            limited(table.max_input_frac())?;
            (Function::Table { table, frac }, OUTPUT_FRAC)
        }
    })
}

/// The attribute `alpha`, of which hls4ml keeps all bits.
fn parameter(node: &NodeProto) -> Result<Parameter, String> {
    let alpha = Attributes::of(node).float("alpha", 0.01).map_err(|e| e.to_string())?;
    let (mut int, mut frac) = (f64::from(alpha), 0);
    while int.fract() != 0.0 && frac <= FINEST {
        (int, frac) = (2.0 * int, frac + 1);
    }
    let found = int as i64;
    let bits = 64 - found.leading_zeros() - found.trailing_zeros();
    match int.fract() == 0.0 && (1..1 << 40).contains(&found) && bits <= PARAMETER_BITS {
        true => Ok(Parameter { int: found, frac }),
        false => Err(format!("alpha {alpha} is not positive with at most {PARAMETER_BITS} significant bits")),
    }
}
