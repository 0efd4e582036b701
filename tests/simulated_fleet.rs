//! The real driver on simulated hosts: every fault that they know, at every job, and many hosts at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use uphaul_core::driver::{Drive, DriveEnd, FleetEnd, Ports, Reach, Silent, drive, fleet, stop_pair};
use uphaul_core::evidence::Patterns;
use uphaul_core::ids::HostName;
use uphaul_core::machine::{Outcome, State};
use uphaul_core::ports::Target;
use uphaul_exec_mock::{Cut, Fault, MockExecutor, MockFleet, MockHost, Moment, Release, What};
use uphaul_tests::memory::{CountingClock, MemoryJournal};
use uphaul_tests::simulated::plan;

#[path = "simulated_fleet/here.rs"]
mod here;

/// How often a run may be driven; one that needs more is broken.
const DRIVERS_MAX: usize = 12;

/// Drives a run to its end, anew after each crash and when its host is back. The driver's time is simulated too.
async fn settle(fleet: &MockFleet, journal: &Arc<MemoryJournal>, name: &str) -> Result<Outcome, String> {
    let (_handle, stop) = stop_pair();
    let executor = Arc::new(MockExecutor::new(fleet.clone()));
    let ports = Ports {
        reach: Reach { executor, starts: Arc::new(Semaphore::new(4)) },
        journal: journal.clone(),
        clock: Arc::new(CountingClock::default()),
        observer: Arc::new(Silent),
        stop,
        mask: Patterns::default(),
    };
    for _ in 0..DRIVERS_MAX {
        tokio::select! {
            biased;
            () = fleet.crashed() => {}
            end = drive(&ports, one(journal, name)) => match end {
                DriveEnd::Ended(State::Finished(outcome)) => return Ok(outcome),
                DriveEnd::Ended(State::Parked(_)) => fleet.heal(name),
                other => return Err(format!("{other:?}")),
            },
        }
    }
    Err(format!("no end after {DRIVERS_MAX} drivers: {}", journal.record().state))
}

fn one(journal: &MemoryJournal, name: &str) -> Drive {
    let target = Target {
        name: name.parse().unwrap(),
        address: "192.0.2.1".into(),
        port: None,
        user: None,
        host_key: None,
        connect_timeout: Duration::from_secs(5),
    };
    let owner = "ann@desk (pid 7)".into();
    let reconnect = Duration::from_secs(30);
    Drive {
        record: journal.record(),
        lease: journal.lease(),
        target,
        owner,
        settled: Vec::new(),
        reconnect,
        called_off: None,
    }
}

fn two_versions() -> MockFleet {
    let fleet = MockFleet::new();
    let v1 = fleet.release("v1", Release::good());
    fleet.release("v2", Release::good());
    fleet.host("web-1", MockHost::at(&v1));
    fleet
}

/// Every fault that a simulated host knows.
fn everything() -> Vec<What> {
    let moments = [Moment::Before, Moment::Half, Moment::After];
    let cuts = [Cut::Before, Cut::After, Cut::GoesOn];
    let fail = |moment| What::Fail { moment, code: 1, tail: "a planned failure".into() };
    let mut all: Vec<What> = moments.map(fail).into();
    for cut in cuts {
        all.extend([What::Crash(cut), What::Lose(cut), What::Away(cut)]);
    }
    all.extend(moments.map(What::Reboot));
    all.extend([What::Hang, What::Silent, What::Garbled, What::Slow(Duration::from_secs(5))]);
    all.push(What::Taken { by: "bob@other (pid 9)".into() });
    all
}

const JOBS: [&str; 7] = [
    "prepare-Preflight",
    "prepare-Record",
    "update-Fetch",
    "update-Checkout",
    "update-Install",
    "update-Restart",
    "update-Verify",
];
const JOBS_BACK: [&str; 4] = ["rollback-Checkout", "rollback-Install", "rollback-Restart", "rollback-Verify"];

/// What the record says at the end is what the host is.
fn check(fleet: &MockFleet, outcome: &Outcome) -> Result<(), String> {
    let wholly = |label| fleet.is_wholly("web-1", &fleet.revision(label));
    let true_to_the_host = match outcome {
        Outcome::Updated { .. } | Outcome::Unchanged => wholly("v2"),
        Outcome::Aborted { .. } | Outcome::RolledBack { .. } => wholly("v1"),
        Outcome::NeedsAttention { .. } | Outcome::Superseded { .. } => true,
    };
    if true_to_the_host {
        Ok(())
    } else {
        Err(format!("{outcome:?} and the host is {}", fleet.versions("web-1")))
    }
}

async fn told(faults: &[Fault]) -> Outcome {
    let fleet = two_versions();
    for fault in faults {
        fleet.plan("web-1", fault.clone());
    }
    let plan = plan("web-1", &fleet.revision("v1"), &fleet.revision("v2"));
    let journal = Arc::new(MemoryJournal::new(plan));
    let outcome = settle(&fleet, &journal, "web-1").await;
    let story = || format!("{faults:?}\n{}", fleet.transcript("web-1"));
    let outcome = outcome.unwrap_or_else(|why| panic!("{why}\n{}", story()));
    if let Err(why) = check(&fleet, &outcome) {
        panic!("{why}\n{}", story());
    }
    assert!(fleet.planned("web-1").is_empty(), "a fault did not happen\n{}", story());
    outcome
}

