//! One driver a host.

use std::time::{Duration, Instant};

use uphaul_core::machine::Input;
use uphaul_store::{LeaseRow, StoreError, Watch, Watched};

use crate::Record;
use crate::cast::{Driver, LENGTH, alive, dead, host, name, owner, pending, plan, take};

/// A record with two hosts, and the lease that ana has on the first.
async fn held(record: &Record) -> uphaul_store::LeaseToken {
    record.store().add_hosts(&[host("web-1"), host("web-2")], 0).await.unwrap();
    take(&record.store(), "web-1", "ana").await
}

async fn row(record: &Record) -> LeaseRow {
    record.store().lease_of(&name("web-1")).await.unwrap().unwrap()
}

pub async fn a_free_host_is_taken_and_given_back(record: Record) {
    let (lease, store) = (held(&record).await, record.store());
    let row = row(&record).await;
    assert_eq!((&row.token, &row.owner), (&lease, &owner("ana")));
    assert_eq!(row.length_us, 30_000_000);
    assert_eq!(row.expires_at_us - row.heartbeat_us, 30_000_000);
    assert_eq!(store.leases().await.unwrap(), [row]);
    store.release(&lease).await.unwrap();
    assert_eq!(store.lease_of(&name("web-1")).await.unwrap(), None);
    let again = take(&store, "web-1", "ana").await;
    assert_ne!(again.token, lease.token, "a token is never used twice");
}

pub async fn a_held_host_names_its_holder(record: Record) {
    held(&record).await;
    let store = record.another().await;
    let holder = store.acquire(&name("web-1"), &owner("ben"), LENGTH, &alive).await.unwrap().unwrap_err();
    assert_eq!(holder.to_string(), "web-1 is held by ana@desk (process 7)");
    // Its own process is no exception: another task of it drives the host.
    assert!(store.acquire(&name("web-1"), &owner("ana"), LENGTH, &alive).await.unwrap().is_err());
    // Other hosts are free.
    take(&store, "web-2", "ben").await;
}

pub async fn a_host_of_a_dead_process_is_taken_over(record: Record) {
    let (lost, store) = (held(&record).await, record.store());
    let lease = store.acquire(&name("web-1"), &owner("ben"), LENGTH, &dead).await.unwrap().unwrap();
    assert_eq!(row(&record).await.owner, owner("ben"));
    assert_eq!(store.heartbeat(&[lost.clone(), lease.clone()], 5).await.unwrap(), [lost]);
}

pub async fn a_host_that_is_not_there_cannot_be_taken(record: Record) {
    let told = record.store().acquire(&name("web-9"), &owner("ana"), LENGTH, &alive).await;
    assert_eq!(told, Err(StoreError::NoSuchHost(name("web-9"))));
}

pub async fn a_lease_that_stood_still_is_taken_over_once(record: Record) {
    held(&record).await;
    let (store, seen) = (record.another().await, row(&record).await);
    assert!(store.take_over(&seen, &owner("ben"), LENGTH).await.unwrap().is_some());
    assert!(store.take_over(&seen, &owner("eve"), LENGTH).await.unwrap().is_none());
    assert_eq!(row(&record).await.owner, owner("ben"));
}

pub async fn a_heartbeat_defeats_a_takeover(record: Record) {
    let lease = held(&record).await;
    let seen = row(&record).await;
    // At the very same time, as a clock that was set back would have it.
    assert!(record.store().heartbeat(&[lease], seen.heartbeat_us).await.unwrap().is_empty());
    assert_eq!(record.store().take_over(&seen, &owner("ben"), LENGTH).await.unwrap(), None);
    assert_eq!(row(&record).await.owner, owner("ana"));
}

pub async fn a_transition_defeats_a_takeover(record: Record) {
    let store = record.store();
    store.add_hosts(&[host("web-1")], 0).await.unwrap();
    let mut driver = Driver::begin(&store, "ana", pending(1, plan("web-1", '2'))).await;
    let seen = row(&record).await;
    driver.tell(Input::Start).await.unwrap();
    assert_eq!(store.take_over(&seen, &owner("ben"), LENGTH).await.unwrap(), None);
}

