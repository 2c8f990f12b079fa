//! The imported graph against the file sent: tract executes the file on the user's own samples.

use super::Source;
use crate::convert::documents::ImportCheck;
use crate::data::Dataset;
use crate::data::order::{in_file_order, to_graph};
use crate::diagnostic::{Code, Diagnostic};
use crate::graph::eval;
use crate::verify::tract;

/// Samples compared; tract runs files of fixed batch size one sample at a time.
const SAMPLES: usize = 1024;
/// Largest relative difference between f32 execution of a float file and f64 execution of the
/// graph.
const TOLERANCE: f64 = 1e-3;

/// Runs both on the first samples of `data`.
pub fn check(bytes: &[u8], source: &Source, data: &Dataset) -> ImportCheck {
    let graph = &source.graph;
    let n = data.samples.min(SAMPLES);
    let rows: Vec<&[f32]> = data.inputs.iter().zip(&graph.inputs).map(|(x, &i)| &x[..n * graph.len_of(i)]).collect();
    let in_file = in_file_order(&source.input_orders, &rows);
    let in_file: Vec<&[f32]> = in_file.iter().map(|x| &x[..]).collect();
    let refused =
        |text: String| ImportCheck { max_abs_diff_vs_source: None, samples: 0, outliers: 0, refused: Some(text), elements: 0 };
    // by name: the import leaves label outputs out
    let names: Vec<&str> = graph.outputs.iter().map(|&o| graph.values[o].name.as_str()).collect();
    let theirs = match tract::run_outputs(bytes, &in_file, n, &names) {
        Ok(outputs) => outputs,
        Err(e) => return refused(e.to_string()),
    };
    let ours = match eval::run(graph, &rows, n, &graph.outputs) {
        Ok(outputs) => outputs,
        Err(e) => return refused(e.to_string()),
    };
    let (mut most, mut outliers, mut elements) = (0f64, 0, 0);
    for ((a, b), order) in ours.iter().zip(theirs).zip(&source.output_orders) {
        let b = match order {
            Some(order) => to_graph(&b, order),
            None => b,
        };
        elements += a.len();
        if a.len() != b.len() {
            return refused(format!("tract gives {} values where the graph gives {}", b.len(), a.len()));
        }
        for (&x, &y) in a.iter().zip(&b) {
            let difference = (x - y as f64).abs();
            most = most.max(difference);
            outliers += (difference > TOLERANCE * (1.0 + x.abs())) as usize;
        }
    }
    ImportCheck { max_abs_diff_vs_source: Some(most), samples: n, outliers, refused: None, elements }
}

pub fn import_warnings(source: &Source, import: &ImportCheck) -> Vec<Diagnostic> {
    let mut warnings: Vec<Diagnostic> = source.notes.clone();
    if let Some(why) = &import.refused {
        warnings.push(Diagnostic {
            code: Code::ImportUnchecked,
            message: format!("the file was not executed for comparison: {why}"),
            node: None,
        });
    }
    if import.outliers > 0 {
        let message = format!(
            "{} of {} outputs differ from tract's f32 execution of the file by more than rounding of a float graph explains",
            import.outliers, import.elements
        );
        warnings.push(Diagnostic::new(Code::ImportDiffers, message));
    }
    warnings
}
