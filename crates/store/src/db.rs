//! The open database: its connections, its writes, and its errors in words.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgPool, SqlitePool};
use tokio::runtime::Handle;

use crate::backup;
use crate::cause::{Waits, cause};
use crate::conn::{Conn, Link};
use crate::error::{Cause, StoreError};
use crate::patience::Patience;
use crate::texts::Texts;
use crate::{layout, postgres};

/// How a write begins in SQLite: the lock is taken now, so that what is read in the transaction stays true to its end.
const BEGIN_SQLITE: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";
/// What SQLite answers to a rollback when it has rolled back by itself.
const OVER: &str = "no transaction is active";
/// How long a server may take to roll back; then its connection is closed, which has the same effect.
const ROLLBACK_WAIT: Duration = Duration::from_secs(5);

/// The record. Clones are handles of the same one.
#[derive(Clone)]
pub struct Store {
    pub(crate) pools: Pools,
    pub(crate) place: Arc<str>,
    pub(crate) waits: Waits,
    pub(crate) texts: Arc<Texts>,
    /// Why nothing can be written, where that is known from the beginning.
    pub(crate) read_only: Option<Arc<Cause>>,
    /// The layout that the database had before it was opened, 0 for none.
    pub(crate) layout_before: i64,
    /// How long operations wait for a database that is away; none gives up at once.
    pub(crate) patience: Option<Arc<Patience>>,
}

/// The connections of one process.
#[derive(Clone)]
pub(crate) enum Pools {
    /// SQLite.
    Sqlite {
        /// One connection: writes of this process queue here, in order, and not for the lock of the file.
        writer: SqlitePool,
        /// Reads do not wait for writes.
        reader: SqlitePool,
    },
    /// Postgres: any of them reads and writes.
    Postgres(PgPool),
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.place).finish()
    }
}

/// A transaction. SQLite ends one by itself on some errors (a full disk), and then a connection whose
/// pool counts transactions takes no other ever again; so they are begun and ended in plain SQL. None once it is over.
pub(crate) struct Write(Option<Conn>);

impl Write {
    /// A transaction that was begun on this connection.
    pub(crate) fn of(conn: Conn) -> Self {
        Self(Some(conn))
    }

