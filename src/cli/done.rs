//! A conversion that has ended.

use crate::convert::Report;
use std::path::{Path, PathBuf};

/// What a conversion left, here or on a service.
pub struct Done {
    /// Relative paths and bytes.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// None: that of a service of another version.
    pub report: Option<Report>,
    /// Why the proxy is not what was asked for.
    pub unmet: Option<String>,
}

impl Done {
    /// A file of text as it was written.
    pub fn written(&self, name: &str) -> String {
        let file = self.files.iter().find(|(path, _)| path == Path::new(name));
        file.map_or_else(String::new, |(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
    }
}
