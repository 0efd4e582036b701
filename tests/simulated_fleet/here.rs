//! What the operator's own machine cannot do.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use uphaul_core::ports::{ExecError, ExecErrorKind, Output, RemoteCommand, RemoteExecutor, RemoteSession};

use super::*;

/// An executor for which this machine cannot send the command of this number, counted from 1.
struct Hindered {
    inner: MockExecutor,
    at: usize,
    sent: Arc<AtomicUsize>,
}

struct Session {
    inner: Box<dyn RemoteSession>,
    at: usize,
    sent: Arc<AtomicUsize>,
}

#[async_trait]
impl RemoteExecutor for Hindered {
    async fn connect(&self, target: &Target) -> Result<Box<dyn RemoteSession>, ExecError> {
        let inner = self.inner.connect(target).await?;
        Ok(Box::new(Session { inner, at: self.at, sent: Arc::clone(&self.sent) }))
    }
}

#[async_trait]
impl RemoteSession for Session {
    async fn run(&mut self, command: &RemoteCommand) -> Result<Output, ExecError> {
        if self.sent.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            return Err(ExecError::before(ExecErrorKind::Local, "too many open files"));
        }
        self.inner.run(command).await
    }
    async fn close(self: Box<Self>) -> Result<(), ExecError> {
        self.inner.close().await
    }
}

#[tokio::test(start_paused = true)]
async fn is_no_fault_of_the_host() {
    for at in 1..=JOBS.len() {
        let fleet = two_versions();
        let plan = plan("web-1", &fleet.revision("v1"), &fleet.revision("v2"));
        let journal = Arc::new(MemoryJournal::new(plan));
        let (_handle, stop) = stop_pair();
        let executor = Hindered { inner: MockExecutor::new(fleet.clone()), at, sent: Arc::default() };
        let ports = Ports {
            reach: Reach { executor: Arc::new(executor), starts: Arc::new(Semaphore::new(4)) },
            journal: journal.clone(),
            clock: Arc::new(CountingClock::default()),
            observer: Arc::new(Silent),
            stop,
            mask: Patterns::default(),
        };
        let end = drive(&ports, one(&journal, "web-1")).await;
        let job = JOBS[at - 1];
        if job.starts_with("prepare") || job == "update-Fetch" {
            assert!(
                matches!(end, DriveEnd::Ended(State::Finished(Outcome::Aborted { .. }))),
                "{job}: {end:?}"
            );
            assert!(fleet.is_wholly("web-1", &fleet.revision("v1")), "{job}");
            continue;
        }
        assert!(matches!(end, DriveEnd::Ended(State::Parked(_))), "{job}: {end:?}");
        let end = settle(&fleet, &journal, "web-1").await;
        assert!(matches!(end, Ok(Outcome::Updated { .. })), "{job}: {end:?}");
        assert!(fleet.is_wholly("web-1", &fleet.revision("v2")), "{job}");
    }
}
