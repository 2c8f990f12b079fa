//! How far a model's outputs are from the source's, in units that mean something: by their spread,
//! over all calibration samples.

use super::score::ExactCandidate;
use crate::convert::layout::outputs;
use crate::convert::memory::CHUNK;
use crate::convert::source::Source;
use crate::convert::source::data::Data;
use crate::convert::start::MAX_ERROR;
use crate::convert::task::objective::{spread, squared_error};
use crate::data::Dataset;
use crate::diagnostic::{Code, Diagnostic};
use crate::quant::exact::Exact;
use crate::quant::interval::IntervalError;
use crate::quant::scale::Scales;
use crate::train::LossKind;

/// Root of the mean squared difference of the outputs from the source's, divided by the root of
/// their mean variance; `teacher`: the source's outputs on the calibration samples.
///
/// # Errors
/// See [`Exact::new`].
pub fn relative_error(
    exactly: &ExactCandidate,
    scales: &Scales,
    source: &Source,
    domain: &Data,
    teacher: &[f32],
) -> Result<f64, IntervalError> {
    let Dataset { inputs, samples, .. } = &domain.calibration;
    let exact = Exact::new(&exactly.pruned)?;
    let mut sum = 0.0;
    for start in (0..*samples).step_by(CHUNK) {
        let n = CHUNK.min(samples - start);
        let lens = exactly.pruned.inputs.iter().map(|&i| exactly.pruned.len_of(i));
        let rows: Vec<&[f32]> = inputs.iter().zip(lens).map(|(x, len)| &x[start * len..(start + n) * len]).collect();
        let found = outputs(&exact, &rows, n, &source.widths, scales);
        sum += squared_error(&found, &teacher[start * source.width..(start + n) * source.width]) * n as f64;
    }
    let variance = spread(LossKind::Mse, teacher, source.width, 0..source.width);
    Ok((sum / (*samples).max(1) as f64 / variance).sqrt())
}

/// What to say of a start whose outputs are not the source's.
pub fn start_differs(error: f64) -> Option<Diagnostic> {
    let message = format!(
        "before any training the outputs differ from the source's by {:.1} % of their spread (RMS on the calibration data), more than the {:.0} % that a start is looked for with",
        100.0 * error,
        100.0 * MAX_ERROR
    );
    // what was found on a share of the samples may be a little more on all of them
    (error > 1.1 * MAX_ERROR).then(|| Diagnostic::new(Code::StartDiffers, message))
}
