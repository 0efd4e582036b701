//! Runs, and what is read of their log.

use uphaul_core::ids::{HostName, RunId, Seq};
use uphaul_core::machine::State;
use uphaul_core::plan::{Goal, PLAN_VERSION};
use uphaul_core::ports::{LeaseToken, RunRecord};

use crate::conn::{Conn, Query, query};
use crate::db::{Fault, Store};
use crate::error::StoreError;
use crate::patience::{read, write};
use crate::run::{StoredEvent, StoredRun};
use crate::{EVENTS_MAX, RUNS_MAX, leases, rows, sql};

impl Store {
    /// Creates a run, and writes into the host's row what was asked for. The run must be pending, its number 0.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] unless `lease` holds the run's host, [`StoreError::UnfinishedRun`] with the run that
    /// the host has, [`StoreError::NoSuchHost`], [`StoreError::BadRun`].
    pub async fn create_run(
        &self,
        lease: &LeaseToken,
        run: &RunRecord,
        requested_by: &str,
        at_us: i64,
    ) -> Result<(), StoreError> {
        const DOING: &str = "create a run";
        check(lease, run)?;
        write!(self, DOING, |conn, waiting| async {
            // Written by the try before this one, whose answer was lost.
            if waiting.is_again() && is_created(conn, lease, run).await? {
                return Ok(());
            }
            create(conn, lease, run, requested_by, at_us).await
        })
    }

    /// The run of this id.
    ///
    /// # Errors
    /// The database cannot be read, or the row makes no sense.
    pub async fn run(&self, id: &RunId) -> Result<Option<StoredRun>, StoreError> {
        const DOING: &str = "read a run";
        read!(self, DOING, |conn| one(conn, sql::RUN, id.as_str()))
    }

    /// The runs of a host, the newest first; at most `limit`, and at most [`RUNS_MAX`].
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn runs_of_host(&self, host: &HostName, limit: u32) -> Result<Vec<StoredRun>, StoreError> {
        const DOING: &str = "read the runs of a host";
        let limit = i64::from(limit.min(RUNS_MAX));
        read!(self, DOING, |conn| several(conn, query(sql::RUNS_OF_HOST).bind(host.as_str()).bind(limit)))
    }

    /// The runs of all hosts, the newest first; at most `limit`, and at most [`RUNS_MAX`].
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn recent_runs(&self, limit: u32) -> Result<Vec<StoredRun>, StoreError> {
        const DOING: &str = "read the last runs";
        let limit = i64::from(limit.min(RUNS_MAX));
        read!(self, DOING, |conn| several(conn, query(sql::RECENT_RUNS).bind(limit)))
    }

    /// The runs that are not finished, the oldest first. At most one a host, so it is bounded by the hosts.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn unfinished_runs(&self) -> Result<Vec<StoredRun>, StoreError> {
        const DOING: &str = "read the unfinished runs";
        read!(self, DOING, |conn| several(conn, query(sql::UNFINISHED_RUNS)))
    }

    /// The run of this host that is not finished.
    ///
    /// # Errors
    /// The database cannot be read, or the row makes no sense.
    pub async fn unfinished_run_of(&self, host: &HostName) -> Result<Option<StoredRun>, StoreError> {
        const DOING: &str = "read the unfinished run of a host";
        read!(self, DOING, |conn| unfinished_of(conn, host))
    }

    /// The transitions of a run, the first one first; none where there is no such run.
    ///
    /// # Errors
    /// The database cannot be read, a row makes no sense, or [`StoreError::TooMany`] past [`EVENTS_MAX`].
    pub async fn events(&self, run: &RunId) -> Result<Vec<StoredEvent>, StoreError> {
        const DOING: &str = "read the log of a run";
        read!(self, DOING, |conn| events(conn, run))
    }
}

