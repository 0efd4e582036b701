//! Many at once, and some that give up.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use uphaul_core::ids::RunId;
use uphaul_core::machine::{Input, Outcome, State};
use uphaul_core::ports::{Journal as _, JournalError};
use uphaul_store::Store;

use crate::Record;
use crate::cast::{
    Driver, LENGTH, alive, all_the_way, dead, host, name, ok, owner, pending, plan, replayed, take, version,
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

/// Waits for this until it was looked at so often, then drops it where it is.
async fn given_up_after<T>(looks: u32, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut left) = (pin!(work), looks);
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

/// Whoever is told to stop at once drops what it waits for; at whatever point that is, all of it was written or nothing,
/// and nothing stays locked.
pub async fn a_write_that_is_given_up_is_written_whole_or_not_at_all(record: Record) {
    let (store, run) = (record.store(), RunId::from_bits(1));
    store.add_hosts(&[host("web-1")], 0).await.unwrap();
    let mut driver = Driver::begin(&store, "ana", pending(1, plan("web-1", '2'))).await;
    driver.record.plan.attempts_max = u8::MAX;
    let mut given_up = 0;
    for looks in (0..12).cycle().take(240) {
        let input = match &driver.record.state {
            State::Pending => Input::Start,
            // Attempts are counted up to 255.
            State::Running(at) if at.attempt().0 > 200 => ok(),
            State::Running(_) | State::Parked(_) | State::Finished(_) => Input::Interrupted,
        };
        let entry = driver.next(input);
        let told = given_up_after(looks, store.append(&driver.lease, &entry)).await;
        given_up += u32::from(told.is_none());
        // The next write waits until the last one is over, written or not.
        assert!(store.heartbeat(std::slice::from_ref(&driver.lease), 0).await.unwrap().is_empty());
        let stored = record.another().await.run(&run).await.unwrap().unwrap().record;
        let events = store.events(&run).await.unwrap();
        if stored.seq == entry.seq {
            (driver.record.seq, driver.record.state) = (entry.seq, entry.state);
        } else {
            assert!(told.is_none(), "what was answered was written");
        }
        assert_eq!((stored.seq, &stored.state), (driver.record.seq, &driver.record.state));
        assert_eq!(events.len(), stored.seq.0 as usize);
        if let Some(last) = events.last() {
            assert_eq!(last.state, stored.state);
        }
    }
    assert!(given_up > 20, "{given_up} were given up");
    assert!(driver.record.seq.0 > 20, "{} were written", driver.record.seq.0);
    record.another().await.add_hosts(&[host("web-2")], 0).await.unwrap();
}
