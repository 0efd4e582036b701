//! The database goes away in the middle: every driver waits, goes on, loses nothing and does nothing twice.
//!
//! `UPHAUL_OUTAGE_S=30 cargo test -p uphaul-tests --test database_away` leaves the server down that long each time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore, watch};
use uphaul_core::driver::{
    Drive, DriveEnd, Event, FleetEnd, Observer, Ports, Reach, Silent, drive, fleet, stop_pair,
};
use uphaul_core::evidence::Patterns;
use uphaul_core::ids::{HostName, RunId, Seq};
use uphaul_core::machine::{Outcome, State, step};
use uphaul_core::ports::{RunRecord, Target};
use uphaul_exec_mock::{MockExecutor, MockFleet, MockHost, Release};
use uphaul_store::process::{is_gone, this_owner};
use uphaul_store::{NewHost, Outage, Store, StoreError};
use uphaul_tests::memory::CountingClock;
use uphaul_tests::postgres::{Postgres, skip};
use uphaul_tests::simulated::plan;

/// How long operations wait: longer than any outage here.
const PATIENCE: Duration = Duration::from_secs(120);
const LENGTH: Duration = Duration::from_secs(30);

/// Simulated hosts at v1, known to the record, and what drives them to v2.
struct Stage {
    mock: MockFleet,
    names: Vec<HostName>,
    store: Store,
}

impl Stage {
    async fn new(store: Store, hosts: usize) -> Self {
        let mock = MockFleet::new();
        let v1 = mock.release("v1", Release::good());
        mock.release("v2", Release::good());
        let names: Vec<HostName> = (0..hosts).map(|n| format!("web-{n}").parse().unwrap()).collect();
        for name in &names {
            mock.host(name.as_str(), MockHost::at(&v1));
        }
        let known: Vec<NewHost> = names.iter().map(known).collect();
        store.add_hosts(&known, 0).await.unwrap();
        Self { mock, names, store }
    }

    /// Drives all at once; each must end updated.
    async fn drive_all(&self, observer: Arc<dyn Observer>) {
        let (_handle, stop) = stop_pair();
        let executor = Arc::new(MockExecutor::new(self.mock.clone()));
        let ports = Ports {
            reach: Reach { executor, starts: Arc::new(Semaphore::new(64)) },
            journal: Arc::new(self.store.clone()),
            clock: Arc::new(CountingClock::default()),
            observer,
            stop: stop.clone(),
            mask: Patterns::default(),
        };
        let (from, to) = (self.mock.revision("v1"), self.mock.revision("v2"));
        let store = self.store.clone();
        let ends = fleet(self.names.clone(), self.names.len(), &stop, move |host| {
            let (store, ports) = (store.clone(), ports.clone());
            let plan = plan(host.as_str(), &from, &to);
            async move {
                let lease = store.acquire(&host, &this_owner(), LENGTH, &is_gone).await.unwrap().unwrap();
                let (id, seq, state) = (id_of(&host), Seq(0), State::Pending);
                let record = RunRecord { id, host: host.clone(), plan, seq, state };
                store.create_run(&lease, &record, "ana", 0).await.unwrap();
                let end = drive(&ports, one(record, lease.clone())).await;
                store.release(&lease).await.unwrap();
                end
            }
        })
        .await;
        for (host, end) in ends {
            match end {
                FleetEnd::Done(DriveEnd::Ended(State::Finished(Outcome::Updated { .. }))) => {}
                other => panic!("{host}: {other:?}\n{}", self.mock.transcript(host.as_str())),
            }
        }
    }

    /// The log of each run replays without a gap, and each host heard exactly as many commands as one whose database never
    /// was away. Answers how many transitions each log has.
    async fn check(&self) -> BTreeMap<HostName, usize> {
        let calm = Self::new(Store::open("sqlite::memory:").await.unwrap(), 1);
        let calm = Box::pin(calm).await;
        calm.drive_all(Arc::new(Silent)).await;
        let commands = calm.mock.commands("web-0");
        let mut logs = BTreeMap::new();
        for host in &self.names {
            let run = self.store.run(&id_of(host)).await.unwrap().unwrap();
            let events = self.store.events(&id_of(host)).await.unwrap();
            let mut state = State::Pending;
            for (place, event) in events.iter().enumerate() {
                assert_eq!(event.seq.0 as usize, place + 1, "{host}: a gap, or one twice");
                state = step(&run.record.plan, &state, event.input.clone()).unwrap().to;
                assert_eq!(state, event.state, "{host}");
            }
            assert_eq!((run.record.seq.0 as usize, &run.record.state), (events.len(), &state), "{host}");
            assert!(self.mock.is_wholly(host.as_str(), &self.mock.revision("v2")), "{host}");
            assert_eq!(
                self.mock.commands(host.as_str()),
                commands,
                "{}",
                self.mock.transcript(host.as_str())
            );
            logs.insert(host.clone(), events.len());
        }
        assert!(self.store.leases().await.unwrap().is_empty());
        assert!(self.store.unfinished_runs().await.unwrap().is_empty());
        logs
    }
}

