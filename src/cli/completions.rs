//! `hgq-onnx completions`: a script that lets the shell complete commands, options and files.

use super::screen;
use clap_complete::Shell;

/// Print a script that completes commands and options in your shell
///
/// bash: `hgq-onnx completions bash > ~/.local/share/bash-completion/completions/hgq-onnx`; zsh:
/// into a file `_hgq-onnx` in a folder of `$fpath`; fish: into
/// `~/.config/fish/completions/hgq-onnx.fish`.
#[derive(clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

pub fn run(args: &Args, mut program: clap::Command) -> anyhow::Result<u8> {
    let name = program.get_name().to_string();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, name, &mut script);
    // clap_complete 4.6 takes the hyphen of the program's name for one between commands in half of
    // a bash script
    screen::print(&String::from_utf8(script)?.replace("hgq__subcmd__onnx", "hgq__onnx"))?;
    Ok(0)
}
