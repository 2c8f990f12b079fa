//! Bit widths as colours and as histograms.

use super::plot::open;
use super::text::{number, px};
use std::collections::BTreeMap;

/// Widths from this one on share a colour.
pub const MOST: u32 = 9;
/// Height of the bars of a histogram.
const BARS: f64 = 56.0;
/// Widths that a histogram shows one by one; wider ones share its last bar.
const WIDEST: u32 = 24;

/// The class that colours a width.
pub fn class(bits: u32) -> String {
    format!("b{}", bits.min(MOST))
}

/// What the colours mean.
pub fn legend() -> String {
    let item = |bits: u32| {
        let text = if bits == MOST { format!("{bits} and more") } else { bits.to_string() };
        let class = class(bits);
        format!(
            "<li><svg viewBox=\"0 0 12 12\" width=\"12\" height=\"12\" aria-hidden=\"true\">\
             <path class=\"{class}\" d=\"M0 0h12v12H0Z\"/></svg> {text}</li>"
        )
    };
    format!(
        "<ul class=\"legend\" aria-label=\"Colours of bit widths\">{}<li>bits</li></ul>",
        (0..=MOST).map(item).collect::<String>()
    )
}

/// A histogram of widths (bits → how many), in the colours of the widths, with the counts above the bars.
pub fn histogram(counts: &BTreeMap<u32, u64>, what: &str) -> String {
    let mut shown: BTreeMap<u32, u64> = BTreeMap::new();
    for (&bits, &n) in counts {
        *shown.entry(bits.min(WIDEST)).or_default() += n;
    }
    let (Some(&widest), most) = (shown.keys().last(), shown.values().copied().max().unwrap_or(0).max(1)) else {
        return String::new();
    };
    // a bar is as wide as its count is long
    let pitch = 8.0 + 6.5 * number(most as f64).len().max(2) as f64;
    let width = 4.0 + pitch * (widest + 1) as f64;
    let told: Vec<String> = shown.iter().map(|(b, n)| format!("{b} bits: {}", number(*n as f64))).collect();
    let mut out = open(width, BARS + 32.0, "histogram", &format!("{what}: {}", told.join(", ")));
    let base = BARS + 14.0;
    for bits in 0..=widest {
        let n = shown.get(&bits).copied().unwrap_or(0);
        let height = BARS * n as f64 / most as f64;
        let x = 4.0 + pitch * f64::from(bits);
        let middle = px(x + (pitch - 4.0) / 2.0);
        if n > 0 {
            let (class, top, w, h) = (class(bits), px(base - height.max(1.0)), px(pitch - 4.0), px(height.max(1.0)));
            out += &format!("<path class=\"bar {class}\" d=\"M{} {top}h{w}v{h}h-{w}Z\"/>", px(x));
            out += &format!(
                "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                px(base - height.max(1.0) - 4.0),
                number(n as f64)
            );
        }
        let text = if bits == WIDEST { format!("{bits}+") } else { bits.to_string() };
        out += &format!("<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{text}</text>", px(base + 13.0));
    }
    out += &format!("<path class=\"axis\" d=\"M2 {}H{}\"/></svg>", px(base), px(width));
    out
}
