//! One connection of either engine, and the few kinds of values that travel over it.
//!
//! The record has numbers of 64 bits and texts, each of which may be absent, and nothing else. So one small query of
//! our own serves both engines, and no function above it knows which one it talks to.

use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Executor as _, Postgres, Row as _, Sqlite};

use crate::texts::Texts;

/// How long one statement may take over the network before its connection is given up as dead. What a statement
/// waits for in Postgres itself (a lock of another row) ends sooner.
const ANSWER_WAIT: Duration = Duration::from_secs(20);

/// A connection, in a transaction or not.
pub(crate) struct Conn {
    pub(crate) link: Link,
    pub(crate) texts: Arc<Texts>,
}

/// What is behind it.
pub(crate) enum Link {
    /// SQLite.
    Sqlite(PoolConnection<Sqlite>),
    /// Postgres.
    Postgres(PoolConnection<Postgres>),
}

impl Conn {
    /// Whether two may write at once here, so that what is read has to be locked.
    pub(crate) fn is_postgres(&self) -> bool {
        match self.link {
            Link::Sqlite(_) => false,
            Link::Postgres(_) => true,
        }
    }

    /// Runs text of our own that has no values; several statements in one.
    pub(crate) async fn run(&mut self, text: String) -> Result<(), sqlx::Error> {
        match &mut self.link {
            Link::Sqlite(conn) => conn.execute(AssertSqlSafe(text)).await.map(drop),
            Link::Postgres(conn) => answered(conn.execute(AssertSqlSafe(text))).await.map(drop),
        }
    }

    /// Closes it instead of giving it back to the others.
    pub(crate) fn close_on_drop(&mut self) {
        match &mut self.link {
            Link::Sqlite(conn) => conn.close_on_drop(),
            Link::Postgres(conn) => conn.close_on_drop(),
        }
    }
}

/// A server that says nothing more is away, as is one that hangs up.
pub(crate) async fn answered<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(ANSWER_WAIT, work).await {
        Ok(result) => result,
        Err(_) => {
            let why = format!("no answer within {} s", ANSWER_WAIT.as_secs());
            Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, why)))
        }
    }
}

/// A value of a column.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A number.
    Number(Option<i64>),
    /// A text.
    Text(Option<String>),
}

macro_rules! value_from {
    ($($from:ty: $given:ident => $value:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($given: $from) -> Self {
                $value
            }
        })*
    };
}
value_from! {
    i64: n => Self::Number(Some(n));
    Option<i64>: n => Self::Number(n);
    &str: text => Self::Text(Some(text.to_owned()));
    &String: text => Self::Text(Some(text.clone()));
    String: text => Self::Text(Some(text));
    Option<&str>: text => Self::Text(text.map(str::to_owned));
}

/// A statement and its values.
#[derive(Debug)]
pub(crate) struct Query {
    text: &'static str,
    values: Vec<Value>,
}

/// A statement of `sql`; the connection knows how it is said in its dialect.
pub(crate) fn query(text: &'static str) -> Query {
    Query { text, values: Vec::new() }
}

/// Gives the query to whichever engine it is, with its values.
macro_rules! on_either {
    ($query:expr, $conn:expr, $method:ident, $sqlite:expr, $postgres:expr) => {{
        let (query, conn): (Query, &mut Conn) = ($query, $conn);
        let text = conn.texts.of(query.text);
        match &mut conn.link {
            Link::Sqlite(link) => {
                let mut statement = sqlx::query::<Sqlite>(text);
                for value in query.values {
                    statement = match value {
                        Value::Number(number) => statement.bind(number),
                        Value::Text(text) => statement.bind(text),
                    };
                }
                statement.$method(&mut **link).await.map($sqlite)
            }
            Link::Postgres(link) => {
                let mut statement = sqlx::query::<Postgres>(text);
                for value in query.values {
                    statement = match value {
                        Value::Number(number) => statement.bind(number),
                        Value::Text(text) => statement.bind(text),
                    };
                }
                answered(statement.$method(&mut **link)).await.map($postgres)
            }
        }
    }};
}

impl Query {
    /// The next value, `$1` first.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it, and answers how many rows it affected.
    pub(crate) async fn execute(self, conn: &mut Conn) -> Result<u64, sqlx::Error> {
        on_either!(self, conn, execute, |done| done.rows_affected(), |done| done.rows_affected())
    }

    /// The one row there may be.
    pub(crate) async fn fetch_optional(self, conn: &mut Conn) -> Result<Option<Row>, sqlx::Error> {
        on_either!(self, conn, fetch_optional, |row| row.map(Row::Sqlite), |row| row.map(Row::Postgres))
    }

    /// The one row there is.
    pub(crate) async fn fetch_one(self, conn: &mut Conn) -> Result<Row, sqlx::Error> {
        on_either!(self, conn, fetch_one, Row::Sqlite, Row::Postgres)
    }

    /// All rows.
    pub(crate) async fn fetch_all(self, conn: &mut Conn) -> Result<Vec<Row>, sqlx::Error> {
        on_either!(self, conn, fetch_all, |rows| rows.into_iter().map(Row::Sqlite).collect(), |rows| rows
            .into_iter()
            .map(Row::Postgres)
            .collect())
    }
}

/// A row of either engine.
pub(crate) enum Row {
    /// SQLite's.
    Sqlite(SqliteRow),
    /// Postgres's.
    Postgres(PgRow),
}

macro_rules! read_as {
    ($($name:ident: $type:ty;)*) => {
        $(
            /// The value of a column.
            pub(crate) fn $name(&self, column: &str) -> Result<$type, sqlx::Error> {
                match self {
                    Self::Sqlite(row) => row.try_get(column),
                    Self::Postgres(row) => row.try_get(column),
                }
            }
        )*
    };
}

impl Row {
    read_as! {
        text: String;
        text_opt: Option<String>;
        number: i64;
        number_opt: Option<i64>;
        bytes: Vec<u8>;
    }
}
