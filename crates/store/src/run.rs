//! A run, as the record has it.

use uphaul_core::ids::{Revision, Seq};
use uphaul_core::machine::{Input, State};
use uphaul_core::ports::RunRecord;

/// A run, and who asked for it when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRun {
    /// What the driver goes by.
    pub record: RunRecord,
    /// Who asked for it, as the command line told it.
    pub requested_by: String,
    /// When it was created, in microseconds since 1970.
    pub started_at_us: i64,
    /// When it ended, in microseconds since 1970; none while it is not finished.
    pub finished_at_us: Option<i64>,
}

/// One transition of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number, from 1.
    pub seq: Seq,
    /// When, in microseconds since 1970.
    pub at_us: i64,
    /// What the run was told.
    pub input: Input,
    /// Where it was then.
    pub state: State,
    /// The version that it proved the host to run, if it proved one.
    pub proved: Option<Revision>,
}
