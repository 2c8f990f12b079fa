//! `trace_minmax`: calibration data → range of every quantizer → exact format (k, i, f) per element
//! (docs/hgq-spec.md#a4-1, #a2-2).
//!
//! The data pass runs on the exact model with ranges that cannot overflow, never on training's f32
//! path.

pub mod error;
pub mod formats;
pub mod freeze;

pub use error::TraceError;

use crate::ops::Elementwise;
use crate::quant::exact::{Exact, MinMax};
use crate::quant::interval::{self, AllBounds};
use crate::quant::model::{FixedModel, FixedOp, Model, QOp, Quantizer, Range};
use crate::quant::{Kif, Overflow};
use freeze::freeze;

/// Ranges of the quantized values of every quantizer, per element, before `cover_factor`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranges {
    /// By node of the model; `None` for nodes that are not quantizers.
    pub by_node: Vec<Option<MinMax>>,
    pub samples: usize,
}

/// How ranges become formats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FormatOptions {
    pub cover_factor: f64,
    /// Lower the integer bits of annotated quantizers as well. Off when a file is to be taken over
    /// exactly.
    pub lower_annotated: bool,
}

/// Runs `samples` rows of every graph input through the model and records the range of every
/// quantizer.
///
/// # Errors
/// See [`TraceError`].
pub fn trace_minmax(model: &Model, inputs: &[&[f32]], samples: usize) -> Result<Ranges, TraceError> {
    let reach: Vec<MinMax> = inputs.iter().zip(&model.inputs).map(|(x, &i)| MinMax::of_rows(x, model.len_of(i))).collect();
    Ok(Tracer::new(model, &reach)?.trace(inputs, samples))
}

/// [`trace_minmax`] over data that come in parts: [`Ranges::merge`] joins what each gives.
pub struct Tracer {
    exact: Exact<'static>,
    /// Nodes that are quantizers, and what they give.
    nodes: Vec<usize>,
    wanted: Vec<usize>,
}

impl Tracer {
    /// `reach`: by graph input, smallest and largest value of each element in all the data.
    ///
    /// # Errors
    /// See [`TraceError`].
    pub fn new(model: &Model, reach: &[MinMax]) -> Result<Tracer, TraceError> {
        let nodes: Vec<usize> = (0..model.nodes.len()).filter(|&n| matches!(model.nodes[n].op, QOp::Quantizer(_))).collect();
        let wanted = nodes.iter().map(|&n| model.nodes[n].output).collect();
        Ok(Tracer { exact: Exact::owning(unclipped_model(model, reach)?)?, nodes, wanted })
    }

    /// Ranges over no samples at all.
    pub fn empty_ranges(&self) -> Ranges {
        let lengths = self.wanted.iter().map(|&v| self.exact.model().len_of(v));
        self.ranges(lengths.map(MinMax::empty).collect(), 0)
    }

    /// Ranges over `samples` rows of every graph input.
    pub fn trace(&self, inputs: &[&[f32]], samples: usize) -> Ranges {
        self.ranges(self.exact.min_max(inputs, samples, &self.wanted), samples)
    }

    fn ranges(&self, of_quantizers: Vec<MinMax>, samples: usize) -> Ranges {
        let mut by_node = vec![None; self.exact.model().nodes.len()];
        for (&n, range) in self.nodes.iter().zip(of_quantizers) {
            by_node[n] = Some(range);
        }
        Ranges { by_node, samples }
    }
}

impl Ranges {
    /// Widens these by the ranges of further samples of the same model.
    pub fn merge(&mut self, other: &Ranges) {
        for (a, b) in self.by_node.iter_mut().flatten().zip(other.by_node.iter().flatten()) {
            a.merge(b);
        }
        self.samples += other.samples;
    }
}

/// The exact model with formats from traced ranges.
///
/// # Errors
/// See [`TraceError`].
pub fn fix(model: &Model, ranges: &Ranges, options: &FormatOptions) -> Result<FixedModel, TraceError> {
    let formats: Vec<Option<Vec<Kif>>> = (0..model.nodes.len())
        .map(|n| {
            let QOp::Quantizer(q) = &model.nodes[n].op else { return None };
            Some(quantizer_formats(model, n, q, ranges.by_node.get(n)?.as_ref()?, options))
        })
        .collect();
    freeze(model, &formats)
}

