//! `hgq-onnx token`: makes a token for the service.

use super::screen;
use crate::convert::error::Error;
use crate::service::auth::new_token;

/// Make a token for `serve --tokens`
///
/// The token goes to stdout, once: give it to whoever calls. Its line for the file of tokens, which
/// has only its hash, goes to stderr.
#[derive(clap::Args)]
pub struct Args {
    /// Whose token it is: jobs and files belong to this name
    #[arg(value_name = "NAME")]
    pub name: String,
}

pub fn run(args: &Args) -> anyhow::Result<u8> {
    let (token, line) = new_token(&args.name).map_err(|e| Error::Config(vec![format!("NAME `{}`: {e}", args.name)]))?;
    screen::print(&token)?;
    eprintln!("{line}");
    Ok(0)
}
