//! A conversion that has ended.

use serde_json::Value;
use std::path::PathBuf;
/// What a conversion left, here or on a service.
pub struct Done {
    /// Relative paths and bytes.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    pub report: Value,
    /// Why the proxy is not what was asked for.
    pub unmet: Option<String>,
}
