//! `hgq-onnx man`: manual pages from the same texts as `--help`.

use super::{files, screen};
use crate::convert::error::Error;
use clap_mangen::Man;
use std::path::PathBuf;

/// Print the manual page, or write those of all commands into a folder
///
/// `hgq-onnx man | man -l -` shows it; `hgq-onnx man DIR` writes hgq-onnx.1 and a page for each
/// command, hgq-onnx-convert.1 and so on.
#[derive(clap::Args)]
pub struct Args {
    /// Folder for the pages of all commands, which is made if need be
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

pub fn run(args: &Args, program: clap::Command) -> anyhow::Result<u8> {
    let page = |command: clap::Command, title: &str| -> anyhow::Result<Vec<u8>> {
        let mut page = Vec::new();
        Man::new(command.display_name(title.to_string())).title(title).render(&mut page)?;
        Ok(page)
    };
    let Some(dir) = &args.dir else {
        screen::print(&String::from_utf8(page(program, "hgq-onnx")?)?)?;
        return Ok(0);
    };
    let fault = |e: std::io::Error| Error::Data(vec![format!("{}: cannot create the folder: {e}", dir.display())]);
    std::fs::create_dir_all(dir).map_err(fault)?;
    let name = program.get_name().to_string();
    for command in program.get_subcommands().filter(|c| c.get_name() != "help") {
        let title = format!("{name}-{}", command.get_name());
        let path = dir.join(format!("{title}.1"));
        let usage = format!("{name} {}", command.get_name());
        files::write_atomically(&path, &page(command.clone().bin_name(usage), &title)?)?;
    }
    files::write_atomically(&dir.join(format!("{name}.1")), &page(program, &name)?)?;
    Ok(0)
}
