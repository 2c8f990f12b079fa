//! The head of the report: the figures that count, before and after, what came in and what was done to it.

use super::doc::Doc;
use super::text::{escape, escape_lines, maybe, message, name, number, percent};
use crate::convert::task::metric::less_is_better;

/// Title and the figures that count.
pub fn head(report: Doc, title: &str) -> String {
    let (before, after) = (report.number("/start_ebops"), report.number("/ebops"));
    let saved = match (before, after) {
        (Some(b), Some(a)) if b > 0.0 => format!("{} of the {} at the start", percent(a, b), number(b)),
        _ => String::new(),
    };
    let source = plus_minus(report, "/source");
    let metric = escape(&metric(report));
    let samples = number(report.count("/verification/samples") as f64);
    let mut figures = figure("EBOPs", &maybe(after), &saved);
    figures += &figure(&metric, &plus_minus(report, "/proxy"), &format!("model sent: {source}"));
    figures +=
        &figure("loss", &maybe(report.number("/proxy/loss")), &format!("model sent: {}", maybe(report.number("/source/loss"))));
    figures += &figure("mismatches", &number(report.count("/verification/mismatches") as f64), &format!("on {samples} samples"));
    let mut out = format!("<h1>Conversion of {}</h1>", name(title));
    out += &format!(
        "<p class=\"by\">{} {} · {}</p>",
        escape(report.text("/tool/name")),
        escape(report.text("/tool/version")),
        escape(report.text("/schema"))
    );
    out += &format!("<dl class=\"figures\">{figures}</dl>");
    if report.has("/target") && !report.flag("/target/met") {
        let why = message(report.text("/target/reason"));
        out += &format!("<p class=\"notice\"><strong>The target was not met.</strong> {why} The proxy is the nearest to it.</p>");
    }
    out
}

fn figure(what: &str, value: &str, beside: &str) -> String {
    format!("<div><dt>{what}</dt><dd><strong>{value}</strong> <span>{beside}</span></dd></div>")
}

/// The metric of `who`, and its standard error.
fn plus_minus(report: Doc, who: &str) -> String {
    let at = |what: &str| report.number(&format!("{who}/{what}"));
    match at("metric_error") {
        Some(error) => format!("{} ± {}", maybe(at("metric")), number(error)),
        None => maybe(at("metric")),
    }
}

/// The metric's name, and which way is better.
pub fn metric(report: Doc) -> String {
    let name = report.text("/metric");
    if less_is_better(name) { format!("{name} (less is better)") } else { name.to_string() }
}

/// Before and after as a table.
pub fn before_and_after(report: Doc) -> String {
    let row = |what: &str, cells: [Option<f64>; 3]| {
        let cells: String = cells.iter().map(|c| format!("<td>{}</td>", maybe(*c))).collect();
        format!("<tr><th scope=\"row\">{what}</th>{cells}</tr>")
    };
    let at = |path: &str| report.number(path);
    let mut rows = row(&escape(&metric(report)), [at("/source/metric"), None, at("/proxy/metric")]);
    rows += &row("its standard error", [at("/source/metric_error"), None, at("/proxy/metric_error")]);
    rows += &row("loss", [at("/source/loss"), None, at("/proxy/loss")]);
    rows += &row("EBOPs (HGQ v1)", [None, at("/start_ebops"), at("/ebops")]);
    rows += &row("EBOPs (HGQ2’s count)", [None, None, at("/ebops_hgq2")]);
    if report.has("/validation_alone") {
        let alone =
            |what: &str| [at(&format!("/validation_alone/source/{what}")), None, at(&format!("/validation_alone/proxy/{what}"))];
        rows += &row("metric on the validation rows alone", alone("metric"));
        rows += &row("its standard error", alone("metric_error"));
    }
    for output in report.list("/outputs") {
        let what = format!("{} of {}", escape(output.text("/metric")), name(output.text("/name")));
        rows += &row(&what, [output.number("/source"), None, output.number("/proxy")]);
    }
    format!(
        "<h2 id=\"before\">Before and after</h2>{}<p>Metric and loss are of {} {} (validation: {} samples, {}).{} EBOPs, effective bit \
         operations, estimate the circuit’s area; the two counts are different quantities and do not compare.</p>",
        super::table("Before and after", &["", "model sent", "quantized, untrained", "proxy"], &rows),
        number(report.count("/choice/samples") as f64),
        escape(report.text("/choice/judged_on")),
        number(report.count("/data/validation_samples") as f64),
        escape(report.text("/data/validation")),
        one_answer(report)
    )
}

