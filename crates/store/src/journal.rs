//! Writes transitions: the log, the run and the host's five columns in one transaction.

use async_trait::async_trait;
use uphaul_core::ids::{HostName, Revision, Seq};
use uphaul_core::machine::{Input, Outcome, State, step};
use uphaul_core::plan::PLAN_VERSION;
use uphaul_core::ports::{Entry, Journal, JournalError, LeaseToken, RunRecord};

use crate::conn::{Conn, query};
use crate::db::{Fault, Store};
use crate::error::StoreError;
use crate::leases::now_us;
use crate::patience;
use crate::{ENTRY_BYTES_MAX, evidence, leases, rows, sql};

/// Why a transition was not written.
enum Refusal {
    Conflict(String),
    Fault(Fault),
}

impl<E: Into<Fault>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

#[async_trait]
impl Journal for Store {
    async fn append(&self, lease: &LeaseToken, entry: &Entry) -> Result<(), JournalError> {
        const DOING: &str = "write a transition";
        let told = patience::write!(self, DOING, |conn, waiting| async {
            match append(conn, lease, entry).await {
                Ok(()) => Ok(Ok(())),
                // The try before this one was written, and its answer was lost.
                Err(Refusal::Conflict(_)) if waiting.is_again() && is_written(conn, lease, entry).await? => {
                    Ok(Ok(()))
                }
                Err(Refusal::Conflict(who)) => Ok(Err(who)),
                Err(Refusal::Fault(fault)) => Err(fault),
            }
        });
        match told {
            Ok(Ok(())) => Ok(()),
            Ok(Err(who)) => Err(JournalError::TakenOver(who)),
            Err(error) => Err(JournalError::Unavailable(error.to_string())),
        }
    }
}

/// Whether this very transition is the last one of its run, and the lease still holds: then it is this driver's own.
async fn is_written(conn: &mut Conn, lease: &LeaseToken, entry: &Entry) -> Result<bool, Fault> {
    let row = query(sql::LAST_EVENT).bind(entry.run.as_str()).bind(&lease.token).fetch_optional(conn).await?;
    let Some(row) = row else { return Ok(false) };
    let last = rows::event(&row)?;
    Ok((last.seq, last.at_us, &last.input, &last.state, &last.proved)
        == (entry.seq, entry.at_us, &entry.input, &entry.state, &entry.proved))
}

async fn append(conn: &mut Conn, lease: &LeaseToken, entry: &Entry) -> Result<(), Refusal> {
    leases::hold(conn, lease, entry.at_us).await.map_err(|fault| match fault {
        Fault::Store(lost) => Refusal::Conflict(lost.to_string()),
        Fault::Sql(_) | Fault::Unreadable { .. } => Refusal::Fault(fault),
    })?;
    if !write(conn, &lease.host, entry).await? {
        return Err(not_next(conn, &lease.host, entry).await?);
    }
    let updated = summarise(conn, &lease.host, entry).await?;
    if updated { Ok(()) } else { Err(StoreError::NoSuchHost(lease.host.clone()).into()) }
}

/// Writes the log and the run; false, and nothing, where `entry` is not the next transition of the run.
async fn write(conn: &mut Conn, host: &HostName, entry: &Entry) -> Result<bool, Fault> {
    let Some(before) = entry.seq.0.checked_sub(1) else { return Ok(false) };
    let (input, state) = (rows::to_json("input", &entry.input)?, rows::to_json("state", &entry.state)?);
    if input.len() + state.len() > ENTRY_BYTES_MAX {
        let why = format!("it has {} bytes, above {ENTRY_BYTES_MAX}", input.len() + state.len());
        let what = format!("transition {} of run {}", entry.seq.0, entry.run);
        return Err(StoreError::Unwritable { what, why }.into());
    }
    let advanced = query(sql::ADVANCE)
        .bind(entry.run.as_str())
        .bind(i64::from(entry.seq.0))
        .bind(&state)
        .bind(entry.state.word())
        .bind(entry.state.is_finished().then_some(entry.at_us))
        .bind(host.as_str())
        .bind(i64::from(before))
        .bind(i64::from(PLAN_VERSION))
        .execute(&mut *conn)
        .await?;
    if advanced != 1 {
        return Ok(false);
    }
    let adding = query(sql::ADD_EVENT)
        .bind(entry.run.as_str())
        .bind(i64::from(entry.seq.0))
        .bind(entry.at_us)
        .bind(input)
        .bind(state)
        .bind(entry.state.to_string())
        .bind(entry.proved.as_ref().map(Revision::as_str));
    adding.execute(&mut *conn).await?;
    evidence::write(conn, entry).await?;
    Ok(true)
}

