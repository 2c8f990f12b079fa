//! Element-wise functions in plain floats: the quantizer after them decides the table that the
//! hardware gets. Function and derivative are those of [`crate::ops::Elementwise`]; here they
//! become loops, one for each, so that the compiler vectorises them.

use super::{chain, chain_both, map};
use crate::ops::{Elementwise, Table};
use crate::simd::Isa;

/// `y = f(x)`
pub fn forward(isa: Isa, f: Elementwise, x: &[f32], y: &mut [f32]) {
    match f {
        Elementwise::Relu => map(isa, x, y, |v| Elementwise::Relu.forward(v)),
        Elementwise::LeakyRelu { slope } => map(isa, x, y, |v| Elementwise::LeakyRelu { slope }.forward(v)),
        Elementwise::ThresholdedRelu { alpha } => map(isa, x, y, |v| Elementwise::ThresholdedRelu { alpha }.forward(v)),
        Elementwise::Elu { alpha } => map(isa, x, y, |v| Elementwise::Elu { alpha }.forward(v)),
        Elementwise::Selu => map(isa, x, y, |v| Elementwise::Selu.forward(v)),
        Elementwise::Table(Table::Sigmoid) => map(isa, x, y, |v| Table::Sigmoid.forward(v)),
        Elementwise::Table(Table::Tanh) => map(isa, x, y, |v| Table::Tanh.forward(v)),
        Elementwise::Table(table) => map(isa, x, y, |v| table.forward(v)),
    }
}

/// `dx = f'(x)·dy`, on top of what is there where `keep` is 1; `y` is the result of the forward
/// pass.
pub fn backward(isa: Isa, f: Elementwise, (x, y): (&[f32], &[f32]), dy: &[f32], dx: &mut [f32], keep: f32) {
    match f {
        Elementwise::Relu => chain(isa, x, dy, dx, keep, |v| Elementwise::Relu.derivative(v, 0.0)),
        Elementwise::LeakyRelu { slope } => chain(isa, x, dy, dx, keep, |v| Elementwise::LeakyRelu { slope }.derivative(v, 0.0)),
        Elementwise::ThresholdedRelu { alpha } => {
            chain(isa, x, dy, dx, keep, |v| Elementwise::ThresholdedRelu { alpha }.derivative(v, 0.0))
        }
        Elementwise::Table(Table::Sigmoid) => chain(isa, y, dy, dx, keep, |y| Table::Sigmoid.derivative(0.0, y)),
        Elementwise::Table(Table::Tanh) => chain(isa, y, dy, dx, keep, |y| Table::Tanh.derivative(0.0, y)),
        f @ (Elementwise::Elu { .. } | Elementwise::Selu | Elementwise::Table(_)) => {
            chain_both(isa, (x, y), dy, dx, keep, |x, y| f.derivative(x, y))
        }
    }
}
