//! The documentation does what it says: every command block of every page is run, in the order of
//! the page, and what is named in passing (flags, files) exists. So does what deploys the service
//! (`deploy`).
//!
//! A page is one script. ```` ```sh ```` blocks share a shell, ```` ```python ```` blocks a Python
//! process; a block whose first line is `# NAME.sh` or `# NAME.py` (and may go on with `:` and what
//! it is) is saved under that name for later commands. `cargo run … --` is the program under test,
//! and ports 8080 and 4222 are free ones. What cannot run here says why in a comment before the
//! block: `<!-- not run: WHY -->`; `<!-- run with the exporters -->`: `python` there has PyTorch
//! and others.
// pages describe the farm, too; not by `required-features`, for which Cargo.toml would have to name
// this file, and the image has no tests
#![cfg(feature = "farm")]

// these tests use a part of what all share; what nobody uses is found in tests/it
#[allow(dead_code)]
#[path = "../support"]
mod support {
    pub mod files;
    pub mod hls4ml;
    pub mod nats;
    pub mod server;
}

mod arms;
mod ci;
mod codes;
mod commands;
mod dependencies;
mod deploy;
mod fields;
mod layers;
mod named;
mod pages;
mod reference;
mod references;
mod rooms;
mod schemas;
mod settings;
