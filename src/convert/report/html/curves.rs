//! The course of the training: loss, metric, EBOPs and β by epoch; of `mode: calibrate` the candidates in the order they were
//! tried.

use super::doc::Doc;
use super::plot::{Axis, Chart, area, line};
use super::summary::metric;
use super::text::{escape, maybe, px};

const HEIGHT: f64 = 180.0;

/// The section.
pub fn section(report: Doc) -> String {
    let points: Vec<Doc> = report.list("/training").collect();
    if points.is_empty() {
        return String::new();
    }
    let candidates = report.text("/config/mode") == "calibrate";
    let (title, x_label) = if candidates { ("Candidates", "candidate") } else { ("Training", "epoch") };
    let metric = metric(report);
    let curves = [
        ("/loss", if candidates { "validation loss" } else { "training loss" }, "c2", true),
        ("/metric", &metric, "c1", false),
        ("/ebops", "EBOPs", "c3", true),
        ("/beta", if candidates { "price per EBOP" } else { "beta" }, "c4", true),
    ];
    let figures: String = curves
        .iter()
        .map(|&(field, what, class, log)| {
            format!(
                "<figure>{}<figcaption>{}</figcaption></figure>",
                chart(&points, field, what, class, log, x_label),
                escape(what)
            )
        })
        .collect();
    let about = if candidates {
        "Every candidate that was scored, in the order they were tried."
    } else {
        "A trunk falls through all sizes; branches start from it and anneal at the wanted ones, so EBOPs rise again where a \
         branch begins. \
         The metric is that of the last scored snapshot."
    };
    format!("<h2 id=\"training\">{title}</h2><p>{about}</p><div class=\"charts\">{figures}</div>")
}

fn chart(points: &[Doc], field: &str, what: &str, class: &str, log: bool, x_label: &str) -> String {
    let [left, right, top, bottom] = area(HEIGHT);
    let values = || points.iter().filter_map(|p| p.number(field));
    let x = Axis::over(points.iter().filter_map(|p| p.number("/epoch")), false, left, right).whole();
    let y = Axis::over(values(), log, bottom, top);
    let at = |p: &Doc| Some((x.at(p.number("/epoch")?), y.at(p.number(field)?)));
    let mut marks = format!("<path class=\"line {class}\" d=\"{}\"/>", line(points.iter().map(at)));
    if let [only] = points
        && let Some((cx, cy)) = at(only)
    {
        marks += &format!("<circle class=\"point {class}\" cx=\"{}\" cy=\"{}\" r=\"4\"/>", px(cx), px(cy));
    }
    let (lo, hi) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
    let ends = |p: Option<&Doc>| maybe(p.and_then(|p| p.number(field)));
    let (first, last) = (ends(points.first()), ends(points.last()));
    let range = format!("between {} and {}", maybe(Some(lo)), maybe(Some(hi)));
    let description = format!("{what} by {x_label}: from {first} to {last}, {range}");
    Chart { height: HEIGHT, x, y, x_label, y_label: what, description: &description, marks: &marks }.svg()
}
