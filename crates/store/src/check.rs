//! Looks through the whole record for what cannot be: for who does not want to trust, but to know.

use std::collections::BTreeMap;

use uphaul_core::ids::{HostName, Revision};
use uphaul_core::machine::{State, step};
use uphaul_core::plan::PLAN_VERSION;

use crate::conn::{Link, query};
use crate::db::{Fault, Store};
use crate::error::StoreError;
use crate::host::Host;
use crate::journal::left_behind;
use crate::run::StoredRun;
use crate::snapshot::Snapshot;
use crate::{EVENTS_MAX, sql};

/// How many faults are kept; the rest is counted.
pub const FAULTS_MAX: usize = 1_000;
/// The word of a host that was seen to run something else than the record said.
use crate::hosts::DRIFTED;

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many hosts there are.
    pub hosts: usize,
    /// How many runs.
    pub runs: usize,
    /// How many transitions.
    pub events: usize,
    /// What cannot be, at most [`FAULTS_MAX`].
    pub faults: Vec<String>,
    /// How many more there are.
    pub faults_more: usize,
}

impl Checked {
    fn fault(&mut self, text: String) {
        if self.faults.len() < FAULTS_MAX { self.faults.push(text) } else { self.faults_more += 1 }
    }
}

/// What the log says of a host, so far.
#[derive(Debug, Default)]
struct Told {
    status: Option<String>,
    target: Option<Revision>,
    proved: Option<(Revision, i64)>,
    previous: Option<Revision>,
    ended_at: Option<i64>,
}

impl Store {
    /// Checks the file and its references, replays every log, and compares runs and the five columns with it.
    ///
    /// # Errors
    /// The database cannot be read at all. What is wrong with it is in the answer.
    pub async fn check(&self) -> Result<Checked, StoreError> {
        let mut found = Checked::default();
        let mut snapshot = self.snapshot().await?;
        let file = of_the_file(&mut snapshot, &mut found).await;
        file.map_err(|fault| self.told("check the database", fault))?;
        let after =
            runs_are_after(&mut snapshot).await.map_err(|fault| self.told("check the hosts", fault))?;
        let mut told: BTreeMap<HostName, Told> = BTreeMap::new();
        loop {
            let runs = snapshot.numbered_runs().await?;
            if runs.is_empty() {
                break;
            }
            for (number, run) in runs {
                found.runs += 1;
                match run {
                    Ok(run) => {
                        // A host that was removed and added again begins anew.
                        let mine = after.get(run.record.host.as_str()).is_some_and(|after| number > *after);
                        let mut fresh = Told::default();
                        let told = match mine {
                            true => told.entry(run.record.host.clone()).or_default(),
                            false => &mut fresh,
                        };
                        replay(&mut snapshot, &run, told, &mut found).await?;
                    }
                    Err(error) => found.fault(error.to_string()),
                }
            }
        }
        loop {
            let hosts = snapshot.hosts().await?;
            if hosts.is_empty() {
                break;
            }
            for host in hosts {
                found.hosts += 1;
                compare(&host, told.get(&host.name), &mut found);
            }
        }
        snapshot.end().await;
        Ok(found)
    }
}

/// After which runs each host was added.
async fn runs_are_after(snapshot: &mut Snapshot) -> Result<BTreeMap<String, i64>, Fault> {
    let rows = query(sql::RUNS_ARE_AFTER).fetch_all(snapshot.conn()).await?;
    rows.iter().map(|row| Ok((row.text("name")?, row.number("runs_after")?))).collect()
}

/// What the engine itself can check, and references that lead nowhere.
async fn of_the_file(snapshot: &mut Snapshot, found: &mut Checked) -> Result<(), Fault> {
    let conn = snapshot.conn();
    if let Link::Sqlite(link) = &mut conn.link {
        let lines: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check(100)").fetch_all(&mut **link).await?;
        for line in lines.into_iter().filter(|line| line != "ok") {
            found.fault(format!("the file: {line}"));
        }
    }
    for (what, text) in [
        ("transitions of a run that is not there", sql::LOST_EVENTS),
        ("evidence of a transition that is not there", sql::LOST_EVIDENCE),
        ("a lease of a host that is not there", sql::LOST_LEASES),
        ("hosts of a rollout that is not there", sql::LOST_ROLLOUT_HOSTS),
    ] {
        for row in query(text).fetch_all(conn).await? {
            found.fault(format!("{what}: {}", row.text("lost")?));
        }
    }
    Ok(())
}

