//! Averages and two-valued activations: what has constants of its own but no annotation.

use super::Builder;
use crate::diagnostic::Code;
use crate::graph::{Node, Op, ValueId, Window};
use crate::quant::kif::{Kif, exp2i, floor_log2};
use crate::quant::model::{AveragePool, FixedAffine, FixedTensor, Quantizer};

/// Significant bits of a reciprocal that is not a power of two: an error of 1/2048, far below the
/// step after a mean.
const RECIPROCAL_BITS: i32 = 10;

impl Builder<'_> {
    pub(super) fn average_pool(&mut self, node: &Node<Op>, window: &Window, divisor: usize) -> AveragePool {
        let exact = 1.0 / divisor.max(1) as f64;
        let reciprocal = if divisor.is_power_of_two() {
            exact
        } else {
            let f = RECIPROCAL_BITS - 1 - floor_log2(exact);
            let rounded = (exact * exp2i(f)).round() * exp2i(-f);
            self.note(Code::Reciprocal, node, format!("the mean of {divisor} values is computed with 1/{divisor} ≈ {rounded}"));
            rounded
        };
        let reciprocal = FixedTensor::from_f64(&[reciprocal]).unwrap_or(FixedTensor { ints: vec![0], frac: 0 });
        AveragePool { window: window.clone(), reciprocal }
    }

    /// The format of what an affine makes of −1 and 0, as a quantizer that changes nothing and is
    /// not trained. `None` where the two values need more bits than such a format should have.
    pub(super) fn two_valued(&self, value: ValueId, affine: &FixedAffine, after: &str) -> Option<Quantizer> {
        let len = self.graph.len_of(value);
        let mut formats = Vec::with_capacity(len);
        for e in 0..len {
            let (high, low) = (affine.shift.value(e), affine.shift.value(e) - affine.scale.value(e));
            let grid = FixedTensor::from_f64(&[low, high])?;
            let ends = (grid.ints[0].min(grid.ints[1]), grid.ints[0].max(grid.ints[1]));
            formats.push(Kif::covering(ends.0.into(), ends.1.into(), grid.frac));
        }
        Some(self.with_formats(value, &formats, false, after))
    }
}
