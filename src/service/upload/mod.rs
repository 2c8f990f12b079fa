//! Files on their way in: hashed and checked as they come; only small ones are ever held whole in
//! memory.

mod arriving;
pub mod check;
pub mod kind;
mod multipart;
mod raw;

pub use kind::Kind;
pub use multipart::{Part, read};
pub use raw::receive;

use super::store::Digest;
use std::collections::BTreeMap;

/// A stored file.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    pub digest: Digest,
    pub bytes: u64,
    /// Values that a data file declares.
    pub elements: u64,
}

/// What a request for a job brought.
#[derive(Clone, Debug)]
pub struct Received {
    pub files: BTreeMap<&'static str, Upload>,
    /// Parts of JSON.
    pub texts: BTreeMap<&'static str, Vec<u8>>,
}
