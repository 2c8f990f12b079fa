//! A scale and shift that only a sign reads: `sign(x·s + t) = sign(±x + t/|s|)`, with the shift floored to a grid, which moves no
//! threshold while `x` is on that grid. Without it the fine constants of a BatchNormalization would stay in front of the sign.

use super::Links;
use crate::graph::{Graph, Op};

/// Fractional bits of the shift: finer than the sums of any binary network.
const SHIFT_F: i32 = 12;

pub fn run(graph: &mut Graph) -> bool {
    let links = Links::of(graph);
    let mut changed = false;
    for index in 0..graph.nodes.len() {
        let reader = links.only_consumer(graph.nodes[index].output);
        if !reader.is_some_and(|r| graph.nodes[r].op == Op::Sign) {
            continue;
        }
        let Op::Affine(affine) = &mut graph.nodes[index].op else { continue };
        for (scale, shift) in affine.scale.iter_mut().zip(&mut affine.shift) {
            let unit = 2f64.powi(SHIFT_F);
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
