//! What the driver writes before it acts.

use async_trait::async_trait;

use crate::evidence::Evidence;
use crate::ids::{HostName, Revision, RunId, Seq};
use crate::machine::{Input, State};
use crate::plan::Plan;

/// The right to drive a host, as the log gave it. It is checked in the transaction of every write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseToken {
    /// The host.
    pub host: HostName,
    /// Unique to this taking of the host.
    pub token: String,
}

/// A run as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// Its host.
    pub host: HostName,
    /// What was decided before it began.
    pub plan: Plan,
    /// The number of its last transition; 0 before the first.
    pub seq: Seq,
    /// Where it is.
    pub state: State,
}

/// One transition, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The run.
    pub run: RunId,
    /// The number that this transition gets; the one before must be the last in the log.
    pub seq: Seq,
    /// What the run was told.
    pub input: Input,
    /// Where it is now.
    pub state: State,
    /// The version that this transition has proved the host to run, if it has proved one.
    pub proved: Option<Revision>,
    /// When, in microseconds since 1970.
    pub at_us: i64,
    /// What was seen of the failure that it tells of, before the way back.
    pub evidence: Option<Evidence>,
}

/// Why a transition was not written. Nothing may be performed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Somebody else has written the run, or holds the host.
    #[error("another driver has taken over: {0}")]
    TakenOver(String),
    /// The database did not answer, is full, or is locked, for longer than the journal waits.
    #[error("the database cannot be written: {0}")]
    Unavailable(String),
}

/// The log of runs. The five columns of the host change in the same transaction as the log, and the evidence of a failure
/// is written in it too.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Writes one transition, if the lease still holds and `entry.seq` is the next number of the run. While the database
    /// is away it waits, as long as it was told to; and it knows its own transition again that was written although
    /// the answer was lost.
    async fn append(&self, lease: &LeaseToken, entry: &Entry) -> Result<(), JournalError>;
}
