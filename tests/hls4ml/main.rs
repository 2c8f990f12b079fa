//! What stock hls4ml makes of proxies, and the Python package. Tests that need it say so
//! (`ignore`); `.ci/run` runs all.

// these tests use a part of what all share; what nobody uses is found in tests/it
#[allow(dead_code)]
#[path = "../support"]
mod support {
    pub mod cases;
    pub mod chain;
    pub mod eval;
    pub mod files;
    pub mod hls4ml;
    pub mod jobs;
    pub mod judge;
    pub mod made;
    pub mod nets;
    pub mod onnx;
    pub mod published;
    pub mod random_net;
    pub mod reference;
    pub mod sample;
    pub mod server;
}

mod calibrate;
mod conv_job;
mod differential;
mod distributed;
mod elementwise;
mod golden_proxy_grid;
mod grid;
mod main_job;
mod models;
mod node_cases;
mod ports;
mod proxies;
mod python;
mod rtl;
mod settings;
mod takeover;
