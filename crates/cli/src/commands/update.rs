//! `uphaul update`, and what it shares with `rollback` and `resume`.

use std::sync::Arc;

use clap::Args;
use uphaul_core::ids::RefName;
use uphaul_core::plan::Goal;
use uphaul_store::Host;

use crate::context::Context;
use crate::engine::{Ask, Engine, Job, To};
use crate::error::CliError;
use crate::exit::Exit;

use super::drive::{confirm, drive_all};

/// Take hosts to a version; a host on which that fails is taken back to the version it ran before
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Hosts to update
    #[arg(required = true, value_name = "HOSTS", add = crate::complete::selectors())]
    hosts: Vec<String>,
    /// Take them to this branch, tag or commit; it is resolved once, to one commit for all
    #[arg(long, value_name = "REF")]
    to: RefName,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// Flags of everything that changes hosts.
#[derive(Debug, Clone, Args)]
pub(crate) struct PolicyArgs {
    /// Take hosts as they are, also where they do not run what the record says
    #[arg(long)]
    pub(crate) accept_drift: bool,
    /// Go through all steps also on hosts that are already there
    #[arg(long)]
    pub(crate) force: bool,
    /// Set no dead-man's switch: a host that loses its controller in the middle waits for `uphaul resume`
    #[arg(long)]
    pub(crate) no_deadman: bool,
    /// Work on this many hosts at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) parallel: Option<u32>,
    /// Ask nothing
    #[arg(short, long)]
    pub(crate) yes: bool,
}

pub(crate) async fn run(context: &Context, args: UpdateArgs) -> Result<Exit, CliError> {
    let engine = engine(context, args.policy.parallel).await?;
    let hosts = super::drive::hosts_of(&engine.store, &args.hosts).await?;
    check_services(&engine, &hosts)?;
    let to = engine.resolve(&hosts, &args.to).await?;
    let seen = to.seen_from.clone().unwrap_or_default();
    let what = format!("{} is {} ({}, as seen from {seen})", to.reference, to.commit, to.kind);
    context.output.message(what);
    let question = format!("Take {} to {}?", count(hosts.len()), to.commit.short());
    if !confirm(context, &args.policy, hosts.len(), &question)? {
        engine.close_links().await;
        return Ok(Exit::Interrupted);
    }
    let ask = Ask {
        goal: Goal::Update,
        to: To::Commit(to),
        accept_drift: args.policy.accept_drift,
        force: args.policy.force,
        no_deadman: args.policy.no_deadman,
    };
    drive_all(context, &engine, names(&hosts), Job::Begin(ask)).await
}

/// Opens the database and the executor.
pub(crate) async fn engine(context: &Context, parallel: Option<u32>) -> Result<Engine, CliError> {
    let mut config = context.config()?.clone();
    if let Some(parallel) = parallel {
        config.fleet.parallel = parallel;
    }
    Ok(Engine::new(context.store().await?, config))
}

/// What is missing in the configuration of any host, or for reaching it from here, is told before anything is touched
/// on the first.
pub(crate) fn check_services(engine: &Engine, hosts: &[Host]) -> Result<(), CliError> {
    hosts.iter().try_for_each(|host| engine.config.plan_service(host).map(drop))?;
    engine.ready(hosts)
}

pub(crate) fn names(hosts: &[Host]) -> Vec<uphaul_core::ids::HostName> {
    hosts.iter().map(|host| host.name.clone()).collect()
}

pub(crate) fn count(hosts: usize) -> String {
    if hosts == 1 { "1 host".to_owned() } else { format!("{hosts} hosts") }
}

/// Shares a value with tasks.
pub(crate) fn shared<T>(value: T) -> Arc<T> {
    Arc::new(value)
}
