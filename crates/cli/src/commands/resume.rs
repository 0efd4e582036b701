//! `uphaul resume`.

use std::time::Duration;

use clap::Args;

use crate::config::parse_seconds;
use crate::context::Context;
use crate::engine::Job;
use crate::error::CliError;
use crate::exit::Exit;

use super::drive::drive_all;
use super::update::engine;

/// Bring what was left in the middle to its end: after a crash, a stop, or when a host is back
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// Only these hosts; without any, all that were left in the middle
    #[arg(value_name = "HOSTS", add = crate::complete::selectors())]
    hosts: Vec<String>,
    /// Work on this many hosts at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    parallel: Option<u32>,
    /// Go on until Ctrl-C: take up each run as soon as its host is back, for as long as `limits.catch_up` says
    #[arg(long)]
    watch: bool,
    /// With --watch: how often to look
    #[arg(long, value_name = "TIME", requires = "watch", default_value = "30s", value_parser = pause)]
    every: u32,
}

/// How long a watch may sleep: an hour at most.
fn pause(text: &str) -> Result<u32, String> {
    match parse_seconds(text)? {
        seconds @ 1..=3600 => Ok(seconds),
        _ => Err("it has to be between 1s and 1h".to_owned()),
    }
}

pub(crate) async fn run(context: &Context, args: ResumeArgs) -> Result<Exit, CliError> {
    let engine = engine(context, args.parallel).await?;
    if args.watch {
        let every = Duration::from_secs(args.every.into());
        return super::watch::watch(context, &engine, &args.hosts, every).await;
    }
    let chosen = match args.hosts.is_empty() {
        true => None,
        false => Some(super::update::names(&super::drive::hosts_of(&engine.store, &args.hosts).await?)),
    };
    let left = engine.unfinished().await?;
    let wanted =
        |run: &uphaul_store::StoredRun| chosen.as_ref().is_none_or(|names| names.contains(&run.record.host));
    let hosts: Vec<_> = left.iter().filter(|run| wanted(run)).map(|run| run.record.host.clone()).collect();
    if hosts.is_empty() {
        context.output.message("nothing was left in the middle");
        return Ok(Exit::Done);
    }
    let words: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    for host in super::drive::hosts_of(&engine.store, &words).await? {
        engine.reach(&host)?;
    }
    drive_all(context, &engine, hosts, Job::Resume).await
}
