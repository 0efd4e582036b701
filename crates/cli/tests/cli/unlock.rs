//! `uphaul unlock`: the holder is shown first, and loses the host only when that is asked for.

use std::time::Duration;

use uphaul_core::ids::HostName;
use uphaul_store::{LeaseRow, Owner, Store};

use crate::env::TestEnv;
use crate::hosts::three_hosts;

/// Somebody far away, of whom nothing can be seen from here.
fn ana() -> Owner {
    Owner {
        user: "ana".into(),
        machine: "far-away".into(),
        pid: 4711,
        pid_started: 1,
        boot_id: "another".into(),
        machine_id: "another".into(),
        pid_namespace: "another".into(),
    }
}

fn with_store<T>(env: &TestEnv, act: impl AsyncFnOnce(&Store) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&env.database()).await.unwrap();
        let done = act(&store).await;
        store.close().await;
        done
    })
}

fn held(env: &TestEnv, host: &str) -> Option<LeaseRow> {
    let name: HostName = host.parse().unwrap();
    with_store(env, async |store| store.lease_of(&name).await.unwrap())
}

#[test]
fn the_holder_is_shown_first_and_loses_the_host_only_when_asked() {
    let env = three_hosts();
    let name: HostName = "web-1".parse().unwrap();
    with_store(&env, async |store| {
        store.acquire(&name, &ana(), Duration::from_secs(30), &|_| false).await.unwrap().unwrap();
    });
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "TIME");
    settings.add_filter(r"\d+ s ago", "N s ago");
    let page = env.page(&[&["unlock", "web-1"], &["unlock", "web-2"], &["unlock", "web-9"]]);
    settings.bind(|| insta::assert_snapshot!("unlock_shows", page));
    assert!(held(&env, "web-1").is_some());
    let shown = env.run(&["unlock", "web-1", "--json"]).ok().json();
    assert_eq!(
        (&shown["holder"]["user"], &shown["holder"]["process"], &shown["taken_over"]),
        (&"ana".into(), &"unknown".into(), &false.into())
    );
    let page = env.page(&[&["unlock", "web-1", "--takeover"], &["unlock", "web-1", "--takeover"]]);
    settings.bind(|| insta::assert_snapshot!("unlock_takes", page));
    assert!(held(&env, "web-1").is_none());
    let free = env.run(&["unlock", "web-1", "--takeover", "--json"]).ok().json();
    assert_eq!((&free["holder"], &free["taken_over"]), (&serde_json::Value::Null, &false.into()));
}

const SIMULATED: &str = "[default.executor]\nbackend = \"mock\"\n[default.service]\npath = \"/srv/app\"\nunit = \"app.service\"\n";

/// Nobody has to unlock anything by hand: a holder of whom nothing is heard for the length of its lease has lost the host.
#[test]
fn a_holder_that_is_silent_loses_the_host_by_itself() {
    let env = three_hosts();
    env.file("uphaul.toml", SIMULATED);
    let name: HostName = "web-1".parse().unwrap();
    with_store(&env, async |store| {
        store.acquire(&name, &ana(), Duration::from_millis(300), &|_| false).await.unwrap().unwrap();
    });
    let said = env.run(&["update", "web-1", "--to", "main"]).ok();
    assert!(said.stderr.contains("looking whether it is still at work"), "{said}");
    assert!(held(&env, "web-1").is_none());
}

#[test]
fn a_holder_that_is_heard_of_keeps_the_host() {
    let env = three_hosts();
    env.file("uphaul.toml", SIMULATED);
    let name: HostName = "web-1".parse().unwrap();
    let child = with_store(&env, async |store| {
        let lease =
            store.acquire(&name, &ana(), Duration::from_secs(3600), &|_| false).await.unwrap().unwrap();
        let mut child = env.command(&["update", "web-1", "--to", "main"]).spawn().unwrap();
        // Its clock is an hour behind; it is heard of all the same.
        while child.try_wait().unwrap().is_none() {
            assert!(store.heartbeat(std::slice::from_ref(&lease), 1).await.unwrap().is_empty());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        child
    });
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("ana@far-away"), "{said}");
    assert_eq!(held(&env, "web-1").unwrap().owner, ana());
}
