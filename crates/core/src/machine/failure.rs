//! Why a step failed, in words that can be stored and shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Step;
use crate::ids::{Attempt, Revision};

/// One thing that preflight found, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Problem {
    /// A stable word for it, for example `dirty-tree`.
    pub code: String,
    /// What was found.
    pub found: String,
    /// What to do next.
    pub fix: String,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// Preflight found what would stop the update.
    Refused {
        /// All of it.
        problems: Vec<Problem>,
    },
    /// Somebody else holds the host.
    Held {
        /// Who, since when, as the host tells it.
        by: String,
    },
    /// A command ended with another code than 0.
    Exited {
        /// The code; 128 + n where signal n ended it.
        code: i32,
        /// The last lines it printed.
        tail: String,
    },
    /// A command ran longer than it may, and was ended on the host.
    TimedOut {
        /// The limit, in seconds.
        after_s: u32,
        /// The last lines it printed.
        tail: String,
    },
    /// The commands succeeded and the proof did not.
    NotProved {
        /// What was found instead.
        found: String,
        /// The last lines that belong to it.
        tail: String,
    },
    /// The host cannot be reached.
    Unreachable {
        /// What the executor said.
        detail: String,
    },
    /// The step was begun as often as it may be.
    AttemptsExhausted {
        /// How often that was.
        attempts: Attempt,
    },
    /// The dead-man's switch of the host went back by itself.
    HostReverted {
        /// What it noted of that, as the host tells it: to which commit, at which try, how late it began. None where it left
        /// no note, and in the rows of an Uphaul that kept none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// Another target was asked for while the run was left in the middle.
    CalledOff {
        /// The target of the run that follows.
        by: Revision,
    },
    /// The host's answer cannot be understood, or this machine could not do its part.
    Unexpected {
        /// What happened.
        detail: String,
    },
}

impl Reason {
    /// The last lines that were printed, where the reason has any.
    pub fn tail(&self) -> &str {
        match self {
            Self::Exited { tail, .. } | Self::TimedOut { tail, .. } | Self::NotProved { tail, .. } => tail,
            Self::Refused { .. }
            | Self::Held { .. }
            | Self::Unreachable { .. }
            | Self::AttemptsExhausted { .. }
            | Self::HostReverted { .. }
            | Self::CalledOff { .. }
            | Self::Unexpected { .. } => "",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { problems } => {
                let found: Vec<&str> = problems.iter().map(|p| p.found.as_str()).collect();
                write!(f, "refused: {}", found.join("; "))
            }
            Self::Held { by } => write!(f, "held by {by}"),
            Self::Exited { code, .. } => write!(f, "exit {code}"),
            Self::TimedOut { after_s, .. } => write!(f, "no end after {after_s} s"),
            Self::NotProved { found, .. } => f.write_str(found),
            Self::Unreachable { detail } => write!(f, "unreachable: {detail}"),
            Self::AttemptsExhausted { attempts } => write!(f, "interrupted {} times", attempts.0),
            Self::HostReverted { note: None } => f.write_str("the host went back by itself"),
            Self::HostReverted { note: Some(note) } => write!(f, "the host went back by itself: {note}"),
            Self::CalledOff { by } => write!(f, "called off: {} was asked for since", by.short()),
            Self::Unexpected { detail } => f.write_str(detail),
        }
    }
}

/// A step that failed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StepFailure {
    /// The step.
    pub step: Step,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.reason)
    }
}
