//! Hosts, runs, their log and leases, in SQLite or Postgres.
//!
//! `run_events` is the truth. A row of `runs` is its last line, and the five version columns of `subscriptions` are
//! its summary: all three change in one transaction, which also proves that the writer still holds the host. No
//! decision here reads the clock of a machine that Uphaul runs on: times are written for people, leases are told apart by
//! a token and a counter. Whether one has expired is told by Postgres's own clock, or by watching it stand still.
//!
//! The SQL that both dialects share stands in `sql`, with `$N` placeholders; what Postgres is told in other words stands
//! in `postgres`, what only SQLite needs (files, pragmas) in `open`. `conn` is one connection of either.

mod adopt;
mod adopted;
#[cfg(test)]
mod adopted_tables;
#[cfg(test)]
mod adopted_tests;
mod backup;
mod cause;
#[cfg(test)]
mod cause_tests;
mod check;
#[cfg(test)]
mod check_tests;
mod conn;
mod db;
#[cfg(test)]
mod dialect_tests;
mod error;
#[cfg(test)]
mod error_tests;
mod evidence;
mod glance;
mod host;
mod hosts;
mod journal;
mod layout;
mod lease;
mod leases;
#[cfg(test)]
mod newer_tests;
mod open;
#[cfg(test)]
mod open_tests;
mod patience;
mod postgres;
#[cfg(test)]
#[expect(dead_code, unreachable_pub, reason = "the tests of the whole use it too, and more of it")]
#[path = "../../../tests/support/postgres.rs"]
mod postgres_server;
pub mod process;
mod rows;
mod run;
mod runs;
mod snapshot;
mod sql;
mod texts;

pub use adopted::{Adopted, Condition, Ident, Naming, TableName};
pub use check::{Checked, FAULTS_MAX};
pub use db::Store;
pub use error::{Cause, StoreError};
pub use evidence::StoredEvidence;
pub use glance::{Glance, layout_known};
pub use host::{Host, HostEdit, Imported, NewHost, Observed};
pub use lease::{LeaseRow, Owner, Watch, Watched};
pub use patience::{Outage, Tell};
pub use run::{StoredEvent, StoredRun};
pub use snapshot::Snapshot;
pub use uphaul_core::ports::{LeaseToken, RunRecord};

/// How many hosts the record may have; adding more is refused.
pub const HOSTS_MAX: usize = 100_000;
/// How many labels, and how many settings, a host may have; more are refused.
pub const PAIRS_MAX: usize = 64;
/// How many runs one question answers; a higher limit is lowered to this.
pub const RUNS_MAX: u32 = 1_000;
/// How many transitions of one run are read; a run with more is an error. The machine ends a run long before.
pub const EVENTS_MAX: u32 = 10_000;
/// How many pieces of evidence of one run are read; a run has two at most.
pub const EVIDENCE_MAX: u32 = 16;
/// How many bytes one transition may have as JSON; a larger one is refused, and the driver must cut its output.
pub const ENTRY_BYTES_MAX: usize = 4 << 20;