/// What the most frequent class alone would score.
fn one_answer(report: Doc) -> String {
    let share = report.number("/data/one_answer/accuracy");
    share.map_or_else(String::new, |share| {
        format!(" One answer for everything would be right for {} of them.", percent(share, 1.0))
    })
}

/// What came in and what was done.
pub fn what(report: Doc) -> String {
    let all = report.0.get("config").and_then(|c| serde_json::to_string_pretty(c).ok()).unwrap_or_default();
    format!(
        "<h2 id=\"what\">What came in, what was done</h2>{}<ul>{}</ul>\
         <details><summary>The whole configuration</summary><pre tabindex=\"0\">{}</pre></details>",
        super::table("What came in", &[], &came_in(report)),
        was_done(report),
        escape_lines(&all)
    )
}

/// Rows of the table of model and data.
fn came_in(report: Doc) -> String {
    let count = |at: &str| number(report.count(at) as f64);
    let fact = |what: &str, value: String| format!("<tr><th scope=\"row\">{what}</th><td class=\"text\">{value}</td></tr>");
    let mut came = fact("model", format!("{} bytes, {} output values", count("/model/bytes"), count("/model/outputs")));
    came += &fact("its SHA-256", format!("<code class=\"hash\">{}</code>", escape(report.text("/model/sha256"))));
    came += &fact("calibration", format!("{} samples", count("/data/calibration_samples")));
    came += &fact("training", format!("{} samples", count("/data/train_samples")));
    let validation = format!("{} samples ({})", count("/data/validation_samples"), escape(report.text("/data/validation")));
    came += &fact("validation", validation);
    for targets in report.list("/task/targets") {
        let array = match targets.text("/array") {
            "" => "none".to_string(),
            array => format!("<code>{}</code>", escape(array)),
        };
        let text = format!("{array}, taken as {}: {}", escape(targets.text("/taken_as")), escape(targets.text("/because")));
        came += &fact("targets", text);
    }
    if report.has("/task/metric_because") {
        let why = message(report.text("/task/metric_because"));
        came += &fact("metric", format!("{}: {why}", escape(report.text("/metric"))));
    }
    if report.has("/import/max_abs_diff_vs_source") {
        let moved = maybe(report.number("/import/max_abs_diff_vs_source"));
        let on = count("/import/samples");
        came += &fact(
            "import check",
            format!("as read, outputs differ by at most {moved} from the file’s execution on {on} samples"),
        );
    }
    came
}

/// The list of what was done, item by item.
fn was_done(report: Doc) -> String {
    let count = |at: &str| number(report.count(at) as f64);
    let mut done = String::new();
    let mut item = |text: String| done += &format!("<li>{text}</li>");
    let config = |at: &str| escape(&report.plain(&format!("/config/{at}")));
    let epochs = report.count("/config/epochs");
    match report.text("/config/mode") {
        "calibrate" => {
            item("Bit widths from sensitivities on the calibration data (<code>calibrate</code>), no training.".into())
        }
        _ if epochs == 0 => item("No training (0 epochs): the bits are those of the file.".into()),
        _ => item(format!(
            "Weights and bit widths trained by gradient: {} epochs, quantizers <code>{}</code>, seed {}.",
            number(epochs as f64),
            config("quantizers"),
            config("seed")
        )),
    }
    let granularity = (config("granularity/weights"), config("granularity/activations"));
    item(format!("One bit width per {} of weights and per {} of activations.", granularity.0, granularity.1));
    for (field, text) in [
        ("target_ebops", "Wanted: at most this many EBOPs:"),
        ("max_metric_drop", "Wanted: at most this loss of the metric:"),
        ("max_output_error", "Wanted: at most this output error:"),
    ] {
        if report.has(&format!("/config/{field}")) {
            item(format!("{text} {}.", maybe(report.number(&format!("/config/{field}")))));
        }
    }
    if report.flag("/model/softmax_dropped") {
        item("Softmax left off: the outputs are logits.".into());
    }
    let (constant, unread) = removed(report);
    item(format!("{} activations that are constant and {} that nothing reads removed.", number(constant), number(unread)));
    item(format!(
        "Written in the form <code>{}</code>: {} nodes, {} bytes, SHA-256 <code class=\"hash\">{}</code>.",
        escape(report.text("/proxy/form")),
        count("/proxy/nodes"),
        count("/proxy/bytes"),
        escape(report.text("/proxy/sha256"))
    ));
    done
}

/// Elements removed because they are constant, and because nothing reads them.
fn removed(report: Doc) -> (f64, f64) {
    let sum = |what: &str| report.list("/proxy/removed").map(|r| r.list(&format!("/{what}")).count() as f64).sum();
    (sum("constant"), sum("unread"))
}
