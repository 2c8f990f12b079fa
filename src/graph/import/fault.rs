//! What is wrong with one node.

use crate::onnx::error::OnnxError;
/// Why one node is refused.
#[derive(Debug)]
pub struct Fault {
    pub reason: String,
}

/// Longest reason in characters: one that quotes a list of the file ends there.
const MAX_REASON: usize = 600;

impl Fault {
    pub fn new(reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        if let Some((end, _)) = reason.char_indices().nth(MAX_REASON) {
            reason.truncate(end);
            reason.push('…');
        }
        Fault { reason }
    }
}

impl From<OnnxError> for Fault {
    fn from(error: OnnxError) -> Self {
        Fault::new(error.to_string())
    }
}
