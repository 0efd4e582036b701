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
