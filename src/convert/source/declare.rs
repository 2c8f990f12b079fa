//! Ranges that data cannot show: types of inputs (`inputs`) and ranges of activations
//! (`layers[].range`) of the configuration.
//!
//! A declared quantizer clips where it was declared, in training and in the proxy; its integer bits
//! are neither trained nor lowered to what the data reach. Fractional bits are trained as
//! elsewhere, those of an input up to its type's.

use super::Source;
use crate::convert::config::JobConfig;
use crate::convert::config::layers::{LayerConfig, Reach};
use crate::convert::config::port_type::PortType;
use crate::convert::config::suggest::suggestion;
use crate::convert::error::Error;
use crate::diagnostic::{Code, Diagnostic};
use crate::graph::ValueId;
use crate::ops::Move;
use crate::quant::Model;
use crate::quant::exact::MinMax;
use crate::quant::insert::{Built, matches};
use crate::quant::kif::{ceil_log2, exp2i, floor_log2};
use crate::quant::model::{QOp, Quantizer, Range};
use crate::quant::scale::Scales;

/// Integer bits of what is declared to be 0 always: below every grid.
const NOTHING_I: f32 = -23.0;

/// Smallest and largest value of each element, and the finest grid that is there.
struct Declared {
    ends: Vec<(f64, f64)>,
    fractional: Option<i32>,
}

/// Puts what the configuration declares into the quantizers. `ranges`: of the source's values on
/// the data.
///
/// # Errors
/// [`Error::Config`]: inputs that the model has not, arrays of another length, each with its field.
pub fn declare(
    built: &mut Built,
    config: &JobConfig,
    source: &Source,
    ranges: &[MinMax],
    scales: &Scales,
) -> Result<Vec<Diagnostic>, Error> {
    let (mut warnings, mut faults) = (Vec::new(), unknown_inputs(config, source));
    let Built { model, .. } = built;
    for n in 0..model.nodes.len() {
        let QOp::Quantizer(q) = &model.nodes[n].op else { continue };
        let (name, shape) = (model.nodes[n].name.clone(), &model.values[model.nodes[n].output].shape);
        let (elements, channels) = (q.groups.elements(), shape.last().copied().unwrap_or(1));
        let by_layer = |faults: &mut Vec<String>| {
            let ends = of_layer(config, &name, elements, channels, faults)?;
            Some(Declared { ends, fractional: None })
        };
        let Some(declared) = of_input(config, source, model, n).or_else(|| by_layer(&mut faults)) else { continue };
        let from = model.nodes[n].inputs[0];
        let value = &model.values[from].name;
        let range = source.graph.values.iter().position(|v| v.name == *value).map(|v| &ranges[v]);
        let QOp::Quantizer(q) = &mut model.nodes[n].op else { continue };
        let mut warn = |code, message: String| warnings.push(Diagnostic::at(code, name.as_str(), message));
        if q.annotated && !q.trainable {
            warn(Code::RangeUnused, "a range is declared, but the file's own quantizer stays as it is".into());
            continue;
        }
        if let Some(message) = range.and_then(|range| exceeded(&declared, range)) {
            warn(Code::RangeExceeded, message);
        }
        put(q, &declared, scales.of(from));
    }
    warnings.extend(idle(config, model));
    faults.dedup();
    if faults.is_empty() { Ok(warnings) } else { Err(Error::Config(faults)) }
}

/// Entries with a range that stand for nodes without a quantizer.
fn idle(config: &JobConfig, model: &Model) -> Vec<Diagnostic> {
    let quantizers = || model.nodes.iter().filter(|n| matches!(n.op, QOp::Quantizer(_))).map(|n| n.name.as_str());
    let named = |pattern: &str, name: &str| matches(pattern, name) || matches(pattern, name.strip_suffix("_q").unwrap_or(name));
    let unused = config.layers.iter().filter(|l| l.range.is_some() && !quantizers().any(|name| named(&l.pattern, name)));
    let message = |l: &LayerConfig| {
        let ends: Vec<&str> = quantizers().collect();
        let hint = suggestion(&l.pattern, ends.iter().map(|name| name.strip_suffix("_q").unwrap_or(name)));
        format!("layers: `{}` has a range, but no activation of that name is quantized{hint}", l.pattern)
    };
    unused.map(|l| Diagnostic { code: Code::RangeUnused, message: message(l), node: None }).collect()
}

/// Whether the ranges of this quantizer are declared.
pub fn is_declared(q: &Quantizer) -> bool {
    matches!(q.range, Range::Declared { .. })
}

fn unknown_inputs(config: &JobConfig, source: &Source) -> Vec<String> {
    let names: Vec<&str> = source.graph.inputs.iter().map(|&i| source.graph.values[i].name.as_str()).collect();
    let unknown = config.inputs.keys().filter(|key| !(names.contains(&key.as_str()) || names.len() == 1 && *key == "x"));
    let listed = || names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    unknown
        .map(|key| {
            let hint = suggestion(key, names.iter().copied());
            format!("config: inputs: the model has no input `{key}`{hint}; it has {}", listed())
        })
        .collect()
}

