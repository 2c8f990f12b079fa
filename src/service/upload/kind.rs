//! What a part of an upload is.

/// What a part holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Model,
    Data,
    Config,
}

/// Bytes that tell what a file is.
pub const START: usize = 8;
