//! What is waited for, and what ends a driver.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::cause::{Waits, cause};
use crate::error::Cause;
use crate::postgres_server::{self, Postgres};

/// What SQLite says by this number.
#[derive(Debug)]
struct Said(&'static str);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl StdError for Said {}

impl DatabaseError for Said {
    fn message(&self) -> &str {
        "disk I/O error"
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.0.into())
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

fn told(error: &sqlx::Error, remote: bool) -> Cause {
    cause(error, Waits { lock: Duration::ZERO, turn: Duration::ZERO, remote })
}

#[test]
fn a_disk_that_fails_is_waited_for() {
    // Plain, at a write (EDQUOT), at a sync.
    for code in ["10", "778", "1034"] {
        let cause = told(&sqlx::Error::Database(Box::new(Said(code))), false);
        assert!(matches!(cause, Cause::Disk { .. }) && cause.may_pass(), "{code}: {cause}");
        assert!(cause.to_string().contains(&format!("disk I/O error, SQLite error {code}")), "{cause}");
    }
    let other = told(&sqlx::Error::Database(Box::new(Said("1"))), false);
    assert!(matches!(other, Cause::Other { .. }) && !other.may_pass(), "{other}");
}

#[tokio::test]
async fn what_a_server_gave_up_is_waited_for() {
    let server = match Postgres::start() {
        Ok(server) => server,
        Err(why) => return postgres_server::skip(&why),
    };
    for (limit, begin, pause_ms, ask) in [
        ("SET statement_timeout = 50", "SELECT 1", 0, "SELECT pg_sleep(30)"),
        ("SET idle_in_transaction_session_timeout = 50", "BEGIN", 500, "SELECT 1"),
    ] {
        let mut conn = PgConnection::connect(&server.url()).await.unwrap();
        conn.execute(limit).await.unwrap();
        conn.execute(begin).await.unwrap();
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        let cause = told(&conn.execute(ask).await.unwrap_err(), true);
        // A connection that the server has ended may break before its last word is read.
        let away = pause_ms > 0 && matches!(cause, Cause::Away { .. });
        assert!(away || matches!(cause, Cause::GivenUp { .. }), "{limit}: {cause}");
        assert!(cause.may_pass(), "{limit}: {cause}");
    }
}
