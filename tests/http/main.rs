//! The HTTP service as its clients meet it: over the router with an engine made for the test, over
//! real sockets, and the binary with curl against what the command line writes.
#![cfg(feature = "serve")]

// these tests use a part of what all share; what nobody uses is found in tests/it
#[allow(dead_code)]
#[path = "../support"]
mod support {
    pub mod faults;
    pub mod files;
    pub mod server;
}

mod access;
mod binary;
mod convert;
mod harness;
mod jobs;
mod page;
mod sockets;
mod sweeps;
