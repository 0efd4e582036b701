//! A check finds what was planted, and nothing else; a copy is whole while others write.

use std::time::Duration;

use sqlx::Executor as _;
use tempfile::TempDir;
use uphaul_core::machine::{Input, Observation, Previous, Reason, step};
use uphaul_core::ports::{Entry, Journal as _};

use crate::newer_tests::{new_host, run};
use crate::postgres_server::{self, Postgres};
use crate::{Store, StoreError, process};

/// Drives a run of a host through these inputs.
async fn told(store: &Store, number: u64, name: &str, inputs: Vec<Input>) {
    let name = name.parse().unwrap();
    let mut run = run(&name);
    run.id = uphaul_core::ids::RunId::from_bits(number);
    let lease = store.acquire(&name, &process::this_owner(), Duration::from_secs(30), &|_| false).await;
    let lease = lease.unwrap().unwrap();
    store.create_run(&lease, &run, "ana", 10).await.unwrap();
    for (input, at_us) in inputs.into_iter().zip(11..) {
        let moved = step(&run.plan, &run.state, input).unwrap();
        let proved = moved.proved(&run.plan);
        run.seq = run.seq.next();
        let (id, input, state) = (run.id.clone(), moved.input, moved.to.clone());
        store
            .append(&lease, &Entry { run: id, seq: run.seq, input, state, proved, at_us, evidence: None })
            .await
            .unwrap();
        run.state = moved.to;
    }
    store.release(&lease).await.unwrap();
}

fn ok() -> Input {
    Input::Succeeded(Observation::Nothing)
}

fn until_checkout() -> Vec<Input> {
    let previous = Previous { revision: "1".repeat(40).parse().unwrap(), healthy: true };
    vec![Input::Start, ok(), Input::Succeeded(Observation::Previous(previous)), ok()]
}

/// One updated, one rolled back, one in the middle, one drifted, one never touched.
async fn fill(store: &Store) {
    let hosts = ["updated", "back", "middle", "drifted", "never"].map(new_host);
    store.add_hosts(&hosts, 1).await.unwrap();
    let rest = |inputs: Vec<Input>| until_checkout().into_iter().chain(inputs).collect::<Vec<_>>();
    told(store, 1, "updated", rest(vec![ok(), ok(), ok(), ok()])).await;
    let failed = Input::Failed(Reason::Exited { code: 1, tail: String::new() });
    told(store, 2, "back", rest(vec![ok(), failed, ok(), ok(), ok(), ok()])).await;
    told(store, 3, "middle", until_checkout()).await;
    told(store, 4, "drifted", rest(vec![ok(), ok(), ok(), ok()])).await;
    // Removed after a run, and added again: what was before is not of this host.
    store.add_hosts(&[new_host("again")], 1).await.unwrap();
    told(store, 5, "again", rest(vec![ok(), ok(), ok(), ok()])).await;
    store.remove_host(&"again".parse().unwrap(), false).await.unwrap();
    store.add_hosts(&[new_host("again")], 1).await.unwrap();
    store.observe(&"drifted".parse().unwrap(), &"9".repeat(40).parse().unwrap(), 99).await.unwrap();
}

/// What was planted, and a word of what is told of it.
const PLANTED: &[(&str, &str)] = &[
    (
        "UPDATE subscriptions SET current_version = '3333333333333333333333333333333333333333' WHERE name = 'updated'",
        "current_version is 333",
    ),
    (
        "UPDATE subscriptions SET previous_version = NULL WHERE name = 'updated'",
        "previous_version is nothing",
    ),
    ("UPDATE subscriptions SET target_version = NULL WHERE name = 'back'", "target_version is nothing"),
    ("UPDATE subscriptions SET update_status = 'updated' WHERE name = 'back'", "update_status is updated"),
    ("UPDATE subscriptions SET last_update_at = 5 WHERE name = 'back'", "last_update_at is 5"),
    (
        "UPDATE subscriptions SET current_version = '3333333333333333333333333333333333333333' WHERE name = 'never'",
        "host never: current_version",
    ),
    (
        "DELETE FROM run_events WHERE seq = 3 AND run = (SELECT id FROM runs WHERE host = 'updated')",
        "some are missing",
    ),
    (
        "DELETE FROM run_events WHERE seq = 8 AND run = (SELECT id FROM runs WHERE host = 'updated')",
        "says that it has 8 transitions, and has 7",
    ),
    (
        "UPDATE run_events SET proved = '3333333333333333333333333333333333333333' WHERE seq = 8 AND run = (SELECT id FROM runs WHERE host = 'updated')",
        "proves another version",
    ),
    (
        "UPDATE run_events SET input = '\"start\"' WHERE seq = 2 AND run = (SELECT id FROM runs WHERE host = 'middle')",
        "transition 2",
    ),
    (
        "UPDATE runs SET state = (SELECT state FROM runs WHERE host = 'updated') WHERE host = 'middle'",
        "of middle: is UPDATED, and its log says",
    ),
    (
        "INSERT INTO run_evidence SELECT id, 5, 1, 'update/Verify', '{}' FROM runs WHERE host = 'back'",
        "seen of the evidence of run",
    ),
    ("UPDATE runs SET finished_at = 1 WHERE host = 'back'", "another end than its log"),
    ("UPDATE runs SET seq = 3 WHERE host = 'middle'", "says that it has 3 transitions"),
    ("UPDATE runs SET state = 'lost' WHERE host = 'middle'", "cannot be read"),
];

