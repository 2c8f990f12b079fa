//! The command line (docs/architecture.md#cli): arguments, exit status, and the one place where
//! failures become text.
//!
//! Exit status: 0 done; 1 verification or target not met; 2 model not supported; 3 bad data or
//! options; 4 internal or canceled. Machine output goes to stdout, everything else to stderr.

mod completions;
mod convert;
pub mod done;
mod files;
#[cfg(feature = "serve")]
mod health;
mod hls_project;
mod inspect;
mod man;
#[cfg(feature = "farm")]
mod nats;
mod out_dir;
mod overrides;
mod progress;
#[cfg(feature = "remote")]
mod remote;
mod report;
#[cfg(feature = "serve")]
mod runtime;
mod screen;
#[cfg(feature = "serve")]
mod serve;
mod table;
#[cfg(feature = "serve")]
mod token;
mod trace;
mod verify;
#[cfg(feature = "serve")]
mod work;
#[cfg(feature = "farm")]
mod worker;

use crate::convert::error::{Error, NodeFault};
use crate::diagnostic::Code;
use clap::{CommandFactory, Parser, Subcommand};
use serde_json::json;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;

const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  verification failed, or no model reaches the target
  2  the model is not supported (every offending node is listed)
  3  bad data or options
  4  internal error, or canceled";

/// Fits an ONNX model to fixed point: a bit width of its own for every weight and activation, found
/// by gradient (HGQ), and a proxy ONNX file that stock hls4ml turns into C++ with the same bits.
#[derive(Parser)]
#[command(name = "hgq-onnx", version, after_help = EXIT_STATUS, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Convert(Box<convert::Args>),
    Trace(trace::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Report(report::Args),
    #[cfg(feature = "serve")]
    Serve(Box<serve::Args>),
    #[cfg(feature = "farm")]
    Worker(worker::Args),
    #[cfg(feature = "serve")]
    Health(health::Args),
    #[cfg(feature = "serve")]
    Token(token::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    /// Whether a failure is also wanted as JSON on stdout.
    fn json(&self) -> bool {
        match self {
            Command::Convert(a) => a.json,
            Command::Trace(a) => a.json,
            Command::Inspect(a) => a.json,
            Command::Verify(a) => a.json,
            Command::Report(a) => a.json,
            #[cfg(feature = "serve")]
            Command::Serve(_) | Command::Health(_) | Command::Token(_) => false,
            #[cfg(feature = "farm")]
            Command::Worker(_) => false,
            Command::Completions(_) | Command::Man(_) => false,
        }
    }

    fn run(&self) -> anyhow::Result<u8> {
        match self {
            Command::Convert(a) => convert::run(a),
            Command::Trace(a) => trace::run(a),
            Command::Inspect(a) => inspect::run(a),
            Command::Verify(a) => verify::run(a),
            Command::Report(a) => report::run(a),
            #[cfg(feature = "serve")]
            Command::Serve(a) => serve::run(a),
            #[cfg(feature = "farm")]
            Command::Worker(a) => worker::run(a),
            #[cfg(feature = "serve")]
            Command::Health(a) => health::run(a),
            #[cfg(feature = "serve")]
            Command::Token(a) => token::run(a),
            Command::Completions(a) => completions::run(a, Cli::command()),
            Command::Man(a) => man::run(a, Cli::command()),
        }
    }
}

/// Runs the program on this process's arguments.
pub fn main() -> ExitCode {
    screen::begin();
    ExitCode::from(run(std::env::args_os()))
}

/// Runs one command line and returns the exit status.
fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not failures; a closed pipe while printing them is not ours to
            // report.
            let _ = error.print();
            // wrong usage is like a wrong option in a file
            return if error.use_stderr() { Code::BadConfig.exit_status() } else { 0 };
        }
    };
    match guarded(&cli.command) {
        Ok(status) => status,
        Err(error) => report(&error, cli.command.json()),
    }
}

/// Runs the command; a panic becomes [`Error::Internal`] with its place.
fn guarded(command: &Command) -> anyhow::Result<u8> {
    static PLACE: Mutex<String> = Mutex::new(String::new());
    std::panic::set_hook(Box::new(|info| {
        let at = info.location().map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("panic");
        // The first panic is the cause; what it makes other threads do is noise.
        if let Ok(mut place) = PLACE.lock()
            && place.is_empty()
        {
            *place = format!("{text}{at}");
        }
    }));
    catch_unwind(AssertUnwindSafe(|| command.run())).unwrap_or_else(|_| {
        let place = PLACE.lock().map_or_else(|_| String::new(), |p| p.clone());
        Err(Error::Internal(format!("{place} (a fault of hgq-onnx: please report it)")).into())
    })
}

/// What is said of a failure.
struct Failure<'a> {
    code: &'a str,
    nodes: &'a [NodeFault],
    faults: &'a [String],
    status: u8,
}

fn failure(error: &anyhow::Error) -> Failure<'_> {
    #[cfg(feature = "remote")]
    if let Some(refused) = error.downcast_ref::<remote::Refused>() {
        let (nodes, faults) = (refused.nodes(), refused.faults());
        return Failure { code: refused.code(), nodes, faults, status: refused.exit_status() };
    }
    let Some(known) = error.downcast_ref::<Error>() else {
        return Failure { code: Code::Internal.name(), nodes: &[], faults: &[], status: Code::Internal.exit_status() };
    };
    let faults: &[String] = match known {
        Error::Data(f) | Error::Config(f) => f,
        _ => &[],
    };
    Failure { code: known.code().name(), nodes: known.nodes(), faults, status: known.exit_status() }
}

/// Says what went wrong on stderr, with `json` also as a document on stdout; returns the exit
/// status.
fn report(error: &anyhow::Error, json: bool) -> u8 {
    let Failure { code, nodes, faults, status } = failure(error);
    let message = format!("{error:#}");
    screen::tell(screen::BAD, "error:", &message);
    if json {
        let document = json!({"error": { "code": code, "message": message, "nodes": nodes, "faults": faults }});
        let _ = screen::print(&format!("{document:#}"));
    }
    status
}