pub async fn a_heartbeat_tells_what_was_lost(record: Record) {
    let (lost, store) = (held(&record).await, record.store());
    let kept = take(&store, "web-2", "ana").await;
    store.acquire(&name("web-1"), &owner("ben"), LENGTH, &dead).await.unwrap().unwrap();
    assert_eq!(store.heartbeat(&[kept.clone(), lost.clone()], 9_000_000).await.unwrap(), [lost]);
    let row = store.lease_of(&name("web-2")).await.unwrap().unwrap();
    assert_eq!((row.beat, row.expires_at_us - row.heartbeat_us), (1, 30_000_000));
    // Where there is a server, it is its clock that is shown, and no other is asked.
    assert_eq!(row.heartbeat_us == 9_000_000, !record.has_a_clock());
    assert!(store.heartbeat(&[], 9_000_000).await.unwrap().is_empty());
}

pub async fn only_the_holder_gives_a_host_back(record: Record) {
    let (lost, store) = (held(&record).await, record.store());
    let lease = store.acquire(&name("web-1"), &owner("ben"), LENGTH, &dead).await.unwrap().unwrap();
    store.release(&lost).await.unwrap();
    assert_eq!(row(&record).await.token, lease);
    store.release(&lease).await.unwrap();
    store.release(&lease).await.unwrap();
}

/// It was to be renewed by second 30 of 1970, and holds all the same until somebody takes it.
pub async fn time_alone_takes_nothing_away(record: Record) {
    let (lease, store) = (held(&record).await, record.store());
    store.heartbeat(std::slice::from_ref(&lease), 0).await.unwrap();
    assert!(store.acquire(&name("web-1"), &owner("ben"), LENGTH, &alive).await.unwrap().is_err());
    let run = pending(1, plan("web-1", '2'));
    store.create_run(&lease, &run, "ana", 90_000_000).await.unwrap();
}

pub async fn a_holder_that_ended_meanwhile_leaves_nothing_to_take_over(record: Record) {
    let (lease, store) = (held(&record).await, record.store());
    let seen = row(&record).await;
    store.release(&lease).await.unwrap();
    assert_eq!(store.take_over(&seen, &owner("ben"), LENGTH).await.unwrap(), None);
    take(&store, "web-1", "ben").await;
}

/// The injected clock of the holder is an hour behind, then an hour ahead, then before 1970. Nothing is decided by it.
pub async fn a_holder_whose_clock_is_set_back_loses_nothing(record: Record) {
    let lease = held(&record).await;
    let store = record.another().await;
    let now_us = row(&record).await.taken_at_us;
    for at_us in [now_us - 3_600_000_000, now_us + 3_600_000_000, -1] {
        let seen = row(&record).await;
        assert!(store.heartbeat(std::slice::from_ref(&lease), at_us).await.unwrap().is_empty());
        assert!(store.acquire(&name("web-1"), &owner("ben"), LENGTH, &alive).await.unwrap().is_err());
        assert_eq!(store.take_over(&seen, &owner("ben"), LENGTH).await.unwrap(), None);
        let now = row(&record).await;
        assert!(!now.expired, "{now:?}");
        let watch = Watch::new(seen, Instant::now());
        assert_eq!(watch.look(Some(&now), Instant::now() + LENGTH), Watched::Moved);
    }
}

/// Postgres says by its own clock that a lease has expired, and then anybody takes the host; SQLite has no clock to
/// say it by, and there somebody has to watch the lease stand still.
pub async fn an_expired_lease_is_taken_over_where_there_is_a_clock(record: Record) {
    let store = record.store();
    store.add_hosts(&[host("web-1")], 0).await.unwrap();
    let short = Duration::from_micros(1);
    let lost = store.acquire(&name("web-1"), &owner("ana"), short, &alive).await.unwrap().unwrap();
    let seen = row(&record).await;
    assert_eq!(seen.expired, record.has_a_clock());
    let taken = store.acquire(&name("web-1"), &owner("ben"), LENGTH, &alive).await.unwrap();
    assert_eq!(taken.is_ok(), record.has_a_clock());
    if !record.has_a_clock() {
        let watch = Watch::new(seen, Instant::now());
        let now = row(&record).await;
        assert_eq!(watch.look(Some(&now), Instant::now() + short), Watched::Expired);
        assert!(store.take_over(watch.seen(), &owner("ben"), LENGTH).await.unwrap().is_some());
    }
    assert_eq!(store.heartbeat(std::slice::from_ref(&lost), 0).await.unwrap(), [lost]);
}
