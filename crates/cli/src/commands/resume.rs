//! `uphaul resume`.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use uphaul_store::{Host, StoredRun};

use crate::config::parse_seconds;
use crate::context::Context;
use crate::engine::{Engine, Job};
use crate::error::CliError;
use crate::exit::Exit;
use crate::select;

use super::drive::drive_all;
use super::update::{engine, names};

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
    let left = engine.unfinished().await?;
    let Left { hosts: chosen, lost } = hosts_left(&engine, &left, &args.hosts).await?;
    let unfinished: BTreeSet<_> = left.iter().map(|run| &run.record.host).collect();
    let hosts: Vec<_> = chosen.into_iter().filter(|host| unfinished.contains(&host.name)).collect();
    lost.iter().for_each(|run| context.output.warning(&lost_words(run)));
    let exit = if lost.is_empty() { Exit::Done } else { Exit::Unknown };
    if hosts.is_empty() {
        if lost.is_empty() {
            context.output.message("nothing was left in the middle");
        }
        return Ok(exit);
    }
    engine.ready(&hosts)?;
    Ok(drive_all(context, &engine, names(&hosts), Job::Resume).await?.max(exit))
}

/// The hosts of the record that are chosen, and those that only an unfinished run still knows by this name.
pub(super) struct Left {
    /// Each can be reached.
    pub(super) hosts: Vec<Host>,
    /// Runs whose host is in the record no more.
    pub(super) lost: Vec<StoredRun>,
}

/// Where the hosts are rows of another program, it may rename them or leave them out in the middle of a run. One that is
/// gone keeps no other from its end.
pub(super) async fn hosts_left(
    engine: &Engine,
    left: &[StoredRun],
    words: &[String],
) -> Result<Left, CliError> {
    let mut hosts = engine.store.hosts().await?;
    let known: BTreeSet<_> = hosts.iter().map(|host| host.name.clone()).collect();
    let mut lost = Vec::new();
    for run in left.iter().filter(|run| !known.contains(&run.record.host)) {
        match engine.store.host(&run.record.host).await? {
            Some(host) => hosts.push(host),
            None => lost.push(run.clone()),
        }
    }
    if words.is_empty() {
        return Ok(Left { hosts, lost });
    }
    // Who named others did not ask for these; and one that was named keeps none of the others.
    lost.retain(|run| words.iter().any(|word| word == run.record.host.as_str()));
    let is_lost = |word: &String| lost.iter().any(|run| word == run.record.host.as_str());
    let words: Vec<String> = words.iter().filter(|word| !is_lost(word)).cloned().collect();
    let hosts = if words.is_empty() { Vec::new() } else { select(&hosts, &words)? };
    Ok(Left { hosts, lost })
}

/// What is said of a run whose host is gone.
pub(super) fn lost_words(run: &StoredRun) -> String {
    let (host, id) = (&run.record.host, &run.record.id);
    format!(
        "{host}: its run {id} was left in the middle, and the host is not in the record any more; bring its row back, then: \
         uphaul resume {host}"
    )
}
