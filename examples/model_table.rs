//! What becomes of ONNX files: one line of a Markdown table per file, converted without training on reproducible random inputs.
//! Proxies go to `--proxies DIR`, for whoever wants to run hls4ml on them. `docs/models.md` is made with it.
//!
//! ```sh
//! cargo run --release --example model_table -- [--proxies DIR] FILES…
//! ```

use hgq_onnx::convert::{DataFile, Error, Job, JobConfig, inspect, run};
use hgq_onnx::data::Rng;
use npyz::WriterBuilder;
use serde_json::Value;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Samples for ordinary files, and for those with very large inputs.
const SAMPLES: (u64, u64) = (200, 2);
/// Elements from which an input is very large.
const LARGE: u64 = 1 << 14;

fn main() {
    let mut files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let proxies =
        files.iter().position(|a| a.as_os_str() == "--proxies").map(|at| files.drain(at..at + 2).nth(1).expect("a folder"));
    println!("| file | result | nodes of the proxy | EBOPs | import against tract | why, or what to know |");
    println!("|---|---|---|---|---|---|");
    for file in files {
        println!("{}", row(&file, proxies.as_deref()));
    }
}

fn row(file: &Path, proxies: Option<&Path>) -> String {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let model = std::fs::read(file).expect("the file");
    let refused = |why: String| format!("| `{name}` | refused | | | | {why} |");
    let told = match inspect(&model) {
        Ok(told) => told,
        Err(e) => return refused(e.to_string()),
    };
    if told["supported"] != true {
        return refused(reasons(&told));
    }
    let job = Job {
        model,
        calibration: inputs(&told),
        train: None,
        validation: None,
        config: JobConfig { epochs: 0, ..JobConfig::default() },
    };
    match run(&job, &mut |_| {}, &AtomicBool::new(false)) {
        Ok(done) => {
            if let Some(folder) = proxies {
                std::fs::write(folder.join(format!("{name}.onnx")), &done.proxy).expect("the proxy");
            }
            let report = &done.report;
            let difference = report["import"]["max_abs_diff_vs_source"].as_f64().map_or("not run".into(), |d| format!("{d:.0e}"));
            let mut notes: Vec<String> = Vec::new();
            for warning in report["warnings"].as_array().into_iter().flatten() {
                let code = warning["code"].as_str().unwrap_or("").to_string();
                if !notes.contains(&code) {
                    notes.push(code);
                }
            }
            format!(
                "| `{name}` | converted | {} | {} | {difference} | {} |",
                report["proxy"]["nodes"],
                done.ebops,
                notes.join(", ")
            )
        }
        Err(Error::Unsupported(nodes)) => {
            refused(nodes.iter().map(|n| format!("{}: {}", n.op, n.reason)).collect::<Vec<_>>().join("; "))
        }
        Err(e) => refused(e.to_string()),
    }
}

/// The reasons of all nodes, each kind once.
fn reasons(told: &Value) -> String {
    let mut list: Vec<(String, usize)> = Vec::new();
    for node in told["unsupported"].as_array().into_iter().flatten() {
        let text = format!("{}: {}", node["op"].as_str().unwrap_or(""), node["reason"].as_str().unwrap_or(""));
        match list.iter_mut().find(|(t, _)| *t == text) {
            Some((_, count)) => *count += 1,
            None => list.push((text, 1)),
        }
    }
    let shown = list.iter().map(|(text, count)| if *count > 1 { format!("{count} × {text}") } else { text.clone() });
    shown.chain(told["reason"].as_str().map(String::from)).collect::<Vec<_>>().join("; ").replace('|', "/")
}

/// Values like standardised features, on the grid 2^-10.
fn inputs(told: &Value) -> DataFile {
    let mut rng = Rng::new(1);
    let mut bytes = Cursor::new(Vec::new());
    let mut archive = npyz::npz::NpzWriter::new(&mut bytes);
    let inputs: Vec<&Value> = told["inputs"].as_array().into_iter().flatten().collect();
    let elements = |i: &&Value| i["shape"].as_array().into_iter().flatten().filter_map(Value::as_u64).product::<u64>();
    let samples = if inputs.iter().map(elements).any(|n| n > LARGE) { SAMPLES.1 } else { SAMPLES.0 };
    for input in &inputs {
        let shape = [samples, elements(input)];
        let name = input["name"].as_str().unwrap_or("x");
        let mut array =
            archive.array::<f32>(name, Default::default()).expect("npz").default_dtype().shape(&shape).begin_nd().expect("npz");
        let value = |_| (((0..4).map(|_| rng.unit() - 0.5).sum::<f64>() * 2.0 * 1024.0).round() / 1024.0) as f32;
        array.extend((0..samples * elements(input)).map(value)).expect("npz");
        array.finish().expect("npz");
    }
    drop(archive);
    DataFile::new("random.npz", bytes.into_inner())
}
