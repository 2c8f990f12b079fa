//! Errors of data files: they name the file, the array and the place.

use thiserror::Error;

/// Why data cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DataError {
    #[error("cannot read `{file}`: {what}")]
    Io { file: String, what: String },
    /// Neither npy nor npz, or damaged.
    #[error("`{file}` is not a npy or npz file: {what}")]
    NotData { file: String, what: String },
    #[error("`{file}`{}: {what}", array.as_ref().map(|a| format!(", array `{a}`")).unwrap_or_default())]
    Array { file: String, array: Option<String>, what: String },
    /// Everything that is wrong with a data set for a model, at once.
    #[error("the {what} data (`{file}`) does not fit the model:{}", faults.iter().map(|f| format!("\n  {f}")).collect::<String>())]
    Faults { file: String, what: String, faults: Vec<String> },
}
