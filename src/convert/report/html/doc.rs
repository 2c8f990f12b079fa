//! Reading the report: what is missing is no number, an empty text or an empty list, never a failure.

use serde_json::Value;

/// A part of a report.
#[derive(Clone, Copy)]
pub struct Doc<'a>(pub &'a Value);

impl<'a> Doc<'a> {
    /// The number at a JSON pointer.
    pub fn number(self, at: &str) -> Option<f64> {
        self.0.pointer(at)?.as_f64()
    }

    /// The whole number at a JSON pointer, 0 if there is none.
    pub fn count(self, at: &str) -> u64 {
        self.0.pointer(at).and_then(Value::as_u64).unwrap_or(0)
    }

    pub fn text(self, at: &str) -> &'a str {
        self.0.pointer(at).and_then(Value::as_str).unwrap_or("")
    }

    pub fn flag(self, at: &str) -> bool {
        self.0.pointer(at).and_then(Value::as_bool).unwrap_or(false)
    }

    pub fn has(self, at: &str) -> bool {
        self.0.pointer(at).is_some_and(|v| !v.is_null())
    }

    pub fn list(self, at: &str) -> impl Iterator<Item = Doc<'a>> + Clone + use<'a> {
        self.0.pointer(at).and_then(Value::as_array).map_or(&[][..], |v| &v[..]).iter().map(Doc)
    }

    /// A value as JSON writes it.
    pub fn plain(self, at: &str) -> String {
        match self.0.pointer(at) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(s)) => s.clone(),
            Some(v) => v.to_string(),
        }
    }
}
