//! The imported graph as a function of the file's tensors: inputs and outputs in the layout of the
//! file.

use hgq_onnx::graph::{Imported, eval};

/// All outputs `[samples][elements]` for `inputs` `[samples][elements]`, both with the elements in
/// the order of the file.
#[track_caller]
pub fn evaluate(imported: &Imported, inputs: &[&[f32]], samples: usize) -> Vec<Vec<f64>> {
    let graph = &imported.graph;
    // element j of the graph's sample is element order[j] of the file's
    let inputs: Vec<Vec<f32>> = (inputs.iter().zip(&imported.input_orders))
        .map(|(x, order)| match order {
            None => x.to_vec(),
            Some(order) => x.chunks(order.len()).flat_map(|row| order.iter().map(|&at| row[at])).collect(),
        })
        .collect();
    let rows: Vec<&[f32]> = inputs.iter().map(|x| &x[..]).collect();
    let outputs = eval::run(graph, &rows, samples, &graph.outputs).unwrap_or_else(|e| panic!("{e}"));
    (outputs.into_iter().zip(&imported.output_orders))
        .map(|(y, order)| match order {
            None => y,
            Some(order) => {
                let mut file = vec![0.0; y.len()];
                for (to, from) in file.chunks_mut(order.len()).zip(y.chunks(order.len())) {
                    from.iter().zip(order).for_each(|(&v, &at)| to[at] = v);
                }
                file
            }
        })
        .collect()
}
