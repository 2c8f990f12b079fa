//! What a user should not find out later.

use crate::convert::config::proxy::FormName;
use crate::convert::emit::Files;
use crate::convert::evaluation::score::ExactCandidate;
use crate::convert::prepared::PreparedJob;
use crate::convert::search::{Chosen, Found};
use crate::diagnostic::{Code, Diagnostic};

/// All warnings of a job, in the order of the stages.
pub fn found_to_say(p: &PreparedJob, found: &Found, chosen: &Chosen, files: &Files) -> Vec<Diagnostic> {
    let stages = [&p.warnings, &found.warnings, &chosen.warnings, &files.warnings];
    let mut warnings: Vec<Diagnostic> = stages.into_iter().flatten().cloned().collect();
    if let Some(seen) = &files.seen {
        // what looks like a loss is none
        warnings.retain(|w| w.code != Code::MetricDrop);
        warnings.push(seen.clone());
    }
    let uniform = p.job.config.proxy.form == FormName::Uniform;
    warnings.extend(sanity_warnings(&files.exactly, uniform, p.built.annotated));
    warnings
}

/// What a user should not find out later: a proxy that ignores its input, formats that are not the
/// file's.
fn sanity_warnings(exactly: &ExactCandidate, uniform: bool, annotated: bool) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    if exactly.score.collapsed || exactly.score.ebops == 0 {
        let message = match (exactly.score.collapsed, exactly.score.ebops) {
            (true, 0) => "every output is constant, and no model found has more than one answer",
            (true, _) => "the proxy gives one answer for everything, and no model found has more than one",
            (false, _) => "the proxy multiplies nothing: its layers have no live connection left",
        };
        warnings.push(Diagnostic::new(Code::DeadModel, message));
    }
    if uniform && annotated {
        let message = "form uniform gives every layer the envelope of its formats: where the file's differ within a layer, the numbers are not the file's";
        warnings.push(Diagnostic::new(Code::UniformFormats, message));
    }
    warnings
}
