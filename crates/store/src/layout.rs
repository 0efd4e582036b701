//! The layout of the database: whose it is, how new, and how it is brought up to this build's.

use std::collections::BTreeSet;

use sqlx::migrate::{Migrate, MigrateError, Migration, Migrator};

use crate::cause::{Waits, cause};
use crate::conn::{Conn, Link, query};
use crate::error::Cause;
use crate::sql;

/// A name of our own: the database may be shared with a program that migrates its tables too.
const TABLE: &str = "uphaul_migrations";
/// Held while a Postgres database is laid out, so that two processes do it one after the other. Any number that nobody
/// else uses: these are the letters "uphaul".
const LAYOUT_LOCK: &str = "SELECT pg_advisory_xact_lock(129137118901612)";

static SQLITE: Migrator = sqlx::migrate!("../../migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("../../migrations/postgres");

/// How the layout of a database compares with this build's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Empty, or older: the number of its last migration, 0 where it has had none.
    Behind(i64),
    /// The same.
    Same,
}

/// The number of this build's last migration.
pub(crate) fn known() -> i64 {
    SQLITE.iter().map(|migration| migration.version).max().unwrap_or_default()
}

fn migrations(conn: &Conn) -> Vec<Migration> {
    let all = if conn.is_postgres() { &POSTGRES } else { &SQLITE };
    // All of them in one transaction of ours, not each in one of its own.
    all.iter().cloned().map(|migration| Migration { no_tx: true, ..migration }).collect()
}

/// Looks, and writes nothing.
pub(crate) async fn check(conn: &mut Conn, waits: Waits) -> Result<Layout, Cause> {
    let told = |error: sqlx::Error| cause(&error, waits);
    let rows = query(sql::TABLES).fetch_all(conn).await.map_err(told)?;
    let tables: Vec<String> =
        rows.iter().map(|row| row.text("name")).collect::<Result<_, _>>().map_err(told)?;
    if !tables.iter().any(|table| table == TABLE) {
        return match foreign(conn, tables) {
            None => Ok(Layout::Behind(0)),
            Some(table) => Err(Cause::Foreign { table }),
        };
    }
    let rows = query(sql::APPLIED).fetch_all(conn).await.map_err(told)?;
    let read = |row: &crate::conn::Row| Ok((row.number("version")?, row.bytes("checksum")?));
    let applied: Vec<(i64, Vec<u8>)> = rows.iter().map(read).collect::<Result<_, _>>().map_err(told)?;
    compare(&migrations(conn), &applied)
}

/// A table of another program that stands in the way. A file of SQLite belongs to one program; a database of Postgres is often
/// shared, and only our own names must be free.
fn foreign(conn: &Conn, tables: Vec<String>) -> Option<String> {
    let ours: BTreeSet<&str> = sql::OUR_TABLES.into();
    tables.into_iter().find(|table| !conn.is_postgres() || ours.contains(table.as_str()))
}

fn compare(migrations: &[Migration], applied: &[(i64, Vec<u8>)]) -> Result<Layout, Cause> {
    let known = migrations.iter().map(|migration| migration.version).max().unwrap_or_default();
    if let Some((found, _)) = applied.last().filter(|(found, _)| *found > known) {
        return Err(Cause::Newer { found: *found, known });
    }
    for (version, checksum) in applied {
        let ours = migrations.iter().find(|migration| migration.version == *version);
        if ours.is_none_or(|migration| *migration.checksum != **checksum) {
            return Err(Cause::Differs { version: *version });
        }
    }
    if applied.len() == migrations.len() {
        return Ok(Layout::Same);
    }
    Ok(Layout::Behind(applied.last().map_or(0, |(version, _)| *version)))
}

/// Runs what is missing, all or nothing, and answers where it began. Two processes that come at once do it one after
/// the other.
pub(crate) async fn bring_up(conn: &mut Conn, waits: Waits) -> Result<Layout, Cause> {
    let before = check(conn, waits).await?;
    if before == Layout::Same {
        return Ok(before);
    }
    let begin = if conn.is_postgres() { "BEGIN" } else { "BEGIN IMMEDIATE" };
    let done = match conn.run(begin.to_owned()).await {
        Ok(()) => in_transaction(conn, waits).await,
        Err(error) => Err(cause(&error, waits)),
    };
    let ended = conn.run(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }.to_owned()).await;
    done?;
    ended.map_err(|error| cause(&error, waits))?;
    Ok(before)
}

async fn in_transaction(conn: &mut Conn, waits: Waits) -> Result<(), Cause> {
    if conn.is_postgres() {
        conn.run(LAYOUT_LOCK.to_owned()).await.map_err(|error| cause(&error, waits))?;
    }
    let Layout::Behind(version) = check(conn, waits).await? else { return Ok(()) };
    let missing: Vec<Migration> =
        migrations(conn).into_iter().filter(|migration| migration.version > version).collect();
    let done = match &mut conn.link {
        Link::Sqlite(conn) => apply(&mut **conn, &missing).await,
        Link::Postgres(conn) => apply(&mut **conn, &missing).await,
    };
    done.map_err(|error| failed(error, waits))
}

/// Applies these in order.
async fn apply<C: Migrate>(conn: &mut C, missing: &[Migration]) -> Result<(), MigrateError> {
    conn.ensure_migrations_table(TABLE).await?;
    for migration in missing {
        conn.apply(TABLE, migration).await?;
    }
    Ok(())
}

/// A full disk or a lock is told as such; anything else names the migration that did not work.
fn failed(error: MigrateError, waits: Waits) -> Cause {
    let detail = error.to_string();
    let (told, version) = if let MigrateError::ExecuteMigration(inner, version) = &error {
        (cause(inner, waits), *version)
    } else if let MigrateError::Execute(inner) = &error {
        (cause(inner, waits), known())
    } else {
        return Cause::Migration { version: known(), detail };
    };
    if matches!(told, Cause::Other { .. }) { Cause::Migration { version, detail } } else { told }
}