fn check(lease: &LeaseToken, run: &RunRecord) -> Result<(), StoreError> {
    let bad = |why: String| Err(StoreError::BadRun { run: run.id.clone(), why });
    if run.state != State::Pending || run.seq != Seq(0) {
        return bad(format!("it is {} at {}, and not pending at 0", run.state, run.seq.0));
    }
    if run.plan.version > PLAN_VERSION {
        return bad(format!("its plan version {} is above {PLAN_VERSION}", run.plan.version));
    }
    if run.plan.host.name != run.host || lease.host != run.host {
        let (plan, lease) = (&run.plan.host.name, &lease.host);
        return bad(format!("it is of {}, its plan of {plan}, its lease of {lease}", run.host));
    }
    Ok(())
}

/// Whether this very run is there, as it was when it was created.
async fn is_created(conn: &mut Conn, lease: &LeaseToken, run: &RunRecord) -> Result<bool, Fault> {
    leases::hold(conn, lease, leases::now_us()).await?;
    Ok(one(conn, sql::RUN, run.id.as_str()).await?.is_some_and(|stored| stored.record == *run))
}

async fn create(
    conn: &mut Conn,
    lease: &LeaseToken,
    run: &RunRecord,
    requested_by: &str,
    at_us: i64,
) -> Result<(), Fault> {
    leases::hold(conn, lease, at_us).await?;
    if let Some(run_id) = unfinished_id_of(conn, &run.host).await? {
        return Err(StoreError::UnfinishedRun { host: run.host.clone(), run: run_id }.into());
    }
    let goal = match run.plan.goal {
        Goal::Update => "update",
        Goal::Rollback => "rollback",
    };
    let created = query(sql::CREATE_RUN)
        .bind(run.id.as_str())
        .bind(run.host.as_str())
        .bind(goal)
        .bind(rows::to_json("plan", &run.plan)?)
        .bind(i64::from(run.plan.version))
        .bind(rows::to_json("state", &run.state)?)
        .bind(run.state.word())
        .bind(requested_by)
        .bind(at_us)
        .execute(&mut *conn)
        .await?;
    if created != 1 {
        return Err(StoreError::BadRun { run: run.id.clone(), why: "its id is taken".into() }.into());
    }
    let asked = query(sql::ASK)
        .bind(run.host.as_str())
        .bind(run.plan.target.as_str())
        .bind(run.state.word())
        .execute(conn)
        .await?;
    match asked {
        1 => Ok(()),
        _ => Err(StoreError::NoSuchHost(run.host.clone()).into()),
    }
}

async fn several(conn: &mut Conn, query: Query) -> Result<Vec<StoredRun>, Fault> {
    query.fetch_all(conn).await?.iter().map(rows::run).collect()
}

async fn events(conn: &mut Conn, run: &RunId) -> Result<Vec<StoredEvent>, Fault> {
    let query = query(sql::EVENTS).bind(run.as_str()).bind(i64::from(EVENTS_MAX) + 1);
    let found = query.fetch_all(conn).await?;
    if found.len() > EVENTS_MAX as usize {
        return Err(StoreError::TooMany { what: "transitions of one run", max: EVENTS_MAX as usize }.into());
    }
    found.iter().map(rows::event).collect()
}

async fn one(conn: &mut Conn, text: &'static str, key: &str) -> Result<Option<StoredRun>, Fault> {
    let row = query(text).bind(key).fetch_optional(conn).await?;
    row.as_ref().map(rows::run).transpose()
}

pub(crate) async fn unfinished_of(conn: &mut Conn, host: &HostName) -> Result<Option<StoredRun>, Fault> {
    one(conn, sql::UNFINISHED_RUN_OF, host.as_str()).await
}

/// Only the id: it can be read even where a newer Uphaul wrote the plan.
pub(crate) async fn unfinished_id_of(conn: &mut Conn, host: &HostName) -> Result<Option<RunId>, Fault> {
    let query = query(sql::UNFINISHED_ID_OF).bind(host.as_str());
    let Some(row) = query.fetch_optional(conn).await? else { return Ok(None) };
    let id = row.text("id")?;
    let what = || format!("the id of the unfinished run of {host}");
    id.parse().map(Some).map_err(|why: uphaul_core::ids::InvalidName| Fault::Unreadable {
        what: what(),
        why: why.to_string(),
    })
}
