//! What was seen of failures, written with the transitions that tell of them.

use uphaul_core::evidence::Evidence;
use uphaul_core::ids::{RunId, Seq};
use uphaul_core::ports::Entry;

use crate::conn::{Conn, query};
use crate::db::{Fault, Store};
use crate::error::StoreError;
use crate::patience::read;
use crate::snapshot::Snapshot;
use crate::{ENTRY_BYTES_MAX, EVIDENCE_MAX, rows, sql};

/// What was seen of one failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvidence {
    /// The transition that tells of the failure.
    pub seq: Seq,
    /// When it was written, in microseconds since 1970.
    pub at_us: i64,
    /// What was seen.
    pub evidence: Evidence,
}

impl Store {
    /// What was seen of the failures of a run, the first one first; none where nothing was.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn evidence(&self, run: &RunId) -> Result<Vec<StoredEvidence>, StoreError> {
        const DOING: &str = "read the evidence of a run";
        read!(self, DOING, |conn| all(conn, run))
    }

    /// Whether there is any.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn has_evidence(&self, run: &RunId) -> Result<bool, StoreError> {
        const DOING: &str = "look for the evidence of a run";
        read!(self, DOING, |conn| async {
            Ok(query(sql::HAS_EVIDENCE).bind(run.as_str()).fetch_optional(conn).await?.is_some())
        })
    }
}

impl Snapshot {
    /// What was seen of the failures of a run.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn evidence(&mut self, run: &RunId) -> Result<Vec<StoredEvidence>, StoreError> {
        let found = all(self.conn(), run).await;
        found.map_err(|fault| self.store().told("read the evidence of a run", fault))
    }
}

async fn all(conn: &mut Conn, run: &RunId) -> Result<Vec<StoredEvidence>, Fault> {
    let query = query(sql::EVIDENCE).bind(run.as_str()).bind(i64::from(EVIDENCE_MAX));
    query.fetch_all(conn).await?.iter().map(|row| rows::evidence(run, row)).collect()
}

/// Writes what belongs to a transition, in its transaction: it is there with it, once, or not at all.
pub(crate) async fn write(conn: &mut Conn, entry: &Entry) -> Result<(), Fault> {
    let Some(evidence) = &entry.evidence else { return Ok(()) };
    let seen = rows::to_json("evidence", evidence)?;
    if seen.len() > ENTRY_BYTES_MAX {
        let what = format!("the evidence of run {}", entry.run);
        let why = format!("it has {} bytes, above {ENTRY_BYTES_MAX}", seen.len());
        return Err(StoreError::Unwritable { what, why }.into());
    }
    query(sql::ADD_EVIDENCE)
        .bind(entry.run.as_str())
        .bind(i64::from(entry.seq.0))
        .bind(entry.at_us)
        .bind(evidence.step.to_string())
        .bind(seen)
        .execute(conn)
        .await?;
    Ok(())
}