/// Writes what the transition means for the host. `current_version` becomes what was proved and nothing else.
async fn summarise(conn: &mut Conn, host: &HostName, entry: &Entry) -> Result<bool, Fault> {
    let proved = entry.proved.as_ref();
    let updated = query(sql::SUMMARISE)
        .bind(host.as_str())
        .bind(entry.state.word())
        .bind(proved.map(Revision::as_str))
        .bind(proved.map(|_| entry.at_us))
        .bind(left_behind(&entry.state, proved).map(Revision::as_str))
        .bind(entry.state.is_finished().then_some(entry.at_us))
        .execute(conn)
        .await?;
    if conn.texts.adopted && proved.is_some() {
        query(sql::PROVED).bind(host.as_str()).bind(entry.at_us).execute(conn).await?;
    }
    Ok(updated == 1)
}

/// The version that an update has left. One that was forced onto the version that ran already left none, and what
/// the host ran before that one stays the version to go back to.
pub(crate) fn left_behind<'a>(state: &'a State, proved: Option<&Revision>) -> Option<&'a Revision> {
    match state {
        State::Finished(Outcome::Updated { previous }) => (proved != Some(previous)).then_some(previous),
        State::Finished(
            Outcome::Unchanged
            | Outcome::Aborted { .. }
            | Outcome::RolledBack { .. }
            | Outcome::NeedsAttention { .. }
            | Outcome::Superseded { .. },
        )
        | State::Pending
        | State::Running(_)
        | State::Parked(_) => None,
    }
}

/// Why the entry is not the next transition of the run.
async fn not_next(conn: &mut Conn, host: &HostName, entry: &Entry) -> Result<Refusal, Fault> {
    let run = &entry.run;
    let refused =
        |why: String| -> Fault { StoreError::Unwritable { what: format!("run {run}"), why }.into() };
    let row = query(sql::WHERE_RUN_IS).bind(run.as_str()).fetch_optional(&mut *conn).await?;
    let Some(row) = row else { return Err(refused("there is no such run".into())) };
    let (of, status) = (row.text("host")?, row.text("status")?);
    let (seq, version) = (row.number("seq")?, row.number("plan_version")?);
    if of != host.as_str() {
        return Err(refused(format!("it is of {of}, and the lease of {host}")));
    }
    if version > i64::from(PLAN_VERSION) {
        let why = format!(
            "a newer Uphaul wrote it (plan version {version}, this one knows {PLAN_VERSION}); go on with that one"
        );
        return Err(refused(why));
    }
    let who = leases::find(conn, host).await?.map(|row| format!("; {row}")).unwrap_or_default();
    Ok(Refusal::Conflict(format!("run {run} is at {seq} ({status}), so it cannot get {}{who}", entry.seq.0)))
}

/// Ends the run of a host that is taken out of the record, by transitions that the machine itself allows.
pub(crate) async fn end_without_host(conn: &mut Conn, run: RunRecord) -> Result<(), Fault> {
    let by = format!("nobody: {} was taken out of the record while {}", run.host, run.state);
    let inputs = match run.state {
        State::Pending => vec![Input::Start, Input::Superseded { by }],
        State::Running(_) | State::Parked(_) | State::Finished(_) => vec![Input::Superseded { by }],
    };
    let (mut state, mut seq) = (run.state, run.seq);
    for input in inputs {
        let illegal =
            |why: String| -> Fault { StoreError::Unwritable { what: format!("run {}", run.id), why }.into() };
        let moved = step(&run.plan, &state, input).map_err(|error| illegal(error.to_string()))?;
        seq = Seq(seq.0 + 1);
        let proved = moved.proved(&run.plan);
        let (input, at_us) = (moved.input, now_us());
        let entry = Entry { run: run.id.clone(), seq, input, state: moved.to, proved, at_us, evidence: None };
        if !write(conn, &run.host, &entry).await? {
            return Err(illegal("a newer Uphaul wrote it; remove the host with that one".into()));
        }
        state = entry.state;
    }
    Ok(())
}
