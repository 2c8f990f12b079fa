//! Elements that can only have one value (0 bits, an all-zero weight column, a Relu that never opens) move into the biases of
//! their consumers: `b[j] += W[i][j]·c`, then row `i` is zero.

use crate::proxy::interval::{Span, shl};
use crate::quant::model::enclosed_bits;
use crate::quant::{FixedDense, FixedModel, FixedOp, FixedTensor};

/// A float32 holds this many significant bits.
const FLOAT_BITS: u32 = 24;

/// Folds the constant elements of `spans` (see [`crate::proxy::interval::spans`]) into the dense layers that read them. A
/// layer whose bias would no longer be a float32 keeps its non-zero constants.
pub fn fold(model: &mut FixedModel, spans: &[Vec<Span>]) {
    for node in &mut model.nodes {
        let (FixedOp::Dense(dense), Some(&source)) = (&mut node.op, node.inputs.first()) else { continue };
        let x = &spans[source];
        clear(dense, x, Span::is_zero);
        if let Some(bias) = folded_bias(dense, x) {
            dense.bias = bias;
            clear(dense, x, Span::is_constant);
        }
    }
}

fn clear(dense: &mut FixedDense, x: &[Span], which: impl Fn(&Span) -> bool) {
    for (row, s) in dense.weight.ints.chunks_mut(dense.outputs.max(1)).zip(x) {
        if which(s) {
            row.fill(0);
        }
    }
}

fn folded_bias(dense: &FixedDense, x: &[Span]) -> Option<FixedTensor> {
    let mut sums: Vec<Span> = (0..dense.outputs).map(|j| Span::constant(&dense.bias, j)).collect();
    for (row, s) in dense.weight.ints.chunks(dense.outputs.max(1)).zip(x) {
        if s.is_constant() {
            for (sum, &w) in sums.iter_mut().zip(row) {
                *sum = sum.plus(s.times(w, dense.weight.frac)?)?;
            }
        }
    }
    let frac = sums.iter().filter(|s| !s.is_zero()).map(|s| s.frac).max().unwrap_or(0);
    let ints = sums
        .iter()
        .map(|s| if s.is_zero() { Some(0) } else { i64::try_from(shl(s.lo, frac - s.frac)?).ok() })
        .collect::<Option<Vec<i64>>>()?;
    // the half LSB of the quantizer behind may need one bit more
    ints.iter().all(|&v| enclosed_bits(v) < FLOAT_BITS).then_some(FixedTensor { ints, frac })
}