fn known(name: &HostName) -> NewHost {
    NewHost {
        name: name.clone(),
        address: name.to_string(),
        port: None,
        user: None,
        host_key: None,
        labels: BTreeMap::new(),
        settings: BTreeMap::new(),
    }
}

fn id_of(host: &HostName) -> RunId {
    RunId::from_bits(host.as_str().trim_start_matches("web-").parse().unwrap())
}

fn one(record: RunRecord, lease: uphaul_store::LeaseToken) -> Drive {
    let target = Target {
        name: record.host.clone(),
        address: record.host.to_string(),
        port: None,
        user: None,
        host_key: None,
        connect_timeout: Duration::from_secs(5),
    };
    let (owner, reconnect) = ("ana@desk".into(), Duration::ZERO);
    Drive { record, lease, target, owner, settled: Vec::new(), reconnect, called_off: None }
}

/// Counts the transitions that are told, and kills the server at some of them.
struct Killer {
    server: Arc<Mutex<Postgres>>,
    told: AtomicUsize,
    at: Vec<usize>,
    by_host: Mutex<BTreeMap<HostName, usize>>,
    killed: Arc<Notify>,
}

impl Observer for Killer {
    fn tell(&self, event: &Event<'_>) {
        let Event::Moved { host, .. } = event else { return };
        *self.by_host.lock().unwrap().entry((*host).clone()).or_default() += 1;
        if self.at.contains(&self.told.fetch_add(1, Ordering::SeqCst)) {
            self.server.lock().unwrap().kill();
            self.killed.notify_one();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_runs_outlive_a_killed_server() {
    let server = match Postgres::start() {
        Ok(server) => server,
        Err(why) => return skip(&why),
    };
    let url = server.url();
    let server = Arc::new(Mutex::new(server));
    let (killed, outages) = (Arc::new(Notify::new()), Arc::new(Mutex::new(Vec::new())));
    let (away, mut is_away) = watch::channel(false);
    let tell_outages = outages.clone();
    let tell = move |outage: Outage<'_>| {
        let (why, wait) = match outage {
            Outage::Began { error, wait } => (error.to_string(), wait),
            Outage::Ended => (String::new(), Duration::ZERO),
        };
        away.send_replace(!why.is_empty());
        tell_outages.lock().unwrap().push((why, wait));
    };
    let store = Store::open(&url).await.unwrap().patient(PATIENCE, Box::new(tell));
    let stage = Stage::new(store, 50).await;
    // In the middle of the first steps, of the last ones, and between.
    let killer = Arc::new(Killer {
        server: server.clone(),
        told: AtomicUsize::new(0),
        at: vec![30, 200, 390],
        by_host: Mutex::default(),
        killed: killed.clone(),
    });
    let mender = tokio::spawn(async move {
        loop {
            killed.notified().await;
            // Somebody waits for it.
            is_away.wait_for(|away| *away).await.unwrap();
            if let Some(seconds) = std::env::var("UPHAUL_OUTAGE_S").ok().and_then(|text| text.parse().ok()) {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
            let server = server.clone();
            tokio::task::spawn_blocking(move || server.lock().unwrap().restart()).await.unwrap().unwrap();
        }
    });
    stage.drive_all(killer.clone()).await;
    let logs = stage.check().await;
    mender.abort();
    // What was told is what was written: no more, no less.
    assert_eq!(*killer.by_host.lock().unwrap(), logs);
    let told = outages.lock().unwrap().clone();
    println!("50 ends, {} transitions, outages: {told:#?}", logs.values().sum::<usize>());
    let beginnings: Vec<_> = told.iter().filter(|(why, _)| !why.is_empty()).collect();
    // One that begins while some still wait for the end of the last is the same one to them.
    assert!(!beginnings.is_empty(), "{told:?}");
    assert!(beginnings.iter().all(|(why, wait)| why.contains("is away") && *wait == PATIENCE), "{told:?}");
    assert_eq!(told.len(), beginnings.len() * 2, "each is told to begin and to end: {told:?}");
}

/// Stands between a store and its server, and loses the answer to every third commit: it was done, and nobody knows.
async fn lossy(listener: UnixListener, server: std::path::PathBuf, lost: Arc<AtomicUsize>) {
    let commits = Arc::new(AtomicUsize::new(0));
    while let Ok((client, _)) = listener.accept().await {
        let Ok(upstream) = UnixStream::connect(&server).await else { continue };
        tokio::spawn(carry(client, upstream, commits.clone(), lost.clone()));
    }
}

async fn carry(
    mut client: UnixStream,
    mut server: UnixStream,
    commits: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
) {
    let (mut to_server, mut to_client) = (vec![0; 65536], vec![0; 65536]);
    let mut swallow = false;
    loop {
        tokio::select! {
            read = client.read(&mut to_server) => {
                let n = read.unwrap_or(0);
                if n == 0 || server.write_all(&to_server[..n]).await.is_err() {
                    return;
                }
                let is_commit = to_server[..n].windows(7).any(|window| window == b"COMMIT\0");
                swallow = is_commit && commits.fetch_add(1, Ordering::SeqCst) % 3 == 2;
            }
            read = server.read(&mut to_client) => {
                let n = read.unwrap_or(0);
                if swallow {
                    lost.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if n == 0 || client.write_all(&to_client[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_written_without_an_answer_is_known_again() {
    let server = match Postgres::start() {
        Ok(server) => server,
        Err(why) => return skip(&why),
    };
    let folder = tempfile::TempDir::new().unwrap();
    let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
    let lost = Arc::new(AtomicUsize::new(0));
    let proxy = tokio::spawn(lossy(listener, server.folder().join(".s.PGSQL.5432"), lost.clone()));
    // Made over the straight way: whoever adds hosts by hand is told that nobody knows, and looks.
    let names = Stage::new(Store::open(&server.url()).await.unwrap(), 10).await;
    let url = format!("postgres:///postgres?host={}&user=uphaul", folder.path().display());
    let store = loop {
        // Laying out was done already; opening writes nothing.
        match Store::open(&url).await {
            Ok(store) => break store.patient(PATIENCE, Box::new(|_| {})),
            Err(StoreError::Unusable { cause, .. }) if cause.may_pass() => {}
            Err(error) => panic!("{error}"),
        }
    };
    let stage = Stage { store, ..names };
    stage.drive_all(Arc::new(Silent)).await;
    proxy.abort();
    let stage = Stage { store: Store::open(&server.url()).await.unwrap(), ..stage };
    stage.check().await;
    let lost = lost.load(Ordering::SeqCst);
    assert!(lost > 20, "only {lost} answers were lost");
}

/// The time that a server was down does not count against a holder: it could not be heard. Time that it runs does.
#[tokio::test]
async fn a_lease_is_not_lost_because_the_server_was_away() {
    let mut server = match Postgres::start() {
        Ok(server) => server,
        Err(why) => return skip(&why),
    };
    let store = Store::open(&server.url()).await.unwrap();
    let names: Vec<HostName> = vec!["long".parse().unwrap(), "short".parse().unwrap()];
    store.add_hosts(&[known(&names[0]), known(&names[1])], 0).await.unwrap();
    let long = store.acquire(&names[0], &this_owner(), Duration::from_secs(3600), &|_| false).await.unwrap();
    store.acquire(&names[1], &this_owner(), Duration::from_micros(1), &|_| false).await.unwrap().unwrap();
    // As if the server had been down since 1970.
    server.run("UPDATE leases SET heartbeat_at = 0, expires_at = length");
    store.clone().close().await;
    server.restart().unwrap();
    let store = Store::open(&server.url()).await.unwrap();
    let expired = async |name: &HostName| store.lease_of(name).await.unwrap().unwrap().expired;
    assert_eq!((expired(&names[0]).await, expired(&names[1]).await), (false, true));
    let told = store.acquire(&names[0], &this_owner(), LENGTH, &|_| false).await.unwrap();
    assert_eq!(told.unwrap_err().token, long.clone().unwrap());
    assert!(store.heartbeat(&[long.unwrap()], 0).await.unwrap().is_empty());
}
