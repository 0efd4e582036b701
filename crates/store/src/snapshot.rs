//! The whole record as it was at one moment, in bounded memory: what an export and a check read.

use uphaul_core::ids::RunId;

use crate::conn::{Conn, query};
use crate::db::{Fault, Store, Write};
use crate::error::StoreError;
use crate::host::Host;
use crate::run::{StoredEvent, StoredRun};
use crate::{rows, sql};

/// How many runs are read at once.
const RUNS_AT_ONCE: i64 = 50;
/// How many transitions are read at once; one may have some megabytes.
const EVENTS_AT_ONCE: i64 = 16;
/// How many hosts are read at once.
const HOSTS_AT_ONCE: i64 = 500;

/// A run, or why it cannot be read, with its number.
pub(crate) type Numbered = (i64, Result<StoredRun, StoreError>);

/// The record at one moment. What others write meanwhile is not seen. Read in this order: hosts, runs, and the
/// transitions of each run when it was read.
pub struct Snapshot {
    store: Store,
    read: Write,
    last_host: String,
    last_run: i64,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Snapshot").field(&self.store).finish()
    }
}

impl Store {
    /// Holds the record as it is now.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        const DOING: &str = "read the whole record";
        let mut conn = self.read(DOING).await?;
        let begin = match conn.is_postgres() {
            true => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            false => "BEGIN",
        };
        conn.run(begin.to_owned()).await.map_err(|error| self.told(DOING, error))?;
        Ok(Snapshot { store: self.clone(), read: Write::of(conn), last_host: String::new(), last_run: 0 })
    }
}

impl Snapshot {
    /// The connection, in the snapshot.
    pub(crate) fn conn(&mut self) -> &mut Conn {
        self.read.conn()
    }

    /// The record that it is of.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Some more hosts, by name; none at the end.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn hosts(&mut self) -> Result<Vec<Host>, StoreError> {
        let query = query(sql::HOSTS_AFTER).bind(&self.last_host).bind(HOSTS_AT_ONCE);
        let found = read_hosts(query, self.read.conn()).await;
        let hosts = found.map_err(|fault| self.store.told("read the hosts", fault))?;
        if let Some(last) = hosts.last() {
            self.last_host = last.name.to_string();
        }
        Ok(hosts)
    }

    /// Some more runs, the oldest first; none at the end. One that cannot be read is told with its place, and those
    /// after it can still be read.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn runs(&mut self) -> Result<Vec<Result<StoredRun, StoreError>>, StoreError> {
        Ok(self.numbered_runs().await?.into_iter().map(|(_, run)| run).collect())
    }

    /// The same, with the order in which they were created.
    pub(crate) async fn numbered_runs(&mut self) -> Result<Vec<Numbered>, StoreError> {
        const DOING: &str = "read the runs";
        let query = query(sql::RUNS_AFTER).bind(self.last_run).bind(RUNS_AT_ONCE);
        let found = query.fetch_all(self.read.conn()).await.map_err(|error| self.store.told(DOING, error))?;
        if let Some(last) = found.last() {
            self.last_run = last.number("number").map_err(|error| self.store.told(DOING, error))?;
        }
        let read = |row: &crate::conn::Row| {
            let run = rows::run(row).map_err(|fault| self.store.told(DOING, fault));
            Ok((row.number("number")?, run))
        };
        found
            .iter()
            .map(read)
            .collect::<Result<_, sqlx::Error>>()
            .map_err(|error| self.store.told(DOING, error))
    }

    /// Some more transitions of a run, after this number; none at the end.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn events(&mut self, run: &RunId, after: u32) -> Result<Vec<StoredEvent>, StoreError> {
        let query = query(sql::EVENTS_AFTER).bind(run.as_str()).bind(i64::from(after)).bind(EVENTS_AT_ONCE);
        let found = async { Ok(query.fetch_all(self.read.conn()).await?) }.await;
        let read = |found: Vec<crate::conn::Row>| found.iter().map(rows::event).collect::<Result<_, Fault>>();
        found.and_then(read).map_err(|fault| self.store.told("read the log of a run", fault))
    }

    /// Lets go of it.
    pub async fn end(self) {
        self.read.roll_back().await;
    }
}

async fn read_hosts(query: crate::conn::Query, conn: &mut Conn) -> Result<Vec<Host>, Fault> {
    query.fetch_all(conn).await?.iter().map(rows::host).collect()
}
