//! Waiting for a database that is away.
//!
//! A driver may perform nothing that is not written, so while the database is away there is nothing for it to do but
//! wait. A store that is patient does that in every operation, says so once, and says when the database is back.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::db::Store;
use crate::error::{Cause, StoreError};

/// How often a database that is away is asked.
const PAUSE: Duration = Duration::from_millis(500);
/// How long one that had another transaction in the way is left alone.
const PAUSE_CONFLICT: Duration = Duration::from_millis(20);
/// How often a transaction that another one was in the way of is begun anew.
const CONFLICTS_MAX: u32 = 20;

/// What is told of a database that operations wait for.
#[derive(Debug, Clone, Copy)]
pub enum Outage<'a> {
    /// It does not do its part. Told once, by the first operation that waits.
    Began {
        /// What it answered, or that it did not.
        error: &'a StoreError,
        /// How long each operation waits before it gives up.
        wait: Duration,
    },
    /// No operation waits any more: it is back, or those that waited have given up.
    Ended,
}

/// Is told of an outage.
pub type Tell = dyn Fn(Outage<'_>) + Send + Sync;

/// How long operations wait, and who is told.
pub(crate) struct Patience {
    wait: Duration,
    tell: Box<Tell>,
    /// How many operations wait now.
    waiting: Mutex<usize>,
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience").field("wait", &self.wait).finish_non_exhaustive()
    }
}

impl Store {
    /// The same record, for one who waits: each operation tries again for so long while the database is away, locked,
    /// or has no room. What was written although the answer was lost is recognised, not written twice. `tell` must
    /// return at once.
    #[must_use]
    pub fn patient(&self, wait: Duration, tell: Box<Tell>) -> Self {
        let patience = Some(Arc::new(Patience { wait, tell, waiting: Mutex::new(0) }));
        Self { patience, ..self.clone() }
    }

    /// For an operation that begins now.
    pub(crate) fn waiting(&self) -> Waiting {
        Waiting { patience: self.patience.clone(), began: Instant::now(), tries: 0, counted: false }
    }
}

/// What one operation has waited so far.
pub(crate) struct Waiting {
    patience: Option<Arc<Patience>>,
    began: Instant,
    tries: u32,
    counted: bool,
}

impl Waiting {
    /// Whether the operation was tried before and may have been written, although nobody was told so.
    pub(crate) fn is_again(&self) -> bool {
        self.tries > 0
    }

    /// Waits before the operation is tried again; false where it has failed for good.
    pub(crate) async fn again(&mut self, error: &StoreError) -> bool {
        let StoreError::Unusable { cause, .. } = error else { return false };
        if matches!(cause, Cause::Conflict { .. }) && self.tries < CONFLICTS_MAX {
            self.tries += 1;
            tokio::time::sleep(PAUSE_CONFLICT).await;
            return true;
        }
        let Some(patience) = &self.patience else { return false };
        let left = patience.wait.saturating_sub(self.began.elapsed());
        if !cause.may_pass() || left.is_zero() {
            return false;
        }
        self.tries = self.tries.saturating_add(1);
        if !self.counted {
            self.counted = true;
            patience.count(1, || Outage::Began { error, wait: patience.wait });
        }
        tokio::time::sleep(PAUSE.min(left)).await;
        true
    }
}

impl Patience {
    /// Counts an operation in; the first one tells.
    fn count<'a>(&self, more: usize, told: impl FnOnce() -> Outage<'a>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting += more;
        if *waiting == more {
            (self.tell)(told());
        }
    }
}

/// Done, given up, or dropped.
impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(patience) = self.patience.as_ref().filter(|_| self.counted) else { return };
        let mut waiting = patience.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting = waiting.saturating_sub(1);
        if *waiting == 0 {
            (patience.tell)(Outage::Ended);
        }
    }
}

/// One transaction, tried again as the store's patience allows. The body is a `Result<_, Fault>`; it sees a connection
/// in the transaction, and what was waited for so far.
macro_rules! write {
    ($store:expr, $doing:expr, |$conn:ident, $waiting:ident| $body:expr) => {{
        let mut $waiting = $store.waiting();
        loop {
            let told = match $store.begin($doing).await {
                Ok(mut write) => {
                    let $conn = write.conn();
                    let done = $body.await;
                    $store.end($doing, write, done).await
                }
                Err(error) => Err(error),
            };
            match told {
                Err(error) if $waiting.again(&error).await => {}
                told => break told,
            }
        }
    }};
    ($store:expr, $doing:expr, |$conn:ident| $body:expr) => {
        crate::patience::write!($store, $doing, |$conn, waiting| $body)
    };
}
pub(crate) use write;

/// One question, tried again as the store's patience allows.
macro_rules! read {
    ($store:expr, $doing:expr, |$conn:ident| $body:expr) => {{
        let mut waiting = $store.waiting();
        loop {
            let told = match $store.read($doing).await {
                Ok(mut read) => {
                    let $conn = &mut read;
                    let done: Result<_, crate::db::Fault> = $body.await;
                    done.map_err(|fault| $store.told_of(read, $doing, fault))
                }
                Err(error) => Err(error),
            };
            match told {
                Err(error) if waiting.again(&error).await => {}
                told => break told,
            }
        }
    }};
}
pub(crate) use read;
