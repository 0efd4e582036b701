//! Who drives a host.

use std::fmt;

use uphaul_core::ids::HostName;
use uphaul_core::ports::LeaseToken;

/// A process that may drive hosts, in enough words to tell later whether it is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The user it runs as.
    pub user: String,
    /// The name of its machine.
    pub machine: String,
    /// Its process id.
    pub pid: u32,
    /// When it was started, in clock ticks since its machine was (tells it from a later process of the same id); 0
    /// where that cannot be read.
    pub pid_started: u64,
    /// Changes with each start of its machine; empty where that cannot be read.
    pub boot_id: String,
    /// Tells machines of one name apart; empty where that cannot be read.
    pub machine_id: String,
    /// The namespace that its process id belongs to; empty where that cannot be read.
    pub pid_namespace: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{} (process {})", self.user, self.machine, self.pid)
    }
}

/// A lease, as the record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRow {
    /// The host and the token of this taking.
    pub token: LeaseToken,
    /// Who holds it.
    pub owner: Owner,
    /// Counts what the holder has written: heartbeats and transitions. One who watches it stand still for the
    /// lease's length, on a clock of its own that nobody sets, may take the host over.
    pub beat: i64,
    /// How long an observer must watch, in microseconds.
    pub length_us: i64,
    /// When it was taken, in microseconds since 1970; only shown.
    pub taken_at_us: i64,
    /// When the holder was last heard of, in microseconds since 1970; only shown.
    pub heartbeat_us: i64,
    /// When it was last expected to be renewed by, in microseconds since 1970; only shown.
    pub expires_at_us: i64,
}

impl LeaseRow {
    /// The host.
    pub fn host(&self) -> &HostName {
        &self.token.host
    }
}

impl fmt::Display for LeaseRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is held by {}", self.token.host, self.owner)
    }
}
