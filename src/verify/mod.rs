//! Verification of an emitted proxy.
