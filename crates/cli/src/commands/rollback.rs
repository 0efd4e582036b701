//! `uphaul rollback`.

use clap::Args;
use uphaul_core::ids::RefName;
use uphaul_core::plan::Goal;

use crate::context::Context;
use crate::engine::{Ask, Job, To, previous_of};
use crate::error::CliError;
use crate::exit::Exit;

use super::drive::{confirm, drive_all};
use super::update::{PolicyArgs, check_services, count, engine, names};

/// Take hosts back to the version that they ran before
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// Hosts to take back
    #[arg(required = true, value_name = "HOSTS", add = crate::complete::selectors())]
    hosts: Vec<String>,
    /// Take them to this version instead
    #[arg(long, value_name = "REV")]
    to: Option<RefName>,
    #[command(flatten)]
    policy: PolicyArgs,
}

pub(crate) async fn run(context: &Context, args: RollbackArgs) -> Result<Exit, CliError> {
    let engine = engine(context, args.policy.parallel).await?;
    let hosts = super::drive::hosts_of(&engine.store, &args.hosts).await?;
    check_services(&engine, &hosts)?;
    let to = match &args.to {
        Some(reference) => {
            let to = engine.resolve(&hosts, reference).await?;
            context.output.message(format!("{} is {} ({})", to.reference, to.commit, to.kind));
            To::Commit(to)
        }
        None => {
            for host in &hosts {
                let to = previous_of(host)?;
                let from =
                    host.current_version.as_ref().map_or("nothing recorded", |version| version.short());
                context.output.message(format!("{}: {from} -> {}", host.name, to.commit.short()));
            }
            To::Previous
        }
    };
    let question = format!("Take {} back?", count(hosts.len()));
    if !confirm(context, &args.policy, hosts.len(), &question)? {
        engine.close_links().await;
        return Ok(Exit::Interrupted);
    }
    let PolicyArgs { accept_drift, force, no_deadman, .. } = args.policy;
    let ask = Ask { goal: Goal::Rollback, to, accept_drift, force, no_deadman };
    drive_all(context, &engine, names(&hosts), Job::Begin(ask)).await
}
