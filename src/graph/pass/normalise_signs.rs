//! A scale and shift that only a sign reads: `sign(x·s + t) = sign(±x + t/|s|)`, with the shift
//! floored to a grid, which moves no threshold while `x` is on that grid. Without it the fine
//! constants of a BatchNormalization would stay in front of the sign.

use super::Links;
use crate::graph::{Affine, Graph, Op};

/// Fractional bits of the shift: finer than the sums of any binary network.
const SHIFT_F: i32 = 12;
/// Most fractional bits of the shift: where all thresholds are small, so is what is compared with
/// them.
const MAX_SHIFT_F: i32 = 30;

pub fn run(graph: &mut Graph) -> bool {
    let links = Links::of(graph);
    let mut changed = false;
    for index in 0..graph.nodes.len() {
        let reader = links.only_consumer(graph.nodes[index].output);
        if !reader.is_some_and(|r| graph.nodes[r].op == Op::Sign) {
            continue;
        }
        let Op::Affine(affine) = &mut graph.nodes[index].op else { continue };
        let unit = 2f64.powi(fraction(affine));
        for (scale, shift) in affine.scale.iter_mut().zip(&mut affine.shift) {
            let (s, t) = match *scale {
                // a constant: its sign is all that counts
                0.0 => (0.0, if *shift < 0.0 { -1.0 } else { 0.0 }),
                s => (s.signum(), (*shift / s.abs() * unit).floor() / unit),
            };
            if t.is_finite() && (s, t) != (*scale, *shift) {
                (*scale, *shift) = (s, t);
                changed = true;
            }
        }
    }
    changed
}

/// Fractional bits of the shift: [`SHIFT_F`] more than the largest threshold has in front, at least
/// [`SHIFT_F`].
fn fraction(affine: &Affine) -> i32 {
    let thresholds = affine.scale.iter().zip(&affine.shift).filter(|(s, _)| **s != 0.0).map(|(s, t)| (t / s).abs());
    let largest = thresholds.fold(0.0, f64::max);
    // upwards, so that the floored shifts give the same again
    let front = if largest > 0.0 { largest.min(1.0).log2().ceil() as i32 } else { 0 };
    SHIFT_F.saturating_sub(front).min(MAX_SHIFT_F)
}
