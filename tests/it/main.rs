//! The library and the command line, part by part, in one program: nothing here needs a network,
//! Python or files that are not in the repository, but for tests that say so (`ignore`).

#[path = "../support"]
mod support {
    pub mod chain;
    pub mod chains;
    pub mod checked;
    pub mod eval;
    pub mod faults;
    pub mod files;
    pub mod jobs;
    pub mod loops;
    pub mod made;
    pub mod nets;
    pub mod onnx;
    pub mod oracle;
    pub mod program;
    pub mod published;
    pub mod reference;
    pub mod training;
}

mod cli;
mod codec_oracle;
mod comfort;
mod data;
mod engine;
mod engine_conv;
mod engine_hgq2;
mod engine_tasks;
mod exact;
mod fixed;
mod fuzzers;
mod goals;
mod golden_conv;
mod golden_ebops;
mod golden_ebops_conv;
mod golden_proxy;
mod golden_quantizer;
mod golden_train;
mod golden_v2;
mod hard_data;
mod hardware;
mod import;
mod import_conv;
mod import_damaged;
mod import_functions;
mod import_hostile;
mod import_layout;
mod import_merge;
mod import_ops;
mod import_qcdq;
mod import_recurrent;
mod import_selections;
mod kernels;
mod kernels_spatial;
mod properties;
mod proxy;
mod proxy_grid;
mod rare;
mod report_page;
mod scale;
mod small_jobs;
mod snapshots;
mod start;
mod synthesis;
mod targets;
mod tasks;
mod thin_data;
mod tract;
