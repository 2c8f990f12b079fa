//! `hgq-onnx verify`: executes a proxy in integers and compares it with expected outputs.

use super::{files, screen, table};
use crate::convert::error::Error;
use crate::convert::{self, DataLayout, Fed, Verified};
use anyhow::Context;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

/// Execute a proxy bit-exactly and compare with expected outputs
///
/// The proxy is executed in 64-bit integers. With --expected, any element that differs is a failure
/// (exit status 1).
#[derive(clap::Args)]
#[command(after_help = super::EXIT_STATUS)]
pub struct Args {
    /// A proxy as written by `hgq-onnx convert`
    #[arg(value_name = "PROXY.onnx", value_hint = clap::ValueHint::FilePath)]
    pub proxy: PathBuf,
    /// Inputs (.npz or .npy): `x`, or one array per model input by its name in the source or in the
    /// proxy; first axis = samples
    #[arg(long, value_name = "X.npz", value_hint = clap::ValueHint::FilePath)]
    pub inputs: PathBuf,
    /// Expected outputs (.npz or .npy): `y`, or one array per model output by its name in the
    /// source or in the proxy
    #[arg(long, value_name = "Y.npz", value_hint = clap::ValueHint::FilePath)]
    pub expected: Option<PathBuf>,
    /// Layout of arrays whose shape fits both: that of the model that was converted, or the proxy's
    /// (hls4ml's)
    #[arg(long, value_name = "LAYOUT", value_enum, default_value = "source")]
    pub layout: LayoutArg,
    /// Write the outputs here: one float64 array per model output, by its name in the proxy and in
    /// the proxy's layout, flat
    #[arg(long, value_name = "OUT.npz", value_hint = clap::ValueHint::FilePath)]
    pub outputs: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// [`DataLayout`] on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum LayoutArg {
    Source,
    Proxy,
}

impl From<LayoutArg> for DataLayout {
    fn from(layout: LayoutArg) -> DataLayout {
        match layout {
            LayoutArg::Source => DataLayout::Source,
            LayoutArg::Proxy => DataLayout::Proxy,
        }
    }
}

pub fn run(args: &Args) -> anyhow::Result<u8> {
    let expected = args.expected.as_deref().map(files::data).transpose()?;
    let (proxy, inputs) = (files::model(&args.proxy)?, files::data(&args.inputs)?);
    let verified = convert::verify(&proxy, &inputs, expected.as_ref(), args.layout.into())?;
    if let Some(path) = &args.outputs {
        files::write_atomically(path, &npz(&verified).with_context(|| format!("cannot write {}", path.display()))?)?;
    }
    screen::print(&if args.json {
        serde_json::to_string_pretty(&verified)?
    } else {
        summary(&verified, args.outputs.as_deref())
    })?;
    match verified.mismatches {
        Some(n) if n > 0 => Err(Error::Verification(format!("{n} elements differ from the expected outputs")).into()),
        _ => Ok(0),
    }
}

fn summary(v: &Verified, outputs: Option<&Path>) -> String {
    let mut facts = vec![("samples".to_string(), v.samples.to_string())];
    let mut fact = |name: &str, value: String| facts.push((name.into(), value));
    for fed in &v.inputs {
        fact("input", read_from(fed));
    }
    for fed in &v.expected {
        fact("expected", read_from(fed));
    }
    fact("mismatches", v.mismatches.map_or("nothing to compare with (--expected)".into(), |n| n.to_string()));
    if let Some((name, sample, element, got, want)) = &v.first {
        fact("first", format!("output `{name}`, sample {sample}, element {element}: got {got}, expected {want}"));
    }
    fact("saturations", v.saturations.to_string());
    fact("port", format!("{} samples outside the range of hls4ml's input port", v.port_overflow));
    for (name, width, _) in &v.outputs {
        fact("output", format!("`{name}`, {width} elements a sample"));
    }
    if let Some(path) = outputs {
        fact("written", path.display().to_string());
    }
    table::fact_lines(&facts, screen::columns())
}

/// Where the values of a port come from.
fn read_from(fed: &Fed) -> String {
    let layout = match fed.layout {
        DataLayout::Source => "the source's layout",
        DataLayout::Proxy => "the proxy's layout",
    };
    format!("`{}` from array `{}`, in {layout}", fed.port, fed.array)
}

/// The outputs as an npz archive: per output a float64 array of shape (samples, width).
fn npz(v: &Verified) -> std::io::Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    // a fixed time: the same outputs give the same bytes
    let options = zip::write::SimpleFileOptions::default().last_modified_time(zip::DateTime::default());
    for (name, width, values) in &v.outputs {
        archive.start_file(format!("{name}.npy"), options)?;
        archive.write_all(&npy_header(v.samples, *width))?;
        for value in values {
            archive.write_all(&value.to_le_bytes())?;
        }
    }
    Ok(archive.finish()?.into_inner())
}

/// The header of a npy file, version 1.0: a Python dictionary, padded so that the data begin at a
/// multiple of 64 bytes.
fn npy_header(samples: usize, width: usize) -> Vec<u8> {
    const PREFIX: usize = 10;
    let mut text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({samples}, {width}), }}");
    while !(PREFIX + text.len() + 1).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.bytes());
    header
}
