//! What the sums of a layer have in common: a part of one output that is, shifted or negated, a
//! part of another is added once (docs/hardware.md#sharing).
//!
//! Per output the other one that has most of its terms is looked for, for what is left another one,
//! and so on. That is no way to build the circuit, but tells well how much a search for one saves.

use std::collections::VecDeque;

/// Others that an output shares with.
const PARTNERS: usize = 6;
/// How far an output may be shifted against another, in bits.
const SHIFTS: i32 = 3;
/// Outputs that are looked at, evenly, where there are more.
const OUTPUTS: usize = 48;
/// Others that each is compared with: those before it by their number of terms.
const COMPARED: usize = 64;

/// The digits of one output's weights.
pub struct Column {
    /// Only outputs of one group read the same inputs.
    pub group: usize,
    /// Row of the weight, place of the digit in the sum, and whether it is subtracted.
    pub digits: Vec<(usize, i32, bool)>,
}

/// Digits as bits: those that are added, then those that are subtracted, each row by row and shift
/// by shift.
struct Bits {
    words: Vec<u64>,
    half: usize,
}

impl Bits {
    /// `shift` is from −[`SHIFTS`] to [`SHIFTS`]; a row has room for both.
    fn new(column: &Column, rows: usize, width: u32, shift: i32) -> Bits {
        let half = (rows * width as usize).div_ceil(64);
        let mut words = vec![0; 2 * half];
        for &(row, at, is_subtracted) in &column.digits {
            let bit = row * width as usize + (at + SHIFTS + shift) as usize;
            words[bit / 64 + if is_subtracted { half } else { 0 }] |= 1 << (bit % 64);
        }
        Bits { words, half }
    }

    /// Word `at`, of the negated output where `negated`.
    fn word(&self, at: usize, negated: bool) -> u64 {
        self.words[if !negated {
            at
        } else if at < self.half {
            at + self.half
        } else {
            at - self.half
        }]
    }

    /// How many digits of `rest` are also here.
    fn common(&self, rest: &[u64], negated: bool) -> u32 {
        rest.iter().enumerate().map(|(at, r)| (r & self.word(at, negated)).count_ones()).sum()
    }
}

/// The share of the adders of these sums that is spared; rows are those of the weights.
pub fn share(mut columns: Vec<Column>, rows: usize) -> f64 {
    columns.retain(|c| !c.digits.is_empty());
    columns.sort_by_key(|c| c.digits.len());
    // an output may be any power of two of another: all begin at the same place
    for column in &mut columns {
        let lowest = column.digits.iter().map(|d| d.1).min().unwrap_or(0);
        column.digits.iter_mut().for_each(|d| d.1 -= lowest);
    }
    let highest = columns.iter().flat_map(|c| &c.digits).map(|d| d.1).max().unwrap_or(0);
    let width = (highest + 1 + 2 * SHIFTS) as u32;
    let shifted = |c: &Column| (-SHIFTS..=SHIFTS).map(|s| Bits::new(c, rows, width, s)).collect::<Vec<Bits>>();
    // those of all outputs of a large layer would be hundreds of megabytes
    let mut known: VecDeque<(usize, Vec<Bits>)> = VecDeque::new();
    let every = columns.len().div_ceil(OUTPUTS).max(1);
    let (mut adders, mut spared) = (0usize, 0u32);
    for (n, column) in columns.iter().enumerate().step_by(every) {
        adders += column.digits.len() - 1;
        let first = n.saturating_sub(COMPARED);
        let next = known.back().map_or(first, |k| first.max(k.0 + 1));
        known.extend((next..n).map(|o| (o, shifted(&columns[o]))));
        known.drain(..known.partition_point(|k| k.0 < first));
        let others: Vec<&[Bits]> = known.iter().filter(|k| columns[k.0].group == column.group).map(|k| &k.1[..]).collect();
        spared += spared_by(&others, Bits::new(column, rows, width, 0).words);
    }
    if adders == 0 { 0.0 } else { f64::from(spared) / adders as f64 }
}

/// Adders of the digits `rest` that `others` have already.
fn spared_by(others: &[&[Bits]], mut rest: Vec<u64>) -> u32 {
    let mut spared = 0;
    for _ in 0..PARTNERS {
        let candidates = others.iter().flat_map(|o| o.iter()).flat_map(|b| [(b, false), (b, true)]);
        let best = candidates.map(|(b, negated)| (b.common(&rest, negated), b, negated)).max_by_key(|c| c.0);
        let Some((common, bits, negated)) = best.filter(|b| b.0 > 1) else { break };
        spared += common - 1;
        rest.iter_mut().enumerate().for_each(|(at, r)| *r &= !bits.word(at, negated));
    }
    spared
}

#[cfg(test)]
mod tests {
    use super::super::tree::digits;
    use super::*;

    fn of(weights: &[&[i64]]) -> f64 {
        let rows = weights[0].len();
        let column = |w: &&[i64]| Column {
            group: 0,
            digits: w
                .iter()
                .enumerate()
                .flat_map(|(row, &w)| digits(w).map(move |(shift, neg)| (row, shift as i32, neg)))
                .collect(),
        };
        share(weights.iter().map(column).collect(), rows)
    }

    #[test]
    fn common_parts_are_added_once() {
        // the same output twice, shifted, and negated: its two adders are spared
        for second in [[1, 2, -1], [4, 8, -4], [512, 1024, -512], [-1, -2, 1]] {
            assert_eq!(of(&[&[1, 2, -1], &second]), 0.5, "{second:?}");
        }
        // two of three terms
        assert_eq!(of(&[&[1, 2, -1], &[1, 2, 1]]), 0.25);
        // another relation between them
        assert_eq!(of(&[&[1, 2, 0], &[2, 1, 0]]), 0.0);
        // one part of the first, one of the second
        assert_eq!(of(&[&[1, 1, 0, 0], &[0, 0, 1, 1], &[2, 2, 1, 1]]), 2.0 / 5.0);
        assert_eq!((of(&[&[1, 1]]), of(&[&[0, 0]]), of(&[&[4, 0], &[0, 1]])), (0.0, 0.0, 0.0));
    }

    #[test]
    fn groups_share_nothing() {
        let column = |group| Column { group, digits: vec![(0, 0, false), (1, 0, false)] };
        assert_eq!((share(vec![column(0), column(0)], 2), share(vec![column(0), column(1)], 2)), (0.5, 0.0));
    }
}
