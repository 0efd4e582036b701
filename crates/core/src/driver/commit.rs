//! Written before done, as a type.

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

/// How often a database that does not answer is asked, a second apart, before the driver stops.
const TRIES_MAX: u32 = 10;

/// Writes a transition down, moves the record, and only then hands out the command.
pub(super) async fn commit(
    journal: &dyn Journal,
    clock: &dyn Clock,
    lease: &LeaseToken,
    record: &mut RunRecord,
    transition: Transition,
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
    };
    append(journal, lease, &entry).await?;
    moved(record, entry.seq, entry.state);
    Ok(command.map(Committed))
}

fn moved(record: &mut RunRecord, seq: Seq, state: State) {
    record.seq = seq;
    record.state = state;
}

/// Tries again while the database is away. If an earlier try was written after all, the next one finds its number
/// taken, and the driver stops: a resume goes on from what is in the log.
async fn append(journal: &dyn Journal, lease: &LeaseToken, entry: &Entry) -> Result<(), JournalError> {
    let mut tries = 1;
    loop {
        match journal.append(lease, entry).await {
            Err(JournalError::Unavailable(_)) if tries < TRIES_MAX => {
                tries += 1;
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            result => return result,
        }
    }
}
