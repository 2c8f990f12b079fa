//! The Pareto front: EBOPs against the metric, the chosen point marked, and the same as a table.

use super::doc::Doc;
use super::plot::{Axis, Chart, area, label, line};
use super::summary::metric;
use super::text::{escape, maybe, message, number, px};

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

/// The section.
pub fn section(report: Doc) -> String {
    let points: Vec<Doc> = report.list("/pareto").collect();
    if points.is_empty() {
        return String::new();
    }
    let metric = metric(report);
    let mut out =
        "<h2 id=\"pareto\">Pareto front</h2><p>Every trade-off found between EBOPs and the metric, joined by a line, and models off it \
                   that are the choice by the rule below. The proxy of point N is <code>pareto/N/proxy.onnx</code>.</p>"
            .to_string();
    out += &format!(
        "<figure>{}<figcaption>EBOPs against {} on the {}. Diamond: the proxy.",
        chart(report, &points, &metric),
        escape(&metric),
        escape(report.text("/choice/judged_on"))
    );
    if report.has("/source/metric") {
        out += " Dashed line: the model sent.";
    }
    out += "</figcaption></figure>";
    if report.has("/choice/why") {
        out += &format!("<p>The proxy is {}.</p>", message(report.text("/choice/why")));
    }
    out + &table(&points, &metric)
}

fn chart(report: Doc, points: &[Doc], metric: &str) -> String {
    let [left, right, top, bottom] = area(HEIGHT);
    let numbers = |at: &'static str| points.iter().filter_map(move |p| p.number(at));
    let source = report.number("/source/metric");
    let x = Axis::over(numbers("/ebops"), true, left + MARK, right - MARK);
    let y = Axis::over(numbers("/metric").chain(source), false, bottom - MARK, top + MARK);
    let mut marks = String::new();
    if let Some(source) = source {
        let at = y.at(source);
        marks += &format!(
            "<path class=\"reference\" d=\"M{left} {}H{right}\"><title>model sent: {}</title></path>",
            px(at),
            number(source)
        );
    }
    let at = |p: &Doc| Some((x.at(p.number("/ebops")?), y.at(p.number("/metric")?)));
    marks += &format!("<path class=\"line c1\" d=\"{}\"/>", line(points.iter().filter(|p| p.flag("/on_front")).map(at)));
    for p in points {
        let Some((px_, py)) = at(p) else { continue };
        let told = format!(
            "point {}: {} EBOPs, {metric} {}, loss {}, epoch {}",
            p.count("/number"),
            number(p.count("/ebops") as f64),
            maybe(p.number("/metric")),
            maybe(p.number("/loss")),
            p.count("/epoch")
        );
        let title = format!("<title>{}</title>", escape(&told));
        if p.flag("/chosen") {
            let (l, r, t, b) = (px(px_ - MARK), px(px_ + MARK), px(py - MARK), px(py + MARK));
            let (mx, my) = (px(px_), px(py));
            marks += &format!("<path class=\"chosen\" d=\"M{l} {my}L{mx} {t}L{r} {my}L{mx} {b}Z\">{title}</path>");
            let path: Vec<Place> = points.iter().filter(|p| p.flag("/on_front")).filter_map(at).collect();
            let (x, y, anchor) = beside((px_, py), &path, source.map(|s| y.at(s)), [left, right, top, bottom]);
            marks += &label(x, y, anchor, "proxy");
        } else {
            marks += &format!("<circle class=\"point c1\" cx=\"{}\" cy=\"{}\" r=\"4\">{title}</circle>", px(px_), px(py));
        }
    }
    let description = format!("{} models: EBOPs against {metric}. The numbers are in the table below.", points.len());
    Chart { height: HEIGHT, x, y, x_label: "EBOPs", y_label: metric, description: &description, marks: &marks }.svg()
}

/// Where a label at a point of `path` begins or ends, at which corner it hides least: of the path, of the line at height `reference`, and
/// outside of the area.
fn beside(
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

fn table(points: &[Doc], metric: &str) -> String {
    let mut rows = String::new();
    for p in points {
        let chosen = p.flag("/chosen");
        rows += &format!(
            "<tr{}><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            if chosen { " class=\"mine\"" } else { "" },
            p.count("/number"),
            number(p.count("/ebops") as f64),
            maybe(p.number("/metric")),
            maybe(p.number("/metric_error")),
            maybe(p.number("/loss")),
            maybe(p.number("/loss_of_all")),
            if p.flag("/settled") { "yes" } else { "" },
            p.count("/epoch"),
            if chosen { "the proxy" } else { "" }
        );
    }
    let columns =
        ["point", "EBOPs", &escape(metric), "± (standard error)", "loss", "loss on all rows", "settled", "epoch", "chosen"];
    super::table("Points of the front", &columns, &rows)
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
        assert_eq!(beside(rising[1], &rising, None, area), (93.0, 43.0, "end"));
        assert_eq!(beside(rising[0], &rising, None, area).2, "start");
        assert_eq!(beside(falling[1], &falling, None, area), (107.0, 43.0, "start"));
        // the line of the model sent
        assert_eq!(beside(rising[1], &rising, Some(40.0), area), (107.0, 69.0, "start"));
    }
}
