//! A run that a newer Uphaul wrote: it is shown as far as it can be read, and never written.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::Executor as _;
use uphaul_core::ids::{HostName, RunId, Seq};
use uphaul_core::machine::{Input, State, step};
use uphaul_core::plan::{Goal, HostFacts, Limits, Manager, PLAN_VERSION, Plan, Policy, Scope, Service};
use uphaul_core::ports::{Entry, Journal as _, LeaseToken, RunRecord};

use crate::{NewHost, Store, process};

pub(crate) fn run(host: &HostName) -> RunRecord {
    let service = Service {
        path: "/srv/app".parse().unwrap(),
        user: None,
        manager: Manager::Systemd { scope: Scope::System, units: vec!["app.service".parse().unwrap()] },
        install: "bun install".parse().unwrap(),
        before_restart: None,
        env: BTreeMap::new(),
        health: None,
        submodules: false,
        keep: Vec::new(),
    };
    let plan = Plan {
        version: PLAN_VERSION,
        goal: Goal::Update,
        reference: "main".parse().unwrap(),
        target: "2".repeat(40).parse().unwrap(),
        origin: None,
        recorded: None,
        attempts_max: 3,
        signers: None,
        deadman: None,
        host: HostFacts { name: host.clone(), address: "192.0.2.1".into(), labels: BTreeMap::new() },
        service,
        limits: Limits::default(),
        policy: Policy::default(),
    };
    RunRecord { id: RunId::from_bits(1), host: host.clone(), plan, seq: Seq(0), state: State::Pending }
}

/// A record with one run, changed as a newer Uphaul would have it, and the lease to drive it.
async fn changed(change: &'static str) -> (Store, LeaseToken, RunRecord) {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let name: HostName = "web-1".parse().unwrap();
    let (labels, settings) = (BTreeMap::new(), BTreeMap::new());
    let host = NewHost {
        name: name.clone(),
        address: "192.0.2.1".into(),
        port: None,
        user: None,
        host_key: None,
        labels,
        settings,
    };
    store.add_hosts(&[host], 0).await.unwrap();
    let taken = store.acquire(&name, &process::this_owner(), Duration::from_secs(30), &|_| false).await;
    let (lease, run) = (taken.unwrap().unwrap(), run(&name));
    store.create_run(&lease, &run, "ana", 0).await.unwrap();
    store.sqlite_writer().execute(change).await.unwrap();
    (store, lease, run)
}

fn start(run: &RunRecord) -> Entry {
    let moved = step(&run.plan, &run.state, Input::Start).unwrap();
    let (id, seq) = (run.id.clone(), run.seq.next());
    Entry { run: id, seq, input: moved.input, state: moved.to, proved: None, at_us: 0, evidence: None }
}

#[tokio::test]
async fn a_plan_of_a_newer_version_is_listed_and_not_driven() {
    let (store, lease, run) = changed("UPDATE runs SET plan_version = 9").await;
    assert_eq!(store.unfinished_runs().await.unwrap().len(), 1);
    let told = store.append(&lease, &start(&run)).await.unwrap_err();
    insta::assert_snapshot!(told, @"the database cannot be written: run baaaaaaaaaaa cannot be written: a newer Uphaul wrote it (plan version 9, this one knows 1); go on with that one");
    let told = store.remove_host(&run.host, true).await.unwrap_err();
    insta::assert_snapshot!(told, @"run baaaaaaaaaaa cannot be written: a newer Uphaul wrote it; remove the host with that one");
    assert!(store.events(&run.id).await.unwrap().is_empty());
    assert!(store.host(&run.host).await.unwrap().is_some());
}

#[tokio::test]
async fn a_plan_that_cannot_be_read_is_told_as_such() {
    let (store, lease, run) = changed("UPDATE runs SET plan_version = 9, plan = '{\"steps\":[]}'").await;
    let told = store.run(&run.id).await.unwrap_err();
    insta::assert_snapshot!(told, @"SQLite in memory: plan of run baaaaaaaaaaa cannot be read: a newer Uphaul wrote it (plan version 9, this one knows 1); install that one");
    // Its id is enough to say that the host is busy.
    store.release(&lease).await.unwrap();
    let told = store.remove_host(&run.host, false).await.unwrap_err();
    insta::assert_snapshot!(told, @"web-1 has the run baaaaaaaaaaa, which is not finished; bring it to its end first: `uphaul resume`");
}

#[tokio::test]
async fn a_value_that_makes_no_sense_is_named() {
    let (store, _, _) = changed("UPDATE subscriptions SET current_version = 'main'").await;
    let told = store.hosts().await.unwrap_err();
    insta::assert_snapshot!(told, @r#"SQLite in memory: current_version of host web-1 cannot be read: revision "main" is not a full commit hash (40 or 64 lower-case hexadecimal digits)"#);
    let (store, _, run) = changed("UPDATE runs SET state = 'lost'").await;
    let told = store.run(&run.id).await.unwrap_err();
    insta::assert_snapshot!(told, @"SQLite in memory: state of run baaaaaaaaaaa cannot be read: expected value at line 1 column 1");
}

/// A host of this name, of which nothing else is said.
pub(crate) fn new_host(name: &str) -> NewHost {
    NewHost {
        name: name.parse().unwrap(),
        address: "192.0.2.1".into(),
        port: None,
        user: None,
        host_key: None,
        labels: BTreeMap::new(),
        settings: BTreeMap::new(),
    }
}
