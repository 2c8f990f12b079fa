//! Layer by layer: what it takes, widths of weights and of activations, ranges against formats.

use super::bits::{histogram, legend};
use super::plot::drawing;
use super::text::{clean, count, cut, maybe, name, number, percent, px};
use super::{Column, heat_map, table};
use crate::convert::documents::{Activation, FormatCount, HardwareEstimate, Layer, Report, Weights};
use crate::quant::{FixedDense, FixedModel, FixedOp};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Layers whose weights are drawn.
const DRAWN: usize = 64;
/// Rows of tables of layers.
const ROWS: usize = 256;
/// Width of the bars in tables.
const BAR: f64 = 120.0;
/// Characters of a name that a drawing is described with.
const DESCRIBED: usize = 80;

/// LUTs, registers and EBOPs by layer, where any layer has them.
pub fn shares(report: &Report) -> Option<Markup> {
    let taking: Vec<(&Layer, HardwareEstimate)> = report.layers.iter().filter_map(|l| Some((l, takes(l)?))).take(ROWS).collect();
    if taking.is_empty() {
        return None;
    }
    let total = report.hardware.luts as f64;
    let rows = html! {
        @for (layer, hardware) in taking {
            tr {
                th scope="row" { (name(&layer.name)) }
                td { (clean(&layer.op)) }
                td { (count(hardware.luts)) }
                td { (percent(hardware.luts as f64, total)) }
                td class="drawn" { (share(hardware.luts as f64, total)) }
                td { (hardware.levels) }
                td { (count(hardware.ff)) }
                td { (maybe(layer.ebops.map(|n| n as f64))) }
                td { (maybe(layer.ebops_hgq2.map(|n| n as f64))) }
            }
        }
    };
    let columns = [
        Column::Number("layer"),
        Column::Number("operation"),
        Column::Number("LUTs"),
        Column::Number("share"),
        Column::Text("share, drawn"),
        Column::Number("levels"),
        Column::Number("registers"),
        Column::Number("EBOPs"),
        Column::Number("HGQ2’s count"),
    ];
    Some(html! { h2 id="layers" { "Hardware by layer" } (table("Hardware by layer", &columns, &rows)) })
}

fn takes(layer: &Layer) -> Option<HardwareEstimate> {
    Some(HardwareEstimate { luts: layer.luts?, levels: layer.levels?, ff: layer.ff? })
}

fn share(part: f64, total: f64) -> Markup {
    let share = if total > 0.0 { (part / total).clamp(0.0, 1.0) } else { 0.0 };
    html! {
        svg class="share" viewBox={ "0 0 " (BAR) " 12" } width=(BAR) height="12" aria-hidden="true" {
            path class="back" d={ "M0 0H" (BAR) "V12H0Z" } {}
            path class="fill" d={ "M0 0H" (px(BAR * share)) "V12H0Z" } {}
        }
    }
}

/// The weights of every layer that has some.
pub fn weights(report: &Report, model: &FixedModel) -> Option<Markup> {
    let dense: Vec<(&str, &FixedDense)> = (model.nodes.iter())
        .filter_map(|n| if let FixedOp::Dense(d) = &n.op { Some((n.name.as_str(), d)) } else { None })
        .collect();
    if dense.is_empty() {
        return None;
    }
    let entry = |of: &str| report.layers.iter().find(|l| l.name == of).and_then(|l| Some((l, l.weights.as_ref()?)));
    Some(html! {
        h2 id="weights" { "Weights" }
        p {
            "The width of a weight is the number of its bits between the most and the least significant one, inclusive. A weight of 0 \
            has none, and costs nothing."
        }
        (legend())
        @for (of, d) in dense.iter().take(DRAWN) {
            @if let Some((layer, weights)) = entry(of) { (weights_of(layer, weights, d)) }
        }
        @if dense.len() > DRAWN { p { (dense.len() - DRAWN) " more layers are in report.json." } }
    })
}

