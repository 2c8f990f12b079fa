//! The HTTP service as its clients meet it: over the router with an engine made for the test, over real sockets, and the binary with curl
//! against what the command line writes.
#![cfg(feature = "serve")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../support/server.rs"]
mod server;

mod access;
mod binary;
mod convert;
mod jobs;
mod page;
mod sockets;
mod support;
mod sweeps;