    /// The connection, in the transaction.
    #[expect(clippy::expect_used, reason = "only what consumes a Write makes it None")]
    pub(crate) fn conn(&mut self) -> &mut Conn {
        self.0.as_mut().expect("the transaction is not over")
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
async fn roll_back(mut conn: Conn) {
    let done = tokio::time::timeout(ROLLBACK_WAIT, conn.run(ROLLBACK.to_owned())).await;
    let over = match done {
        Ok(Ok(())) => true,
        Ok(Err(error)) => error.as_database_error().is_some_and(|answer| answer.message().contains(OVER)),
        Err(_) => false,
    };
    if !over {
        conn.close_on_drop();
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
    pub(crate) fn new(pools: Pools, place: String, waits: Waits, texts: Arc<Texts>) -> Self {
        Self {
            pools,
            place: place.into(),
            waits,
            texts,
            read_only: None,
            layout_before: layout::known(),
            patience: None,
        }
    }

    /// Where the record is, without a password.
    pub fn describe(&self) -> String {
        self.place.to_string()
    }

    /// The number of the layout that the database had before it was opened (0: it was empty), and of the one that it has.
    pub fn layout(&self) -> (i64, i64) {
        let now = match self.read_only.as_deref() {
            Some(Cause::Newer { found, .. }) => *found,
            _ => layout::known(),
        };
        (self.layout_before.min(now), now)
    }

    /// Copies the record into a new file for this user alone, as it is at this moment, while others write on.
    ///
    /// # Errors
    /// [`StoreError::Backup`]: this is Postgres, which has its own tools, the file is there already, or cannot be written.
    pub async fn backup(&self, file: &Path) -> Result<(), StoreError> {
        let Pools::Sqlite { reader, .. } = &self.pools else {
            let why = "a server has tools of its own for that: pg_dump --format=custom --file=FILE DATABASE"
                .to_owned();
            return Err(StoreError::Backup { file: file.display().to_string(), why });
        };
        backup::copy(reader, file)
            .await
            .map_err(|why| StoreError::Backup { file: file.display().to_string(), why })
    }

    /// Whether the hosts are rows of another program's table, which alone adds and removes them.
    pub fn is_adopted(&self) -> bool {
        self.texts.adopted
    }

    /// Refuses what only the program may do that owns the rows.
    pub(crate) fn check_ours(&self, doing: &'static str) -> Result<(), StoreError> {
        if self.texts.adopted { Err(StoreError::NotOurs { doing }) } else { Ok(()) }
    }

    /// Says beforehand that nothing can be written, where that is known: the file is read-only, or a newer Uphaul laid it
    /// out.
    ///
    /// # Errors
    /// [`StoreError::Unusable`], saying that `doing` cannot be done.
    pub fn check_writable(&self, doing: &'static str) -> Result<(), StoreError> {
        match &self.read_only {
            None => Ok(()),
            Some(cause) => Err(self.unusable(doing, (**cause).clone())),
        }
    }

    /// Closes the record once the operations that are under way have ended. All clones are closed with it.
    pub async fn close(self) {
        match &self.pools {
            Pools::Sqlite { writer, reader } => {
                reader.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }

    /// A connection that may write.
    pub(crate) async fn conn(&self) -> Result<Conn, sqlx::Error> {
        let link = match &self.pools {
            Pools::Sqlite { writer, .. } => Link::Sqlite(writer.acquire().await?),
            Pools::Postgres(pool) => Link::Postgres(pool.acquire().await?),
        };
        Ok(Conn { link, texts: self.texts.clone() })
    }

    /// A connection to read from.
    pub(crate) async fn read(&self, doing: &'static str) -> Result<Conn, StoreError> {
        let link = match &self.pools {
            Pools::Sqlite { reader, .. } => reader.acquire().await.map(Link::Sqlite),
            Pools::Postgres(pool) => pool.acquire().await.map(Link::Postgres),
        };
        let link = link.map_err(|error| self.told(doing, error))?;
        Ok(Conn { link, texts: self.texts.clone() })
    }

    /// Begins a write; [`Store::end`] ends it.
    pub(crate) async fn begin(&self, doing: &'static str) -> Result<Write, StoreError> {
        self.check_writable(doing)?;
        let conn = self.conn().await.map_err(|error| self.told(doing, error))?;
        let begin = if conn.is_postgres() { postgres::BEGIN } else { BEGIN_SQLITE };
        let mut write = Write(Some(conn));
        match write.conn().run(begin.to_owned()).await {
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
            Ok(done) => match write.conn().run(COMMIT.to_owned()).await {
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

    /// The error as the person who has to act is told it, of a read whose connection may be of no more use.
    pub(crate) fn told_of(&self, mut conn: Conn, doing: &'static str, fault: Fault) -> StoreError {
        let told = self.told(doing, fault);
        if matches!(&told, StoreError::Unusable { cause: Cause::Away { .. }, .. }) {
            conn.close_on_drop();
        }
        told
    }

    pub(crate) fn unusable(&self, doing: &'static str, cause: Cause) -> StoreError {
        StoreError::Unusable { place: self.place.to_string(), doing, cause }
    }

    /// The error as the person who has to act is told it.
    pub(crate) fn told(&self, doing: &'static str, fault: impl Into<Fault>) -> StoreError {
        match fault.into() {
            Fault::Store(error) => *error,
            Fault::Unreadable { what, mut why } => {
                if self.texts.adopted {
                    why += "; mend the row, or leave it out by database.subscriptions.where";
                }
                StoreError::Unreadable { place: self.place.to_string(), what, why }
            }
            Fault::Sql(error) => self.unusable(doing, cause(&error, self.waits)),
        }
    }
}

#[cfg(test)]
impl Store {
    /// The connection of SQLite that writes.
    pub(crate) fn sqlite_writer(&self) -> &SqlitePool {
        match &self.pools {
            Pools::Sqlite { writer, .. } => writer,
            Pools::Postgres(_) => panic!("this is Postgres"),
        }
    }

    /// The connections of SQLite that read.
    pub(crate) fn sqlite_reader(&self) -> &SqlitePool {
        match &self.pools {
            Pools::Sqlite { reader, .. } => reader,
            Pools::Postgres(_) => panic!("this is Postgres"),
        }
    }
}
