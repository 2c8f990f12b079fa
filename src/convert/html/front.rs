//! The Pareto front: EBOPs against the metric, the chosen point marked, and the same as a table.

use super::doc::Doc;
use super::plot::{Axis, Chart, area, label, line};
use super::summary::metric;
use super::text::{escape, maybe, number, px};

const HEIGHT: f64 = 250.0;
/// Half the size of the mark of the chosen point.
const MARK: f64 = 7.0;

/// The section.
pub fn section(report: Doc) -> String {
    let points: Vec<Doc> = report.list("/pareto").collect();
    if points.is_empty() {
        return String::new();
    }
    let metric = metric(report);
    let mut out =
        "<h2 id=\"pareto\">Pareto front</h2><p>Every trade-off found: no other model of the run is at least as good in both. \
                   The proxy of point N is <code>pareto/N/proxy.onnx</code>.</p>"
            .to_string();
    out += &format!(
        "<figure>{}<figcaption>EBOPs against {} on the validation data. Diamond: the proxy.",
        chart(report, &points, &metric),
        escape(&metric)
    );
    if report.has("/source/metric") {
        out += " Dashed line: the model sent.";
    }
    out += "</figcaption></figure>";
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
    marks += &format!("<path class=\"line c1\" d=\"{}\"/>", line(points.iter().map(at)));
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
            let end = px_ > (left + right) / 2.0;
            let (dx, anchor) = if end { (-MARK - 4.0, "end") } else { (MARK + 4.0, "start") };
            let dy = if py > (top + bottom) / 2.0 { -MARK } else { MARK + 9.0 };
            marks += &label(px_ + dx, py + dy, anchor, "proxy");
        } else {
            marks += &format!("<circle class=\"point c1\" cx=\"{}\" cy=\"{}\" r=\"4\">{title}</circle>", px(px_), px(py));
        }
    }
    let description = format!("{} models: EBOPs against {metric}. The numbers are in the table below.", points.len());
    Chart { height: HEIGHT, x, y, x_label: "EBOPs", y_label: metric, description: &description, marks: &marks }.svg()
}

fn table(points: &[Doc], metric: &str) -> String {
    let mut rows = String::new();
    for p in points {
        let chosen = p.flag("/chosen");
        rows += &format!(
            "<tr{}><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            if chosen { " class=\"mine\"" } else { "" },
            p.count("/number"),
            number(p.count("/ebops") as f64),
            maybe(p.number("/metric")),
            maybe(p.number("/loss")),
            p.count("/epoch"),
            if chosen { "the proxy" } else { "" }
        );
    }
    super::table("Points of the front", &["point", "EBOPs", &escape(metric), "loss", "epoch", "chosen"], &rows)
}
