//! `report.html`: whatever a file calls its parts stays text, nothing is fetched from anywhere, and
//! what the report says is there.

use crate::support::files::read;
use crate::support::made::{Made, run};
use hgq_onnx::convert::{DataFile, Job, JobConfig, Report, report::html};
use hgq_onnx::onnx::{Limits, codec};
use hgq_onnx::quant::FixedModel;
use serde_json::{Value, json};
use std::sync::atomic::AtomicBool;

/// Elements without an end tag.
const VOID: [&str; 1] = ["meta"];
/// All elements that the page is made of.
const ELEMENTS: [&str; 41] = [
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "main",
    "header",
    "section",
    "aside",
    "h1",
    "h2",
    "h3",
    "p",
    "strong",
    "span",
    "code",
    "pre",
    "dl",
    "dt",
    "dd",
    "div",
    "ul",
    "li",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "figure",
    "figcaption",
    "details",
    "summary",
    "svg",
    "g",
    "path",
    "circle",
    "rect",
    "text",
];

fn convert(model: Vec<u8>, config: &str) -> Made {
    let data = |name: &str| DataFile::new(name, read(&format!("digits/{name}")));
    let config = JobConfig::from_json(config.as_bytes()).unwrap();
    let job = Job { model, calibration: data("calibration.npz"), train: Some(data("train.npz")), validation: None, config };
    run(&job, &mut |_| {}, &AtomicBool::new(false)).unwrap()
}

/// Names with everything that could be taken for markup, and one that is very long.
fn hostile(n: usize) -> String {
    match n % 4 {
        0 => format!("</title></style><script>alert({n})</script>"),
        1 => format!("\" onload='alert({n})' x=\"&lt;\n\r\0\u{202e}{n}"),
        2 => format!("{}{n}", "<b>long".repeat(20_000)),
        _ => format!("]]>--><!--{{{{{n}}}}}'\"`\\"),
    }
}

/// The model with other names for its nodes and the values between them.
fn renamed(model: &[u8]) -> Vec<u8> {
    let mut model = codec::decode(model, &Limits::default()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    graph.name = Some(hostile(0));
    let all = graph.node.iter().flat_map(|n| n.output.clone()).chain(graph.input.iter().map(|i| i.name().to_string()));
    let names: std::collections::BTreeMap<String, String> = all.enumerate().map(|(n, name)| (name, hostile(n + 1))).collect();
    let rename = |name: &mut String| {
        if let Some(other) = names.get(name) {
            name.clone_from(other);
        }
    };
    for (n, node) in graph.node.iter_mut().enumerate() {
        node.name = Some(hostile(n + 2));
        node.input.iter_mut().chain(&mut node.output).for_each(rename);
    }
    for info in graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info) {
        info.name.as_mut().into_iter().for_each(rename);
    }
    codec::encode(&model)
}

/// Elements by name, after checking that they are known, nested and closed, and that attributes are
/// quoted and neither scripts nor links.
fn elements(page: &str) -> Vec<String> {
    let body = page.strip_prefix("<!DOCTYPE html>").expect("a document type");
    let (mut open, mut seen) = (Vec::<String>::new(), Vec::new());
    let mut rest = body;
    while let Some(at) = rest.find('<') {
        let is_style = open.last().is_some_and(|o| o == "style");
        assert!(is_style || !rest[..at].contains('>'), "a stray `>` before {:.80}", &rest[at..]);
        let end = rest[at..].find('>').expect("a tag ends") + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "nesting");
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let name = name.trim_end_matches('/');
        assert!(ELEMENTS.contains(&name), "element <{name}>");
        check_attributes(name, attributes.trim_end_matches('/'));
        seen.push(name.to_string());
        if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name.to_string());
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    seen
}

fn check_attributes(element: &str, attributes: &str) {
    let mut rest = attributes.trim();
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("<{element}>: attribute without quotes: {rest:.80}"));
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        assert!(
            plain && !name.starts_with("on") && !["src", "href", "style", "action"].contains(&name),
            "<{element} {name:.80}>"
        );
        rest = value.split_once('"').expect("a quoted value").1.trim_start();
    }
}

