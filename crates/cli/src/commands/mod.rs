//! The commands, one file each.

mod check;
mod config;
mod db;
mod demo;
mod describe;
mod doctor;
mod drive;
mod history;
mod hosts;
mod init;
mod plan;
mod resume;
mod rollback;
mod shell;
mod status;
mod unlock;
mod update;
mod version;
mod watch;

use clap::Subcommand;
use uphaul_store::StoreError;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Init),
    Demo(demo::DemoArgs),
    Doctor(doctor::Doctor),
    #[command(subcommand)]
    Hosts(hosts::Hosts),
    Check(check::CheckArgs),
    Plan(plan::PlanArgs),
    Update(update::UpdateArgs),
    Rollback(rollback::RollbackArgs),
    Resume(resume::ResumeArgs),
    Version(version::VersionArgs),
    Status(status::Status),
    History(history::History),
    Unlock(unlock::Unlock),
    #[command(subcommand)]
    Db(db::Db),
    #[command(hide = true)]
    DemoService(demo::service::DemoServiceArgs),
    #[command(subcommand)]
    Config(config::Config),
    Completions(shell::Completions),
    Man(shell::Man),
}

/// Does what was asked for.
pub(crate) async fn run(context: &Context, command: Command) -> Result<Exit, CliError> {
    match command {
        Command::Init(args) => init::run(context, &args),
        Command::Demo(args) => demo::run(context, &args),
        Command::Doctor(args) => doctor::run(context, &args).await,
        Command::Hosts(command) => hosts::run(context, &command).await,
        Command::Check(args) => check::run(context, args).await,
        Command::Plan(args) => plan::run(context, args).await,
        Command::Update(args) => update::run(context, args).await,
        Command::Rollback(args) => rollback::run(context, args).await,
        Command::Resume(args) => resume::run(context, args).await,
        Command::Version(args) => version::run(context, args).await,
        Command::Status(args) => status::run(context, &args).await,
        Command::History(args) => history::run(context, &args).await,
        Command::Db(command) => db::run(context, &command).await,
        Command::Unlock(args) => unlock::run(context, &args).await,
        Command::DemoService(args) => demo::service::run(&args),
        Command::Completions(args) => shell::completions(context, &args),
        Command::Man(args) => shell::man(context, &args),
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
            | StoreError::Backup { .. }
            | StoreError::NotOurs { .. }
            | StoreError::UnfinishedRun { .. } => Self::usage(error.to_string()),
            StoreError::Url(_) => Self::config(error.to_string()),
            StoreError::Held(_) | StoreError::LeaseLost { .. } => Self::host(error.to_string()),
            StoreError::Unusable { .. }
            | StoreError::BadRun { .. }
            | StoreError::Unwritable { .. }
            | StoreError::Unreadable { .. } => Self::store(error.to_string()),
        }
    }
}
