//! The layout of the database: whose it is, how new, and how it is brought up to this build's.

use std::collections::BTreeSet;

use sqlx::migrate::{Migrate, MigrateError, Migration, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

use crate::cause::{Waits, cause};
use crate::conn::{Conn, Link, query};
use crate::error::Cause;
use crate::sql;
use crate::texts::prefixed;

/// A name of our own: the database may be shared with a program that migrates its tables too.
const TABLE: &str = "uphaul_migrations";
/// Held while a Postgres database is laid out, so that two processes do it one after the other. Any number that nobody
/// else uses: these are the letters "uphaul".
const LAYOUT_LOCK: &str = "SELECT pg_advisory_xact_lock(129137118901612)";

/// As sqlx makes it, word for word: it stands here so that a plan can show it.
const TABLE_SQLITE: &str = "CREATE TABLE IF NOT EXISTS uphaul_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
)";
const TABLE_POSTGRES: &str = "CREATE TABLE IF NOT EXISTS uphaul_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),
    success BOOLEAN NOT NULL,
    checksum BYTEA NOT NULL,
    execution_time BIGINT NOT NULL
)";

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
    let adopted = conn.texts.adopted;
    let as_it_is_said = |migration: Migration| {
        let sql = match adopted {
            true => AssertSqlSafe(prefixed(migration.sql.as_str())).into_sql_str(),
            false => migration.sql.clone(),
        };
        // All of them in one transaction of ours, not each in one of its own.
        Migration { no_tx: true, sql, ..migration }
    };
    all.iter().cloned().map(as_it_is_said).collect()
}

fn table(conn: &Conn) -> &'static str {
    if conn.is_postgres() { TABLE_POSTGRES } else { TABLE_SQLITE }
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
    let name = |table: &&str| if conn.texts.adopted { prefixed(table) } else { (*table).to_owned() };
    let ours: BTreeSet<String> = sql::OUR_TABLES.iter().map(name).collect();
    let shared = conn.is_postgres() || conn.texts.adopted;
    tables.into_iter().find(|table| !shared || ours.contains(table))
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

/// The statements that bring the database up, for who wants to read them first.
pub(crate) fn statements(conn: &Conn, layout: Layout) -> Vec<String> {
    let Layout::Behind(version) = layout else { return Vec::new() };
    let missing = migrations(conn).into_iter().filter(|migration| migration.version > version);
    let bare = |line: &str| line.split("--").next().unwrap_or_default().trim_end().to_owned();
    let texts = missing.map(|migration| {
        let lines: Vec<String> = migration.sql.as_str().lines().map(bare).collect();
        lines.join("\n")
    });
    let split = |text: String| text.split(';').map(|one| one.trim().to_owned()).collect::<Vec<_>>();
    let table = (version == 0).then(|| table(conn).to_owned());
    table.into_iter().chain(texts.flat_map(split)).filter(|one| !one.is_empty()).collect()
}

/// The same within a transaction that was begun.
pub(crate) async fn in_transaction(conn: &mut Conn, waits: Waits) -> Result<(), Cause> {
    if conn.is_postgres() {
        conn.run(LAYOUT_LOCK.to_owned()).await.map_err(|error| cause(&error, waits))?;
    }
    let Layout::Behind(version) = check(conn, waits).await? else { return Ok(()) };
    let missing: Vec<Migration> =
        migrations(conn).into_iter().filter(|migration| migration.version > version).collect();
    conn.run(table(conn).to_owned()).await.map_err(|error| cause(&error, waits))?;
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