/// Replays the log of a run, and adds to what it tells of its host.
async fn replay(
    snapshot: &mut Snapshot,
    run: &StoredRun,
    told: &mut Told,
    found: &mut Checked,
) -> Result<(), StoreError> {
    let record = &run.record;
    let of = format!("run {} of {}", record.id, record.host);
    told.target = Some(record.plan.target.clone());
    told.status = Some(record.state.word().to_owned());
    // What a newer Uphaul decided can be read, but not judged.
    let judge = record.plan.version <= PLAN_VERSION;
    let (mut state, mut last) = (State::Pending, 0);
    let mut ended_at = None;
    loop {
        let events = match snapshot.events(&record.id, last).await {
            Ok(events) => events,
            Err(error @ StoreError::Unreadable { .. }) => {
                found.fault(format!("{of}: {error}"));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if events.is_empty() {
            break;
        }
        for event in events {
            found.events += 1;
            if event.seq.0 != last + 1 {
                found.fault(format!("{of}: after transition {last} comes {}; some are missing", event.seq.0));
            } else if judge {
                match step(&record.plan, &state, event.input.clone()) {
                    Ok(moved) if moved.to != event.state => {
                        found.fault(format!(
                            "{of}: transition {} leads to {}, and {} is written",
                            event.seq.0, moved.to, event.state
                        ));
                    }
                    Ok(moved) if moved.proved(&record.plan) != event.proved => {
                        found.fault(format!(
                            "{of}: transition {} proves another version than is written",
                            event.seq.0
                        ));
                    }
                    Ok(_) => {}
                    Err(error) => found.fault(format!("{of}: transition {} cannot be: {error}", event.seq.0)),
                }
            }
            if let Some(proved) = &event.proved {
                told.proved = Some((proved.clone(), event.at_us));
            }
            if let Some(previous) = left_behind(&event.state, event.proved.as_ref()) {
                told.previous = Some(previous.clone());
            }
            if event.state.is_finished() {
                told.ended_at = Some(event.at_us);
                ended_at = Some(event.at_us);
            }
            (state, last) = (event.state, event.seq.0);
            if last >= EVENTS_MAX {
                found.fault(format!("{of}: has more than {EVENTS_MAX} transitions"));
                return Ok(());
            }
        }
    }
    match snapshot.evidence(&record.id).await {
        Ok(_) => {}
        Err(error @ StoreError::Unreadable { .. }) => found.fault(format!("{of}: {error}")),
        Err(error) => return Err(error),
    }
    if record.seq.0 != last {
        found.fault(format!("{of}: says that it has {} transitions, and has {last}", record.seq.0));
    }
    if record.state != state {
        found.fault(format!("{of}: is {}, and its log says {state}", record.state));
    }
    if run.finished_at_us != ended_at {
        found.fault(format!("{of}: says another end than its log"));
    }
    Ok(())
}

/// Compares the five columns of a host with what its log says.
fn compare(host: &Host, told: Option<&Told>, found: &mut Checked) {
    let none = Told::default();
    let told = told.unwrap_or(&none);
    let short = |version: Option<&Revision>| version.map_or("nothing".to_owned(), |v| v.short().to_owned());
    let mut differs = |column: &str, has: String, log: String| {
        found.fault(format!("host {}: {column} is {has}, and the log says {log}", host.name));
    };
    if host.target_version != told.target {
        differs("target_version", short(host.target_version.as_ref()), short(told.target.as_ref()));
    }
    let status = host.update_status.as_deref();
    if status != told.status.as_deref() && status != Some(DRIFTED) {
        differs(
            "update_status",
            status.unwrap_or("nothing").to_owned(),
            told.status.clone().unwrap_or("nothing".into()),
        );
    }
    if host.previous_version != told.previous {
        differs("previous_version", short(host.previous_version.as_ref()), short(told.previous.as_ref()));
    }
    if host.last_update_at_us != told.ended_at {
        let time = |at: Option<i64>| at.map_or("nothing".to_owned(), |at| format!("{at} us since 1970"));
        differs("last_update_at", time(host.last_update_at_us), time(told.ended_at));
    }
    // What was seen outside of a run is not in the log, and has a time of its own.
    let current = host.current_version.as_ref();
    match &told.proved {
        Some((proved, at)) if host.proved_at_us == Some(*at) && current != Some(proved) => {
            differs("current_version", short(current), short(Some(proved)));
        }
        Some((proved, _)) if host.proved_at_us.is_none() || current.is_none() => {
            differs("current_version", short(current), short(Some(proved)));
        }
        Some(_) => {}
        None if current.is_some() != host.proved_at_us.is_some() => {
            differs("current_version", short(current), "that nothing was proved".into());
        }
        None => {}
    }
}
