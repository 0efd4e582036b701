//! Connections that outlive the question they were opened for, so that a run begins on the one that resolved its ref.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use uphaul_core::driver::Link;
use uphaul_core::ids::HostName;

/// Open links by host; at most one is kept for each ref that is resolved.
#[derive(Debug, Default)]
pub(super) struct Links(Mutex<BTreeMap<HostName, Link>>);

impl Links {
    /// Keeps a link for the next who goes to this host.
    pub(super) fn keep(&self, host: &HostName, link: Link) {
        self.all().insert(host.clone(), link);
    }

    /// Hands it on.
    pub(super) fn take(&self, host: &HostName) -> Option<Link> {
        self.all().remove(host)
    }

    /// Closes all.
    pub(super) async fn close(&self) {
        let all = std::mem::take(&mut *self.all());
        for mut link in all.into_values() {
            link.close().await;
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<HostName, Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
