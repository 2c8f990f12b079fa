//! `hgq-onnx inspect`: what is in a model and what of it is supported.

use super::{files, screen, table};
use crate::convert;
use crate::convert::documents;
use std::path::PathBuf;

/// What is in a model, what of it is supported, and its EBOPs if it is annotated
///
/// Unsupported nodes are part of the answer, not a failure: the exit status is 0 for every readable
/// ONNX file.
#[derive(clap::Args)]
#[command(after_help = super::EXIT_STATUS)]
pub struct Args {
    /// The model: ONNX, float or with QONNX annotations
    #[arg(value_name = "MODEL.onnx", value_hint = clap::ValueHint::FilePath)]
    pub model: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<u8> {
    let document = convert::inspect(&files::model(&args.model)?)?;
    screen::print(&if args.json {
        documents::text(&document)?
    } else {
        table::render(&documents::json(&document)?, screen::columns())
    })?;
    Ok(0)
}
