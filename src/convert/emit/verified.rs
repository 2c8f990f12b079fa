//! An exact model → proxy bytes → verified. Nothing leaves this module unverified.

use super::figures;
use super::interface::Interface;
use crate::convert::documents::Verification;
use crate::convert::error::{Error, unsupported};
use crate::convert::memory::CHUNK;
use crate::data::order::in_file_order;
use crate::diagnostic::{Code, Diagnostic};
use crate::graph::Node;
use crate::proxy::form::{Form, Proxy};
use crate::proxy::ports::{self, Port, Ports};
use crate::proxy::{emit_for, sanitize};
use crate::quant::exact::Exact;
use crate::quant::{FixedModel, FixedOp, interval};
use crate::verify::fixed::FixedError;
use crate::verify::fixed::program::{Outputs, Program};
use crate::verify::tract;

/// Significant bits of an f32: the second opinion is exact while every value fits.
const F32_BITS: u32 = 24;

/// Samples that tract executes: a second opinion on the file, not on the data.
const TRACT_SAMPLES: usize = 2048;

/// An emitted, verified proxy.
pub struct Emitted {
    pub proxy: Proxy,
    pub ports: Ports,
    pub program: Program,
    pub verification: Verification,
    pub warnings: Vec<Diagnostic>,
}

/// Writes `model` and proves that the bytes written give its outputs on `samples` rows of every
/// input. `twice` asks tract as well. Inputs with an order in `interface` are taken in that order,
/// through a Transpose.
///
/// # Errors
/// [`Error::Unsupported`] for what hls4ml cannot express, [`Error::Verification`] for any differing
/// element.
pub fn emit_verified(
    model: &FixedModel,
    form: Form,
    interface: &Interface,
    inputs: &[&[f32]],
    samples: usize,
    twice: bool,
) -> Result<Emitted, Error> {
    let reach = inputs.iter().flat_map(|x| x.iter()).fold(0f64, |m, &v| m.max(v.abs() as f64));
    let mut proxy = emit_for(model, form, interface.target, reach).map_err(|e| unsupported(model, e))?;
    let channels_first = &interface.orders[..];
    let turned: Vec<usize> = (0..channels_first.len()).filter(|&i| channels_first[i].is_some()).collect();
    if !turned.is_empty() {
        crate::proxy::channels_first(&mut proxy, &turned);
    }
    let ports = ports::state(&mut proxy, &interface.inputs, &interface.outputs);
    let exact = Exact::new(model)?;
    figures::state(&mut proxy, &exact)?;
    let program = Program::from_bytes(&proxy.bytes)
        .map_err(|e| Error::Verification(format!("the emitted file cannot be executed: {e}")))?;
    let mut verification = Verification { samples, ..Verification::default() };
    let mut warnings = Vec::new();
    let mut first: Vec<Vec<f64>> = Vec::new();
    for start in (0..samples).step_by(CHUNK) {
        let n = CHUNK.min(samples - start);
        let rows = slice(model, inputs, start, n);
        let want = exact.run(&rows, n, &model.outputs);
        let got = run_in_file_order(&program, channels_first, &rows, n).map_err(|e| Error::Verification(e.to_string()))?;
        for (o, want) in want.iter().enumerate() {
            let at = proxy.output_order.iter().position(|&n| n == o).unwrap_or(o);
            let got = got.outputs.get(at).map(|o| o.to_f64()).unwrap_or_default();
            verification.elements += want.len() as u64;
            let differ = got.iter().zip(want).filter(|(a, b)| a != b).count() + got.len().abs_diff(want.len());
            if differ > 0 {
                let at = got.iter().zip(want).position(|(a, b)| a != b).unwrap_or(0);
                let width = model.len_of(model.outputs[o]).max(1);
                return Err(Error::Verification(format!(
                    "{differ} of {} elements of output `{}` differ from the trained model; first: sample {}, element {}: {} instead of {}",
                    want.len(),
                    model.values[model.outputs[o]].name,
                    start + at / width,
                    at % width,
                    got.get(at).copied().unwrap_or(f64::NAN),
                    want.get(at).copied().unwrap_or(f64::NAN)
                )));
            }
        }
        if start == 0 {
            first = want;
        }
    }
    if twice {
        let first = proxy.output_order.iter().map(|&o| std::mem::take(&mut first[o])).collect::<Vec<_>>();
        second_opinion(model, &proxy, channels_first, inputs, samples, &first, &mut verification, &mut warnings)?;
    }
    warnings.extend(proxy.warnings.iter().cloned());
    warnings.extend(renamed(model, &proxy, &ports));
    Ok(Emitted { proxy, ports, program, verification, warnings })
}

