//! How a record comes to be, and what a newer one looks like from here.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sqlx::Executor as _;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::Store;
use crate::db::Fault;

fn url(folder: &TempDir, name: &str) -> String {
    format!("sqlite:{}", folder.path().join(name).display())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_new_record_is_for_this_user_alone() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&url(&folder, "state/uphaul/uphaul.db")).await.unwrap();
    store.add_hosts(&[], 0).await.unwrap();
    let at = folder.path().join("state/uphaul");
    assert_eq!((mode(&folder.path().join("state")), mode(&at)), (0o700, 0o700));
    let mut files: Vec<_> = fs::read_dir(&at).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 3, "the database, its log and its index: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    assert_eq!(store.describe(), format!("SQLite file {}", at.join("uphaul.db").display()));
    store.close().await;
    assert_eq!(fs::read_dir(&at).unwrap().count(), 1, "a closed record is one file");
}

#[tokio::test]
async fn an_empty_file_becomes_a_record() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("empty"), "").unwrap();
    Store::open(&url(&folder, "empty")).await.unwrap();
}

#[tokio::test]
async fn migrations_run_once() {
    let folder = TempDir::new().unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let store = Store::open(&url(&folder, "uphaul.db")).await.unwrap();
        let schema: i64 =
            sqlx::query_scalar("PRAGMA schema_version").fetch_one(store.sqlite_reader()).await.unwrap();
        let applied: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM uphaul_migrations")
            .fetch_one(store.sqlite_reader())
            .await
            .unwrap();
        store.close().await;
        seen.push((schema, applied, fs::read(folder.path().join("uphaul.db")).unwrap()));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "opened again, it stays as it is to the byte");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_may_open_a_new_record_at_once() {
    let folder = TempDir::new().unwrap();
    let mut opening = JoinSet::new();
    for _ in 0..16 {
        let url = url(&folder, "new/uphaul.db");
        opening.spawn(async move { Store::open(&url).await.map(|store| store.describe()) });
    }
    for opened in opening.join_all().await {
        opened.unwrap();
    }
}

#[tokio::test]
async fn the_pragmas_that_promises_rest_on_are_set() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&url(&folder, "uphaul.db")).await.unwrap();
    for (pragma, wanted) in [("foreign_keys", 1), ("synchronous", 2), ("busy_timeout", 5000)] {
        let text = sqlx::AssertSqlSafe(format!("PRAGMA {pragma}"));
        let set: i64 = sqlx::query_scalar(text).fetch_one(store.sqlite_writer()).await.unwrap();
        assert_eq!(set, wanted, "{pragma}");
    }
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(store.sqlite_writer()).await.unwrap();
    assert_eq!(mode, "wal");
    assert!(store.sqlite_reader().execute("DELETE FROM subscriptions").await.is_err(), "readers only read");
}

/// A write that is given up in the middle leaves nothing, and the next one is not in its way.
#[tokio::test]
async fn a_write_that_is_dropped_leaves_nothing() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let insert = "INSERT INTO rollouts (id, plan, plan_version, seq, state, status, requested_by, started_at) \
        VALUES ('r', '', 1, 0, '', '', '', 0)";
    let mut write = store.begin("test").await.unwrap();
    write.conn().run(insert.to_owned()).await.unwrap();
    drop(write);
    for _ in 0..2 {
        let mut write = store.begin("test").await.unwrap();
        write.conn().run(insert.to_owned()).await.unwrap();
        write.roll_back().await;
    }
    let mut write = store.begin("test").await.unwrap();
    let done = write.conn().run(insert.to_owned()).await.map_err(Fault::Sql);
    store.end("test", write, done).await.unwrap();
    let count: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM rollouts").fetch_one(store.sqlite_reader()).await.unwrap();
    assert_eq!(count, 1);
}

/// A caller may spawn any of these: the compiler is asked once for all.
#[test]
fn everything_may_move_between_threads() {
    fn moves<T: Send>(make: impl FnOnce(Store) -> T) {
        drop(make);
    }
    use crate::{HostEdit, LeaseRow, LeaseToken, Owner, RunRecord};
    use uphaul_core::ids::{HostName, Revision, RunId};
    struct Given<'a>(
        &'a HostName,
        &'a Revision,
        &'a RunId,
        &'a Owner,
        &'a LeaseRow,
        &'a LeaseToken,
        &'a RunRecord,
    );
    fn asks(given: &Given<'_>) {
        let Given(host, seen, run, owner, row, lease, record) = *given;
        moves(|_| Store::open(""));
        moves(|store| async move { store.close().await });
        moves(|store| async move { drop((store.add_hosts(&[], 0).await, store.import_hosts(&[], 0).await)) });
        moves(|store| async move { drop((store.host(host).await, store.hosts().await)) });
        moves(|store| async move { drop(store.edit_host(host, &HostEdit::default()).await) });
        moves(|store| async move {
            drop((store.remove_host(host, true).await, store.observe(host, seen, 0).await));
        });
        moves(
            |store| async move { drop((store.create_run(lease, record, "", 0).await, store.run(run).await)) },
        );
        moves(|store| async move { drop((store.runs_of_host(host, 1).await, store.recent_runs(1).await)) });
        moves(
            |store| async move { drop((store.unfinished_runs().await, store.unfinished_run_of(host).await)) },
        );
        moves(|store| async move { drop((store.events(run).await, store.lease_of(host).await)) });
        moves(|store| async move {
            drop(store.acquire(host, owner, std::time::Duration::ZERO, &crate::process::is_gone).await);
        });
        moves(|store| async move { drop(store.take_over(row, owner, std::time::Duration::ZERO).await) });
        moves(|store| async move { drop((store.heartbeat(&[], 0).await, store.release(lease).await)) });
        moves(|store| async move { drop(store.leases().await) });
    }
    let _ = asks;
}
