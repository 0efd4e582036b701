//! Many at once.

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use uphaul_core::ids::RunId;
use uphaul_core::machine::{Input, Outcome, State};
use uphaul_core::ports::{Journal as _, JournalError};
use uphaul_store::Store;

use crate::Record;
use crate::cast::{
    Driver, LENGTH, alive, all_the_way, dead, host, name, owner, pending, plan, replayed, take, version,
};

const CROWD: u64 = 32;

/// Begins 32 of them at the same moment, on four handles, and counts those that answered yes.
async fn at_once<F>(record: &Record, act: impl Fn(u64, Store) -> F) -> usize
where
    F: Future<Output = bool> + Send + 'static,
{
    let mut handles = vec![record.store()];
    for _ in 1..4 {
        handles.push(record.another().await);
    }
    let (barrier, mut tasks) = (Arc::new(Barrier::new(CROWD as usize)), JoinSet::new());
    for number in 0..CROWD {
        let (barrier, acting) = (barrier.clone(), act(number, handles[number as usize % 4].clone()));
        tasks.spawn(async move {
            barrier.wait().await;
            acting.await
        });
    }
    tasks.join_all().await.into_iter().filter(|yes| *yes).count()
}

pub async fn of_32_that_want_a_host_one_gets_it(record: Record) {
    record.store().add_hosts(&[host("web-1")], 0).await.unwrap();
    let got = at_once(&record, |number, store| async move {
        let owner = owner(&format!("user{number}"));
        store.acquire(&name("web-1"), &owner, LENGTH, &alive).await.unwrap().is_ok()
    });
    assert_eq!(got.await, 1);
}

pub async fn of_32_that_take_over_one_gets_it(record: Record) {
    record.store().add_hosts(&[host("web-1")], 0).await.unwrap();
    take(&record.store(), "web-1", "dead").await;
    let got = at_once(&record, |number, store| async move {
        let owner = owner(&format!("user{number}"));
        let gone = |row: &uphaul_store::LeaseRow| row.owner.user == "dead";
        store.acquire(&name("web-1"), &owner, LENGTH, &gone).await.unwrap().is_ok()
    });
    assert_eq!(got.await, 1);
}

pub async fn of_32_that_write_one_transition_one_does(record: Record) {
    let store = record.store();
    store.add_hosts(&[host("web-1")], 0).await.unwrap();
    let driver = Driver::begin(&store, "ana", pending(1, plan("web-1", '2'))).await;
    let (lease, entry) = (driver.lease.clone(), driver.next(Input::Start));
    let wrote = at_once(&record, |_, store| {
        let (lease, entry) = (lease.clone(), entry.clone());
        async move {
            match store.append(&lease, &entry).await {
                Ok(()) => true,
                Err(JournalError::TakenOver(_)) => false,
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert_eq!(wrote.await, 1);
    assert_eq!(store.events(&driver.record.id).await.unwrap().len(), 1);
}

pub async fn runs_of_32_hosts_do_not_disturb_each_other(record: Record) {
    let hosts: Vec<_> = (0..CROWD).map(|number| host(&format!("web-{number}"))).collect();
    record.store().add_hosts(&hosts, 0).await.unwrap();
    let done = at_once(&record, |number, store| async move {
        let run = pending(number, plan(&format!("web-{number}"), '2'));
        let mut driver = Driver::begin(&store, "ana", run).await;
        driver.tell_all(all_the_way('1')).await;
        driver.leave().await;
        true
    });
    assert_eq!(done.await, CROWD as usize);
    let store = record.store();
    for number in 0..CROWD {
        let state = replayed(&store, &RunId::from_bits(number)).await;
        assert_eq!(state, State::Finished(Outcome::Updated { previous: version('1') }));
    }
    for host in store.hosts().await.unwrap() {
        assert_eq!(host.current_version, Some(version('2')), "{}", host.name);
        assert_eq!(host.previous_version, Some(version('1')), "{}", host.name);
    }
    assert!(store.leases().await.unwrap().is_empty());
    assert!(store.unfinished_runs().await.unwrap().is_empty());
    // A dead holder of one of them is nothing to the others.
    assert!(store.acquire(&name("web-0"), &owner("ben"), LENGTH, &dead).await.unwrap().is_ok());
}