/// The declaration of the input that quantizer `n` reads, itself or in another shape.
fn of_input(config: &JobConfig, source: &Source, model: &Model, n: usize) -> Option<Declared> {
    let QOp::Quantizer(q) = &model.nodes[n].op else { return None };
    let mut value = model.nodes[n].inputs[0];
    while let Some(p) = model.producer(value).filter(|&p| matches!(model.nodes[p].op, QOp::Move(Move::Reshape))) {
        value = model.nodes[p].inputs[0];
    }
    if !model.inputs.contains(&value) {
        return None;
    }
    let port = port_of(config, source, &model.values[value].name)?;
    Some(Declared { ends: vec![port.range(); q.groups.elements()], fractional: Some(port.fractional()) })
}

fn port_of(config: &JobConfig, source: &Source, name: &str) -> Option<PortType> {
    let alone = || config.inputs.get("x").filter(|_| source.graph.inputs.len() == 1);
    config.inputs.get(name).or_else(alone).copied()
}

/// Inputs with a declared type: its grid is that of the user's values.
pub fn typed_inputs(config: &JobConfig, source: &Source) -> Vec<ValueId> {
    let graph = &source.graph;
    graph.inputs.iter().copied().filter(|&i| port_of(config, source, &graph.values[i].name).is_some()).collect()
}

/// The declared range of each element of an input of the graph.
pub fn of_graph_input(config: &JobConfig, source: &Source, input: ValueId) -> Option<Vec<(f64, f64)>> {
    let value = &source.graph.values[input];
    if let Some(port) = port_of(config, source, &value.name) {
        return Some(vec![port.range(); value.len()]);
    }
    // what does not fit is told where the quantizer is looked for
    of_layer(config, &value.name, value.len(), value.shape.last().copied().unwrap_or(1), &mut Vec::new())
}

/// The range of the last entry of `layers` that has one for what is called `name`, or stands after
/// a node that is.
fn of_layer(
    config: &JobConfig,
    name: &str,
    elements: usize,
    channels: usize,
    faults: &mut Vec<String>,
) -> Option<Vec<(f64, f64)>> {
    let (plain, quantizer) = (name.strip_suffix("_q").unwrap_or(name), format!("{name}_q"));
    let hit = |l: &LayerConfig| l.range.is_some() && [name, plain, &quantizer].iter().any(|name| matches(&l.pattern, name));
    let (number, layer) = config.layers.iter().enumerate().rev().find(|(_, l)| hit(l))?;
    let [lo, hi] = layer.range.as_ref()?;
    let mut at = |reach: &Reach, e: usize| match reach {
        Reach::All(v) => *v,
        Reach::Each(each) if each.len() == elements => each[e],
        Reach::Each(each) if each.len() == channels => each[e % channels],
        Reach::Each(each) => {
            if e == 0 {
                let count = each.len();
                faults.push(format!(
                    "config: layers[{number}] (`{}`): range: {count} numbers, but `{name}` has {elements} elements{}",
                    layer.pattern,
                    if channels == elements { String::new() } else { format!(" in {channels} channels") }
                ));
            }
            0.0
        }
    };
    Some((0..elements).map(|e| (at(lo, e), at(hi, e))).collect())
}

/// `exponents`: of the elements in the domain of training; what is declared has no offset there.
fn put(q: &mut Quantizer, declared: &Declared, exponents: Option<&[i32]>) {
    let mut keep = vec![false; q.groups.count()];
    let mut i = vec![NOTHING_I; q.groups.count()];
    for (e, &(lo, hi)) in declared.ends.iter().enumerate() {
        let (g, factor) = (q.groups.of(e), exp2i(-exponents.map_or(0, |x| x[e])));
        let (lo, hi) = (lo * factor, hi * factor);
        keep[g] |= lo < 0.0;
        if hi > 0.0 {
            i[g] = i[g].max((floor_log2(hi) + 1) as f32);
        }
        if lo < 0.0 {
            i[g] = i[g].max(ceil_log2(-lo) as f32);
        }
    }
    if let Some(most) = declared.fractional {
        q.max_f = q.max_f.min(most as f32);
        q.f.iter_mut().for_each(|f| *f = f.min(q.max_f));
    }
    q.range = Range::Declared { keep_negative: keep, i };
}

/// What is said of data beyond the declared range.
fn exceeded(declared: &Declared, range: &MinMax) -> Option<String> {
    // data are f32
    let beyond = |e: &usize| {
        let (lo, hi) = declared.ends[*e];
        (range.min[*e] as f32) < lo as f32 || (range.max[*e] as f32) > hi as f32
    };
    let all: Vec<usize> = (0..declared.ends.len().min(range.min.len())).filter(beyond).collect();
    let &first = all.first()?;
    let ((lo, hi), (min, max)) = (declared.ends[first], (range.min[first], range.max[first]));
    Some(format!(
        "the data reach {min} to {max} at element {first}, beyond the declared {lo} to {hi}: values beyond it are clipped ({} of {} elements)",
        all.len(),
        declared.ends.len()
    ))
}