#[tokio::test(start_paused = true)]
async fn one_fault_at_any_job_never_needs_a_person() {
    for job in JOBS {
        for what in everything() {
            let outcome = told(&[Fault::job(job, what.clone())]).await;
            let taken = matches!(what, What::Taken { .. });
            let fair = match outcome {
                Outcome::NeedsAttention { .. } => false,
                Outcome::Superseded { .. } => taken,
                Outcome::Updated { .. }
                | Outcome::Unchanged
                | Outcome::Aborted { .. }
                | Outcome::RolledBack { .. } => true,
            };
            assert!(fair, "{job} {what:?}: {outcome:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_on_the_way_back_is_survived_or_told() {
    for job in JOBS_BACK {
        for what in everything() {
            let first = Fault::fails("update-Verify", Moment::Before);
            let outcome = told(&[first, Fault::job(job, what.clone())]).await;
            let failed = matches!(what, What::Fail { .. } | What::Hang | What::Garbled);
            match outcome {
                Outcome::NeedsAttention { causes, .. } => {
                    assert!(failed, "{job} {what:?}: {causes:?}");
                    assert!(causes.len() >= 2, "{job} {what:?}: {causes:?}");
                }
                Outcome::RolledBack { .. } => assert!(!failed, "{job} {what:?}: a failure was forgotten"),
                Outcome::Superseded { .. } => assert!(matches!(what, What::Taken { .. })),
                other @ (Outcome::Updated { .. } | Outcome::Unchanged | Outcome::Aborted { .. }) => {
                    panic!("{job} {what:?}: {other:?}")
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_befalls_the_reading_of_evidence_the_host_goes_back() {
    for what in everything() {
        let faults = [Fault::fails("update-Verify", Moment::After), Fault::job("evidence", what.clone())];
        let outcome = told(&faults).await;
        let fair = match outcome {
            Outcome::RolledBack { .. } => true,
            Outcome::Superseded { .. } => matches!(what, What::Taken { .. }),
            Outcome::NeedsAttention { .. }
            | Outcome::Updated { .. }
            | Outcome::Unchanged
            | Outcome::Aborted { .. } => false,
        };
        assert!(fair, "{what:?}: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_faults_at_neighbouring_jobs_end_true_to_the_host() {
    for jobs in JOBS.windows(2) {
        for first in everything() {
            for second in [What::Crash(Cut::After), What::Away(Cut::GoesOn), What::Reboot(Moment::Half)] {
                let fleet = two_versions();
                fleet.plan("web-1", Fault::job(jobs[0], first.clone()));
                fleet.plan("web-1", Fault::job(jobs[1], second.clone()));
                let plan = plan("web-1", &fleet.revision("v1"), &fleet.revision("v2"));
                let journal = Arc::new(MemoryJournal::new(plan));
                let story =
                    |why: String| format!("{why}: {first:?}, {second:?}\n{}", fleet.transcript("web-1"));
                let outcome = settle(&fleet, &journal, "web-1").await.map_err(story).unwrap();
                check(&fleet, &outcome).map_err(story).unwrap();
            }
        }
    }
}

/// How many hosts the crowd has.
const CROWD: usize = 1000;

#[tokio::test(start_paused = true)]
async fn a_thousand_hosts_end_each_by_itself() {
    let mock = MockFleet::new();
    let v1 = mock.release("v1", Release::good());
    let v2 = mock.release("v2", Release::good());
    let names: Vec<HostName> = (0..CROWD).map(|n| format!("h{n}").parse().unwrap()).collect();
    for (n, name) in names.iter().enumerate() {
        mock.host(name.as_str(), MockHost::at(&v1));
        match n % 10 {
            3 => mock.plan(name.as_str(), Fault::fails("update-Install", Moment::Half)),
            5 => mock.plan(name.as_str(), Fault::job("update-Fetch", What::Lose(Cut::GoesOn))),
            7 => mock.plan(name.as_str(), Fault::job("update-Restart", What::Reboot(Moment::Half))),
            _ => {}
        }
    }
    let (_handle, stop) = stop_pair();
    let (seen, from, to) = (mock.clone(), v1.clone(), v2.clone());
    let ends = fleet(names, 64, &stop, move |name| {
        let (mock, from, to) = (mock.clone(), from.clone(), to.clone());
        async move {
            let journal = Arc::new(MemoryJournal::new(plan(name.as_str(), &from, &to)));
            settle(&mock, &journal, name.as_str()).await
        }
    })
    .await;
    let (mut updated, mut back, mut commands) = (0, 0, 0);
    for (name, end) in ends {
        commands += seen.commands(name.as_str());
        match end {
            FleetEnd::Done(Ok(Outcome::Updated { .. })) => {
                updated += 1;
                assert!(seen.is_wholly(name.as_str(), &v2), "{}", seen.transcript(name.as_str()));
            }
            FleetEnd::Done(Ok(Outcome::RolledBack { .. })) => {
                back += 1;
                assert!(seen.is_wholly(name.as_str(), &v1), "{}", seen.transcript(name.as_str()));
            }
            other => panic!("{name}: {other:?}\n{}", seen.transcript(name.as_str())),
        }
    }
    println!("{CROWD} hosts: {updated} updated, {back} rolled back, {commands} commands");
    assert_eq!((updated, back), (CROWD * 9 / 10, CROWD / 10));
}
