//! Verification of an emitted proxy.

pub mod tract;
