//! What an error of a database means.

use std::time::Duration;

use sqlx::postgres::PgDatabaseError;

use crate::error::Cause;

/// How long was waited where waiting was of no use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waits {
    /// How long another process may hold a lock.
    pub(crate) lock: Duration,
    /// How long a write waits for its turn in this process, or for a connection to a server.
    pub(crate) turn: Duration,
    /// Whether the database is on the other side of a connection.
    pub(crate) remote: bool,
}

/// What an error of the database means.
pub(crate) fn cause(error: &sqlx::Error, waits: Waits) -> Cause {
    if let Some(answer) = error.as_database_error() {
        return match answer.try_downcast_ref::<PgDatabaseError>() {
            Some(answer) => of_postgres(answer, waits),
            None => of_sqlite(answer, waits),
        };
    }
    if let sqlx::Error::PoolClosed = error {
        return Cause::Closed;
    }
    if let sqlx::Error::Tls(why) = error {
        return Cause::Tls { detail: why.to_string() };
    }
    if let sqlx::Error::PoolTimedOut = error {
        let detail = format!("no connection within {} s", waits.turn.as_secs());
        return if waits.remote { Cause::Away { detail } } else { Cause::Busy { waited: waits.turn } };
    }
    if let (sqlx::Error::Io(why), true) = (error, waits.remote) {
        let text = why.to_string();
        // So rustls says that it does not trust the other side, or cannot speak with it.
        if why.kind() == std::io::ErrorKind::InvalidData {
            return Cause::Tls { detail: text };
        }
        return Cause::Away { detail: text.split(" (os error").next().unwrap_or_default().to_lowercase() };
    }
    // What was cut off in the middle of an answer is told as a fault of the protocol.
    if let (sqlx::Error::Protocol(why), true) = (error, waits.remote) {
        return Cause::Away { detail: why.clone() };
    }
    Cause::Other { detail: error.to_string() }
}

fn of_sqlite(answer: &dyn sqlx::error::DatabaseError, waits: Waits) -> Cause {
    let detail = answer.message().to_owned();
    let code = answer.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or_default();
    // The low byte is the primary result code of SQLite; the rest of it only narrows it down.
    match code & 0xff {
        5 | 6 => Cause::Locked { waited: waits.lock },
        8 => Cause::ReadOnly,
        10 => Cause::Disk { detail: format!("{detail}, SQLite error {code}") },
        11 => Cause::Damaged { detail },
        13 => Cause::Full,
        26 => Cause::NotADatabase,
        _ => Cause::Other { detail: format!("{detail} (SQLite error {code})") },
    }
}

/// By the classes of SQLSTATE; see appendix A of Postgres's manual.
fn of_postgres(answer: &PgDatabaseError, waits: Waits) -> Cause {
    let detail = answer.message().to_owned();
    match answer.code() {
        "40001" | "40P01" => Cause::Conflict { detail },
        "55P03" => Cause::LockedRows { waited: waits.lock },
        "25006" => Cause::Standby,
        // Cancelled by a person or a limit of the server; the latter two end the connection with it.
        "57014" | "25P03" | "25P04" => Cause::GivenUp { detail },
        "42501" => Cause::Forbidden { detail },
        "53100" => Cause::FullServer { detail },
        "3D000" => Cause::NoDatabase { detail },
        // Ended by an administrator or a crash, starting up or shutting down; too many connections; no more memory.
        "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "53200" => Cause::Away { detail },
        code if code.starts_with("08") => Cause::Away { detail },
        code if code.starts_with("28") => Cause::Login { detail },
        code => Cause::Other { detail: format!("{detail} (SQLSTATE {code})") },
    }
}
