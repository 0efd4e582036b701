//! The commands, one file each.

mod config;
mod init;

use clap::Subcommand;
use uphaul_store::StoreError;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Init),
    #[command(subcommand)]
    Config(config::Config),
}

/// Does what was asked for.
pub(crate) async fn run(context: &Context, command: Command) -> Result<Exit, CliError> {
    match command {
        Command::Init(args) => init::run(context, &args),
        Command::Config(command) => config::run(context, &command),
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match &error {
            // What the person typed cannot be, or not now.
            StoreError::HostExists(_)
            | StoreError::GivenTwice(_)
            | StoreError::NoSuchHost(_)
            | StoreError::InvalidHost { .. }
            | StoreError::TooMany { .. }
            | StoreError::UnfinishedRun { .. } => Self::usage(error.to_string()),
            StoreError::Url(_) => Self::config(error.to_string()),
            StoreError::Held(_) | StoreError::LeaseLost { .. } => Self::host(error.to_string()),
            StoreError::Unusable { .. } | StoreError::BadRun { .. } | StoreError::Unreadable { .. } => {
                Self::store(error.to_string())
            }
        }
    }
}
