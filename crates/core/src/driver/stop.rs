//! How a driver is asked to stop.

use tokio::sync::watch;

/// How soon to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopLevel {
    /// Go on.
    Run,
    /// Begin no new host; bring those begun to their end.
    Drain,
    /// Leave everything as it is, to be resumed.
    Now,
}

/// Asks.
#[derive(Debug)]
pub struct StopHandle(watch::Sender<StopLevel>);

/// Is asked. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<StopLevel>);

/// Makes the two ends.
pub fn stop_pair() -> (StopHandle, Stop) {
    let (sender, receiver) = watch::channel(StopLevel::Run);
    (StopHandle(sender), Stop(receiver))
}

impl StopHandle {
    /// Asks for at least this; it is never taken back.
    pub fn ask(&self, level: StopLevel) {
        self.0.send_if_modified(|at| {
            let more = level > *at;
            *at = level.max(*at);
            more
        });
    }

    /// What was asked so far.
    pub fn level(&self) -> StopLevel {
        *self.0.borrow()
    }
}

impl Stop {
    /// What was asked so far.
    pub fn level(&self) -> StopLevel {
        *self.0.borrow()
    }

    /// Returns when at least this was asked; never, when the asking end is gone.
    pub async fn reached(&mut self, level: StopLevel) {
        if self.0.wait_for(|at| *at >= level).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
