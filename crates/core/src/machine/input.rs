//! What the world can answer.

use serde::{Deserialize, Serialize};

use super::{Previous, Reason};
use crate::ids::Revision;

/// What a run can be told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "input", content = "of", rename_all = "snake_case")]
pub enum Input {
    /// Begin.
    Start,
    /// The step did what it should.
    Succeeded(Observation),
    /// The step failed, and will not do better by being begun again.
    Failed(Reason),
    /// The controller died or the connection was lost, and the host can be reached again. The step may have run,
    /// or may still be running.
    Interrupted,
    /// The host cannot be reached.
    Unreachable {
        /// What the executor said.
        detail: String,
    },
    /// The dead-man's switch of this run acted. With what it noted of that, on one line; none where it left no note, and in
    /// the rows of an Uphaul that kept none.
    HostReverted(Option<String>),
    /// Another driver took the host.
    Superseded {
        /// Who, and what was seen.
        by: String,
    },
}

/// What a step saw.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "saw", content = "what", rename_all = "snake_case")]
pub enum Observation {
    /// Nothing that the machine needs.
    Nothing,
    /// Preflight: the host runs the target already, proved.
    AlreadyThere,
    /// Record: what the host runs, proved and pinned.
    Previous(Previous),
    /// Arm: this host cannot have a switch, and goes without one.
    Unarmed {
        /// Why.
        why: String,
    },
    /// Verify: the host was rebooted since the restart, so nothing of it counts.
    Rebooted,
}

impl Observation {
    /// The revision that was seen, where one was.
    pub fn revision(&self) -> Option<&Revision> {
        match self {
            Self::Previous(previous) => Some(&previous.revision),
            Self::Nothing | Self::AlreadyThere | Self::Unarmed { .. } | Self::Rebooted => None,
        }
    }
}
