//! Two dialects, one record: the same migrations, the same columns, and SQL that both understand.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sqlx::Row as _;

use crate::postgres_server::{self, Postgres};
use crate::texts::Texts;
use crate::{Store, sql};

/// What is written differently and means the same.
const SAME: [(&str, &str); 5] = [
    (" BIGINT GENERATED ALWAYS AS IDENTITY", " INTEGER"),
    (" BIGINT", " INTEGER"),
    (" COLLATE \"C\"", ""),
    (") STRICT, WITHOUT ROWID", ")"),
    (") STRICT", ")"),
];

fn migrations(dialect: &str) -> BTreeMap<String, PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(dialect);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path)).collect()
}

/// The statements of a migration, without comments, blanks and what the dialects write differently.
fn statements(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let bare: Vec<&str> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let mut text = bare.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    for (theirs, ours) in SAME {
        text = text.replace(theirs, ours);
    }
    text.split(';').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

#[test]
fn both_dialects_have_the_same_migrations() {
    let (sqlite, postgres) = (migrations("sqlite"), migrations("postgres"));
    assert!(sqlite.keys().eq(postgres.keys()), "{sqlite:?} {postgres:?}");
    for (place, (name, path)) in sqlite.iter().enumerate() {
        assert!(name.starts_with(&format!("{:04}_", place + 1)), "{name} is out of order");
        assert_eq!(statements(path), statements(&postgres[name]), "{name}");
    }
}

#[tokio::test]
async fn sqlite_understands_every_text() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    for (name, text) in sql::ALL {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN {text}"));
        let answer = sqlx::query(explain).fetch_all(store.sqlite_reader()).await;
        assert!(answer.is_ok(), "{name}: {answer:?}");
    }
}

/// Table, column, whether it is a number, whether it may be null: a line each, in order.
async fn columns_of_sqlite() -> Vec<String> {
    const COLUMNS: &str = "SELECT t.name || '|' || c.name || '|' || (c.type = 'INTEGER') || '|' || \
        (c.\"notnull\" = 0 AND c.pk = 0) AS line FROM sqlite_schema t, pragma_table_info(t.name) c \
        WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name <> 'uphaul_migrations'";
    let store = Store::open("sqlite::memory:").await.unwrap();
    let rows = sqlx::query(COLUMNS).fetch_all(store.sqlite_reader()).await.unwrap();
    let mut lines: Vec<String> = rows.iter().map(|row| row.get("line")).collect();
    lines.sort();
    lines
}

/// The real thing, where this machine has it; nothing is installed for it.
#[tokio::test]
async fn postgres_understands_every_migration_and_text() {
    const COLUMNS: &str = "SELECT table_name || '|' || column_name || '|' || (data_type = 'bigint')::int || '|' || \
        (is_nullable = 'YES')::int FROM information_schema.columns WHERE table_schema = 'public'";
    let postgres = match Postgres::start() {
        Ok(postgres) => postgres,
        Err(why) => {
            postgres_server::skip(&why);
            return;
        }
    };
    for path in migrations("postgres").values() {
        postgres.run(&fs::read_to_string(path).unwrap());
    }
    // The numbers of our migrations are kept in a table that Uphaul makes itself.
    postgres.run("CREATE TABLE uphaul_migrations (version BIGINT, checksum BYTEA)");
    for (name, text) in Texts::postgres().all() {
        postgres.run(&format!("PREPARE {name} AS {}", text.as_str()));
    }
    postgres.run("DROP TABLE uphaul_migrations");
    let mut lines: Vec<String> = postgres.run(COLUMNS).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, columns_of_sqlite().await);
}
