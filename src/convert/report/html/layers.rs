//! Layer by layer: shares of EBOPs, widths of weights and of activations, ranges against formats.

use super::bits::{histogram, legend};
use super::doc::Doc;
use super::heat_map;
use super::plot::open;
use super::text::{cut, maybe, name, number, percent, px};
use crate::quant::{FixedModel, FixedOp};
use std::collections::BTreeMap;

/// Layers whose weights are drawn.
const DRAWN: usize = 64;
/// Rows of tables of layers.
const ROWS: usize = 256;
/// Width of the bars in tables.
const BAR: f64 = 120.0;

/// EBOPs by layer.
pub fn shares(report: Doc) -> String {
    let total = report.number("/ebops").unwrap_or(0.0);
    let mut rows = String::new();
    for layer in report.list("/layers").filter(|l| l.has("/ebops")).take(ROWS) {
        let ebops = layer.number("/ebops").unwrap_or(0.0);
        let share = if total > 0.0 { (ebops / total).clamp(0.0, 1.0) } else { 0.0 };
        let bar = format!(
            "<svg class=\"share\" viewBox=\"0 0 {BAR} 12\" width=\"{BAR}\" height=\"12\" aria-hidden=\"true\">\
             <path class=\"back\" d=\"M0 0H{BAR}V12H0Z\"/>\
             <path class=\"fill\" d=\"M0 0H{}V12H0Z\"/></svg>",
            px(BAR * share)
        );
        rows += &format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td class=\"drawn\">{bar}</td><td>{}</td></tr>",
            name(layer.text("/name")),
            super::escape(layer.text("/op")),
            number(ebops),
            percent(ebops, total),
            maybe(layer.number("/ebops_hgq2"))
        );
    }
    if rows.is_empty() {
        return String::new();
    }
    let columns = ["layer", "operation", "EBOPs", "share", "<share, drawn", "HGQ2’s count"];
    format!("<h2 id=\"ebops\">EBOPs by layer</h2>{}", super::table("EBOPs by layer", &columns, &rows))
}

/// The weights of every layer.
pub fn weights(report: Doc, model: &FixedModel) -> String {
    let mut out = format!(
        "<h2 id=\"weights\">Weights</h2><p>The width of a weight is the number of its bits between the most and the least \
         significant \
         one, inclusive. A weight of 0 has none, and costs nothing.</p>{}",
        legend()
    );
    let dense = model.nodes.iter().filter_map(|n| if let FixedOp::Dense(d) = &n.op { Some((n, d)) } else { None });
    let all = dense.clone().count();
    for (node, d) in dense.take(DRAWN) {
        let entry = report.list("/layers").find(|l| l.text("/name") == node.name && l.has("/weights"));
        let Some(entry) = entry else { continue };
        let (count, nonzero) = (entry.count("/weights/count") as f64, entry.count("/weights/nonzero") as f64);
        let counts: BTreeMap<u32, u64> =
            (entry.0.pointer("/weights/bits_histogram").and_then(|h| h.as_object()).into_iter().flatten())
                .filter_map(|(bits, n)| Some((bits.parse().ok()?, n.as_u64()?)))
                .collect();
        let plain = cut(&node.name, 80);
        out += &format!(
            "<section class=\"layer\"><h3>{}</h3><p>{} weights, {} of them not 0 ({}); {} EBOPs.</p><div class=\"pair\">{}\
             <figure>{}<figcaption>Weights by bits.</figcaption></figure></div></section>",
            name(&node.name),
            number(count),
            number(nonzero),
            percent(nonzero, count),
            maybe(entry.number("/ebops")),
            heat_map::figure(&plain, d),
            histogram(&counts, &format!("weights of {plain} by bits"))
        );
    }
    match all {
        0 => String::new(),
        n if n > DRAWN => out + &format!("<p>{} more layers are in report.json.</p>", n - DRAWN),
        _ => out,
    }
}

/// Quantizers: widths, formats, and what of their range the calibration data use.
pub fn activations(report: Doc) -> String {
    let mut rows = String::new();
    for layer in report.list("/layers").filter(|l| l.has("/activation")).take(ROWS) {
        let formats: Vec<Doc> = layer.list("/activation/formats").collect();
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        for f in &formats {
            *counts.entry(f.count("/bits") as u32).or_default() += f.count("/count");
        }
        let range = Range::of(layer, &formats);
        rows += &format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"drawn\">{}</td><td>{}</td><td>{} … {}</td>\
             <td>{} … {}</td><td class=\"drawn\">{}</td></tr>",
            name(layer.text("/name")),
            number(counts.values().sum::<u64>() as f64),
            histogram(&counts, &format!("elements of {} by bits", cut(layer.text("/name"), 80))),
            number(formats.len() as f64),
            maybe(range.seen.map(|s| s.0)),
            maybe(range.seen.map(|s| s.1)),
            number(range.holds.0),
            number(range.holds.1),
            range.bar()
        );
    }
    if rows.is_empty() {
        return String::new();
    }
    let columns = ["quantizer", "elements", "<elements by bits", "formats", "calibration data", "formats hold", "<range, drawn"];
    format!(
        "<h2 id=\"activations\">Activations</h2><p>Ranges of the calibration data before rounding against what the widest format \
         holds; \
         values beyond it saturate. In the drawing the outline is what the formats hold, the bar what the data use.</p>{}",
        super::table("Activations", &columns, &rows)
    )
}

/// What the formats of a quantizer hold, and what the data have.
struct Range {
    holds: (f64, f64),
    seen: Option<(f64, f64)>,
}

impl Range {
    fn of(layer: Doc, formats: &[Doc]) -> Range {
        let mut holds = (0f64, 0f64);
        for f in formats.iter().filter(|f| f.count("/bits") > 0) {
            let number = |at: &str| f.number(at).unwrap_or(0.0).clamp(-1000.0, 1000.0);
            let reach = number("/i").exp2();
            holds = (holds.0.min(-number("/k") * reach), holds.1.max(reach - (-number("/f")).exp2()));
        }
        Range { holds, seen: layer.number("/activation/min").zip(layer.number("/activation/max")) }
    }

    fn bar(&self) -> String {
        let seen = self.seen.unwrap_or((0.0, 0.0));
        let (lo, hi) = (self.holds.0.min(seen.0), self.holds.1.max(seen.1));
        if hi <= lo {
            return "constant".into();
        }
        let at = |v: f64| px(2.0 + (BAR - 4.0) * ((v - lo) / (hi - lo)).clamp(0.0, 1.0));
        let told = match self.seen {
            None => "no data".to_string(),
            Some((from, to)) => format!("data from {} to {}", number(from), number(to)),
        };
        let told = format!("{told}; formats hold {} to {}", number(self.holds.0), number(self.holds.1));
        let mut out = open(BAR, 18.0, "range", &told);
        if self.seen.is_some() {
            out += &format!("<path class=\"fill\" d=\"M{} 5H{}V13H{}Z\"/>", at(seen.0), at(seen.1), at(seen.0));
        }
        let (a, b) = (at(self.holds.0), at(self.holds.1));
        out + &format!("<path class=\"outline\" d=\"M{a} 2H{b}V16H{a}Z\"/><path class=\"axis\" d=\"M{0} 1V17\"/></svg>", at(0.0))
    }
}