/// Only SQLite lets references be broken on demand.
const BROKEN: &[(&str, &str)] = &[
    ("DELETE FROM runs WHERE host = 'middle'", "transitions of a run that is not there"),
    (
        "INSERT INTO run_evidence VALUES ('ghost', 3, 1, 'update/Verify', '{}')",
        "evidence of a transition that is not there: ghost",
    ),
    (
        "INSERT INTO leases SELECT 'ghost', 't', 'u', 'm', 1, 1, '', '', '', 0, 1, 1, 1, 1",
        "a lease of a host that is not there: ghost",
    ),
    (
        "INSERT INTO rollout_hosts VALUES ('r', 'h', 1, 1, '', NULL)",
        "hosts of a rollout that is not there: r",
    ),
];

fn found(told: &[String], word: &str) -> bool {
    told.iter().any(|fault| fault.contains(word))
}

#[tokio::test]
async fn a_check_finds_what_was_planted_in_sqlite() {
    for (change, word) in PLANTED.iter().chain(BROKEN) {
        let store = Store::open("sqlite::memory:").await.unwrap();
        fill(&store).await;
        let clean = store.check().await.unwrap();
        assert_eq!((clean.faults, clean.hosts, clean.runs, clean.events), (vec![], 6, 5, 38));
        store.sqlite_writer().execute("PRAGMA foreign_keys = OFF").await.unwrap();
        store.sqlite_writer().execute(*change).await.unwrap();
        let told = store.check().await.unwrap().faults;
        assert!(found(&told, word), "{change}\n{told:#?}");
        assert!(told.len() <= 5, "one fault is not told as many: {change}\n{told:#?}");
    }
}

#[tokio::test]
async fn a_check_finds_what_was_planted_in_postgres() {
    let server = match Postgres::start() {
        Ok(server) => server,
        Err(why) => return postgres_server::skip(&why),
    };
    let store = Store::open(&server.url()).await.unwrap();
    fill(&store).await;
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
    store.close().await;
    for (place, (change, word)) in PLANTED.iter().enumerate() {
        let name = format!("planted_{place}");
        server.run_alone(&format!("CREATE DATABASE {name} TEMPLATE postgres"));
        server.run_in(&name, change);
        let store = Store::open(&server.url_of(&name)).await.unwrap();
        let told = store.check().await.unwrap().faults;
        assert!(found(&told, word), "{change}\n{told:#?}");
        store.close().await;
    }
    let store = Store::open(&server.url()).await.unwrap();
    let told = store.backup("/nowhere/x".as_ref()).await.unwrap_err().to_string();
    assert!(told.contains("pg_dump"), "{told}");
}

#[tokio::test]
async fn damage_of_the_file_is_found() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite:{}", folder.path().join("uphaul.db").display());
    let store = Store::open(&url).await.unwrap();
    fill(&store).await;
    // An index that lacks a row of its table.
    let writer = store.sqlite_writer();
    for text in [
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = 'CREATE INDEX runs_of_host ON runs (goal, number)' WHERE name = 'runs_of_host'",
    ] {
        writer.execute(text).await.unwrap();
    }
    store.close().await;
    let told = Store::open(&url).await.unwrap().check().await.unwrap().faults;
    assert!(found(&told, "the file: "), "{told:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_whole_while_others_write() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite:{}", folder.path().join("uphaul.db").display());
    let store = Store::open(&url).await.unwrap();
    fill(&store).await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let busy = store.clone();
    let writer = tokio::spawn(async move {
        let mut number = 100;
        while stopped.try_recv().is_err() {
            let name = format!("busy-{number}");
            busy.add_hosts(&[new_host(&name)], 1).await.unwrap();
            told(
                &busy,
                number,
                &name,
                until_checkout().into_iter().chain([ok(), ok(), ok(), ok()]).collect(),
            )
            .await;
            number += 1;
        }
        number
    });
    for copy in 0..5 {
        let file = folder.path().join(format!("copy-{copy}.db"));
        store.backup(&file).await.unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let copied = Store::open(&format!("sqlite:{}", file.display())).await.unwrap();
        let checked = copied.check().await.unwrap();
        assert_eq!(checked.faults, Vec::<String>::new());
        assert!(checked.hosts >= 6, "{checked:?}");
        let again = store.backup(&file).await.unwrap_err();
        assert!(
            matches!(&again, StoreError::Backup { why, .. } if why.contains("not overwritten")),
            "{again}"
        );
    }
    stop.send(()).unwrap();
    assert!(writer.await.unwrap() > 100, "somebody wrote meanwhile");
    let told = store.backup(&folder.path().join("no/folder/x.db")).await.unwrap_err().to_string();
    assert!(told.contains("no such file or directory"), "{told}");
}