fn quantizer_formats(model: &Model, node: usize, q: &Quantizer, range: &MinMax, options: &FormatOptions) -> Vec<Kif> {
    // a group shares its range as it shares its width
    let mut min = vec![f64::INFINITY; q.groups.count()];
    let mut max = vec![f64::NEG_INFINITY; q.groups.count()];
    for e in 0..q.groups.elements() {
        let g = q.groups.of(e);
        min[g] = min[g].min(range.min[e]);
        max[g] = max[g].max(range.max[e]);
    }
    let relu = relu_follows(model, node);
    let f = q.rounded_f();
    let trained = q.trained_formats();
    let per_group: Vec<Kif> = (0..q.groups.count())
        .map(|g| {
            let (min, max) = formats::cover(min[g], max[g], f[g], options.cover_factor);
            match &q.range {
                Range::Traced | Range::Tracked { .. } => formats::traced(min, max, f[g], relu),
                Range::Declared { .. } => formats::legal(trained[g]),
                _ if q.annotated && !options.lower_annotated => trained[g],
                Range::Saturating { symmetric, .. } | Range::SaturatingKbi { symmetric, .. } => {
                    formats::lowered(formats::legal(trained[g]), min, max, *symmetric)
                }
            }
        })
        .collect();
    q.groups.expand(&per_group)
}

/// True when everything that reads this quantizer is a Relu.
fn relu_follows(model: &Model, node: usize) -> bool {
    let output = model.nodes[node].output;
    let consumers = model.consumers(output);
    !consumers.is_empty()
        && !model.outputs.contains(&output)
        && consumers.iter().all(|&c| matches!(model.nodes[c].op, QOp::Elementwise(Elementwise::Relu)))
}

/// The exact model with traced quantizers wide enough for anything: from the data at an input, from
/// interval arithmetic after.
fn unclipped_model(model: &Model, reach: &[MinMax]) -> Result<FixedModel, TraceError> {
    let mut formats: Vec<Option<Vec<Kif>>> = vec![None; model.nodes.len()];
    for (n, node) in model.nodes.iter().enumerate() {
        if let QOp::Quantizer(q) = &node.op {
            let per_group = match q.saturation() {
                Some(_) => q.trained_formats(),
                None => q.rounded_f().iter().map(|&f| Kif::new(true, 1 - f, f)).collect(),
            };
            formats[n] = Some(q.groups.expand(&per_group));
        }
    }
    let mut open = freeze(model, &formats)?;
    let (mut bounds, last_readers) = (vec![None; open.values.len()], open.last_readers());
    for n in 0..open.nodes.len() {
        // bounds of everything before this node are final, its own format is found from them
        if let QOp::Quantizer(q) = &model.nodes[n].op
            && q.saturation().is_none()
        {
            widen(&mut open, n, q, &bounds, reach);
        }
        interval::extend(&open, n, &mut bounds)?;
        open.read_last(&last_readers, n).for_each(|v| bounds[v] = None);
    }
    Ok(open)
}

/// Gives the quantizer at node `n` formats that hold everything in front of it.
fn widen(open: &mut FixedModel, n: usize, q: &Quantizer, bounds: &AllBounds, reach: &[MinMax]) {
    let from = open.nodes[n].inputs[0];
    let f = q.groups.expand(&q.rounded_f());
    let found: Vec<Kif> = match &bounds[from] {
        Some(b) => (0..f.len())
            .map(|e| {
                let round = |v| q.rounding.shift(v, b[e].frac - f[e]);
                Kif::covering(round(b[e].lo), round(b[e].hi), f[e])
            })
            .collect(),
        None => input_formats(open, from, reach, &f, q),
    };
    if let FixedOp::Quantize(fixed) = &mut open.nodes[n].op {
        fixed.formats = found;
        fixed.overflow = Overflow::Sat;
    }
}

fn input_formats(open: &FixedModel, mut from: usize, reach: &[MinMax], f: &[i32], q: &Quantizer) -> Vec<Kif> {
    while let Some(p) = open.producer(from) {
        from = open.nodes[p].inputs[0];
    }
    let Some(range) = open.inputs.iter().position(|&i| i == from).and_then(|i| reach.get(i)) else {
        return vec![Kif::ZERO; f.len()];
    };
    let ends = range.min.iter().zip(&range.max).zip(f);
    ends.map(|((&min, &max), &f)| {
        if min > max {
            return Kif::ZERO;
        }
        let int = |v: f64| q.rounding.apply(v * crate::quant::kif::exp2i(f)) as i128;
        Kif::covering(int(min), int(max), f)
    })
    .collect()
}
