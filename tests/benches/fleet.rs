//! A thousand simulated hosts through the real driver and a SQLite file: `cargo bench -p uphaul-tests --bench fleet`.
//! Prints the time, transitions a second and the peak memory of the whole process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use uphaul_core::driver::{Drive, DriveEnd, Ports, Reach, Silent, drive, fleet, stop_pair};
use uphaul_core::evidence::Patterns;
use uphaul_core::ids::{HostName, RunId, Seq};
use uphaul_core::machine::{Outcome, State};
use uphaul_core::plan::Plan;
use uphaul_core::ports::{RunRecord, Target};
use uphaul_exec_mock::{MockExecutor, MockFleet, MockHost, Release};
use uphaul_store::process::{is_gone, this_owner};
use uphaul_store::{NewHost, Store};
use uphaul_tests::memory::CountingClock;
use uphaul_tests::rig::plan_of;

const HOSTS: u64 = 1000;
const PARALLEL: usize = 64;

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite:{}", dir.path().join("uphaul.db").display());
    let store = Store::open(&url).await.expect("a database");
    let mock = MockFleet::new();
    let (v1, v2) = (mock.release("v1", Release::good()), mock.release("v2", Release::good()));
    let names: Vec<HostName> = (0..HOSTS).map(|i| format!("host-{i:04}").parse().expect("a name")).collect();
    let hosts: Vec<NewHost> = names.iter().map(new_host).collect();
    for name in &names {
        mock.host(name.as_str(), MockHost::at(&v1));
    }
    store.add_hosts(&hosts, 0).await.expect("hosts are added");
    let (_handle, stop) = stop_pair();
    let ports = Ports {
        reach: Reach {
            executor: Arc::new(MockExecutor::new(mock)),
            starts: Arc::new(Semaphore::new(PARALLEL)),
        },
        journal: Arc::new(store.clone()),
        clock: Arc::new(CountingClock::default()),
        observer: Arc::new(Silent),
        stop: stop.clone(),
        mask: Patterns::default(),
    };
    let plan = plan_of(&v1, &v2);
    let began = Instant::now();
    let ends =
        fleet(names, PARALLEL, &stop, move |host| one(store.clone(), ports.clone(), plan.clone(), host))
            .await;
    let took = began.elapsed();
    let transitions: u32 = ends.into_iter().map(|(host, end)| transitions_of(&host, end)).sum();
    let each_second = f64::from(transitions) / took.as_secs_f64();
    println!(
        "{HOSTS} hosts, {PARALLEL} at once: {took:.1?}, {transitions} transitions, {each_second:.0} a second"
    );
    println!("peak memory {:.1} MB", uphaul_tests::cost::peak("self") as f64 / 1e6);
}

fn new_host(name: &HostName) -> NewHost {
    let (labels, settings) = (BTreeMap::new(), BTreeMap::new());
    NewHost {
        name: name.clone(),
        address: name.to_string(),
        port: None,
        user: None,
        host_key: None,
        labels,
        settings,
    }
}

async fn one(store: Store, ports: Ports, mut plan: Plan, host: HostName) -> (u32, DriveEnd) {
    plan.host.name = host.clone();
    let taken =
        store.acquire(&host, &this_owner(), Duration::from_secs(30), &is_gone).await.expect("a database");
    let lease = taken.expect("nobody else is there");
    let bits: u64 = host.as_str().trim_start_matches("host-").parse().expect("a number");
    let record = RunRecord {
        id: RunId::from_bits(bits),
        host: host.clone(),
        plan,
        seq: Seq(0),
        state: State::Pending,
    };
    store.create_run(&lease, &record, "the benchmark", 0).await.expect("a run");
    let id = record.id.clone();
    let connect_timeout = Duration::from_secs(5);
    let target = Target {
        name: host.clone(),
        address: host.to_string(),
        port: None,
        user: None,
        host_key: None,
        connect_timeout,
    };
    let (owner, reconnect) = ("bench".to_owned(), Duration::ZERO);
    let end = drive(
        &ports,
        Drive {
            record,
            lease: lease.clone(),
            target,
            owner,
            settled: Vec::new(),
            reconnect,
            called_off: None,
        },
    )
    .await;
    store.release(&lease).await.expect("a database");
    let run = store.run(&id).await.expect("a database").expect("the run");
    (run.record.seq.0, end)
}

fn transitions_of(host: &HostName, end: uphaul_core::driver::FleetEnd<(u32, DriveEnd)>) -> u32 {
    match end {
        uphaul_core::driver::FleetEnd::Done((
            count,
            DriveEnd::Ended(State::Finished(Outcome::Updated { .. })),
        )) => count,
        other => panic!("{host}: {other:?}"),
    }
}
