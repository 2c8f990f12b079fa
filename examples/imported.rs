//! The outputs of a file as the import understands it, in float arithmetic and in the file's own
//! layout: for comparison with other tools, as `examples/corpus.py` does.
//!
//! ```sh
//! cargo run --release --example imported -- MODEL.onnx INPUTS.npz OUTPUTS.npz
//! ```
//!
//! Inputs are float32, one array per input by its name, first axis = samples. Outputs are float64,
//! `[samples, elements]`, one array per output.

use hgq_onnx::graph::{eval, import};
use hgq_onnx::onnx::codec::decode;
use hgq_onnx::onnx::limits::Limits;
use npyz::WriterBuilder;
use npyz::npz::{NpzArchive, NpzWriter};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, inputs, outputs] = &arguments[..] else { return Err("usage: MODEL.onnx INPUTS.npz OUTPUTS.npz".into()) };
    let imported = import(&decode(&std::fs::read(model)?, &Limits::default())?)?;
    let graph = &imported.graph;
    let mut archive = NpzArchive::open(inputs)?;
    let mut rows: Vec<Vec<f32>> = Vec::new();
    for (&input, order) in graph.inputs.iter().zip(&imported.input_orders) {
        let name = &graph.values[input].name;
        let x: Vec<f32> = archive.by_name(name)?.ok_or_else(|| format!("no array {name}"))?.into_vec()?;
        rows.push(match order {
            None => x,
            Some(order) => x.chunks(order.len()).flat_map(|row| order.iter().map(|&at| row[at])).collect(),
        });
    }
    let samples = rows[0].len() / graph.len_of(graph.inputs[0]);
    let rows: Vec<&[f32]> = rows.iter().map(|x| &x[..]).collect();
    let found = eval::run(graph, &rows, samples, &graph.outputs)?;
    let mut archive = NpzWriter::create(outputs)?;
    for ((&output, values), order) in graph.outputs.iter().zip(found).zip(&imported.output_orders) {
        let mut in_file = values.clone();
        if let Some(order) = order {
            for (to, from) in in_file.chunks_mut(order.len()).zip(values.chunks(order.len())) {
                from.iter().zip(order).for_each(|(&v, &at)| to[at] = v);
            }
        }
        let shape = [samples as u64, graph.len_of(output) as u64];
        let mut array =
            archive.array::<f64>(&graph.values[output].name, Default::default())?.default_dtype().shape(&shape).begin_nd()?;
        array.extend(in_file)?;
        array.finish()?;
    }
    Ok(())
}
