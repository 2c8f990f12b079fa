//! `proxy_elementwise.onnx`: the chosen model for the hls4ml plug-in, verified like every other
//! form.

use super::interface::Interface;
use super::verified::{Emitted, emit_verified, run_in_file_order, slice};
use crate::convert::config::proxy::ElementwiseName;
use crate::convert::documents::ElementwiseFile;
use crate::convert::error::Error;
use crate::convert::memory::CHUNK;
use crate::data::sha256::sha256;
use crate::diagnostic::{Code, Diagnostic};
use crate::proxy::form::Form;
use crate::quant::{FixedModel, FixedOp, Overflow};

/// The file and what the report says about it.
pub struct Elementwise {
    pub bytes: Vec<u8>,
    pub entry: ElementwiseFile,
}

/// Writes and verifies `model` on `samples` rows of `inputs`. A model that the form cannot hold is
/// not a failure of the job: the warning says which nodes are in the way.
///
/// # Errors
/// [`Error::Verification`] for any element that differs from the exact model.
pub fn elementwise(
    model: &FixedModel,
    overflow: ElementwiseName,
    interface: &Interface,
    inputs: &[&[f32]],
    samples: usize,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Option<Elementwise>, Error> {
    let write = |model: &FixedModel| emit_verified(model, Form::Elementwise, interface, inputs, samples, true);
    let mut emitted = match write(model) {
        Err(Error::Unsupported(faults)) => {
            let text = faults.iter().map(|f| format!("{}: {}", f.name, f.reason)).collect::<Vec<_>>().join("; ");
            let message = format!("proxy_elementwise.onnx was not written: {text}");
            warnings.push(Diagnostic::new(Code::ElementwiseLeftOut, message));
            return Ok(None);
        }
        other => other?,
    };
    let mut wrapping = 0;
    if overflow == ElementwiseName::Wrap {
        let clipped = clipped(model, &emitted, &interface.orders, inputs, samples)?;
        let mut wrapped = model.clone();
        let quantizers =
            wrapped.nodes.iter_mut().filter_map(|n| if let FixedOp::Quantize(q) = &mut n.op { Some(q) } else { None });
        for (q, clipped) in quantizers.zip(clipped) {
            if clipped == 0 {
                q.overflow = Overflow::Wrap;
                wrapping += 1;
            }
        }
        emitted = write(&wrapped)?;
    }
    let of_this = |w: Diagnostic| Diagnostic { message: format!("proxy_elementwise.onnx: {}", w.message), ..w };
    warnings.extend(std::mem::take(&mut emitted.warnings).into_iter().map(of_this));
    let entry = ElementwiseFile {
        sha256: sha256(&emitted.proxy.bytes),
        bytes: emitted.proxy.bytes.len(),
        nodes: emitted.proxy.model.graph.as_ref().map_or(0, |g| g.node.len()),
        wrapping_quantizers: wrapping,
        verification: emitted.verification,
    };
    Ok(Some(Elementwise { bytes: emitted.proxy.bytes, entry }))
}

/// Elements that each quantizer of `model` clips on the data: the form has one data `Quant` for
/// each, in the same order.
fn clipped(
    model: &FixedModel,
    emitted: &Emitted,
    channels_first: &[Option<Vec<usize>>],
    inputs: &[&[f32]],
    samples: usize,
) -> Result<Vec<u64>, Error> {
    let mut clipped = vec![0; model.nodes.iter().filter(|n| matches!(n.op, FixedOp::Quantize(_))).count()];
    for start in (0..samples).step_by(CHUNK) {
        let n = CHUNK.min(samples - start);
        let rows = slice(model, inputs, start, n);
        let ran =
            run_in_file_order(&emitted.program, channels_first, &rows, n).map_err(|e| Error::Verification(e.to_string()))?;
        if ran.saturations.len() != clipped.len() {
            return Err(Error::Internal("the element-wise form has not one Quant per quantizer".into()));
        }
        clipped.iter_mut().zip(&ran.saturations).for_each(|(c, s)| *c += s.1);
    }
    Ok(clipped)
}
