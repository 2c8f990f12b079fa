//! Functions of single elements: products with a slope, tables.

use super::made::{Made, Parts};
use super::tree::{Term, digits, sum};
use super::wires::{Wires, bits};
use crate::ops::Elementwise;
use crate::quant::interval::{Bounds, Span};

/// Entries that a LUT of six inputs holds of one bit.
const LUT_ENTRIES: u128 = 64;
/// Values of which a LUT chooses one.
const LUT_CHOICE: u128 = 4;

/// A function. What a Relu masks is part of the logic in front.
pub fn function(f: Elementwise, x: &Wires, result: &Bounds, live: &[bool]) -> Made {
    let mut made = Made { depth: x.depth.to_vec(), ..Made::default() };
    for e in (0..live.len()).filter(|&e| live[e]) {
        let (span, width) = (x.bounds[e], bits(result[e]));
        let negative = span.lo < 0;
        let parts = match f {
            Elementwise::Relu => Parts::default(),
            Elementwise::LeakyRelu { .. } if !negative => Parts::default(),
            Elementwise::LeakyRelu { .. } => Parts { choices: width.into(), ..sloped(f, x, e) },
            Elementwise::ThresholdedRelu { .. } => Parts::chosen(bits(span), width),
            Elementwise::Elu { .. } | Elementwise::Selu => {
                let below = Parts { tables: table(negatives(span), width), ..sloped(f, x, e) };
                Parts { choices: if negative && span.hi > 0 { width.into() } else { 0 }, ..below }
            }
            Elementwise::Table(_) => Parts { tables: table(entries(span), width), ..Parts::default() },
        };
        if parts.carries > 0.0 || parts.tables > 0 {
            made.depth[e] = x.depth[e].behind(1);
        }
        made.parts = made.parts.plus(parts);
    }
    made
}

/// The product with the function's slope.
fn sloped(f: Elementwise, x: &Wires, e: usize) -> Parts {
    let Some(slope) = f.slope() else { return Parts::default() };
    let Span { lo, hi, .. } = x.bounds[e];
    let of = |(shift, is_subtracted)| Term { lo, hi, shift, is_subtracted, depth: x.depth[e] };
    let terms: Vec<Term> = digits(slope).map(of).collect();
    Parts { carries: sum(&terms, 0).carries as f64, ..Parts::default() }
}

fn entries(span: Span) -> u128 {
    (span.hi - span.lo).unsigned_abs() + 1
}

fn negatives(span: Span) -> u128 {
    if span.lo < 0 { entries(Span { hi: span.hi.min(-1), ..span }) } else { 0 }
}

/// LUTs of a table: one per bit and 64 entries, and those that choose between them.
fn table(entries: u128, width: u32) -> u64 {
    let entries = entries.min(crate::ops::table::ENTRIES as u128);
    let deep = entries.div_ceil(LUT_ENTRIES);
    let choosing = deep.saturating_sub(1).div_ceil(LUT_CHOICE - 1);
    (deep + choosing) as u64 * u64::from(width)
}
