//! The table of hosts.

use std::collections::BTreeMap;

use uphaul_core::machine::{Input, Outcome, State};
use uphaul_core::ports::{Journal as _, JournalError};
use uphaul_store::{Host, HostEdit, Imported, NewHost, Observed, PAIRS_MAX, StoreError};

use crate::Record;
use crate::cast::{
    Driver, all_the_way, host, name, ok, pending, plan, replayed, take, until_checkout, version,
};

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

const HOST_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

fn full(text: &str) -> NewHost {
    NewHost {
        port: Some(2222),
        user: Some("deploy".parse().unwrap()),
        host_key: Some(HOST_KEY.parse().unwrap()),
        labels: pairs(&[("region", "eu"), ("tier", "ä \"'")]),
        settings: pairs(&[("service.path", "/srv/other")]),
        ..host(text)
    }
}

async fn get(record: &Record, text: &str) -> Host {
    record.store().host(&name(text)).await.unwrap().unwrap()
}

async fn names(record: &Record) -> Vec<String> {
    record.store().hosts().await.unwrap().into_iter().map(|host| host.name.to_string()).collect()
}

pub async fn hosts_come_back_as_they_were_added(record: Record) {
    let store = record.store();
    store.add_hosts(&[full("b"), host("a"), host("B")], 5).await.unwrap();
    assert_eq!(names(&record).await, ["B", "a", "b"], "by the bytes of their names");
    let (is, was) = (get(&record, "b").await, full("b"));
    assert_eq!((is.name, is.address, is.port, is.user), (was.name, was.address, was.port, was.user));
    assert_eq!((is.labels, is.settings), (was.labels, was.settings));
    let versions = (is.current_version, is.target_version, is.previous_version);
    assert_eq!(versions, (None, None, None));
    assert_eq!((is.update_status, is.last_update_at_us, is.proved_at_us), (None, None, None));
    assert_eq!(store.host(&name("c")).await.unwrap(), None);
    store.add_hosts(&[], 5).await.unwrap();
}

pub async fn hosts_are_added_all_or_none(record: Record) {
    let store = record.store();
    store.add_hosts(&[host("a"), host("c")], 0).await.unwrap();
    let told = store.add_hosts(&[host("a"), host("b"), host("c")], 0).await;
    assert_eq!(told, Err(StoreError::HostExists(vec![name("a"), name("c")])));
    let told = store.add_hosts(&[host("d"), host("e"), host("d")], 0).await;
    assert_eq!(told, Err(StoreError::GivenTwice(vec![name("d")])));
    assert_eq!(names(&record).await, ["a", "c"]);
}

pub async fn an_import_adds_and_changes_and_keeps_versions(record: Record) {
    let store = record.store();
    store.add_hosts(&[full("a"), full("b")], 0).await.unwrap();
    store.observe(&name("a"), &version('1'), 5).await.unwrap();
    let new = [host("a"), NewHost { settings: BTreeMap::new(), ..full("b") }, full("c")];
    let done = store.import_hosts(&new, 0).await.unwrap();
    assert_eq!(done, Imported { added: 1, changed: 1, unchanged: 1 });
    let a = get(&record, "a").await;
    assert_eq!((a.port, a.user, a.labels), (None, None, BTreeMap::new()));
    assert_eq!((a.settings, a.current_version), (full("a").settings, Some(version('1'))));
    let done = store.import_hosts(&new, 0).await.unwrap();
    assert_eq!(done, Imported { added: 0, changed: 0, unchanged: 3 });
    let told = store.import_hosts(&[host("d"), host("d")], 0).await;
    assert_eq!(told, Err(StoreError::GivenTwice(vec![name("d")])));
    let bad = NewHost { address: "-x".into(), ..host("e") };
    assert!(store.import_hosts(&[host("d"), bad], 0).await.is_err());
    assert_eq!(names(&record).await, ["a", "b", "c"], "all or none");
}

