//! Verification of an emitted proxy.

pub mod fixed;
pub mod tract;
