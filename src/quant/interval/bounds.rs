//! The intervals of a whole value.

use super::span::Span;
use crate::quant::kif::Kif;
use std::collections::HashMap;
use std::ops::Index;

/// Most places of the table that repeated spans are found in without a hash map.
const MAX_RECENT: usize = 1024;

/// Bounds of one value, one entry per element of a sample. An image has millions of elements and
/// few different spans: each is kept once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    spans: Vec<Span>,
    /// Per element: index into `spans`.
    of: Vec<u32>,
}

impl FromIterator<Span> for Bounds {
    fn from_iter<I: IntoIterator<Item = Span>>(elements: I) -> Bounds {
        let mut known: HashMap<Span, u32> = HashMap::new();
        let elements = elements.into_iter();
        let mut recent: Vec<Option<(Span, u32)>> =
            vec![None; elements.size_hint().1.map_or(MAX_RECENT, |n| n.clamp(1, MAX_RECENT))];
        let mut spans = Vec::new();
        let number = |span: Span| {
            let mixed = (span.lo as u64).wrapping_mul(31).wrapping_add(span.hi as u64).wrapping_mul(31) ^ span.frac as u64;
            let place = (mixed ^ (mixed >> 20)) as usize % recent.len();
            let place = &mut recent[place];
            match *place {
                Some((kept, number)) if kept == span => number,
                Some(_) | None => {
                    let number = *known.entry(span).or_insert_with(|| {
                        spans.push(span);
                        spans.len() as u32 - 1
                    });
                    *place = Some((span, number));
                    number
                }
            }
        };
        let of = elements.map(number).collect();
        Bounds { spans, of }
    }
}

impl Index<usize> for Bounds {
    type Output = Span;

    fn index(&self, element: usize) -> &Span {
        &self.spans[self.of[element] as usize]
    }
}

impl Bounds {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// The spans of all elements.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Span> + '_ {
        self.of.iter().map(|&n| self.spans[n as usize])
    }

    /// Per element: the place of its span in [`Bounds::distinct`].
    pub fn numbers(&self) -> &[u32] {
        &self.of
    }

    /// Every span that some element has, once.
    pub fn distinct(&self) -> &[Span] {
        &self.spans
    }

    /// The narrowest format of element `e`.
    pub fn format(&self, e: usize) -> Kif {
        self[e].kif()
    }

    /// Bits of the widest element, sign included.
    pub fn max_bits(&self) -> u32 {
        self.spans.iter().map(|s| s.kif().bits()).max().unwrap_or(0)
    }

    /// Finest fractional bits of the elements that are not constant 0.
    pub fn max_frac(&self) -> i32 {
        self.spans.iter().filter(|s| !s.is_zero()).map(|s| s.frac).max().unwrap_or(0)
    }
}