pub async fn an_edit_changes_what_it_names(record: Record) {
    let store = record.store();
    store.add_hosts(&[full("a")], 0).await.unwrap();
    let before = get(&record, "a").await;
    assert_eq!(store.edit_host(&name("a"), &HostEdit::default()).await.unwrap(), before);
    let edit = HostEdit {
        address: Some("192.0.2.7".into()),
        port: Some(None),
        host_key: Some(None),
        labels_set: pairs(&[("tier", "b"), ("new", "x")]),
        labels_unset: vec!["region".into(), "absent".into()],
        ..HostEdit::default()
    };
    let after = store.edit_host(&name("a"), &edit).await.unwrap();
    assert_eq!(after, get(&record, "a").await);
    assert_eq!((after.address.as_str(), after.port, &after.user), ("192.0.2.7", None, &before.user));
    assert_eq!((before.host_key.is_some(), after.host_key), (true, None));
    assert_eq!((after.labels, after.settings), (pairs(&[("tier", "b"), ("new", "x")]), before.settings));
    let told = store.edit_host(&name("b"), &edit).await;
    assert_eq!(told, Err(StoreError::NoSuchHost(name("b"))));
    let bad = HostEdit { port: Some(Some(0)), ..HostEdit::default() };
    assert!(matches!(store.edit_host(&name("a"), &bad).await, Err(StoreError::InvalidHost { .. })));
}

pub async fn what_cannot_be_a_host_is_refused(record: Record) {
    let many: BTreeMap<String, String> =
        (0..=PAIRS_MAX).map(|number| (format!("k{number}"), String::new())).collect();
    let bad = [
        NewHost { address: String::new(), ..host("a") },
        NewHost { address: "-oProxyCommand=id".into(), ..host("a") },
        NewHost { address: "a b".into(), ..host("a") },
        NewHost { address: "a\nb".into(), ..host("a") },
        NewHost { address: "a".repeat(256), ..host("a") },
        NewHost { port: Some(0), ..host("a") },
        NewHost { labels: pairs(&[("", "x")]), ..host("a") },
        NewHost { labels: pairs(&[("a=b", "x")]), ..host("a") },
        NewHost { labels: pairs(&[("-a", "x")]), ..host("a") },
        NewHost { labels: pairs(&[("a", "x\ny")]), ..host("a") },
        NewHost { labels: many.clone(), ..host("a") },
        NewHost { settings: pairs(&[("a b", "x")]), ..host("a") },
        NewHost { settings: pairs(&[("a", "x\0")]), ..host("a") },
        NewHost { settings: many, ..host("a") },
    ];
    let mut told = String::new();
    for host in bad {
        told += &format!("{}\n", record.store().add_hosts(&[host], 0).await.unwrap_err());
    }
    insta::with_settings!({
        omit_expression => true,
        prepend_module_to_snapshot => false,
        snapshot_path => "snapshots",
    }, {
        insta::assert_snapshot!("hosts_refused", told);
    });
    assert!(names(&record).await.is_empty());
}

pub async fn a_held_host_is_not_removed(record: Record) {
    let store = record.store();
    store.add_hosts(&[host("a")], 0).await.unwrap();
    let lease = take(&store, "a", "ana").await;
    let told = store.remove_host(&name("a"), false).await.unwrap_err();
    assert!(matches!(told, StoreError::Held(_)), "{told}");
    store.release(&lease).await.unwrap();
    store.remove_host(&name("a"), false).await.unwrap();
    assert_eq!(store.remove_host(&name("a"), true).await, Err(StoreError::NoSuchHost(name("a"))));
}

pub async fn a_host_with_an_unfinished_run_is_not_removed(record: Record) {
    let store = record.store();
    store.add_hosts(&[host("a")], 0).await.unwrap();
    let driver = Driver::begin(&store, "ana", pending(1, plan("a", '2'))).await;
    let (run, host) = (driver.record.id.clone(), name("a"));
    driver.leave().await;
    let told = store.remove_host(&host, false).await;
    assert_eq!(told, Err(StoreError::UnfinishedRun { host, run }));
    assert_eq!(names(&record).await, ["a"]);
}

