//! Many hosts at once, each in a task of its own.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Stop, StopLevel};
use crate::ids::HostName;

/// What became of one host's task.
#[derive(Debug)]
pub enum FleetEnd<T> {
    /// It came to its end.
    Done(T),
    /// It panicked; no other host was disturbed.
    Panicked(String),
    /// It was not begun, because a stop was asked before its turn.
    NotBegun,
}

/// Runs `work` for every host, at most `parallel` at a time. The order of the answer is that of `hosts`.
pub async fn fleet<T, W, F>(
    hosts: Vec<HostName>,
    parallel: usize,
    stop: &Stop,
    work: W,
) -> Vec<(HostName, FleetEnd<T>)>
where
    T: Send + 'static,
    W: Fn(HostName) -> F + Send + Sync + 'static,
    F: Future<Output = T> + Send + 'static,
{
    fleet_within(hosts, &Arc::new(Semaphore::new(parallel.max(1))), stop, work).await
}

/// The same, where several fleets share one bound: each host at work has one of these permits.
pub async fn fleet_within<T, W, F>(
    hosts: Vec<HostName>,
    permits: &Arc<Semaphore>,
    stop: &Stop,
    work: W,
) -> Vec<(HostName, FleetEnd<T>)>
where
    T: Send + 'static,
    W: Fn(HostName) -> F + Send + Sync + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let work = Arc::new(work);
    let mut tasks = JoinSet::new();
    let mut ends: Vec<Option<FleetEnd<T>>> = hosts.iter().map(|_| None).collect();
    let mut places = std::collections::BTreeMap::new();
    for (place, host) in hosts.iter().cloned().enumerate() {
        let (permits, work, mut stop) = (permits.clone(), work.clone(), stop.clone());
        let task = tasks.spawn(async move {
            let permit = tokio::select! {
                biased;
                () = stop.reached(StopLevel::Drain) => None,
                permit = permits.acquire_owned() => permit.ok(),
            };
            match permit {
                Some(_permit) => FleetEnd::Done(work(host).await),
                None => FleetEnd::NotBegun,
            }
        });
        places.insert(task.id(), place);
    }
    while let Some(joined) = tasks.join_next_with_id().await {
        let (id, end) = match joined {
            Ok((id, end)) => (id, end),
            Err(error) => (error.id(), FleetEnd::Panicked(panic_text(error))),
        };
        if let Some(end_of) = places.get(&id).and_then(|place| ends.get_mut(*place)) {
            *end_of = Some(end);
        }
    }
    let end_or = |end: Option<FleetEnd<T>>| end.unwrap_or(FleetEnd::NotBegun);
    hosts.into_iter().zip(ends.into_iter().map(end_or)).collect()
}

fn panic_text(error: tokio::task::JoinError) -> String {
    if error.is_cancelled() {
        return "its task was cancelled".into();
    }
    let panic = error.into_panic();
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::stop_pair;

    fn names(n: usize) -> Vec<HostName> {
        (0..n).map(|i| format!("h{i}").parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_panicking_task_disturbs_no_other() {
        let (_handle, stop) = stop_pair();
        let ends = fleet(names(5), 2, &stop, |host| async move {
            assert_ne!(host.as_str(), "h2", "h2 is broken");
            host.to_string()
        })
        .await;
        for (host, end) in ends {
            match end {
                FleetEnd::Done(name) => assert_eq!(name, host.as_str()),
                FleetEnd::Panicked(text) => {
                    assert_eq!(host.as_str(), "h2");
                    assert!(text.contains("h2 is broken"), "{text}");
                }
                FleetEnd::NotBegun => panic!("{host} was not begun"),
            }
        }
    }

    #[tokio::test]
    async fn after_a_stop_no_new_host_begins_and_those_begun_end() {
        let (handle, stop) = stop_pair();
        let handle = Arc::new(handle);
        let ends = fleet(names(4), 1, &stop, move |_| {
            let handle = handle.clone();
            async move {
                handle.ask(StopLevel::Drain);
                tokio::task::yield_now().await;
            }
        })
        .await;
        let begun = ends.iter().filter(|(_, end)| matches!(end, FleetEnd::Done(()))).count();
        assert_eq!(begun, 1);
        assert!(ends.iter().all(|(_, end)| !matches!(end, FleetEnd::Panicked(_))));
    }
}
