//! The command line of Uphaul: configuration, commands, and what people are shown.
//!
//! One command is one file below `commands`. Only `output` prints; everything that comes from a host, a file or a
//! database goes through it, so nothing can write control characters to the operator's terminal.

mod about;
mod cli;
pub mod clock;
mod commands;
mod complete;
pub mod config;
mod context;
mod engine;
pub mod error;
mod escape;
pub mod exit;
mod hide;
pub mod output;
pub mod render;
mod select;
mod surroundings;

use std::process::ExitCode;
use std::sync::OnceLock;

use clap::Parser;
use rustix::fs::Mode;

pub use context::Context;
pub use select::select;

use cli::Cli;
use error::CliError;
use exit::Exit;
use output::Output;
use surroundings::Surroundings;

/// What the login that runs this takes away of the files that it makes.
static LOGIN_UMASK: OnceLock<Mode> = OnceLock::new();

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    // What it writes is its user's, whatever the login's umask is; also what git and ssh write for it.
    let login = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let _set_once = LOGIN_UMASK.set(login);
    complete::answer();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cli::refused(&error).into(),
    };
    let output = Output::new(cli.globals.mode());
    let exit = match begin(cli, output.clone()) {
        Ok(exit) => exit,
        Err(error) => {
            output.error(&error);
            error.exit()
        }
    };
    match output.lost() {
        None => exit.into(),
        // What was written to the file or pipe is not all there is: nobody may take it for the whole.
        Some(why) => {
            output.error(&CliError::internal("cannot write the output").cause(why));
            exit.max(Exit::Internal).into()
        }
    }
}

fn begin(cli: Cli, output: Output) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::internal("cannot start").because(&error))?;
    let context = Context::new(cli.globals.flags(), Surroundings::of_process(), output);
    let exit = runtime.block_on(commands::run(&context, cli.command));
    // Nothing may keep the process from ending, not even a call that blocks.
    runtime.shutdown_background();
    exit
}
