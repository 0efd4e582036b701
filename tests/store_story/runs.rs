//! Runs and their log.

use uphaul_core::ids::{RunId, Seq};
use uphaul_core::machine::{Input, Reason, State};
use uphaul_core::plan::PLAN_VERSION;
use uphaul_core::ports::{Journal as _, JournalError};
use uphaul_store::{ENTRY_BYTES_MAX, LeaseToken, StoreError, StoredRun};

use crate::Record;
use crate::cast::{
    Driver, LENGTH, all_the_way, dead, failed, host, name, ok, owner, pending, plan, previous, replayed,
    take, until_checkout, version,
};

/// A record with the host web-1, and a run of it to 2 that nothing has happened to.
async fn begun(record: &Record) -> Driver {
    record.store().add_hosts(&[host("web-1"), host("web-2")], 0).await.unwrap();
    Driver::begin(&record.store(), "ana", pending(1, plan("web-1", '2'))).await
}

/// Nothing of the refused transition may be there: not in the log, not in the run, not in the row of the host.
async fn unmoved(record: &Record, driver: &Driver, told: Result<(), JournalError>) -> String {
    let JournalError::TakenOver(who) = told.unwrap_err() else { panic!("it was taken over") };
    let stored = record.store().run(&driver.record.id).await.unwrap().unwrap();
    assert_eq!(stored.record, driver.record);
    assert_eq!(replayed(&record.store(), &driver.record.id).await, driver.record.state);
    let host = record.store().host(&driver.record.host).await.unwrap().unwrap();
    assert_eq!(host.update_status.as_deref(), Some(driver.record.state.word()));
    who
}

pub async fn a_new_run_says_what_was_asked_for(record: Record) {
    let driver = begun(&record).await;
    let store = record.another().await;
    let host = store.host(&name("web-1")).await.unwrap().unwrap();
    assert_eq!((host.target_version, host.update_status.as_deref()), (Some(version('2')), Some("pending")));
    let stored = StoredRun {
        record: driver.record.clone(),
        requested_by: "ana".into(),
        started_at_us: 100_000_000,
        finished_at_us: None,
    };
    assert_eq!(store.run(&driver.record.id).await.unwrap(), Some(stored.clone()));
    assert_eq!(store.unfinished_runs().await.unwrap(), std::slice::from_ref(&stored));
    assert_eq!(store.unfinished_run_of(&name("web-1")).await.unwrap(), Some(stored));
    assert_eq!(store.unfinished_run_of(&name("web-2")).await.unwrap(), None);
    assert_eq!(store.run(&RunId::from_bits(99)).await.unwrap(), None);
    assert!(store.events(&driver.record.id).await.unwrap().is_empty());
}

pub async fn a_run_needs_a_lease_that_holds(record: Record) {
    let store = record.store();
    store.add_hosts(&[host("web-1")], 0).await.unwrap();
    let run = pending(1, plan("web-1", '2'));
    let made_up = LeaseToken { host: name("web-1"), token: "x".into() };
    let told = store.create_run(&made_up, &run, "ana", 0).await;
    assert_eq!(told, Err(StoreError::LeaseLost { host: name("web-1"), by: None }));
    let lost = take(&store, "web-1", "ana").await;
    store.acquire(&name("web-1"), &owner("ben"), LENGTH, &dead).await.unwrap().unwrap();
    let told = store.create_run(&lost, &run, "ana", 0).await.unwrap_err().to_string();
    assert_eq!(told, "web-1 is held by ben@desk (process 7); this process does not hold it any more");
    assert_eq!(store.host(&name("web-1")).await.unwrap().unwrap().target_version, None);
    assert!(store.recent_runs(9).await.unwrap().is_empty());
}

pub async fn an_unfinished_run_blocks_a_new_one(record: Record) {
    let mut driver = begun(&record).await;
    let (store, next) = (record.store(), pending(2, plan("web-1", '3')));
    let told = store.create_run(&driver.lease, &next, "ana", 0).await;
    let blocked = StoreError::UnfinishedRun { host: name("web-1"), run: driver.record.id.clone() };
    assert_eq!(told, Err(blocked.clone()));
    // A parked one is not finished either.
    driver.tell_all(until_checkout('1')).await;
    driver.tell(Input::Unreachable { detail: "no route".into() }).await.unwrap();
    assert_eq!(store.create_run(&driver.lease, &next, "ana", 0).await, Err(blocked));
    assert_eq!(store.host(&name("web-1")).await.unwrap().unwrap().target_version, Some(version('2')));
    driver.tell_all([Input::Interrupted, ok(), ok(), ok(), ok()]).await;
    store.create_run(&driver.lease, &next, "ana", 0).await.unwrap();
}

