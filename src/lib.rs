//! An ONNX model goes in, a bit-accurate fixed-point proxy for hls4ml comes out: [`convert()`] does
//! what `hgq-onnx convert` does.
//!
//! ```
//! use hgq_onnx::{DataFile, Job, JobConfig, convert};
//! use std::{fs, path::Path, sync::atomic::AtomicBool};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = Path::new("fixtures/digits");
//! let data = |name: &str| fs::read(folder.join(name)).map(|bytes| DataFile::new(name, bytes));
//! let job = Job {
//!     model: fs::read(folder.join("digits_mlp.onnx"))?,
//!     calibration: data("calibration.npz")?,
//!     train: Some(data("train.npz")?),
//!     validation: None,
//!     config: JobConfig { epochs: 5, target_ebops: Some(20_000.0), ..JobConfig::default() },
//! };
//! let made = convert(&job, &mut |event| println!("{event:?}"), &AtomicBool::new(false))?;
//! assert_eq!(made.report.verification.compared.mismatches, 0);
//! for (path, bytes) in made.files()? {
//!     println!("{path}: {} bytes", bytes.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The fields of a configuration are in `docs/configuration.md`, those of a report in
//! `docs/report.md`. The modules are rooms of the program, documented in `docs/architecture.md`;
//! what they have may change with every version, what is named here does not. The library never
//! prints.

// whoever reads these pages works on the tree: they lead into rooms that are closed to others
#![allow(rustdoc::private_intra_doc_links)]

pub use convert::documents;
pub use convert::{
    ArtifactFile, Artifacts, CheckpointStore, DataFile, DataLayout, Error, Event, Fed, Inspection, Job, JobConfig, NodeFault,
    ParetoProxy, Plan, Report, Step, Trace, Verified, config, inspect, plan, run as convert, run_with_checkpoints, trace, verify,
};
pub use diagnostic::{Code, Diagnostic, Kind, Statuses};

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod convert;
#[doc(hidden)]
pub mod data;
pub mod diagnostic;
#[doc(hidden)]
pub mod graph;
#[doc(hidden)]
pub mod onnx;
#[doc(hidden)]
pub mod ops;
#[doc(hidden)]
pub mod proxy;
#[doc(hidden)]
pub mod quant;
#[cfg(feature = "serve")]
#[doc(hidden)]
pub mod service;
#[doc(hidden)]
pub mod simd;
#[doc(hidden)]
pub mod trace;
#[doc(hidden)]
pub mod train;
#[doc(hidden)]
pub mod verify;
