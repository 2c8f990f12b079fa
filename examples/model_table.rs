//! What becomes of ONNX files: one line of a Markdown table per file, converted without training on
//! reproducible random inputs. Proxies go to `--proxies DIR`, for whoever wants to run hls4ml on
//! them. `docs/models.md` is made with it.
//!
//! ```sh
//! cargo run --release --example model_table -- [--proxies DIR] FILES…
//! ```

use hgq_onnx::convert::documents::Tensor;
use hgq_onnx::convert::{DataFile, Error, Inspection, Job, JobConfig, inspect, run};
use hgq_onnx::data::Rng;
use npyz::WriterBuilder;
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
    if !told.supported {
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
            let difference = report.import.max_abs_diff_vs_source.map_or("not run".into(), |d| format!("{d:.0e}"));
            let mut notes: Vec<&str> = Vec::new();
            for code in report.warnings.iter().map(|w| w.code.name()) {
                if !notes.contains(&code) {
                    notes.push(code);
                }
            }
            let (nodes, notes) = (report.proxy.nodes, notes.join(", "));
            format!("| `{name}` | converted | {nodes} | {} | {difference} | {notes} |", done.ebops)
        }
        Err(Error::Unsupported(nodes)) => {
            refused(nodes.iter().map(|n| format!("{}: {}", n.op, n.reason)).collect::<Vec<_>>().join("; "))
        }
        Err(e) => refused(e.to_string()),
    }
}

/// The reasons of all nodes, each kind once.
fn reasons(told: &Inspection) -> String {
    let mut list: Vec<(String, usize)> = Vec::new();
    for node in &told.unsupported {
        let text = format!("{}: {}", node.op, node.reason);
        match list.iter_mut().find(|(t, _)| *t == text) {
            Some((_, count)) => *count += 1,
            None => list.push((text, 1)),
        }
    }
    let shown = list.iter().map(|(text, count)| if *count > 1 { format!("{count} × {text}") } else { text.clone() });
    shown.chain(told.reason.clone()).collect::<Vec<_>>().join("; ").replace('|', "/")
}

/// Values like standardised features, on the grid 2^-10.
fn inputs(told: &Inspection) -> DataFile {
    let mut rng = Rng::new(1);
    let mut bytes = Cursor::new(Vec::new());
    let mut archive = npyz::npz::NpzWriter::new(&mut bytes);
    let inputs = told.inputs.as_deref().unwrap_or_default();
    let elements = |i: &Tensor| i.shape.iter().product::<usize>() as u64;
    let samples = if inputs.iter().map(elements).any(|n| n > LARGE) { SAMPLES.1 } else { SAMPLES.0 };
    for input in inputs {
        let shape = [samples, elements(input)];
        let mut array = archive
            .array::<f32>(&input.name, Default::default())
            .expect("npz")
            .default_dtype()
            .shape(&shape)
            .begin_nd()
            .expect("npz");
        let value = |_| (((0..4).map(|_| rng.unit() - 0.5).sum::<f64>() * 2.0 * 1024.0).round() / 1024.0) as f32;
        array.extend((0..samples * elements(input)).map(value)).expect("npz");
        array.finish().expect("npz");
    }
    drop(archive);
    DataFile::new("random.npz", bytes.into_inner())
}
