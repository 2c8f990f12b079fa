//! The head of the report: the figures that count, before and after, what came in and what was done
//! to it.

use super::text::{clean, clean_lines, count, maybe, message, name, number, percent};
use super::{Column, table};
use crate::convert::config::{JobConfig, Mode};
use crate::convert::documents::{Figures, Purposed, Report, by_text, json};
use crate::convert::task::metric::less_is_better;
use maud::{Markup, html};
use serde::Serialize;

/// Title and the figures that count.
pub fn head(report: &Report, title: &str) -> Markup {
    let (before, after) = (report.start_ebops as f64, report.ebops as f64);
    let saved =
        if before > 0.0 { format!("{} of the {} at the start", percent(after, before), number(before)) } else { String::new() };
    let levels = format!("{} adders one behind the other", report.hardware.levels);
    let sent = |of: String| format!("model sent: {of}");
    let samples = format!("on {} samples", count(report.verification.compared.samples as u64));
    html! {
        h1 { "Conversion of " (name(title)) }
        p class="by" { (report.tool.name) " " (report.tool.version) " · " (report.schema) }
        dl class="figures" {
            (figure("EBOPs", &number(after), &saved))
            (figure("LUTs, estimated", &count(report.hardware.luts), &levels))
            (figure(&metric(report), &plus_minus(&report.proxy.figures), &sent(plus_minus(&report.source))))
            (figure("loss", &maybe(report.proxy.figures.loss), &sent(maybe(report.source.loss))))
            (figure("mismatches", &count(report.verification.compared.mismatches), &samples))
        }
        @if !report.target.met {
            p class="notice" {
                strong { "The target was not met." }
                " " (message(report.target.reason.as_deref().unwrap_or_default())) " The proxy is the nearest to it."
            }
        }
    }
}

fn figure(what: &str, value: &str, about: &str) -> Markup {
    html! { div { dt { (what) } dd { strong { (value) } " " span { (about) } } } }
}

/// A metric and its standard error.
fn plus_minus(of: &Figures) -> String {
    match of.metric_error {
        Some(error) => format!("{} ± {}", maybe(of.metric), number(error)),
        None => maybe(of.metric),
    }
}

/// The metric's name, and which way is better.
pub fn metric(report: &Report) -> String {
    let name = clean(&report.metric);
    if less_is_better(&name) { format!("{name} (less is better)") } else { name }
}

/// Before and after as a table.
pub fn before_and_after(report: &Report) -> Markup {
    let (sent, made) = (&report.source, &report.proxy.figures);
    let row = |what: &Markup, cells: [Option<f64>; 3]| {
        html! { tr { th scope="row" { (what) } @for cell in cells { td { (maybe(cell)) } } } }
    };
    let figure = |what: &str, cells| row(&html! { (what) }, cells);
    let whole = |n: u64| Some(n as f64);
    let rows = html! {
        (figure(&metric(report), [sent.metric, None, made.metric]))
        (figure("its standard error", [sent.metric_error, None, made.metric_error]))
        (figure("loss", [sent.loss, None, made.loss]))
        (figure("EBOPs (HGQ v1)", [None, whole(report.start_ebops), whole(report.ebops)]))
        (figure("EBOPs (HGQ2’s count)", [None, None, whole(report.ebops_hgq2)]))
        (figure("LUTs, estimated", [None, whole(report.start_luts), whole(report.hardware.luts)]))
        (figure("adders one behind the other", [None, None, Some(f64::from(report.hardware.levels))]))
        (figure("registers, estimated", [None, None, whole(report.hardware.ff)]))
        @if let Some(alone) = &report.validation_alone {
            (figure("metric on the validation rows alone", [alone.source.metric, None, alone.proxy.metric]))
            (figure("its standard error", [alone.source.metric_error, None, alone.proxy.metric_error]))
        }
        @for output in &report.outputs {
            (row(&html! { (clean(&output.metric)) " of " (name(&output.name)) }, [output.source, None, output.proxy]))
        }
    };
    let columns = ["model sent", "quantized, untrained", "proxy"].map(Column::Number);
    let columns: Vec<Column> = [Column::Bare].into_iter().chain(columns).collect();
    html! {
        h2 id="before" { "Before and after" }
        (table("Before and after", &columns, &rows))
        p {
            "Metric and loss are of " (count(report.choice.samples as u64)) " " (report.choice.judged_on)
            " (validation: " (count(report.data.validation_samples as u64)) " samples, " (report.data.validation) ")."
            @if let Some(one) = &report.data.one_answer {
                " One answer for everything would be right for " (percent(one.accuracy, 1.0)) " of them."
            }
            " EBOPs, effective bit operations, are what training counts; the two counts are different quantities and do not \
            compare. LUTs are what the circuit takes of an FPGA without multipliers of its own: an estimate from its adders."
        }
    }
}

