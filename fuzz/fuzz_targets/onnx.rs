//! A model file: decoded, imported, and evaluated on zeros where it is accepted.
#![no_main]

use hgq_onnx::graph::{eval, import};
use hgq_onnx::onnx::{codec, limits::Limits};
use hgq_onnx_fuzz as _;
use libfuzzer_sys::fuzz_target;

/// Numbers of a sample up to which a graph is evaluated as well.
const EVALUATED: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = codec::decode(bytes, &Limits::default()) else { return };
    let Ok(imported) = import(&model) else { return };
    let graph = &imported.graph;
    if (0..graph.values.len()).map(|v| graph.len_of(v)).all(|len| len <= EVALUATED) {
        let inputs: Vec<Vec<f32>> = graph.inputs.iter().map(|&i| vec![0.0; graph.len_of(i)]).collect();
        let rows: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        eval::run(graph, &rows, 1, &graph.outputs).expect("inputs that fit");
    }
});
