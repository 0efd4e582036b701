//! Written before done, as a type.

use crate::evidence::Evidence;
use crate::ids::Seq;
use crate::machine::{State, Transition};
use crate::ports::{Clock, Entry, Journal, JournalError, LeaseToken, RunRecord};

/// Something that may be performed because it was written down. Only `commit` makes one, and performing
/// consumes it.
#[derive(Debug)]
#[must_use = "what was committed has to be performed"]
pub struct Committed<T>(T);

impl<T> Committed<T> {
    /// Hands it over to be performed, once.
    pub(super) fn into_inner(self) -> T {
        self.0
    }
}

/// Writes a transition down, moves the record, and only then hands out the command.
pub(super) async fn commit(
    journal: &dyn Journal,
    clock: &dyn Clock,
    lease: &LeaseToken,
    record: &mut RunRecord,
    transition: Transition,
    evidence: Option<Evidence>,
) -> Result<Option<Committed<crate::machine::Command>>, JournalError> {
    let proved = transition.proved(&record.plan);
    let Transition { input, to, command, .. } = transition;
    let entry = Entry {
        run: record.id.clone(),
        seq: record.seq.next(),
        input,
        state: to,
        proved,
        at_us: clock.now_us(),
        evidence,
    };
    journal.append(lease, &entry).await?;
    moved(record, entry.seq, entry.state);
    Ok(command.map(Committed))
}

fn moved(record: &mut RunRecord, seq: Seq, state: State) {
    record.seq = seq;
    record.state = state;
}
