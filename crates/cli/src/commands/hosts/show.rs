//! `uphaul hosts show`

use clap::Args;
use serde_json::json;
use uphaul_core::ids::HostName;
use uphaul_core::ports::Clock;
use uphaul_store::{Host, LeaseRow, StoredRun};

use super::existing;
use super::list::labels;
use crate::clock::{SystemClock, ago, date_time, rfc3339};
use crate::commands::describe;
use crate::config::Chosen;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::hide;
use crate::output::{Line, Style};
use crate::render::words;

/// How many of its last runs are shown.
const RUNS_SHOWN: u32 = 5;

/// Show all that the record knows of a host
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Show this host
    #[arg(add = crate::complete::names())]
    name: HostName,
}

pub(super) async fn run(context: &Context, args: &Show) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let host = existing(&store, &args.name).await?;
    let lease = store.lease_of(&args.name).await?;
    let runs = store.runs_of_host(&args.name, RUNS_SHOWN).await?;
    let chosen = context.config()?.backend_of(&host);
    let output = &context.output;
    if output.is_json() {
        let lease = lease.as_ref().map(|lease| {
            json!({ "owner": lease.owner.to_string(), "taken_at": rfc3339(lease.taken_at_us),
                    "heartbeat_at": rfc3339(lease.heartbeat_us) })
        });
        let runs: Vec<_> = runs.iter().map(describe::run).collect();
        output.json(
            &json!({ "host": describe::host(&host), "executor": chosen, "lease": lease, "runs": runs }),
        );
        return Ok(Exit::Done);
    }
    for line in lines(&host, &chosen, lease.as_ref(), &runs) {
        output.result(line);
    }
    Ok(Exit::Done)
}

fn lines(host: &Host, chosen: &Chosen, lease: Option<&LeaseRow>, runs: &[StoredRun]) -> Vec<Line> {
    let now_us = SystemClock.now_us();
    let mut lines = vec![Line::new().styled(Style::Bold, host.name.as_str())];
    let mut field = |name: &str, value: Option<String>| {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return };
        lines.push(Line::new().styled(Style::Dim, format!("  {name:<10}")).text(value));
    };
    field("address", Some(host.address.clone()));
    field("port", host.port.map(|port| port.to_string()));
    field("user", host.user.as_ref().map(ToString::to_string));
    field("host key", host.host_key.as_ref().map(|key| format!("{} ({})", key, key.fingerprint())));
    field("labels", Some(labels(host)));
    for (key, value) in hide::settings(&host.settings) {
        field("setting", Some(format!("{key} = {value:?}")));
    }
    field("by", Some(chosen.to_string()));
    let proved = host.proved_at_us.map(|at| format!(" (proved {})", ago(at, now_us))).unwrap_or_default();
    field(
        "runs",
        Some(host.current_version.as_ref().map_or("not known".to_owned(), |v| format!("{v}{proved}"))),
    );
    field("target", host.target_version.as_ref().map(ToString::to_string));
    field("previous", host.previous_version.as_ref().map(ToString::to_string));
    field("status", Some(host.update_status.as_deref().map_or("never updated".to_owned(), words::spaced)));
    field("last run", host.last_update_at_us.map(|at| format!("{} ({})", date_time(at), ago(at, now_us))));
    field("held by", lease.map(|lease| format!("{} since {}", lease.owner, date_time(lease.taken_at_us))));
    for run in runs {
        let (record, at) = (&run.record, date_time(run.started_at_us));
        let to = record.plan.target.short();
        field("run", Some(format!("{} {at} to {to}: {}", record.id, words::state(&record.state))));
    }
    lines
}
