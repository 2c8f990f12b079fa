//! Functions of two values, and the largest of several.

use super::made::{Made, Parts};
use super::tree::{Depth, sum};
use super::wires::{Wires, bits};
use crate::graph::Window;
use crate::ops::Merge;
use crate::quant::interval::Span;
use crate::quant::taps::Taps;

/// The larger or smaller of two.
fn compared(a: Span, b: Span, both: Span) -> Parts {
    let frac = a.frac.max(b.frac);
    let on = |s: Span| bits(s) + (frac - s.frac) as u32;
    Parts::chosen(on(a).max(on(b)), bits(both))
}

/// A merge; a product of two values is a sum of as many terms as its narrower operand has bits.
pub fn merge(op: Merge, operands: &[Wires], live: &[bool]) -> Made {
    let mut made = Made { depth: vec![Depth::default(); live.len()], ..Made::default() };
    let [a, b] = operands else { return made };
    for e in (0..live.len()).filter(|&e| live[e]) {
        let (x, y) = (a.bounds[e], b.bounds[e]);
        let deep = a.depth[e].max(b.depth[e]);
        let frac = x.frac.max(y.frac);
        let (parts, depth) = match op {
            Merge::Add | Merge::Sub => {
                let constants = [x, y].map(|s| s.is_constant());
                let total = match constants {
                    [false, false] => sum(&[a.term(e, frac, false), b.term(e, frac, op == Merge::Sub)], 0),
                    [false, true] => {
                        sum(&[a.term(e, frac, false)], y.lifted(frac).map_or(0, |c| if op == Merge::Sub { -c.lo } else { c.lo }))
                    }
                    [true, _] => sum(&[b.term(e, frac, op == Merge::Sub)], x.lifted(frac).map_or(0, |c| c.lo)),
                };
                (Parts { carries: total.carries as f64, ..Parts::default() }, total.depth())
            }
            Merge::Mul => {
                let (narrow, wide) = (bits(x).min(bits(y)), bits(x).max(bits(y)));
                let carries = f64::from(narrow.saturating_sub(1) * wide);
                (Parts { carries, choices: u64::from(wide), ..Parts::default() }, deep.behind(narrow.max(1).ilog2() + 1))
            }
            Merge::Max | Merge::Min => {
                let both = x.merged(op, y).unwrap_or(x);
                (compared(x, y, both), deep.behind(1))
            }
        };
        made.parts = made.parts.plus(parts);
        made.depth[e] = depth;
    }
    made
}

/// The largest under a window: pairs, then pairs of those.
pub fn largest(window: &Window, x: &Wires, live: &[bool]) -> Made {
    let taps = Taps::pooling(window);
    let channels = window.input[2];
    let mut made = Made { depth: vec![Depth::default(); live.len()], ..Made::default() };
    for at in (0..live.len()).filter(|&at| live[at]) {
        let mut open: Vec<(Span, Depth)> = taps.under(at / channels, at % channels).map(|e| (x.bounds[e], x.depth[e])).collect();
        while open.len() > 1 {
            let pair = |pair: &[(Span, Depth)]| match pair {
                &[(a, da), (b, db)] => {
                    let both = a.merged(Merge::Max, b).unwrap_or(a);
                    made.parts = made.parts.plus(compared(a, b, both));
                    (both, da.max(db).behind(1))
                }
                rest => rest[0],
            };
            open = open.chunks(2).map(pair).collect();
        }
        made.depth[at] = open.first().map_or_else(Depth::default, |o| o.1);
    }
    made
}
