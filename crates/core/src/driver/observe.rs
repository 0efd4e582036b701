//! What the driver tells while it works.

use crate::ids::{HostName, RunId};
use crate::machine::{Input, State};
use crate::script::Finding;

/// One thing that happened. Transitions are told after they were written.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// The run moved.
    Moved {
        /// The host.
        host: &'a HostName,
        /// The run.
        run: &'a RunId,
        /// What it was told.
        input: &'a Input,
        /// Where it is now.
        state: &'a State,
    },
    /// Preflight found something worth saying.
    Found {
        /// The host.
        host: &'a HostName,
        /// What.
        finding: &'a Finding,
    },
    /// The connection is lost, and tried again.
    Reconnecting {
        /// The host.
        host: &'a HostName,
        /// Why.
        why: &'a str,
    },
    /// Nothing is done on the host until something else has happened.
    Waiting {
        /// The host.
        host: &'a HostName,
        /// For what.
        what: &'a str,
    },
}

/// Is told what happens. It must return at once.
pub trait Observer: Send + Sync {
    /// Tells.
    fn tell(&self, event: &Event<'_>);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn tell(&self, _: &Event<'_>) {}
}
