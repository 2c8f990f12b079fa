//! The Pareto front: size against the metric, the chosen point marked, and the same as a table.

use super::Column;
use super::plot::{Axis, Chart, area, label, line};
use super::summary::metric;
use super::text::{clean, count, maybe, message, number, px};
use crate::convert::documents::{ParetoPoint, Report};
use crate::train::pareto::Count;
use maud::{Markup, html};

const HEIGHT: f64 = 250.0;
/// Half the size of the mark of the chosen point.
const MARK: f64 = 7.0;
/// Width and height of its label, about.
const LABEL: (f64, f64) = (38.0, 12.0);
/// Points of a line that are looked at for what a label hides, and what it counts to be outside.
const STEPS: usize = 32;
const OUTSIDE: usize = 1000;

/// Of a drawing: right and down.
type Place = (f64, f64);

/// The section, where there is a front.
pub fn section(report: &Report) -> Option<Markup> {
    if report.pareto.is_empty() {
        return None;
    }
    let metric = metric(report);
    Some(html! {
        h2 id="pareto" { "Pareto front" }
        p {
            "Every trade-off found between size and the metric, joined by a line, and models off it that are the choice by the rule \
            below. The proxy of point N is " code { "pareto/N/proxy.onnx" } "."
        }
        figure {
            (chart(report, &metric))
            figcaption {
                (report.count.unit()) " against " (metric) " on the " (report.choice.judged_on) ". Diamond: the proxy."
                @if report.source.metric.is_some() { " Dashed line: the model sent." }
            }
        }
        p { "The proxy is " (message(&report.choice.why)) "." }
        (table(&report.pareto, &metric))
    })
}

fn chart(report: &Report, metric: &str) -> Markup {
    let points = &report.pareto;
    let corners @ [left, right, top, bottom] = area(HEIGHT);
    let source = report.source.metric;
    let (unit, size) = (report.count.unit(), |p: &ParetoPoint| size(report.count, p) as f64);
    let x = Axis::over(points.iter().map(size), true, left + MARK, right - MARK);
    let y = Axis::over(points.iter().filter_map(|p| p.figures.metric).chain(source), false, bottom - MARK, top + MARK);
    let at = |p: &ParetoPoint| Some((x.at(size(p)), y.at(p.figures.metric?)));
    let front = || points.iter().filter(|p| p.on_front).map(at);
    let path: Vec<Place> = front().flatten().collect();
    let marks = html! {
        @if let Some(source) = source {
            path class="reference" d={ "M" (left) " " (px(y.at(source))) "H" (right) } {
                title { "model sent: " (number(source)) }
            }
        }
        path class="line c1" d=(line(front())) {}
        @for (p, place) in points.iter().filter_map(|p| Some((p, at(p)?))) {
            @if p.chosen {
                (diamond(place, &title(p, metric)))
                @let (x, y, anchor) = label_anchor(place, &path, source.map(|s| y.at(s)), corners);
                (label(x, y, anchor, "proxy"))
            } @else {
                circle class="point c1" cx=(px(place.0)) cy=(px(place.1)) r="4" { title { (title(p, metric)) } }
            }
        }
    };
    let description = format!("{} models: {unit} against {metric}. The numbers are in the table below.", points.len());
    Chart { height: HEIGHT, x, y, x_label: unit, y_label: metric, description: &description, marks }.svg()
}

/// The size of a point in the unit that the job counts in.
fn size(count: Count, p: &ParetoPoint) -> u64 {
    match count {
        Count::Ebops => p.ebops,
        Count::Luts => p.hardware.luts,
    }
}

/// What a point says of itself.
fn title(p: &ParetoPoint, metric: &str) -> String {
    let (ebops, luts) = (count(p.ebops), count(p.hardware.luts));
    let (shown, loss) = (maybe(p.figures.metric), maybe(p.figures.loss));
    clean(&format!("point {}: {ebops} EBOPs, {luts} LUTs, {metric} {shown}, loss {loss}, epoch {}", p.number, p.epoch))
}

