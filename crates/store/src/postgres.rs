//! Opens the record in Postgres, and says what is said otherwise there.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection};

use crate::cause::{Waits, cause};
use crate::conn::answered;
use crate::db::{Pools, Store};
use crate::error::{Cause, StoreError};
use crate::texts::Texts;
use crate::{layout, sql};

const DOING: &str = "open the record";
/// How many connections one process has at most. A transition takes one for a few milliseconds.
const CONNECTIONS: u32 = 10;
/// How long an operation waits for a connection.
const TURN_WAIT: Duration = Duration::from_secs(10);
/// How long a statement waits for a row that another transaction holds.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How long a connection lies idle before it is closed; a firewall may forget one that lies longer.
const IDLE_MAX: Duration = Duration::from_secs(120);

/// What a URL may say; anything else is refused rather than ignored, since it may be meant to protect something.
const OPTIONS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// How a write begins. A transition has to be on the disk before its command starts, whatever the server's default
/// is. Each statement sees what was committed before it, and what has to stay true is locked or compared.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '5s'; \
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'";

/// The server's clock, in microseconds since 1970.
macro_rules! now {
    () => {
        "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS BIGINT)"
    };
}
/// A lease of which nothing was heard for its length. The time that the server itself was down does not count: its
/// holder could not have been heard.
macro_rules! expired {
    () => {
        concat!(
            "CASE WHEN GREATEST(expires_at, length + CAST(EXTRACT(EPOCH FROM pg_postmaster_start_time()) * 1000000 \
             AS BIGINT)) < ",
            now!(),
            " THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END AS expired"
        )
    };
}

/// What is said otherwise in Postgres: leases go by the server's own clock, which is one for all who use it.
pub(crate) const OTHER: &[(&str, &str)] = &[
    (
        sql::TABLES,
        "SELECT CAST(table_name AS TEXT) AS name FROM information_schema.tables WHERE table_schema = current_schema() \
         ORDER BY 1 LIMIT 10000",
    ),
    (
        sql::COLUMNS_OF,
        "SELECT CAST(attname AS TEXT) AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute \
         WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
    ),
    (sql::NOW, concat!("SELECT ", now!(), " AS now")),
    (sql::LEASE, concat!("SELECT ", sql::lease_columns!(), ", ", expired!(), " FROM leases WHERE host = $1")),
    (sql::LEASES, concat!("SELECT ", sql::lease_columns!(), ", ", expired!(), " FROM leases ORDER BY host")),
    (
        sql::BEAT,
        concat!(
            "UPDATE leases SET beat = beat + 1, heartbeat_at = ",
            now!(),
            ", expires_at = ",
            now!(),
            " + length WHERE host = $1 AND token = $2 AND CAST($3 AS BIGINT) IS NOT NULL"
        ),
    ),
    (sql::LOCK_HOST, "SELECT 1 FROM subscriptions WHERE name = $1 FOR NO KEY UPDATE"),
    (sql::LOCK_LEASE, "SELECT 1 FROM leases WHERE host = $1 FOR UPDATE"),
];

/// Reads the URL as libpq does. No part of it is repeated in an error: any may be the password.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let bad = |why: String| StoreError::Url(why);
    let query = url.split_once('?').map_or("", |(_, query)| query);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or_default();
        if name == "passfile" {
            return Err(bad("`passfile` is not understood in it; set PGPASSFILE in the environment".into()));
        }
        let known = OPTIONS.contains(&name) || name.starts_with("options[") || name.starts_with("options%5B");
        if !known {
            let shown: String = name.chars().take(40).collect();
            return Err(bad(format!("the option {shown:?} is not known; known are {}", OPTIONS.join(", "))));
        }
    }
    // What the parser says may repeat a part of the URL.
    let parsed = PgConnectOptions::from_str(url).map_err(|_| {
        bad("it cannot be read; write postgres://USER@HOST:PORT/NAME?sslmode=verify-full, with %XX for special \
             characters (a password is better in PGPASSWORD or ~/.pgpass)"
            .into())
    })?;
    let named = parsed.get_application_name().is_some();
    Ok(if named { parsed } else { parsed.application_name("uphaul") })
}

/// Where it is, for messages.
pub(crate) fn place(options: &PgConnectOptions) -> String {
    let name = options.get_database().unwrap_or(options.get_username());
    let user = options.get_username();
    match options.get_socket() {
        Some(socket) => format!("Postgres database {name} at {} (as {user})", socket.display()),
        None => {
            format!("Postgres database {name} at {}:{} (as {user})", options.get_host(), options.get_port())
        }
    }
}

/// Opens the record; its layout is brought up to this build's.
pub(crate) async fn open(url: &str) -> Result<Store, StoreError> {
    let store = connect(url).await?;
    let unusable = |cause: Cause| StoreError::Unusable { place: store.describe(), doing: DOING, cause };
    let mut conn = store.conn().await.map_err(|error| unusable(cause(&error, store.waits)))?;
    let ready = layout::bring_up(&mut conn, store.waits).await;
    drop(conn);
    match ready {
        Ok(layout::Layout::Behind(before)) => Ok(Store { layout_before: before, ..store }),
        Ok(layout::Layout::Same) => Ok(store),
        Err(why @ Cause::Newer { .. }) => Ok(Store { read_only: Some(Arc::new(why)), ..store }),
        Err(why) => Err(unusable(why)),
    }
}

/// Connects, and looks at nothing yet.
pub(crate) async fn connect(url: &str) -> Result<Store, StoreError> {
    let options = options(url)?;
    let place = place(&options);
    let waits = Waits { lock: LOCK_WAIT, turn: TURN_WAIT, remote: true };
    // The pool tries again what is refused, and then says only that it took too long: this says why.
    let first = tokio::time::timeout(TURN_WAIT, PgConnection::connect_with(&options)).await;
    let first = first.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|error| StoreError::Unusable {
        place: place.clone(),
        doing: DOING,
        cause: cause(&error, waits),
    })?;
    let _closed = answered(first.close()).await;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(TURN_WAIT)
        .idle_timeout(IDLE_MAX)
        .connect_lazy_with(options);
    Ok(Store::new(Pools::Postgres(pool), place, waits, Texts::postgres()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_as_libpq_does() {
        let url =
            "postgresql://ana:s%40fe@db.example.com:6000/uphaul?sslmode=verify-full&application_name=ci";
        assert_eq!(place(&options(url).unwrap()), "Postgres database uphaul at db.example.com:6000 (as ana)");
        let url = "postgres:///uphaul?host=/run/pg&user=ana";
        assert_eq!(place(&options(url).unwrap()), "Postgres database uphaul at /run/pg (as ana)");
    }

    #[test]
    fn a_url_that_cannot_be_read_is_told_without_its_password() {
        let urls = [
            "postgres://ana:SECRET@db:port/uphaul",
            "postgres://ana:SECRET@/%zz?port=x",
            "postgres://ana:SECRET@db/uphaul?sslmode=SECRET",
            "postgres://ana:SEC/RET@db/uphaul?ssl=on",
            "postgres://ana@db/uphaul?passfile=/etc/SECRET",
        ];
        let mut told = String::new();
        for url in urls {
            told += &format!("{}\n", options(url).unwrap_err());
        }
        assert!(!told.contains("SECRET"), "{told}");
        insta::assert_snapshot!(told);
    }
}
