//! Independent execution of an ONNX file by tract, in f32: the file that was sent, or a proxy read
//! back. QONNX `Quant`, `IntQuant` and `BipolarQuant` are registered with tract in `quant.rs`.
//!
//! tract sees the bytes, not our graph, so agreement with [`crate::graph::eval`] says that the
//! import is right. It does not support every file; callers report an error here as a warning.

mod batch;
mod batch_norm;
mod channels_last;
mod conv;
mod names;
mod op;
mod pool;
mod quant;
mod window;

use crate::onnx::proto::{ModelProto, ValueInfoProto};
use crate::onnx::{self, Limits, info};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use thiserror::Error;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::bail;

/// Samples per call, where the graph takes any batch. A prime, so that an axis mistaken for the
/// batch does not fit.
const BLOCK: usize = 251;

/// Why tract could not execute a file.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TractError {
    #[error(transparent)]
    Onnx(#[from] onnx::OnnxError),
    #[error("{found} inputs given, but the file has {expected}")]
    Inputs { found: usize, expected: usize },
    #[error("input `{name}` has {found} values, which are not {samples} samples of shape {shape:?}")]
    Length { name: String, found: usize, samples: usize, shape: Vec<usize> },
    /// tract's own message.
    #[error("tract cannot execute the file: {0}")]
    Tract(String),
    #[error("tract panicked: {0}")]
    Panic(String),
}

/// Executes a file. `inputs` has one slice `[samples][elements]` per graph input; the result has
/// one vector `[samples][elements]` per graph output.
///
/// # Errors
/// [`TractError`]; tract's panics become errors.
pub fn run(bytes: &[u8], inputs: &[&[f32]], samples: usize) -> Result<Vec<Vec<f32>>, TractError> {
    let model = onnx::decode(bytes, &Limits::default())?;
    let names: Vec<String> = model.graph.iter().flat_map(|g| &g.output).map(|o| o.name().to_string()).collect();
    run_model(model, inputs, samples, &names)
}

/// [`run`] for the graph outputs `wanted` only, in that order: the import leaves label outputs out.
///
/// # Errors
/// As [`run`], and where there is no such output.
pub fn run_outputs(bytes: &[u8], inputs: &[&[f32]], samples: usize, wanted: &[&str]) -> Result<Vec<Vec<f32>>, TractError> {
    let model = onnx::decode(bytes, &Limits::default())?;
    run_model(model, inputs, samples, wanted)
}

fn run_model<S: AsRef<str>>(
    mut model: ModelProto,
    inputs: &[&[f32]],
    samples: usize,
    wanted: &[S],
) -> Result<Vec<Vec<f32>>, TractError> {
    let shapes = input_shapes(&model, inputs, samples)?;
    let position = |name: &S| {
        let name = name.as_ref();
        let graph = model.graph.as_mut();
        let found = graph.and_then(|g| match g.output.iter().position(|o| o.name() == name) {
            // scores that the file decodes labels from are no output of it
            None if g.node.iter().any(|n| n.output.iter().any(|o| o == name)) => {
                g.output.push(ValueInfoProto { name: Some(name.to_string()), ..Default::default() });
                Some(g.output.len() - 1)
            }
            position => position,
        });
        found.ok_or_else(|| TractError::Tract(format!("the file has no output `{name}`")))
    };
    let outputs: Vec<usize> = wanted.iter().map(position).collect::<Result<_, _>>()?;
    if samples == 0 {
        return Ok(vec![Vec::new(); outputs.len()]);
    }
    let block = samples.min(BLOCK);
    channels_last::rename(&mut model);
    names::unique(&mut model);
    let one = onnx::encode(&model);
    let mut attempts = vec![(1, one)];
    if block > 1 && batch::open(&mut model) {
        attempts.insert(0, (block, onnx::encode(&model)));
    }
    let mut last = TractError::Tract("no batch size works".into());
    for (batch, bytes) in attempts {
        let attempt = catch_unwind(AssertUnwindSafe(|| execute(&bytes, inputs, &shapes, &outputs, samples, batch)));
        match attempt {
            Ok(Ok(outputs)) => return Ok(outputs),
            Ok(Err(error)) => last = TractError::Tract(format!("{error:#}")),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_string()));
                last = TractError::Panic(text.unwrap_or_default());
            }
        }
    }
    Err(last)
}

/// Shapes of one sample of each input, as the file declares them; dimensions left open must follow
/// from the data.
fn input_shapes(model: &ModelProto, inputs: &[&[f32]], samples: usize) -> Result<Vec<Vec<usize>>, TractError> {
    let Some(graph) = &model.graph else { return Ok(vec![]) };
    let free = graph.input.iter().filter(|i| graph.initializer.iter().all(|t| t.name() != i.name()));
    let mut shapes = Vec::new();
    for (index, info) in free.clone().enumerate() {
        let Some(data) = inputs.get(index) else { break };
        let dims = info::dims(info).unwrap_or_default();
        let declared: Option<Vec<usize>> = dims.iter().skip(1).map(info::size).collect();
        let shape = declared.filter(|_| dims.len() > 1).unwrap_or_else(|| vec![data.len() / samples.max(1)]);
        let needed = shape.iter().try_fold(samples, |n, &d| n.checked_mul(d));
        if needed != Some(data.len()) {
            return Err(TractError::Length { name: info.name().to_string(), found: data.len(), samples, shape });
        }
        shapes.push(shape);
    }
    let expected = free.count();
    if inputs.len() != expected {
        return Err(TractError::Inputs { found: inputs.len(), expected });
    }
    Ok(shapes)
}

/// Runs the file for the outputs at the positions `wanted` in blocks of `batch` samples; the last
/// block is filled up with zeros.
fn execute(
    bytes: &[u8],
    inputs: &[&[f32]],
    shapes: &[Vec<usize>],
    wanted: &[usize],
    samples: usize,
    batch: usize,
) -> TractResult<Vec<Vec<f32>>> {
    let mut framework = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
    quant::register(&mut framework.op_register);
    channels_last::register(&mut framework.op_register);
    let mut model = framework.model_for_read(&mut &*bytes)?;
    let outlets: Vec<OutletId> = wanted.iter().filter_map(|&index| model.outputs.get(index).copied()).collect();
    model.select_output_outlets(&outlets)?;
    let facts: Vec<Vec<usize>> = shapes.iter().map(|s| [&[batch], &s[..]].concat()).collect();
    for (index, fact) in facts.iter().enumerate() {
        model.set_input_fact(index, InferenceFact::dt_shape(f32::datum_type(), fact))?;
    }
    let plan: Arc<_> = model.into_optimized()?.into_runnable()?;
    let mut outputs: Vec<Vec<f32>> = Vec::new();
    for start in (0..samples).step_by(batch) {
        let count = batch.min(samples - start);
        let mut tensors: TVec<TValue> = tvec!();
        for (data, fact) in inputs.iter().zip(&facts) {
            let len: usize = fact[1..].iter().product();
            let mut block = data[start * len..(start + count) * len].to_vec();
            block.resize(batch * len, 0.0);
            tensors.push(Tensor::from_shape(fact, &block)?.into());
        }
        let results = plan.run(tensors)?;
        outputs.resize(results.len(), Vec::new());
        for (output, result) in outputs.iter_mut().zip(&results) {
            let result = result.cast_to::<f32>()?;
            if result.shape().first() != Some(&batch) {
                bail!("an output of shape {:?} does not keep the batch of {batch}", result.shape());
            }
            let view = result.to_plain_array_view::<f32>()?;
            output.extend(view.iter().take(view.len() / batch * count));
        }
    }
    Ok(outputs)
}
