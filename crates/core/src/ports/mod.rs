//! The traits by which the driver reaches the world: hosts, the log, the clock.

mod clock;
mod executor;
mod journal;

pub use clock::Clock;
pub use executor::{
    Captured, ExecError, ExecErrorKind, Output, RemoteCommand, RemoteExecutor, RemoteSession, Target,
};
pub use journal::{Entry, Journal, JournalError, LeaseToken, RunRecord};
