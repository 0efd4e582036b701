//! Keeps the leases of this process alive.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uphaul_core::ids::HostName;
use uphaul_core::ports::{Clock as _, LeaseToken};
use uphaul_store::Store;

use crate::clock::SystemClock;

/// How soon a renewal that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The leases of this process, renewed three times in their length until this is dropped. What a renewal finds lost
/// is left alone: the next write of its run is refused, and the host refuses its commands.
#[derive(Debug)]
pub(crate) struct Beat {
    held: Arc<Mutex<BTreeMap<HostName, LeaseToken>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Beat {
    /// Begins to renew.
    pub(crate) fn new(store: Store, length: Duration) -> Self {
        let held: Arc<Mutex<BTreeMap<HostName, LeaseToken>>> = Arc::default();
        let shared = held.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(length / 3);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                loop {
                    let tokens: Vec<LeaseToken> = lock(&shared).values().cloned().collect();
                    if tokens.is_empty() || store.heartbeat(&tokens, SystemClock.now_us()).await.is_ok() {
                        break;
                    }
                    // A database that was away must hear of us before it counts the leases as expired.
                    tokio::time::sleep(AGAIN.min(length / 6)).await;
                }
            }
        });
        Self { held, task }
    }

    /// Renews this one too.
    pub(crate) fn add(&self, lease: &LeaseToken) {
        lock(&self.held).insert(lease.host.clone(), lease.clone());
    }

    /// Renews it no more.
    pub(crate) fn remove(&self, lease: &LeaseToken) {
        lock(&self.held).remove(&lease.host);
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
