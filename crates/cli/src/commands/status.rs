//! `uphaul status`: what each host runs, as far as the record knows.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde_json::json;
use uphaul_core::ids::Revision;
use uphaul_core::ports::Clock;
use uphaul_store::process::is_gone;
use uphaul_store::{Host, Store, StoredRun};

use super::describe;
use crate::clock::{SystemClock, ago};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Line, Style};
use crate::render::{table, words};
use crate::select;

/// Show what each host runs and how its last run ended, from the record alone
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Show these hosts instead of all
    #[arg(add = crate::complete::selectors())]
    hosts: Vec<String>,
}

/// How many runs that nobody drives are told of; of the others, that there are more.
const LEFT_SHOWN: usize = 10;

/// What stands for a host that no run has touched.
const NEVER: &str = "never_updated";

pub(super) async fn run(context: &Context, args: &Status) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let mut hosts = store.hosts().await?;
    if !args.hosts.is_empty() {
        hosts = select(&hosts, &args.hosts)?;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for host in &hosts {
        *counts.entry(host.update_status.as_deref().unwrap_or(NEVER)).or_default() += 1;
    }
    let left = left(&store, &hosts).await?;
    let output = &context.output;
    if output.is_json() {
        let hosts: Vec<_> = hosts.iter().map(describe::host).collect();
        let left: Vec<_> = left.iter().map(|run| &run.record.host).collect();
        output.json(&json!({ "hosts": hosts, "left": left, "summary": counts }));
        return Ok(Exit::Done);
    }
    if hosts.is_empty() {
        output.message("there is no host in the record yet; `uphaul hosts add NAME ADDRESS` adds one");
        return Ok(Exit::Done);
    }
    let now_us = SystemClock.now_us();
    let rows: Vec<_> = hosts.iter().map(|host| row(host, now_us)).collect();
    for line in table::lines(&["host", "version", "target", "status", "when"], &rows) {
        output.result(line);
    }
    output.result(summary(hosts.len(), &counts));
    for run in left.iter().take(LEFT_SHOWN) {
        let at = words::left(&run.record.state);
        output.result(format!("{}: {at}, and nobody drives it; next: uphaul resume {0}", run.record.host));
    }
    if left.len() > LEFT_SHOWN {
        let more = words::count(left.len() - LEFT_SHOWN, "host");
        output.result(format!("{more} more, the same; next: uphaul resume"));
    }
    Ok(Exit::Done)
}

/// The runs of these hosts that are not at their end, and of whose drivers it is known that there is none. One that is on another
/// machine counts as one until the database says that its lease has expired.
async fn left(store: &Store, hosts: &[Host]) -> Result<Vec<StoredRun>, CliError> {
    let unfinished = store.unfinished_runs().await?;
    if unfinished.is_empty() {
        return Ok(unfinished);
    }
    let driven = store.leases().await?.into_iter().filter(|row| !row.expired && !is_gone(row));
    let driven: BTreeSet<_> = driven.map(|row| row.token.host).collect();
    let shown: BTreeSet<_> = hosts.iter().map(|host| &host.name).collect();
    let alone = |run: &StoredRun| shown.contains(&run.record.host) && !driven.contains(&run.record.host);
    let alone: Vec<_> = unfinished.into_iter().filter(alone).collect();
    // One that came to its end between the two looks has no driver either.
    let still: BTreeSet<_> = match alone.as_slice() {
        [] => BTreeSet::new(),
        _ => store.unfinished_runs().await?.into_iter().map(|run| run.record.id).collect(),
    };
    Ok(alone.into_iter().filter(|run| still.contains(&run.record.id)).collect())
}

fn row(host: &Host, now_us: i64) -> Vec<table::Cell> {
    let short = |version: &Option<Revision>| version.as_ref().map_or("-", Revision::short).to_owned();
    let status = host.update_status.as_deref().unwrap_or(NEVER);
    let aims_elsewhere = host.target_version != host.current_version;
    let target = if aims_elsewhere { Style::Warn } else { Style::Plain };
    vec![
        table::plain(&host.name),
        table::plain(short(&host.current_version)),
        table::styled(target, short(&host.target_version)),
        table::styled(words::style_of_status(status), words::spaced(status)),
        table::plain(host.last_update_at_us.map_or("-".to_owned(), |at| ago(at, now_us))),
    ]
}

fn summary(hosts: usize, counts: &BTreeMap<&str, usize>) -> Line {
    let mut line = Line::new().styled(Style::Bold, words::count(hosts, "host")).text(": ");
    for (place, (word, n)) in counts.iter().enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        line = line.text(format!("{comma}{n} ")).styled(words::style_of_status(word), words::spaced(word));
    }
    line
}