/// What came in and what was done.
pub fn what(report: &Report) -> Markup {
    let all = by_text(&report.config).map(|config| format!("{config:#}")).unwrap_or_default();
    html! {
        h2 id="what" { "What came in, what was done" }
        (table("What came in", &[], &came_in(report)))
        ul { (trained(&report.config)) (written(report)) }
        details { summary { "The whole configuration" } pre tabindex="0" { (clean_lines(&all)) } }
    }
}

/// Rows of the table of model and data.
fn came_in(report: &Report) -> Markup {
    let fact = |what: &str, value: &Markup| html! { tr { th scope="row" { (what) } td class="text" { (value) } } };
    let samples = |n: usize| html! { (count(n as u64)) " samples" };
    let (model, data) = (&report.model, &report.data);
    html! {
        (fact("model", &html! { (count(model.bytes as u64)) " bytes, " (count(model.outputs as u64)) " output values" }))
        (fact("its SHA-256", &html! { code class="hash" { (model.sha256) } }))
        (fact("calibration", &samples(data.calibration_samples)))
        (fact("training", &samples(data.train_samples)))
        (fact("validation", &html! { (samples(data.validation_samples)) " (" (data.validation) ")" }))
        @for targets in &report.task.targets { (fact("targets", &purposed(targets))) }
        (fact("metric", &html! { (clean(&report.metric)) ": " (message(&report.task.metric_because)) }))
        @if let Some(most) = report.import.max_abs_diff_vs_source {
            (fact("import check", &html! {
                "as read, outputs differ by at most " (number(most)) " from the file’s execution on "
                (samples(report.import.samples))
            }))
        }
    }
}

fn purposed(targets: &Purposed) -> Markup {
    html! {
        @match &targets.array { Some(array) => code { (clean(array)) }, None => "none" }
        ", taken as " (targets.taken_as) ": " (message(&targets.because))
    }
}

/// As the configuration spells it.
fn spelled(value: &impl Serialize) -> String {
    json(value).ok().map_or_else(String::new, |v| v.as_str().map_or_else(|| v.to_string(), String::from))
}

/// How the bits were found, and what was wanted.
fn trained(config: &JobConfig) -> Markup {
    let wanted = [
        (config.target_ebops, "Wanted: at most this many EBOPs:"),
        (config.target_luts, "Wanted: at most this many LUTs:"),
        (config.max_metric_drop, "Wanted: at most this loss of the metric:"),
        (config.max_output_error, "Wanted: at most this output error:"),
    ];
    html! {
        @match (config.mode, config.epochs) {
            (Mode::Calibrate, _) => li {
                "Bit widths from sensitivities on the calibration data (" code { "calibrate" } "), no training."
            }
            (Mode::FineTune, 0) => li { "No training (0 epochs): the bits are those of the file." }
            (Mode::FineTune, epochs) => li {
                "Weights and bit widths trained by gradient: " (count(epochs as u64)) " epochs, quantizers "
                code { (spelled(&config.quantizers)) } ", seed " (config.seed) "."
            }
        }
        li {
            "One bit width per " (spelled(&config.granularity.weights)) " of weights and per "
            (spelled(&config.granularity.activations)) " of activations."
        }
        @for (limit, text) in wanted {
            @if let Some(limit) = limit { li { (text) " " (number(limit)) "." } }
        }
    }
}

/// What was left off and written.
fn written(report: &Report) -> Markup {
    let proxy = &report.proxy;
    let constant: usize = proxy.removed.iter().map(|r| r.constant.len()).sum();
    let unread: usize = proxy.removed.iter().map(|r| r.unread.len()).sum();
    html! {
        @if report.model.softmax_dropped { li { "Softmax left off: the outputs are logits." } }
        li {
            (count(constant as u64)) " activations that are constant and " (count(unread as u64))
            " that nothing reads removed."
        }
        li {
            "Written in the form " code { (spelled(&proxy.form)) } ": " (count(proxy.nodes as u64)) " nodes, "
            (count(proxy.bytes as u64)) " bytes, SHA-256 " code class="hash" { (proxy.sha256) } "."
        }
    }
}