/// The mark of the proxy.
fn diamond((x, y): Place, title: &str) -> Markup {
    let (l, r, t, b) = (px(x - MARK), px(x + MARK), px(y - MARK), px(y + MARK));
    let (x, y) = (px(x), px(y));
    html! {
        path class="chosen" d={ "M" (l) " " (y) "L" (x) " " (t) "L" (r) " " (y) "L" (x) " " (b) "Z" } { title { (title) } }
    }
}

/// Where a label at a point of `path` begins or ends, at which corner it hides least: of the path,
/// of the line at height `reference`, and outside of the area.
fn label_anchor(
    (x, y): Place,
    path: &[Place],
    reference: Option<f64>,
    [left, right, top, bottom]: [f64; 4],
) -> (f64, f64, &'static str) {
    let corner = |&(right_, below): &(bool, bool)| {
        let from = if right_ { x + MARK } else { x - MARK - LABEL.0 };
        let to = if below { y + MARK } else { y - MARK - LABEL.1 };
        let inside = |&(x, y): &Place| (from..=from + LABEL.0).contains(&x) && (to..=to + LABEL.1).contains(&y);
        let steps = path.windows(2).flat_map(|pair| {
            let [a, b] = [pair[0], pair[1]];
            (0..=STEPS).map(move |n| n as f64 / STEPS as f64).map(move |t| (a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1)))
        });
        let hidden = steps.filter(inside).count() + STEPS * usize::from(reference.is_some_and(|r| inside(&(from, r))));
        let out = from < left || from + LABEL.0 > right || to < top || to + LABEL.1 > bottom;
        hidden + OUTSIDE * usize::from(out)
    };
    let corners = [(false, false), (true, true), (true, false), (false, true)];
    let (right_, below) = corners.into_iter().min_by_key(corner).unwrap_or_default();
    let y = if below { y + MARK + LABEL.1 } else { y - MARK };
    if right_ { (x + MARK, y, "start") } else { (x - MARK, y, "end") }
}

fn table(points: &[ParetoPoint], metric: &str) -> Markup {
    let rows = html! {
        @for p in points {
            tr class=[p.chosen.then_some("mine")] {
                th scope="row" { (p.number) }
                td { (count(p.ebops)) }
                td { (count(p.hardware.luts)) }
                td { (p.hardware.levels) }
                td { (maybe(p.figures.metric)) }
                td { (maybe(p.figures.metric_error)) }
                td { (maybe(p.figures.loss)) }
                td { (maybe(p.train_val_loss)) }
                td { @if p.annealed { "yes" } }
                td { (p.epoch) }
                td { @if p.chosen { "the proxy" } }
            }
        }
    };
    let columns = [
        "point",
        "EBOPs",
        "LUTs",
        "levels",
        metric,
        "± (standard error)",
        "loss",
        "loss on all rows",
        "annealed",
        "epoch",
        "chosen",
    ];
    super::table("Points of the front", &columns.map(Column::Number), &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stay_off_the_line() {
        let area = [0.0, 200.0, 0.0, 100.0];
        // a front that rises to the right, and one of errors that falls
        let rising = [(10.0, 90.0), (100.0, 50.0), (110.0, 45.0), (190.0, 10.0)];
        let falling = [(10.0, 10.0), (100.0, 50.0), (190.0, 90.0)];
        assert_eq!(label_anchor(rising[1], &rising, None, area), (93.0, 43.0, "end"));
        assert_eq!(label_anchor(rising[0], &rising, None, area).2, "start");
        assert_eq!(label_anchor(falling[1], &falling, None, area), (107.0, 43.0, "start"));
        // the line of the model sent
        assert_eq!(label_anchor(rising[1], &rising, Some(40.0), area), (107.0, 69.0, "start"));
    }
}
