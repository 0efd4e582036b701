//! `uphaul status`: what each host runs, as far as the record knows.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;
use uphaul_core::ids::Revision;
use uphaul_core::ports::Clock;
use uphaul_store::Host;

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

/// What stands for a host that no run has touched.
const NEVER: &str = "never_updated";

pub(super) async fn run(context: &Context, args: &Status) -> Result<Exit, CliError> {
    let mut hosts = context.store().await?.hosts().await?;
    if !args.hosts.is_empty() {
        hosts = select(&hosts, &args.hosts)?;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for host in &hosts {
        *counts.entry(host.update_status.as_deref().unwrap_or(NEVER)).or_default() += 1;
    }
    let output = &context.output;
    if output.is_json() {
        let hosts: Vec<_> = hosts.iter().map(describe::host).collect();
        output.json(&json!({ "hosts": hosts, "summary": counts }));
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
    Ok(Exit::Done)
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
