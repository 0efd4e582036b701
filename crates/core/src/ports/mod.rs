//! The traits by which the driver reaches the world: hosts, the log, the clock; and what the executors share.

mod clock;
mod executor;
pub mod frame;
mod journal;
pub mod refused;
pub mod stream;

pub use clock::Clock;
pub use executor::{
    Captured, ExecError, ExecErrorKind, Output, RemoteCommand, RemoteExecutor, RemoteSession, Target,
};
pub use journal::{Entry, Journal, JournalError, LeaseToken, RunRecord};
