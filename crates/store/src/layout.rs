//! The layout of the database: whose it is, how new, and how it is brought up to this build's.

use std::time::Duration;

use sqlx::migrate::{Migrate as _, MigrateError, Migrator};
use sqlx::{Connection as _, Row as _};

use crate::db::{Conn, Dialect, cause};
use crate::error::Cause;

/// A name of our own: the database may one day be shared with a program that migrates its tables too.
const TABLE: &str = "uphaul_migrations";
const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
    ORDER BY name LIMIT 1000";
const APPLIED: &str = "SELECT version, checksum FROM uphaul_migrations ORDER BY version LIMIT 10000";

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// How the layout of a database compares with this build's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Empty, or older.
    Behind,
    /// The same.
    Same,
}

/// The number of the last migration that this build has.
pub(crate) fn known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Looks, and writes nothing.
pub(crate) async fn check(conn: &mut Conn, wait: Duration) -> Result<Layout, Cause> {
    let told = |error: sqlx::Error| cause(&error, wait, wait);
    let tables: Vec<String> =
        sqlx::query_scalar::<Dialect, String>(TABLES).fetch_all(&mut *conn).await.map_err(told)?;
    if !tables.iter().any(|table| table == TABLE) {
        return match tables.into_iter().next() {
            None => Ok(Layout::Behind),
            Some(table) => Err(Cause::Foreign { table }),
        };
    }
    let rows = sqlx::query::<Dialect>(APPLIED).fetch_all(conn).await.map_err(told)?;
    let read = |row: &sqlx::sqlite::SqliteRow| Ok((row.try_get("version")?, row.try_get("checksum")?));
    let applied: Vec<(i64, Vec<u8>)> = rows.iter().map(read).collect::<Result<_, _>>().map_err(told)?;
    compare(&applied)
}

fn compare(applied: &[(i64, Vec<u8>)]) -> Result<Layout, Cause> {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
    if let Some((found, _)) = applied.last().filter(|(found, _)| *found > known) {
        return Err(Cause::Newer { found: *found, known });
    }
    for (version, checksum) in applied {
        let ours = MIGRATIONS.iter().find(|migration| migration.version == *version);
        if ours.is_none_or(|migration| *migration.checksum != **checksum) {
            return Err(Cause::Differs { version: *version });
        }
    }
    if applied.len() == MIGRATIONS.iter().count() { Ok(Layout::Same) } else { Ok(Layout::Behind) }
}

/// Runs what is missing, all or nothing. Two processes that come at once do it one after the other.
pub(crate) async fn bring_up(conn: &mut Conn, wait: Duration) -> Result<(), Cause> {
    if check(conn, wait).await? == Layout::Same {
        return Ok(());
    }
    let told = |error: sqlx::Error| cause(&error, wait, wait);
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await.map_err(told)?;
    if check(&mut tx, wait).await? == Layout::Behind {
        run(&mut tx).await.map_err(|error| failed(error, wait))?;
    }
    tx.commit().await.map_err(told)
}

/// Applies what is missing, in order. `check` has compared what is there.
async fn run(conn: &mut Conn) -> Result<(), MigrateError> {
    conn.ensure_migrations_table(TABLE).await?;
    let applied = conn.list_applied_migrations(TABLE).await?;
    for migration in MIGRATIONS.iter() {
        if !applied.iter().any(|applied| applied.version == migration.version) {
            conn.apply(TABLE, migration).await?;
        }
    }
    Ok(())
}

/// A full disk or a lock is told as such; anything else names the migration that did not work.
fn failed(error: MigrateError, wait: Duration) -> Cause {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
    let detail = error.to_string();
    let (told, version) = if let MigrateError::ExecuteMigration(inner, version) = &error {
        (cause(inner, wait, wait), *version)
    } else if let MigrateError::Execute(inner) = &error {
        (cause(inner, wait, wait), known)
    } else {
        return Cause::Migration { version: known, detail };
    };
    if matches!(told, Cause::Other { .. }) { Cause::Migration { version, detail } } else { told }
}
