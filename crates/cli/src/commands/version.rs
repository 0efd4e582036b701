//! `uphaul version`: what hosts run now, and where that differs from the record.

use clap::Args;
use serde_json::json;
use uphaul_core::ids::Revision;
use uphaul_core::ports::Clock as _;
use uphaul_core::script::Preflight;
use uphaul_store::Host;

use crate::clock::SystemClock;
use crate::context::Context;
use crate::engine::{Engine, Look};
use crate::error::CliError;
use crate::exit::Exit;

use super::check::{Seen, look_at_all};
use super::update::{check_services, engine};

/// Read what hosts run now, write it to the record, and tell where the two differ (drift)
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// Hosts to read
    #[arg(required = true, value_name = "HOSTS", add = crate::complete::selectors())]
    hosts: Vec<String>,
}

pub(crate) async fn run(context: &Context, args: VersionArgs) -> Result<Exit, CliError> {
    let engine = engine(context, None).await?;
    let hosts = super::drive::hosts_of(&engine.store, &args.hosts).await?;
    check_services(&engine, &hosts)?;
    let mut worst = Exit::Done;
    for (host, seen) in look_at_all(&engine, hosts, None).await {
        worst = worst.max(tell(context, &engine, &host, seen).await?);
    }
    Ok(worst)
}

async fn tell(context: &Context, engine: &Engine, host: &Host, seen: Seen) -> Result<Exit, CliError> {
    let report = match seen {
        Seen::Look(Look::Seen(both)) => both.1,
        Seen::Look(Look::Unseen { away, problem }) => {
            unseen(context, host, &problem.found);
            return Ok(if away { Exit::Unknown } else { Exit::Aborted });
        }
        Seen::Error(why) => {
            unseen(context, host, &why);
            return Ok(Exit::Internal);
        }
    };
    let Some(head) = report.head.clone() else {
        let why =
            report.problems.first().map_or("no commit is checked out", |problem| problem.found.as_str());
        unseen(context, host, why);
        return Ok(Exit::Aborted);
    };
    // What is not healthy proves nothing, and is shown and not recorded.
    let mut in_run = None;
    let open = matches!(host.update_status.as_deref(), Some("needs_attention" | "superseded"));
    // Somebody who drives the host, from another record maybe, has it between two versions.
    if report.healthy && !open && report.held.is_none() {
        in_run = engine.store.observe(&host.name, &head, SystemClock.now_us()).await?.in_run;
    }
    let notes = notes(host, &head, &report, in_run.is_some());
    if context.output.is_json() {
        context.output.json(&json!({
            "host": host.name, "version": head, "recorded": host.current_version, "healthy": report.healthy,
            "drift": host.current_version.as_ref().is_some_and(|recorded| *recorded != head),
            "dirty": report.dirty, "notes": notes,
        }));
        return Ok(Exit::Done);
    }
    let notes = if notes.is_empty() { String::new() } else { format!("  {}", notes.join("; ")) };
    context.output.result(format!("{}  {head}{notes}", host.name));
    for line in &report.dirty {
        context.output.result(format!("  changed by hand: {line}"));
    }
    Ok(Exit::Done)
}

fn notes(host: &Host, head: &Revision, report: &Preflight, in_run: bool) -> Vec<String> {
    let mut notes = Vec::new();
    match &host.current_version {
        Some(recorded) if recorded != head => notes.push(format!("DRIFT: the record said {recorded}")),
        Some(_) => {}
        None => notes.push("first contact".to_owned()),
    }
    if !report.healthy {
        notes.push("not healthy, so not proved and not recorded".to_owned());
    }
    if matches!(host.update_status.as_deref(), Some("needs_attention" | "superseded")) {
        notes.push("its last run was not brought to an end, so this is not recorded; `uphaul update --accept-drift --force`".into());
    }
    if let Some(by) = &report.held {
        notes.push(format!("held by {by}, so not recorded"));
    }
    if in_run {
        notes.push("a run is not finished here, so the record is left to it".to_owned());
    }
    notes
}

fn unseen(context: &Context, host: &Host, why: &str) {
    if context.output.is_json() {
        context.output.json(&json!({ "host": host.name, "error": why }));
    } else {
        context.output.result(format!("{}  unknown  {why}", host.name));
    }
}
