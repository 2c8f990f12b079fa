//! Verification of an emitted proxy.

pub mod fixed;
