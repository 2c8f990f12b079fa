//! What the program prints, whole: help, plans, what is in a model, the report. A change is
//! accepted with `INSTA_UPDATE=always` and read in the diff of `snapshots`.
//!
//! Keys are sorted and numbers have six digits, as neither an order nor the last digits of another
//! machine's logarithm are a change. What a machine, a version or a build decides is left out.

use crate::support::program::{hgq, text, workplace};
use serde_json::{Map, Value};
use std::path::Path;

/// Fields of other values on every machine, in every version or at every time.
const LEFT_OUT: [&str; 5] = ["sha256", "peak_memory_bytes", "memory_estimate_bytes", "timing", "version"];
/// A difference that depends on the kernels that tract has for a processor.
const ROUNDING: (&str, &str) = ("import", "max_abs_diff_vs_source");

const PLAN: [&str; 10] = [
    "convert",
    "digits_mlp.onnx",
    "--calibration",
    "calibration.npz",
    "--train",
    "train.npz",
    "--target-ebops",
    "5000",
    "--dry-run",
    "--threads=1",
];

/// What the program prints in a folder with the digits.
fn printed(args: &[&str]) -> String {
    let dir = workplace();
    let output = hgq(dir.path(), args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// See the module.
fn steady(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            let one = |(name, value): (String, Value)| {
                let left_out = LEFT_OUT.contains(&name.as_str()) && !value.is_null();
                let value = if left_out { "[left out]".into() } else { steady(value) };
                (name, value)
            };
            Value::Object(fields.into_iter().map(one).collect::<Map<_, _>>())
        }
        Value::Array(values) => values.into_iter().map(steady).collect(),
        Value::Number(n) if n.is_f64() => {
            let digits = format!("{:.5e}", n.as_f64().unwrap_or_default());
            digits.parse::<f64>().unwrap_or_default().into()
        }
        other => other,
    }
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&printed(&[args, &["--json"]].concat())).expect("JSON")
}

fn sorted(value: Value) -> String {
    format!("{:#}", steady(value))
}

#[test]
fn help_is_as_recorded() {
    let mut commands = vec!["convert", "trace", "inspect", "verify", "completions", "man"];
    if cfg!(feature = "serve") {
        commands.extend(["", "serve", "health", "token"]);
    }
    if cfg!(feature = "farm") {
        commands.push("worker");
    }
    for command in commands {
        let args: Vec<&str> = [command, "--help"].into_iter().filter(|a| !a.is_empty()).collect();
        let output = hgq(Path::new("."), &args);
        assert_eq!(output.status.code(), Some(0), "{command}");
        let name = if command.is_empty() { "hgq-onnx" } else { command };
        // the farm adds a command and options
        let farm = if cfg!(feature = "farm") && matches!(command, "" | "serve") { "_farm" } else { "" };
        insta::assert_snapshot!(format!("help_{name}{farm}"), text(&output.stdout));
    }
}

#[test]
fn plans_are_as_recorded() {
    let lines = printed(&PLAN);
    // its number is in the table as well
    let lines = lines.lines().filter(|l| !LEFT_OUT.iter().any(|name| l.starts_with(name)));
    insta::assert_snapshot!("plan_text", lines.collect::<Vec<&str>>().join("\n"));
    insta::assert_snapshot!("plan_json", sorted(json(&PLAN)));
}

#[test]
fn inspections_are_as_recorded() {
    let inspect = ["inspect", "digits_mlp.onnx"];
    insta::assert_snapshot!("inspect_text", printed(&inspect));
    insta::assert_snapshot!("inspect_json", sorted(json(&inspect)));
}

#[test]
fn the_report_without_training_is_as_recorded() {
    let convert = ["convert", "digits_mlp.onnx", "--calibration", "calibration.npz", "--epochs", "0", "--threads", "1"];
    let mut report = json(&convert);
    assert!(report[ROUNDING.0][ROUNDING.1].as_f64().is_some_and(|d| d < 1e-4), "{}", report[ROUNDING.0]);
    report[ROUNDING.0][ROUNDING.1] = "[left out]".into();
    insta::assert_snapshot!("report_json", sorted(report));
}