pub async fn a_removed_host_leaves_its_history(record: Record) {
    let store = record.store();
    store.add_hosts(&[host("a")], 0).await.unwrap();
    let mut driver = Driver::begin(&store, "ana", pending(1, plan("a", '2'))).await;
    driver.tell_all(all_the_way('1')).await;
    let run = driver.record.id.clone();
    driver.leave().await;
    store.remove_host(&name("a"), false).await.unwrap();
    assert_eq!(store.runs_of_host(&name("a"), 10).await.unwrap().len(), 1);
    assert!(replayed(&store, &run).await.is_finished());
    // A new host of that name begins without versions.
    store.add_hosts(&[host("a")], 0).await.unwrap();
    assert_eq!(get(&record, "a").await.current_version, None);
}

pub async fn a_host_removed_by_force_ends_its_run(record: Record) {
    let store = record.store();
    store.add_hosts(&[host("a"), host("b")], 0).await.unwrap();
    let mut other = Driver::begin(&store, "ana", pending(2, plan("b", '2'))).await;
    let mut driver = Driver::begin(&store, "ana", pending(1, plan("a", '2'))).await;
    driver.tell_all(until_checkout('1')).await;
    record.another().await.remove_host(&name("a"), true).await.unwrap();

    let State::Finished(Outcome::Superseded { by, .. }) = replayed(&store, &driver.record.id).await else {
        panic!("it is superseded");
    };
    assert_eq!(by, "nobody: a was taken out of the record while update/Checkout#1");
    // Whoever drives it finds out at its next word.
    let told = driver.tell(ok()).await.unwrap_err();
    assert!(matches!(told, JournalError::TakenOver(_)), "{told}");
    assert_eq!(store.heartbeat(std::slice::from_ref(&driver.lease), 0).await.unwrap(), [driver.lease]);
    other.tell(Input::Start).await.unwrap();
    assert_eq!(names(&record).await, ["b"]);
}

pub async fn a_pending_run_is_ended_by_force_too(record: Record) {
    let store = record.store();
    store.add_hosts(&[host("a")], 0).await.unwrap();
    let driver = Driver::begin(&store, "ana", pending(1, plan("a", '2'))).await;
    store.remove_host(&name("a"), true).await.unwrap();
    assert!(replayed(&store, &driver.record.id).await.is_finished());
    assert!(store.unfinished_runs().await.unwrap().is_empty());
    let told = store.append(&driver.lease, &driver.next(Input::Start)).await.unwrap_err();
    assert!(matches!(told, JournalError::TakenOver(_)), "{told}");
}

pub async fn what_is_seen_on_a_host_is_recorded(record: Record) {
    let store = record.store();
    store.add_hosts(&[host("a")], 0).await.unwrap();
    let told = store.observe(&name("b"), &version('1'), 5).await;
    assert_eq!(told, Err(StoreError::NoSuchHost(name("b"))));

    let first = store.observe(&name("a"), &version('1'), 5).await.unwrap();
    assert_eq!(first, Observed { recorded: None, in_run: None });
    let a = get(&record, "a").await;
    assert_eq!((a.current_version, a.update_status), (Some(version('1')), None), "first contact is no drift");
    assert_eq!((a.proved_at_us, a.last_update_at_us), (Some(5), None));

    store.observe(&name("a"), &version('1'), 6).await.unwrap();
    let a = get(&record, "a").await;
    assert_eq!((a.update_status, a.proved_at_us), (None, Some(6)));

    let drift = store.observe(&name("a"), &version('2'), 7).await.unwrap();
    assert_eq!(drift, Observed { recorded: Some(version('1')), in_run: None });
    let a = get(&record, "a").await;
    assert_eq!((a.current_version, a.update_status.as_deref()), (Some(version('2')), Some("drifted")));
    assert_eq!((a.previous_version, a.target_version), (None, None));
}

pub async fn what_is_seen_in_the_middle_of_a_run_is_not(record: Record) {
    let store = record.store();
    store.add_hosts(&[host("a")], 0).await.unwrap();
    let mut driver = Driver::begin(&store, "ana", pending(1, plan("a", '2'))).await;
    driver.tell_all(until_checkout('1')).await;
    let before = get(&record, "a").await;
    let seen = store.observe(&name("a"), &version('2'), 7).await.unwrap();
    assert_eq!(seen.in_run, Some(driver.record.id.clone()));
    assert_eq!(get(&record, "a").await, before);
}