pub async fn a_run_that_makes_no_sense_is_refused(record: Record) {
    let driver = begun(&record).await;
    let (store, lease) = (record.store(), take(&record.store(), "web-2", "ana").await);
    let mut begun = pending(2, plan("web-2", '2'));
    begun.state = driver.next(Input::Start).state;
    let mut numbered = pending(2, plan("web-2", '2'));
    numbered.seq = Seq(1);
    let mut newer = pending(2, plan("web-2", '2'));
    newer.plan.version = PLAN_VERSION + 1;
    let mut of_another = pending(2, plan("web-2", '2'));
    of_another.host = name("web-1");
    let id_taken = pending(1, plan("web-2", '2'));
    for run in [begun, numbered, newer, of_another, id_taken] {
        let told = store.create_run(&lease, &run, "ana", 0).await.unwrap_err();
        assert!(matches!(told, StoreError::BadRun { .. }), "{told}");
    }
    assert_eq!(store.recent_runs(9).await.unwrap().len(), 1);
    assert_eq!(store.host(&name("web-2")).await.unwrap().unwrap().update_status, None);
}

pub async fn the_log_replays_to_the_stored_state(record: Record) {
    let mut driver = begun(&record).await;
    let store = record.another().await;
    let mut script = until_checkout('1');
    let tail = "a\u{0}b\n\"ä\"".to_owned();
    script.extend([
        Input::Interrupted,
        Input::Unreachable { detail: "no route".into() },
        Input::Interrupted,
        Input::Failed(Reason::Exited { code: 1, tail }),
        ok(),
        failed(),
    ]);
    for input in script {
        driver.tell(input).await.unwrap();
        assert_eq!(replayed(&store, &driver.record.id).await, driver.record.state);
    }
    let stored = store.run(&driver.record.id).await.unwrap().unwrap();
    assert_eq!(stored.finished_at_us, Some(driver.at_us));
    assert!(stored.record.state.is_finished());
}

pub async fn of_two_drivers_of_one_run_one_loses(record: Record) {
    let mut driver = begun(&record).await;
    let mut ghost = Driver {
        store: record.another().await,
        lease: driver.lease.clone(),
        record: driver.record.clone(),
        at_us: driver.at_us,
    };
    driver.tell(Input::Start).await.unwrap();
    let told = ghost.tell(Input::Start).await;
    let who = unmoved(&record, &driver, told).await;
    assert_eq!(
        who,
        format!(
            "run {} is at 1 (preparing), so it cannot get 1; web-1 is held by ana@desk (process 7)",
            driver.record.id
        )
    );
    driver.tell(ok()).await.unwrap();
}

pub async fn numbers_cannot_be_skipped_or_written_twice(record: Record) {
    let mut driver = begun(&record).await;
    driver.tell_all([Input::Start, ok()]).await;
    for seq in [0, 1, 2, 4, u32::MAX] {
        let mut entry = driver.next(previous('1', true));
        entry.seq = Seq(seq);
        let told = record.store().append(&driver.lease, &entry).await;
        unmoved(&record, &driver, told).await;
    }
    driver.tell(previous('1', true)).await.unwrap();
}

pub async fn a_finished_run_takes_no_more(record: Record) {
    let mut driver = begun(&record).await;
    driver.tell_all([Input::Start, failed()]).await;
    let mut entry = driver.next_after_the_end();
    entry.seq = driver.record.seq.next();
    let told = record.store().append(&driver.lease, &entry).await;
    unmoved(&record, &driver, told).await;
}

impl Driver {
    /// What no machine says: the first transition once more.
    fn next_after_the_end(&self) -> uphaul_core::ports::Entry {
        let first = pending(1, self.record.plan.clone());
        let ghost = Self { store: self.store.clone(), lease: self.lease.clone(), record: first, at_us: 0 };
        ghost.next(Input::Start)
    }
}

pub async fn a_driver_that_lost_its_lease_writes_nothing(record: Record) {
    let mut driver = begun(&record).await;
    driver.tell_all(until_checkout('1')).await;
    let store = record.another().await;
    let lease = store.acquire(&name("web-1"), &owner("ben"), LENGTH, &dead).await.unwrap().unwrap();
    let told = driver.tell(ok()).await;
    let who = unmoved(&record, &driver, told).await;
    assert_eq!(who, "web-1 is held by ben@desk (process 7); this process does not hold it any more");

    // The new driver goes on from what was written, and the old one stays out, to the end and after it.
    let loaded = store.unfinished_run_of(&name("web-1")).await.unwrap().unwrap().record;
    let mut heir = Driver { store: store.clone(), lease, record: loaded, at_us: driver.at_us };
    heir.tell_all([Input::Interrupted, ok(), ok(), ok(), ok()]).await;
    let told = driver.tell(ok()).await;
    assert!(matches!(told, Err(JournalError::TakenOver(_))));
    heir.leave().await;
    let JournalError::TakenOver(who) = driver.tell(ok()).await.unwrap_err() else { panic!("it lost") };
    assert_eq!(who, "web-1 is not held by this process any more, nor by another; take it again");
    assert!(replayed(&store, &driver.record.id).await.is_finished());
}

