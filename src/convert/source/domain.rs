//! The data of a job in the domain of training ([`crate::quant::scale`]), and how far the source's
//! values spread on them.

use super::Source;
use super::data::Data;
use super::declare::typed_inputs;
use crate::convert::config::JobConfig;
use crate::convert::error::Error;
use crate::data::{Dataset, Targets};
use crate::graph::{Op, ValueId, eval};
use crate::quant::scale::{Scales, Sharing, Spread};
use crate::quant::{Granularity, insert};
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::Arc;

/// Samples that spreads are measured on: known to 2 % then, and a factor of two is all that is
/// asked of them …
const SAMPLES: (usize, usize) = (128, 4096);
/// … as far as these multiplications allow: about a second.
const WORK: usize = 2_000_000_000;
/// Samples of a block; blocks are merged in order, so the result does not depend on threads.
const BLOCK: usize = 64;
/// Blocks measured side by side: bounds what is held.
const SIDE_BY_SIDE: usize = 8;

/// `data` with inputs in the domain; what has no factors is shared.
pub fn to_domain(source: &Source, data: &Data, scales: &Scales) -> Data {
    let of = |inputs: &[Arc<Vec<f32>>]| -> Vec<Arc<Vec<f32>>> {
        let each = inputs.iter().zip(&source.graph.inputs).enumerate();
        each.map(|(n, (x, &input))| match scales.rows(n, input, x) {
            Cow::Borrowed(_) => Arc::clone(x),
            Cow::Owned(scaled) => Arc::new(scaled),
        })
        .collect()
    };
    let same = |a: &[Arc<Vec<f32>>], b: &[Arc<Vec<f32>>]| a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b));
    let set = |data: &Dataset| Dataset { inputs: of(&data.inputs), ..data.clone() };
    let (calibration, train) = (set(&data.calibration), set(&data.train));
    let shared = same(&data.train.inputs, &data.validation.inputs);
    let validation =
        if shared { Dataset { inputs: train.inputs.clone(), ..data.validation.clone() } } else { set(&data.validation) };
    let trace = if same(&data.trace, &data.calibration.inputs) { calibration.inputs.clone() } else { of(&data.trace) };
    Data { calibration, train, validation, trace, ..data.clone() }
}

/// How far every value of the source graph spreads over some of the `samples` rows of every input.
///
/// # Errors
/// [`Error::Internal`] where the rows do not fit the graph.
pub fn spreads(source: &Source, inputs: &[&[f32]], samples: usize) -> Result<Vec<Spread>, Error> {
    let graph = &source.graph;
    let wanted: Vec<ValueId> =
        (0..graph.values.len()).filter(|&v| graph.inputs.contains(&v) || graph.producer(v).is_some()).collect();
    let count = (WORK / products(source).max(1)).clamp(SAMPLES.0, SAMPLES.1).min(samples);
    let rows: Vec<usize> = (0..count).map(|n| n * samples / count.max(1)).collect();
    let empty = || wanted.iter().map(|&v| Spread::empty(graph.len_of(v))).collect::<Vec<_>>();
    let of_block = |rows: &[usize]| {
        let pick = |(x, &input): (&&[f32], &ValueId)| {
            let len = graph.len_of(input);
            rows.iter().flat_map(|&r| &x[r * len..(r + 1) * len]).copied().collect::<Vec<f32>>()
        };
        let picked: Vec<Vec<f32>> = inputs.iter().zip(&graph.inputs).map(pick).collect();
        let picked: Vec<&[f32]> = picked.iter().map(Vec::as_slice).collect();
        let values = eval::run(graph, &picked, rows.len(), &wanted).map_err(|e| Error::Internal(e.to_string()))?;
        let mut found = empty();
        found.iter_mut().zip(&values).for_each(|(spread, rows)| spread.add(rows));
        Ok::<_, Error>(found)
    };
    let mut all = empty();
    for side_by_side in rows.chunks(BLOCK * SIDE_BY_SIDE) {
        let blocks: Vec<Vec<Spread>> = side_by_side.par_chunks(BLOCK).map(of_block).collect::<Result<_, _>>()?;
        for block in blocks {
            all.iter_mut().zip(&block).for_each(|(all, block)| all.merge(block));
        }
    }
    let mut by_value = vec![Spread::default(); graph.values.len()];
    wanted.into_iter().zip(all).for_each(|(v, spread)| by_value[v] = spread);
    Ok(by_value)
}

/// Multiplications of one sample.
fn products(source: &Source) -> usize {
    let layers = source.graph.nodes.iter().filter_map(|n| if let Op::Dense(d) = &n.op { Some(d) } else { None });
    layers.map(|d| d.weight.len() * d.window.as_ref().map_or(1, |w| w.positions())).sum()
}

/// What must share factors besides what the operations of the graph tie together.
pub fn sharing(source: &Source, config: &JobConfig, targets: Option<&Targets>) -> Sharing {
    let graph = &source.graph;
    let rules = crate::convert::config::rules::rules(config);
    let uniform = config.proxy.form == crate::convert::config::proxy::FormName::Uniform;
    let tensor = |v: &ValueId| {
        let name = graph.producer(*v).map_or(&graph.values[*v].name, |n| &graph.nodes[n].name);
        uniform || insert::settings(&rules, &[name, &format!("{name}_q")]).activations == Granularity::Tensor
    };
    // regression targets have units of their own
    let classes = !matches!(targets, Some(Targets::Values { .. }));
    Sharing {
        alike: source.logits.iter().copied().filter(|_| classes).collect(),
        uniform: (0..graph.values.len()).filter(tensor).collect(),
        fixed: typed_inputs(config, source),
        // the plug-in's form has no place for a constant in front of a quantizer; declared ranges
        // are those of the input as it is
        offsets: config.proxy.elementwise.is_none()
            && config.inputs.is_empty()
            && config.layers.iter().all(|l| l.range.is_none()),
    }
}