#[test]
fn names_of_a_file_stay_text() {
    let done = convert(renamed(&read("digits/digits_mlp.onnx")), r#"{"epochs": 2, "threads": 1}"#);
    let seen = elements(&done.page);
    assert!(seen.iter().filter(|e| *e == "svg").count() > 10);
    assert!(!done.page.contains("<script") && !done.page.contains("<b>") && done.page.contains("&lt;script&gt;alert("));
    assert!(!done.page.contains(['\0', '\r', '\u{202e}']));
    assert!(done.page.len() < 200_000, "{} bytes: long names are cut", done.page.len());
}

/// The same for messages, warnings and settings, which a request may bring.
#[test]
fn texts_of_a_report_stay_text() {
    let evil = "</pre><img src=x onerror='alert(1)'>\"";
    let report = convert(read("digits/digits_mlp.onnx"), r#"{"epochs": 0, "threads": 1}"#).report;
    /// Every text that is not one of a few words.
    fn poison(value: &mut Value, evil: &str) {
        match value {
            Value::String(s) => *s = evil.into(),
            Value::Array(items) => items.iter_mut().for_each(|v| poison(v, evil)),
            Value::Object(map) => map.values_mut().for_each(|v| poison(v, evil)),
            _ => {}
        }
    }
    let mut evils = report.clone();
    poison(&mut evils, evil);
    for (part, field) in [("config", "proxy"), ("proxy", "form")] {
        evils[part][field] = report[part][field].clone();
    }
    for field in ["mode", "granularity", "quantizers", "rounding", "learning_rate"] {
        evils["config"][field] = report["config"][field].clone();
    }
    evils["config"]["hls4ml"]["strategy"] = report["config"]["hls4ml"]["strategy"].clone();
    evils["count"] = report["count"].clone();
    evils["ports"] = report["ports"].clone();
    evils["warnings"] = json!([{"code": "few_samples", "message": evil, "node": evil}]);
    evils["target"] = json!({"met": false, "reason": evil});
    evils["outputs"] = json!([{"name": evil, "metric": evil, "source": 1, "proxy": 0.5}]);
    evils["config"]["layers"] = json!([{"match": evil}]);
    let evils: Report = serde_json::from_value(evils).unwrap();
    let nothing = FixedModel { name: evil.into(), values: vec![], nodes: vec![], inputs: vec![], outputs: vec![] };
    let page = html::page(&evils, &nothing).unwrap();
    elements(&page);
    assert!(page.matches("&lt;img src=x").count() > 10 && !page.contains("<img"));
}

#[test]
fn the_page_says_what_the_report_says_and_fetches_nothing() {
    let config = r#"{"epochs": 6, "threads": 1, "target_ebops": 9000}"#;
    let done = convert(read("digits/digits_mlp.onnx"), config);
    let page = &done.page;
    elements(page);
    for outside in ["http:", "https:", "//", "url(", "@import", "javascript:", "<link", "<iframe"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    assert!(style.contains("prefers-color-scheme: dark") && style.contains("@media print"));
    let grouped = |n: u64| if n < 1000 { n.to_string() } else { format!("{},{:03}", n / 1000, n % 1000) };
    let report = &done.report;
    for size in ["ebops", "start_ebops", "ebops_hgq2", "luts", "start_luts", "ff"] {
        assert!(page.contains(&format!(">{}<", grouped(report[size].as_u64().unwrap()))), "{size}");
    }
    let by_layer = |field: &str| report["layers"].as_array().unwrap().iter().filter_map(|l| l[field].as_u64()).sum::<u64>();
    assert_eq!(["luts", "ff"].map(by_layer), ["luts", "ff"].map(|field| report[field].as_u64().unwrap()));
    for hash in [&report["model"]["sha256"], &report["proxy"]["sha256"]] {
        assert!(page.contains(hash.as_str().unwrap()));
    }
    // every point of the front in the drawing and in the table; one of them is the proxy
    let front = report["pareto"].as_array().unwrap();
    assert_eq!(page.matches("<title>point ").count(), front.len());
    assert_eq!(page.matches("class=\"chosen\"").count(), 1);
    assert_eq!(page.matches(">the proxy</td>").count(), 1);
    // a map for each layer, a curve for each quantity, a box for each node
    let layers = report["layers"].as_array().unwrap();
    let with = |key: &str| layers.iter().filter(|l| l.get(key).is_some()).count();
    assert_eq!(page.matches("<svg class=\"map\"").count(), with("weights"));
    assert_eq!(page.matches("<svg class=\"histogram\"").count(), with("weights") + with("activation"));
    assert_eq!(page.matches("<svg class=\"range\"").count(), with("activation"));
    assert_eq!(page.matches("<path class=\"line ").count(), 6);
    assert!(page.contains("class=\"node quant\"") && page.contains("class=\"node product\"") && page.contains("· output</text>"));
    assert!(page.contains("    model, hls_config=config, backend='Vitis'"));
    // the course of the training, epoch by epoch
    let training = report["training"].as_array().unwrap();
    assert_eq!(training.iter().map(|e| e["epoch"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(training.iter().all(|e| e["ebops"].as_f64().unwrap() > 0.0 && e["loss"].as_f64().unwrap() > 0.0));
    // the same job, the same page: no times
    assert!(convert(read("digits/digits_mlp.onnx"), config).page == *page);
}