/// Ports whose names hls4ml cannot take. An output called as the source's last quantizer is
/// nobody's surprise.
fn renamed(model: &FixedModel, proxy: &Proxy, ports: &Ports) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    let mut tell = |what: &str, port: &Port| {
        let message = format!("{what} `{}` is called `{}` in the proxy: hls4ml cannot take its name", port.source, port.name);
        warnings.push(Diagnostic::new(Code::PortRenamed, message));
    };
    ports.inputs.iter().filter(|p| p.name != p.source).for_each(|p| tell("input", p));
    for (port, &at) in ports.outputs.iter().zip(&proxy.output_order) {
        let own = model.outputs.get(at).map(|&o| model.values[o].name.as_str());
        if own.is_some_and(|name| sanitize(name) != name) {
            tell("output", port);
        }
    }
    warnings
}

/// `n` rows of every input, from row `start` on.
pub fn slice<'a>(model: &FixedModel, inputs: &[&'a [f32]], start: usize, n: usize) -> Vec<&'a [f32]> {
    inputs.iter().zip(&model.inputs).map(|(x, &i)| &x[start * model.len_of(i)..(start + n) * model.len_of(i)]).collect()
}

/// Runs the proxy on inputs in the graph's order.
///
/// # Errors
/// See [`Program::run`].
pub fn run_in_file_order(
    program: &Program,
    channels_first: &[Option<Vec<usize>>],
    rows: &[&[f32]],
    samples: usize,
) -> Result<Outputs, FixedError> {
    let turned = in_file_order(channels_first, rows);
    program.run(&turned.iter().map(|r| &r[..]).collect::<Vec<_>>(), samples)
}

/// tract runs the file too, in f32; `want` in the order of the file.
#[allow(clippy::too_many_arguments)] // what a second opinion is about, and where it goes
fn second_opinion(
    model: &FixedModel,
    proxy: &Proxy,
    channels_first: &[Option<Vec<usize>>],
    inputs: &[&[f32]],
    samples: usize,
    want: &[Vec<f64>],
    verification: &mut Verification,
    warnings: &mut Vec<Diagnostic>,
) -> Result<(), Error> {
    let n = samples.min(TRACT_SAMPLES);
    let rows = slice(model, inputs, 0, n);
    let turned = in_file_order(channels_first, &rows);
    let rows: Vec<&[f32]> = turned.iter().map(|r| &r[..]).collect();
    let got = match tract::run(&proxy.bytes, &rows, n) {
        Ok(got) => got,
        Err(e) => {
            warnings.push(Diagnostic::new(Code::SecondOpinion, format!("tract could not execute the proxy: {e}")));
            return Ok(());
        }
    };
    verification.second_opinion_samples = n;
    let pairs = got
        .iter()
        .flatten()
        .zip(want.iter().zip(&proxy.output_order).flat_map(|(v, &o)| &v[..n * model.len_of(model.outputs[o])]));
    let differ = pairs.filter(|&(&a, &b)| a != b as f32).count() as u64;
    let bounds = interval::bounds(model)?;
    let approximated = |n: &Node<FixedOp>| matches!(&n.op, FixedOp::Elementwise(f) if f.is_approximated());
    let same = !model.nodes.iter().any(approximated);
    let fits = same && bounds.iter().flatten().all(|b| b.max_bits() <= F32_BITS) && inputs_fit(inputs);
    if differ > 0 && fits {
        return Err(Error::Verification(format!(
            "{differ} elements differ between tract's execution of the proxy and the trained model"
        )));
    }
    verification.float_limited = differ;
    Ok(())
}

/// An input plus half an LSB is exact in f32 only for inputs on a coarse grid; others may round
/// onto a tie.
fn inputs_fit(inputs: &[&[f32]]) -> bool {
    inputs.iter().all(|x| x.iter().all(|&v| (v * 65536.0).fract() == 0.0 && v.abs() < 128.0))
}
