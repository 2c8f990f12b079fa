//! Content addresses.

use super::store_error::StoreError;
use crate::data::sha256::{hex, sha256};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;

/// SHA-256 of a content, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Digest(String);

impl Digest {
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(sha256(bytes))
    }

    /// Of what was hashed so far.
    pub fn from_hash(hash: Sha256) -> Digest {
        Digest(hex(hash))
    }

    /// `None` for what is not 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Digest> {
        let valid = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Digest(text.to_string()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for StoreError {
    fn from(e: std::io::Error) -> StoreError {
        match e.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::Full,
            _ => StoreError::Unavailable(e.kind().to_string()),
        }
    }
}
