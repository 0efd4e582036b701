//! The open database: one connection that writes, a few that read, and its errors in words.

use std::fmt;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Executor as _, Sqlite, SqliteConnection, SqlitePool};
use tokio::runtime::Handle;

use crate::error::{Cause, StoreError};

/// The dialect of this build.
pub(crate) type Dialect = Sqlite;
/// A connection, in a transaction or not.
pub(crate) type Conn = SqliteConnection;
/// How a write begins: the lock is taken now, so that what is read in the transaction stays true to its end.
const BEGIN: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";
/// What SQLite answers to a rollback when it has rolled back by itself.
const OVER: &str = "no transaction is active";

/// The record. Clones are handles of the same one.
#[derive(Clone)]
pub struct Store {
    /// One connection: writes of this process queue here, in order, and not for the lock of the file.
    pub(crate) writer: SqlitePool,
    /// Reads do not wait for writes.
    pub(crate) reader: SqlitePool,
    pub(crate) place: String,
    /// How long another process may hold the lock.
    pub(crate) lock_wait: Duration,
    /// How long a write waits for its turn in this process.
    pub(crate) turn_wait: Duration,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.place).finish()
    }
}

/// A transaction that has the lock. SQLite ends one by itself on some errors (a full disk), and then a connection whose
/// pool counts transactions takes no other ever again; so they are begun and ended in plain SQL. None once it is over.
pub(crate) struct Write(Option<PoolConnection<Dialect>>);

impl Write {
    /// The connection, in the transaction.
    #[expect(clippy::expect_used, reason = "only what consumes a Write makes it None")]
    pub(crate) fn conn(&mut self) -> &mut Conn {
        self.0.as_deref_mut().expect("the transaction is not over")
    }

    async fn execute(&mut self, text: &'static str) -> Result<(), sqlx::Error> {
        self.conn().execute(text).await.map(drop)
    }

    /// Ends it as if nothing had been begun.
    pub(crate) async fn roll_back(mut self) {
        if let Some(conn) = self.0.take() {
            roll_back(conn).await;
        }
    }
}

/// Given up in the middle: it is rolled back before anybody else gets the connection.
impl Drop for Write {
    fn drop(&mut self) {
        if let (Some(conn), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(roll_back(conn));
        }
    }
}

/// Leaves the connection as if nothing had been begun. One that cannot be brought there is closed.
async fn roll_back(mut conn: PoolConnection<Dialect>) {
    if let Err(error) = conn.execute(ROLLBACK).await {
        let over = error.as_database_error().is_some_and(|answer| answer.message().contains(OVER));
        if !over {
            conn.close_on_drop();
        }
    }
}

/// What ends an operation early, before it is told where.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The database said no.
    Sql(sqlx::Error),
    /// The operation said no.
    Store(Box<StoreError>),
    /// Something that was read makes no sense.
    Unreadable { what: String, why: String },
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl Store {
    /// Where the record is, without a password.
    pub fn describe(&self) -> String {
        self.place.clone()
    }

    /// Closes the record once the operations that are under way have ended. All clones are closed with it.
    pub async fn close(self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// Begins a write; [`Store::end`] ends it.
    pub(crate) async fn begin(&self, doing: &'static str) -> Result<Write, StoreError> {
        let conn = self.writer.acquire().await.map_err(|error| self.told(doing, error))?;
        let mut write = Write(Some(conn));
        match write.execute(BEGIN).await {
            Ok(()) => Ok(write),
            Err(error) => {
                write.roll_back().await;
                Err(self.told(doing, error))
            }
        }
    }

    /// Ends a write: all of it where it was done, nothing of it where it was not.
    pub(crate) async fn end<T>(
        &self,
        doing: &'static str,
        mut write: Write,
        done: Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let fault = match done {
            Ok(done) => match write.execute(COMMIT).await {
                Ok(()) => {
                    write.0 = None;
                    return Ok(done);
                }
                Err(error) => Fault::Sql(error),
            },
            Err(fault) => fault,
        };
        write.roll_back().await;
        Err(self.told(doing, fault))
    }

    pub(crate) async fn read(&self, doing: &'static str) -> Result<PoolConnection<Dialect>, StoreError> {
        self.reader.acquire().await.map_err(|error| self.told(doing, error))
    }

    /// The error as the person who has to act is told it.
    pub(crate) fn told(&self, doing: &'static str, fault: impl Into<Fault>) -> StoreError {
        match fault.into() {
            Fault::Store(error) => *error,
            Fault::Unreadable { what, why } => {
                StoreError::Unreadable { place: self.place.clone(), what, why }
            }
            Fault::Sql(error) => {
                let cause = cause(&error, self.lock_wait, self.turn_wait);
                StoreError::Unusable { place: self.place.clone(), doing, cause }
            }
        }
    }
}

/// What an error of the database means.
pub(crate) fn cause(error: &sqlx::Error, lock_wait: Duration, turn_wait: Duration) -> Cause {
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return Cause::Busy { waited: turn_wait };
    }
    if matches!(error, sqlx::Error::PoolClosed) {
        return Cause::Closed;
    }
    let Some(answer) = error.as_database_error() else {
        return Cause::Other { detail: error.to_string() };
    };
    let detail = answer.message().to_owned();
    let code = answer.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or_default();
    // The low byte is the primary result code of SQLite; the rest of it only narrows it down.
    match code & 0xff {
        5 | 6 => Cause::Locked { waited: lock_wait },
        8 => Cause::ReadOnly,
        11 => Cause::Damaged { detail },
        13 => Cause::Full,
        26 => Cause::NotADatabase,
        _ => Cause::Other { detail: format!("{detail} (SQLite error {code})") },
    }
}
