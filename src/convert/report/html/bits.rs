//! Bit widths as colours and as histograms.

use super::plot::{drawing, label};
use super::text::{count, px};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Widths from this one on share a colour.
pub const WIDEST_COLOUR: u32 = 9;
/// Height of the bars of a histogram.
const BARS: f64 = 56.0;
/// Widths that a histogram shows one by one; wider ones share its last bar.
const WIDEST: u32 = 24;

/// The class that colours a width.
pub fn class(bits: u32) -> String {
    format!("b{}", bits.min(WIDEST_COLOUR))
}

/// What the colours mean.
pub fn legend() -> Markup {
    html! {
        ul class="legend" aria-label="Colours of bit widths" {
            @for bits in 0..=WIDEST_COLOUR {
                li {
                    svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true" {
                        path class=(class(bits)) d="M0 0h12v12H0Z" {}
                    }
                    " " (bits) @if bits == WIDEST_COLOUR { " and more" }
                }
            }
            li { "bits" }
        }
    }
}

/// A histogram of widths (bits → how many), in the colours of the widths, with the counts above the
/// bars.
pub fn histogram(counts: &BTreeMap<u32, u64>, what: &str) -> Option<Markup> {
    let mut shown: BTreeMap<u32, u64> = BTreeMap::new();
    for (&bits, &n) in counts {
        *shown.entry(bits.min(WIDEST)).or_default() += n;
    }
    let (&widest, most) = (shown.keys().last()?, shown.values().copied().max()?.max(1));
    // a bar is as wide as its count is long
    let pitch = 8.0 + 6.5 * count(most).len().max(2) as f64;
    let width = 4.0 + pitch * (widest + 1) as f64;
    let told: Vec<String> = shown.iter().map(|(b, &n)| format!("{b} bits: {}", count(n))).collect();
    let base = BARS + 14.0;
    let bar = |bits: u32| {
        let n = shown.get(&bits).copied().unwrap_or(0);
        let height = (BARS * n as f64 / most as f64).max(1.0);
        let x = 4.0 + pitch * f64::from(bits);
        let (middle, top, w, h) = (x + (pitch - 4.0) / 2.0, base - height, px(pitch - 4.0), px(height));
        html! {
            @if n > 0 {
                path class={ "bar " (class(bits)) } d={ "M" (px(x)) " " (px(top)) "h" (w) "v" (h) "h-" (w) "Z" } {}
                (label(middle, top - 4.0, "middle", &count(n)))
            }
            (label(middle, base + 13.0, "middle", &if bits == WIDEST { format!("{bits}+") } else { bits.to_string() }))
        }
    };
    let inside = html! {
        @for bits in 0..=widest { (bar(bits)) }
        path class="axis" d={ "M2 " (px(base)) "H" (px(width)) } {}
    };
    Some(drawing(width, BARS + 32.0, "histogram", &format!("{what}: {}", told.join(", ")), &inside))
}
