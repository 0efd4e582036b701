//! What JSON says about hosts and runs, the same in every command.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use uphaul_store::{Host, StoredEvent, StoredEvidence, StoredRun};

use crate::clock::rfc3339;
use crate::hide;
use crate::render::story;

/// A host.
#[derive(Debug, Serialize)]
pub(crate) struct HostJson<'a> {
    name: &'a str,
    address: &'a str,
    port: Option<u16>,
    user: Option<&'a str>,
    host_key: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    settings: BTreeMap<String, String>,
    current_version: Option<&'a str>,
    target_version: Option<&'a str>,
    update_status: Option<&'a str>,
    previous_version: Option<&'a str>,
    last_update_at: Option<String>,
    proved_at: Option<String>,
}

/// A host as JSON.
pub(crate) fn host(host: &Host) -> HostJson<'_> {
    HostJson {
        name: host.name.as_str(),
        address: &host.address,
        port: host.port,
        user: host.user.as_ref().map(|user| user.as_str()),
        host_key: host.host_key.as_ref().map(|key| key.as_str()),
        labels: &host.labels,
        settings: hide::settings(&host.settings),
        current_version: host.current_version.as_ref().map(|version| version.as_str()),
        target_version: host.target_version.as_ref().map(|version| version.as_str()),
        update_status: host.update_status.as_deref(),
        previous_version: host.previous_version.as_ref().map(|version| version.as_str()),
        last_update_at: host.last_update_at_us.map(rfc3339),
        proved_at: host.proved_at_us.map(rfc3339),
    }
}

/// A run as JSON, without its transitions.
pub(crate) fn run(run: &StoredRun) -> Value {
    json!({
        "run": run.record.id,
        "host": run.record.host,
        "goal": run.record.plan.goal,
        "reference": run.record.plan.reference,
        "target": run.record.plan.target,
        "recorded": run.record.plan.recorded,
        "status": run.record.state.word(),
        "state": run.record.state,
        "requested_by": run.requested_by,
        "started_at": rfc3339(run.started_at_us),
        "finished_at": run.finished_at_us.map(rfc3339),
    })
}

/// A transition as JSON.
pub(crate) fn event(event: &StoredEvent) -> Value {
    json!({
        "seq": event.seq,
        "at": rfc3339(event.at_us),
        "input": event.input,
        "state": event.state,
        "step": story::step_of(&event.state).map(|step| step.to_string()),
        "proved": event.proved,
    })
}

/// What was seen of a failure, as JSON.
pub(crate) fn evidence(seen: &StoredEvidence) -> Value {
    json!({
        "seq": seen.seq,
        "at": rfc3339(seen.at_us),
        "step": seen.evidence.step.to_string(),
        "parts": seen.evidence.parts,
        "trouble": seen.evidence.trouble,
    })
}