pub async fn a_driver_without_a_lease_writes_nothing(record: Record) {
    let driver = begun(&record).await;
    record.store().release(&driver.lease).await.unwrap();
    let told = record.store().append(&driver.lease, &driver.next(Input::Start)).await;
    unmoved(&record, &driver, told).await;
}

pub async fn a_lease_of_another_host_writes_nothing(record: Record) {
    let driver = begun(&record).await;
    let other = take(&record.store(), "web-2", "ana").await;
    let told = record.store().append(&other, &driver.next(Input::Start)).await.unwrap_err();
    assert!(matches!(told, JournalError::Unavailable(_)), "a fault of the caller: {told}");
    let mut unknown = driver.next(Input::Start);
    unknown.run = RunId::from_bits(99);
    let told = record.store().append(&driver.lease, &unknown).await.unwrap_err();
    assert!(matches!(told, JournalError::Unavailable(_)), "{told}");
    assert_eq!(replayed(&record.store(), &driver.record.id).await, State::Pending);
    assert_eq!(record.store().host(&name("web-2")).await.unwrap().unwrap().update_status, None);
}

pub async fn a_transition_that_is_too_large_is_refused(record: Record) {
    let mut driver = begun(&record).await;
    driver.tell(Input::Start).await.unwrap();
    let tail = "x".repeat(ENTRY_BYTES_MAX);
    let told = driver.tell(Input::Failed(Reason::Exited { code: 1, tail })).await.unwrap_err();
    assert!(told.to_string().contains("bytes, above"), "{told}");
    // It fits when it is cut.
    let tail = "x".repeat(ENTRY_BYTES_MAX / 4);
    driver.tell(Input::Failed(Reason::Exited { code: 1, tail })).await.unwrap();
    assert!(replayed(&record.store(), &driver.record.id).await.is_finished());
}

pub async fn a_crash_leaves_what_was_written(record: Record) {
    let mut driver = begun(&record).await;
    driver.tell_all(until_checkout('1')).await;
    let (before, run) = (driver.record.state.clone(), driver.record.id.clone());
    drop(driver);
    let store = record.another().await;
    let loaded = store.unfinished_run_of(&name("web-1")).await.unwrap().unwrap().record;
    assert_eq!((&loaded.state, loaded.seq), (&before, Seq(4)));
    let lease = store.acquire(&name("web-1"), &owner("ben"), LENGTH, &dead).await.unwrap().unwrap();
    let mut heir = Driver { store: store.clone(), lease, record: loaded, at_us: 900_000_000 };
    heir.tell_all([Input::Interrupted, ok(), ok(), ok(), ok()]).await;
    assert_eq!(replayed(&store, &run).await.word(), "updated");
    assert_eq!(store.host(&name("web-1")).await.unwrap().unwrap().current_version, Some(version('2')));
}

/// In the order in which they were created, whatever the clocks said.
pub async fn runs_are_listed_newest_first(record: Record) {
    let store = record.store();
    store.add_hosts(&[host("web-1"), host("web-2")], 0).await.unwrap();
    for (number, host) in [(3, "web-1"), (1, "web-2"), (2, "web-1")] {
        let mut driver = Driver::begin(&store, "ana", pending(number, plan(host, '2'))).await;
        driver.tell_all(all_the_way('1')).await;
        driver.leave().await;
    }
    let ids = |runs: Vec<StoredRun>| -> Vec<RunId> { runs.into_iter().map(|run| run.record.id).collect() };
    let [one, two, three] = [1, 2, 3].map(RunId::from_bits);
    let all = [two.clone(), one.clone(), three.clone()];
    assert_eq!(ids(store.recent_runs(9).await.unwrap()), all);
    assert_eq!(ids(store.recent_runs(u32::MAX).await.unwrap()), all);
    assert_eq!(ids(store.recent_runs(2).await.unwrap()), all[..2]);
    assert_eq!(ids(store.runs_of_host(&name("web-1"), 9).await.unwrap()), [two.clone(), three]);
    assert_eq!(ids(store.runs_of_host(&name("web-1"), 1).await.unwrap()), [two]);
    assert!(store.runs_of_host(&name("web-3"), 9).await.unwrap().is_empty());
}
