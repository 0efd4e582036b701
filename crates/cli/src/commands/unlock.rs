//! `uphaul unlock`: who holds a host in the database, and taking it from them.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use uphaul_core::ids::HostName;
use uphaul_core::ports::Clock;
use uphaul_store::process::{is_alive_here, is_gone, this_owner};
use uphaul_store::{LeaseRow, Store, StoredRun};

use super::hosts::existing;
use crate::clock::{SystemClock, ago, date_time, length, rfc3339};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Line, Style};
use crate::render::words;

/// Show who holds a host, and with --takeover take it from them
///
/// A host that is held is not touched by anybody else. A holder that is dead loses it by itself: at once on the same
/// machine, else when it has not been heard of for limits.lease. The run that it drove stays as it is; `uphaul resume`
/// brings it to its end.
#[derive(Debug, Args)]
pub(crate) struct Unlock {
    /// The host
    #[arg(value_name = "HOST", add = crate::complete::names())]
    host: HostName,
    /// Take the host from its holder, who then changes nothing any more
    #[arg(long)]
    takeover: bool,
}

/// What is known of the holder's process.
fn process(row: &LeaseRow) -> (&'static str, &'static str) {
    if is_gone(row) {
        return ("dead", "it is dead");
    }
    if is_alive_here(row) {
        return ("alive", "it is alive on this machine");
    }
    if row.expired {
        return ("expired", "nothing was heard of it for the length of its lease");
    }
    ("unknown", "whether it is alive cannot be seen from here")
}

pub(crate) async fn run(context: &Context, args: &Unlock) -> Result<Exit, CliError> {
    let store = context.store().await?;
    existing(&store, &args.host).await?;
    let row = store.lease_of(&args.host).await?;
    let left = store.unfinished_run_of(&args.host).await?;
    let output = &context.output;
    if output.is_json() {
        let taken = match &row {
            Some(row) if args.takeover => take(&store, row).await?,
            Some(_) | None => false,
        };
        let run = left.as_ref().map(super::describe::run);
        output.json(&json!({
            "host": args.host, "holder": row.as_ref().map(holder), "unfinished_run": run, "taken_over": taken,
        }));
        return if args.takeover && row.is_some() && !taken {
            Err(moved(&args.host))
        } else {
            Ok(Exit::Done)
        };
    }
    let Some(row) = row else {
        output.result(format!("nobody holds {} in the database", args.host));
        tell_left(context, left.as_ref());
        return Ok(Exit::Done);
    };
    for line in lines(&row) {
        output.result(line);
    }
    if !args.takeover {
        tell_left(context, left.as_ref());
        output.message(format!("to take it from them: uphaul unlock {} --takeover", args.host));
        return Ok(Exit::Done);
    }
    if !take(&store, &row).await? {
        return Err(moved(&args.host));
    }
    output.result(Line::new().styled(Style::Good, format!("{} is free", args.host)));
    tell_left(context, left.as_ref());
    Ok(Exit::Done)
}

/// Takes the host as it was shown, and gives it back at once; false where anything was written since it was shown.
async fn take(store: &Store, row: &LeaseRow) -> Result<bool, CliError> {
    // The length matters only to one who dies between the two.
    let Some(lease) = store.take_over(row, &this_owner(), Duration::from_secs(5)).await? else {
        return Ok(false);
    };
    store.release(&lease).await?;
    Ok(true)
}

fn moved(host: &HostName) -> CliError {
    CliError::host(format!("{host} was not taken: its holder was heard of meanwhile, or has given it back"))
        .hint(format!("look again: uphaul unlock {host}"))
        .hint("a holder that lives is better stopped where it runs: Ctrl-C, or kill")
}

fn lines(row: &LeaseRow) -> Vec<Line> {
    let now_us = SystemClock.now_us();
    let (owner, (_, told)) = (&row.owner, process(row));
    let mut lines = vec![Line::new().styled(Style::Bold, row.host().as_str())];
    let mut field = |name: &str, value: String| {
        lines.push(Line::new().styled(Style::Dim, format!("  {name:<10}")).text(value));
    };
    field("held by", format!("{}@{}", owner.user, owner.machine));
    field("process", format!("{} ({told})", owner.pid));
    field("since", format!("{} ({})", date_time(row.taken_at_us), ago(row.taken_at_us, now_us)));
    field("heard of", format!("{} ({})", date_time(row.heartbeat_us), ago(row.heartbeat_us, now_us)));
    let lease = Duration::from_micros(u64::try_from(row.length_us).unwrap_or_default());
    field("lease", format!("{} after each heartbeat", length(lease)));
    lines
}

fn holder(row: &LeaseRow) -> Value {
    json!({
        "user": row.owner.user,
        "machine": row.owner.machine,
        "pid": row.owner.pid,
        "process": process(row).0,
        "since": rfc3339(row.taken_at_us),
        "heartbeat_at": rfc3339(row.heartbeat_us),
        "lease_ms": row.length_us / 1000,
    })
}

fn tell_left(context: &Context, left: Option<&StoredRun>) {
    let Some(run) = left else { return };
    let record = &run.record;
    context.output.message(format!(
        "its run {} is not finished ({}); bring it to its end: uphaul resume {}",
        record.id,
        words::state(&record.state),
        record.host
    ));
}
