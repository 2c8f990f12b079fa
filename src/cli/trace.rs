//! `hgq-onnx trace`: ranges and formats on calibration data, no training.

use super::{files, overrides, screen, table};
use crate::convert;
use crate::convert::documents;
use std::path::PathBuf;

/// Ranges and fixed-point formats of every tensor on calibration data, without training
///
/// Runs the calibration data through the model and prints minimum, maximum and the format (k, i, f)
/// of every tensor: k sign bit, i integer bits without the sign, f fractional bits.
#[derive(clap::Args)]
#[command(after_help = super::EXIT_STATUS)]
pub struct Args {
    /// The model: ONNX, float or with QONNX annotations
    #[arg(value_name = "MODEL.onnx", value_hint = clap::ValueHint::FilePath)]
    pub model: PathBuf,
    /// Calibration data (.npz or .npy): `x`, or one array per model input by its name; first axis =
    /// samples
    #[arg(long, value_name = "X.npz", value_hint = clap::ValueHint::FilePath)]
    pub calibration: PathBuf,
    #[command(flatten)]
    pub config: overrides::ConfigFile,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<u8> {
    let config = args.config.load(&overrides::Overrides::default())?;
    let document = convert::trace(&files::model(&args.model)?, &files::data(&args.calibration)?, &config)?;
    screen::print(&if args.json {
        documents::text(&document)?
    } else {
        table::render(&documents::json(&document)?, screen::columns())
    })?;
    Ok(0)
}
