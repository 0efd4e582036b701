//! Runs, and what is read of their log.

use sqlx::Row as _;
use uphaul_core::ids::{HostName, RunId, Seq};
use uphaul_core::machine::State;
use uphaul_core::plan::{Goal, PLAN_VERSION};
use uphaul_core::ports::{LeaseToken, RunRecord};

use crate::db::{Conn, Dialect, Fault, Store};
use crate::error::StoreError;
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
        let mut write = self.begin(DOING).await?;
        let done = create(write.conn(), lease, run, requested_by, at_us).await;
        self.end(DOING, write, done).await
    }

    /// The run of this id.
    ///
    /// # Errors
    /// The database cannot be read, or the row makes no sense.
    pub async fn run(&self, id: &RunId) -> Result<Option<StoredRun>, StoreError> {
        const DOING: &str = "read a run";
        let mut conn = self.read(DOING).await?;
        one(&mut conn, sql::RUN, id.as_str()).await.map_err(|fault| self.told(DOING, fault))
    }

    /// The runs of a host, the newest first; at most `limit`, and at most [`RUNS_MAX`].
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn runs_of_host(&self, host: &HostName, limit: u32) -> Result<Vec<StoredRun>, StoreError> {
        const DOING: &str = "read the runs of a host";
        let mut conn = self.read(DOING).await?;
        let query = sqlx::query::<Dialect>(sql::RUNS_OF_HOST).bind(host.as_str());
        let found = query.bind(i64::from(limit.min(RUNS_MAX))).fetch_all(&mut *conn).await;
        self.runs_from(DOING, found)
    }

    /// The runs of all hosts, the newest first; at most `limit`, and at most [`RUNS_MAX`].
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn recent_runs(&self, limit: u32) -> Result<Vec<StoredRun>, StoreError> {
        const DOING: &str = "read the last runs";
        let mut conn = self.read(DOING).await?;
        let query = sqlx::query::<Dialect>(sql::RECENT_RUNS).bind(i64::from(limit.min(RUNS_MAX)));
        let found = query.fetch_all(&mut *conn).await;
        self.runs_from(DOING, found)
    }

    /// The runs that are not finished, the oldest first. At most one a host, so it is bounded by the hosts.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn unfinished_runs(&self) -> Result<Vec<StoredRun>, StoreError> {
        const DOING: &str = "read the unfinished runs";
        let mut conn = self.read(DOING).await?;
        let found = sqlx::query::<Dialect>(sql::UNFINISHED_RUNS).fetch_all(&mut *conn).await;
        self.runs_from(DOING, found)
    }

    /// The run of this host that is not finished.
    ///
    /// # Errors
    /// The database cannot be read, or the row makes no sense.
    pub async fn unfinished_run_of(&self, host: &HostName) -> Result<Option<StoredRun>, StoreError> {
        const DOING: &str = "read the unfinished run of a host";
        let mut conn = self.read(DOING).await?;
        unfinished_of(&mut conn, host).await.map_err(|fault| self.told(DOING, fault))
    }

    /// The transitions of a run, the first one first; none where there is no such run.
    ///
    /// # Errors
    /// The database cannot be read, a row makes no sense, or [`StoreError::TooMany`] past [`EVENTS_MAX`].
    pub async fn events(&self, run: &RunId) -> Result<Vec<StoredEvent>, StoreError> {
        const DOING: &str = "read the log of a run";
        let mut conn = self.read(DOING).await?;
        let query = sqlx::query::<Dialect>(sql::EVENTS).bind(run.as_str()).bind(i64::from(EVENTS_MAX) + 1);
        let found = query.fetch_all(&mut *conn).await.map_err(|error| self.told(DOING, error))?;
        if found.len() > EVENTS_MAX as usize {
            return Err(StoreError::TooMany { what: "transitions of one run", max: EVENTS_MAX as usize });
        }
        let events: Result<_, Fault> = found.iter().map(rows::event).collect();
        events.map_err(|fault| self.told(DOING, fault))
    }

    fn runs_from(
        &self,
        doing: &'static str,
        found: Result<Vec<rows::Row>, sqlx::Error>,
    ) -> Result<Vec<StoredRun>, StoreError> {
        let found = found.map_err(|error| self.told(doing, error))?;
        let runs: Result<_, Fault> = found.iter().map(rows::run).collect();
        runs.map_err(|fault| self.told(doing, fault))
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
    let created = sqlx::query::<Dialect>(sql::CREATE_RUN)
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
    if created.rows_affected() != 1 {
        return Err(StoreError::BadRun { run: run.id.clone(), why: "its id is taken".into() }.into());
    }
    let asked = sqlx::query::<Dialect>(sql::ASK)
        .bind(run.host.as_str())
        .bind(run.plan.target.as_str())
        .bind(run.state.word())
        .execute(conn)
        .await?;
    match asked.rows_affected() {
        1 => Ok(()),
        _ => Err(StoreError::NoSuchHost(run.host.clone()).into()),
    }
}

async fn one(conn: &mut Conn, text: &'static str, key: &str) -> Result<Option<StoredRun>, Fault> {
    let row = sqlx::query::<Dialect>(text).bind(key).fetch_optional(conn).await?;
    row.as_ref().map(rows::run).transpose()
}

pub(crate) async fn unfinished_of(conn: &mut Conn, host: &HostName) -> Result<Option<StoredRun>, Fault> {
    one(conn, sql::UNFINISHED_RUN_OF, host.as_str()).await
}

/// Only the id: it can be read even where a newer Uphaul wrote the plan.
pub(crate) async fn unfinished_id_of(conn: &mut Conn, host: &HostName) -> Result<Option<RunId>, Fault> {
    let query = sqlx::query::<Dialect>(sql::UNFINISHED_ID_OF).bind(host.as_str());
    let Some(row) = query.fetch_optional(conn).await? else { return Ok(None) };
    let id: String = row.try_get("id")?;
    let what = || format!("the id of the unfinished run of {host}");
    id.parse().map(Some).map_err(|why: uphaul_core::ids::InvalidName| Fault::Unreadable {
        what: what(),
        why: why.to_string(),
    })
}
