//! Functions of single elements.

use super::super::context::{Context, NodeView};
use super::super::fault::Fault;
use super::super::item::{Constant, Item};
use super::computed;
use crate::onnx::Values;
use crate::ops::Table;

/// The function on floats.
fn function(op: &str) -> Option<fn(f64) -> f64> {
    Some(match op {
        "Abs" => f64::abs,
        "Ceil" => f64::ceil,
        "Floor" => f64::floor,
        "Round" => f64::round_ties_even,
        "Sqrt" => f64::sqrt,
        "Exp" => f64::exp,
        "Log" => f64::ln,
        "Reciprocal" => |x| 1.0 / x,
        "Neg" => |x| -x,
        "Sign" => |x| if x == 0.0 { 0.0 } else { x.signum() },
        "Sin" => f64::sin,
        "Cos" => f64::cos,
        "Tan" => f64::tan,
        "Atan" => f64::atan,
        "Erf" => erf,
        "Relu" => |x| x.max(0.0),
        "Sigmoid" => |x| Table::Sigmoid.real(x),
        "Tanh" => f64::tanh,
        "Softplus" => |x| Table::Softplus.real(x),
        _ => return None,
    })
}

pub fn is(op: &str) -> bool {
    op == "Not" || function(op).is_some()
}

pub fn apply<'m>(context: &mut Context<'m>, node: &NodeView<'m>, op: &str, x: &Constant) -> Result<Item, Fault> {
    context.spend(x.tensor.len())?;
    let tensor = x.resolved();
    let fault = || Fault::new(format!("it is not supported on constants of type {}", tensor.data_type.as_str_name()));
    let values = match (&tensor.values, function(op)) {
        (Values::F32(v), Some(f)) => Values::F32(v.iter().map(|&x| f(x.into()) as f32).collect()),
        (Values::F64(v), Some(f)) => Values::F64(v.iter().map(|&x| f(x)).collect()),
        (Values::I64(v), Some(_)) => {
            let exact = |&x: &i64| match op {
                "Abs" => x.checked_abs(),
                "Neg" => x.checked_neg(),
                "Sign" => Some(x.signum()),
                "Relu" => Some(x.max(0)),
                _ => None,
            };
            Values::I64(v.iter().map(exact).collect::<Option<_>>().ok_or_else(fault)?)
        }
        (Values::Bool(v), None) => Values::Bool(v.iter().map(|x| !x).collect()),
        _ => return Err(fault()),
    };
    Ok(computed(node, tensor.shape.clone(), values, &tensor))
}

/// The error function: its series near 0, the continued fraction of its complement elsewhere.
fn erf(x: f64) -> f64 {
    const SERIES: f64 = 2.5;
    let (a, two_over_root_pi) = (x.abs(), std::f64::consts::FRAC_2_SQRT_PI);
    if a < SERIES {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term.abs() > 1e-18 {
            n += 1.0;
            term *= -a * a / n;
            sum += term / (2.0 * n + 1.0);
        }
        return x.signum() * two_over_root_pi * sum;
    }
    if a > 6.0 {
        return x.signum();
    }
    let fraction = (1..80).rev().fold(0.0, |rest, k| f64::from(k) / 2.0 / (a + rest));
    x.signum() * (1.0 - (-a * a).exp() * two_over_root_pi / 2.0 / (a + fraction))
}

#[cfg(test)]
mod tests {
    use super::erf;

    #[test]
    fn the_error_function() {
        for (x, y) in [(0.5, 0.520_499_877_813_046_5), (1.0, 0.842_700_792_949_714_9), (3.0, 0.999_977_909_503_001_4)] {
            assert!((erf(x) - y).abs() < 1e-14 && (erf(-x) + y).abs() < 1e-14, "{x}");
        }
        assert_eq!(erf(0.0), 0.0);
    }
}
