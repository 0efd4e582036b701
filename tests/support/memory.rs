//! A log in memory, a clock that counts, and an owner that is always the same: for tests of the driver alone.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use uphaul_core::ids::{RunId, Seq};
use uphaul_core::machine::State;
use uphaul_core::plan::Plan;
use uphaul_core::ports::{Clock, Entry, Journal, JournalError, LeaseToken, RunRecord};

/// One run and its log. The write is a compare-and-swap on its number, as in the database.
#[derive(Debug)]
pub struct MemoryJournal {
    record: Mutex<RunRecord>,
    entries: Mutex<Vec<Entry>>,
}

impl MemoryJournal {
    /// A new run with this plan.
    pub fn new(plan: Plan) -> Self {
        let record = RunRecord {
            id: RunId::from_bits(1),
            host: plan.host.name.clone(),
            plan,
            seq: Seq(0),
            state: State::Pending,
        };
        Self { record: Mutex::new(record), entries: Mutex::new(Vec::new()) }
    }

    /// The run as a driver would load it.
    pub fn record(&self) -> RunRecord {
        self.record.lock().expect("no panic").clone()
    }

    /// The right to drive it.
    pub fn lease(&self) -> LeaseToken {
        LeaseToken { host: self.record().host, token: "t".into() }
    }

    /// All that was written.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().expect("no panic").clone()
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, _lease: &LeaseToken, entry: &Entry) -> Result<(), JournalError> {
        let mut record = self.record.lock().expect("no panic");
        if record.seq.next() != entry.seq {
            return Err(JournalError::TakenOver("another driver".into()));
        }
        record.seq = entry.seq;
        record.state = entry.state.clone();
        self.entries.lock().expect("no panic").push(entry.clone());
        Ok(())
    }
}

/// A clock that is one second later each time it is asked.
#[derive(Debug, Default)]
pub struct CountingClock(AtomicI64);

impl Clock for CountingClock {
    fn now_us(&self) -> i64 {
        self.0.fetch_add(1_000_000, Ordering::Relaxed)
    }
}
