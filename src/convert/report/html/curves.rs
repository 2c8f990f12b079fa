//! The course of the training: loss, metric, EBOPs and β by epoch; of `mode: calibrate` the
//! candidates in the order they were tried.

use super::plot::{Axis, Chart, area, line};
use super::summary::metric;
use super::text::{maybe, px};
use crate::convert::config::Mode;
use crate::convert::documents::{Report, TrainingPoint};
use maud::{Markup, html};

const HEIGHT: f64 = 180.0;
const OF_CANDIDATES: &str = "Every candidate that was scored, in the order they were tried.";
const OF_EPOCHS: &str = "A trunk falls through all sizes; branches start from it and anneal at the wanted ones, so EBOPs rise \
                         again where a branch begins. The metric is that of the last scored snapshot.";

/// What is drawn over the epochs.
struct Curve<'a> {
    what: &'a str,
    class: &'static str,
    log: bool,
    of: fn(&TrainingPoint) -> Option<f64>,
}

/// The section, where there was a training.
pub fn section(report: &Report) -> Option<Markup> {
    if report.training.is_empty() {
        return None;
    }
    let candidates = report.config.mode == Mode::Calibrate;
    let (title, x_label) = if candidates { ("Candidates", "candidate") } else { ("Training", "epoch") };
    let metric = metric(report);
    let loss = if candidates { "validation loss" } else { "training loss" };
    let beta = if candidates { "price per EBOP" } else { "beta" };
    let curves = [
        Curve { what: loss, class: "c2", log: true, of: |p| p.loss },
        Curve { what: &metric, class: "c1", log: false, of: |p| p.metric },
        Curve { what: "EBOPs", class: "c3", log: true, of: |p| p.ebops },
        Curve { what: "LUTs", class: "c3", log: true, of: |p| p.luts },
        Curve { what: beta, class: "c4", log: true, of: |p| p.beta },
    ];
    Some(html! {
        h2 id="training" { (title) }
        p { (if candidates { OF_CANDIDATES } else { OF_EPOCHS }) }
        div class="charts" {
            @for curve in &curves {
                figure { (chart(&report.training, curve, x_label)) figcaption { (curve.what) } }
            }
        }
    })
}

fn chart(points: &[TrainingPoint], curve: &Curve, x_label: &str) -> Markup {
    let Curve { what, class, log, of } = *curve;
    let [left, right, top, bottom] = area(HEIGHT);
    let values = || points.iter().filter_map(of);
    let x = Axis::over(points.iter().map(|p| p.epoch as f64), false, left, right).whole();
    let y = Axis::over(values(), log, bottom, top);
    let at = |p: &TrainingPoint| Some((x.at(p.epoch as f64), y.at(of(p)?)));
    let only = if let [only] = points { at(only) } else { None };
    let marks = html! {
        path class={ "line " (class) } d=(line(points.iter().map(at))) {}
        @if let Some((cx, cy)) = only {
            circle class={ "point " (class) } cx=(px(cx)) cy=(px(cy)) r="4" {}
        }
    };
    let (lo, hi) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
    let (first, last) = (maybe(points.first().and_then(of)), maybe(points.last().and_then(of)));
    let range = format!("between {} and {}", maybe(Some(lo)), maybe(Some(hi)));
    let description = format!("{what} by {x_label}: from {first} to {last}, {range}");
    Chart { height: HEIGHT, x, y, x_label, y_label: what, description: &description, marks }.svg()
}