fn weights_of(layer: &Layer, weights: &Weights, d: &FixedDense) -> Markup {
    let (all, nonzero) = (weights.count as f64, weights.nonzero as f64);
    let bits = weights.bits_histogram.iter().filter_map(|(bits, &n)| Some((bits.parse().ok()?, n as u64))).collect();
    let plain = cut(&layer.name, DESCRIBED);
    html! {
        section class="layer" {
            h3 { (name(&layer.name)) }
            p {
                (number(all)) " weights, " (number(nonzero)) " of them not 0 (" (percent(nonzero, all)) "); "
                (maybe(layer.ebops.map(|n| n as f64))) " EBOPs."
            }
            div class="pair" {
                @if let Some(map) = heat_map::figure(&plain, d) { (map) }
                figure {
                    @if let Some(bars) = histogram(&bits, &format!("weights of {plain} by bits")) { (bars) }
                    figcaption { "Weights by bits." }
                }
            }
        }
    }
}

/// Quantizers: widths, formats, and what of their range the calibration data use.
pub fn activations(report: &Report) -> Option<Markup> {
    let quantizers: Vec<(&Layer, &Activation)> =
        report.layers.iter().filter_map(|l| Some((l, l.activation.as_ref()?))).take(ROWS).collect();
    if quantizers.is_empty() {
        return None;
    }
    let columns = [
        Column::Number("quantizer"),
        Column::Number("elements"),
        Column::Text("elements by bits"),
        Column::Number("formats"),
        Column::Number("calibration data"),
        Column::Number("formats hold"),
        Column::Text("range, drawn"),
    ];
    let rows = html! { @for (layer, activation) in quantizers { (quantizer(layer, activation)) } };
    Some(html! {
        h2 id="activations" { "Activations" }
        p {
            "Ranges of the calibration data before rounding against what the widest format holds; values beyond it saturate. In the \
            drawing the outline is what the formats hold, the bar what the data use."
        }
        (table("Activations", &columns, &rows))
    })
}

fn quantizer(layer: &Layer, activation: &Activation) -> Markup {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for f in &activation.formats {
        *counts.entry(f.bits).or_default() += f.count as u64;
    }
    let range = Range::new(activation);
    let what = format!("elements of {} by bits", cut(&layer.name, DESCRIBED));
    html! {
        tr {
            th scope="row" { (name(&layer.name)) }
            td { (count(counts.values().sum::<u64>())) }
            td class="drawn" { @if let Some(bars) = histogram(&counts, &what) { (bars) } }
            td { (activation.formats.len()) }
            td { (maybe(range.seen.map(|s| s.0))) " … " (maybe(range.seen.map(|s| s.1))) }
            td { (number(range.holds.0)) " … " (number(range.holds.1)) }
            td class="drawn" { (range.bar()) }
        }
    }
}

/// What the formats of a quantizer hold, and what the data have.
struct Range {
    holds: (f64, f64),
    seen: Option<(f64, f64)>,
}

impl Range {
    fn new(of: &Activation) -> Range {
        let mut holds = (0f64, 0f64);
        for f in of.formats.iter().filter(|f| f.bits > 0) {
            let &FormatCount { k, i, f, .. } = f;
            let top = f64::from(i).exp2();
            holds = (holds.0.min(-f64::from(k) * top), holds.1.max(top - f64::from(-f).exp2()));
        }
        Range { holds, seen: of.min.zip(of.max) }
    }

    fn bar(&self) -> Markup {
        let seen = self.seen.unwrap_or((0.0, 0.0));
        let (lo, hi) = (self.holds.0.min(seen.0), self.holds.1.max(seen.1));
        if hi <= lo {
            return html! { "constant" };
        }
        let at = |v: f64| px(2.0 + (BAR - 4.0) * ((v - lo) / (hi - lo)).clamp(0.0, 1.0));
        let data = match self.seen {
            None => "no data".to_string(),
            Some((from, to)) => format!("data from {} to {}", number(from), number(to)),
        };
        let description = format!("{data}; formats hold {} to {}", number(self.holds.0), number(self.holds.1));
        let (a, b) = (at(self.holds.0), at(self.holds.1));
        let inside = html! {
            @if let Some((from, to)) = self.seen {
                path class="fill" d={ "M" (at(from)) " 5H" (at(to)) "V13H" (at(from)) "Z" } {}
            }
            path class="outline" d={ "M" (a) " 2H" (b) "V16H" (a) "Z" } {}
            path class="axis" d={ "M" (at(0.0)) " 1V17" } {}
        };
        drawing(BAR, 18.0, "range", &description, &inside)
    }
}
