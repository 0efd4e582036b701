//! What a run is doing, or how it ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Reason, StepFailure};
use crate::ids::{Attempt, Revision};

/// The host is untouched and its previous version unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PrepareStep {
    /// Finds everything that would stop the update, in one report.
    Preflight,
    /// Proves what the host runs, and pins it as the previous version.
    Record,
}

/// The previous version is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum UpdateStep {
    /// Brings the target's objects to the host.
    Fetch,
    /// Sets the dead-man's switch.
    Arm,
    /// Checks out the target.
    Checkout,
    /// Installs its dependencies.
    Install,
    /// Restarts the service.
    Restart,
    /// Proves that it runs and stays healthy.
    Verify,
    /// Disarms the switch, over a fresh connection.
    Confirm,
}

/// The way back. It has no way back of its own, so a rollback of a rollback cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RollbackStep {
    /// Checks out the previous version.
    Checkout,
    /// Installs its dependencies again.
    Install,
    /// Restarts the service.
    Restart,
    /// Proves that it runs and stays healthy.
    Verify,
    /// Disarms the switch.
    Confirm,
}

/// Any step, for commands, failures and display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "phase", content = "step", rename_all = "snake_case")]
pub enum Step {
    /// Before anything is known.
    Prepare(PrepareStep),
    /// On the way to the target.
    Update(UpdateStep),
    /// On the way back.
    Rollback(RollbackStep),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare(step) => write!(f, "prepare/{step:?}"),
            Self::Update(step) => write!(f, "update/{step:?}"),
            Self::Rollback(step) => write!(f, "rollback/{step:?}"),
        }
    }
}

/// The version to go back to. It exists only once it was proved and pinned on the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Previous {
    /// The commit.
    pub revision: Revision,
    /// Whether its service was healthy before the run touched anything.
    pub healthy: bool,
}

/// A step that must be running now.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Running {
    /// The host is untouched.
    Preparing {
        /// What must be running.
        step: PrepareStep,
        /// How often it was begun.
        attempt: Attempt,
    },
    /// On the way to the target.
    Updating {
        /// What must be running.
        step: UpdateStep,
        /// How often it was begun.
        attempt: Attempt,
        /// Where a failure leads back to.
        previous: Previous,
    },
    /// On the way back.
    RollingBack {
        /// What must be running.
        step: RollbackStep,
        /// How often it was begun.
        attempt: Attempt,
        /// Where it leads.
        previous: Previous,
        /// What made the run go back.
        cause: StepFailure,
        /// What failed on the way back, in order: an install after which it went on because a running old
        /// service beats a tidy failure, and what is left to be told once the switch is disarmed.
        failures: Vec<StepFailure>,
        /// Whether the host's own switch went back, so that only the proof is left to do. What failed before
        /// that was done again by the switch.
        reverted: bool,
    },
}

impl Running {
    /// The step.
    pub fn step(&self) -> Step {
        match self {
            Self::Preparing { step, .. } => Step::Prepare(*step),
            Self::Updating { step, .. } => Step::Update(*step),
            Self::RollingBack { step, .. } => Step::Rollback(*step),
        }
    }

    /// How often the step was begun.
    pub fn attempt(&self) -> Attempt {
        match self {
            Self::Preparing { attempt, .. }
            | Self::Updating { attempt, .. }
            | Self::RollingBack { attempt, .. } => *attempt,
        }
    }

    /// The same step, begun once more.
    pub(super) fn again(&self) -> Self {
        let mut next = self.clone();
        match &mut next {
            Self::Preparing { attempt, .. }
            | Self::Updating { attempt, .. }
            | Self::RollingBack { attempt, .. } => {
                *attempt = attempt.next();
            }
        }
        next
    }

    /// Whether the step sets or disarms the switch, so that only the host knows whether there is one.
    pub(super) fn switches(&self) -> bool {
        match self.step() {
            Step::Update(step) => matches!(step, UpdateStep::Arm | UpdateStep::Confirm),
            Step::Rollback(step) => step == RollbackStep::Confirm,
            Step::Prepare(_) => false,
        }
    }

    /// Whether a run that is not wanted any more can be ended from here: aborted where nothing was touched, else rolled
    /// back. Not while only the host knows whether there is a switch; what Confirm would confirm is proved; and a run
    /// that is on its way back ends there anyway.
    pub fn can_be_called_off(&self) -> bool {
        match self {
            Self::Preparing { .. } => true,
            Self::Updating { .. } => !self.switches(),
            Self::RollingBack { .. } => false,
        }
    }

    /// Whether it is known that the host's own switch went back.
    pub fn knows_reverted(&self) -> bool {
        matches!(self, Self::RollingBack { reverted: true, .. })
    }

    /// The version to go back to, once it is known.
    pub fn previous(&self) -> Option<&Previous> {
        match self {
            Self::Preparing { .. } => None,
            Self::Updating { previous, .. } | Self::RollingBack { previous, .. } => Some(previous),
        }
    }
}

/// The state of a run; the whole of it, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "at", rename_all = "snake_case")]
pub enum State {
    /// Created, nothing begun.
    Pending,
    /// This step must be running now.
    Running(Running),
    /// The host cannot be reached; when it can, this step is begun again. Shown as `unknown`.
    Parked(Running),
    /// Over.
    Finished(Outcome),
}

/// How a run ended. There is no other way out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The host runs the target, proved.
    Updated {
        /// What it ran before.
        previous: Revision,
    },
    /// The host ran the target already, proved.
    Unchanged,
    /// The running service was not touched.
    Aborted {
        /// Why.
        cause: StepFailure,
    },
    /// The host runs its previous version again, proved.
    RolledBack {
        /// That version.
        to: Revision,
        /// What made it go back.
        cause: StepFailure,
    },
    /// The host could be brought to neither; a person has to look.
    NeedsAttention {
        /// Where it should have gone back to.
        previous: Revision,
        /// Whether the previous version was healthy before the run.
        was_healthy: bool,
        /// Everything that failed, the first failure first.
        causes: Vec<StepFailure>,
    },
    /// Another driver took the host.
    Superseded {
        /// The step that found it out.
        step: Step,
        /// Who took it, and what was seen, as the host told it.
        by: String,
    },
}

impl Outcome {
    /// The word of the record, as it stands in `update_status`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Updated { .. } => "updated",
            Self::Unchanged => "unchanged",
            Self::Aborted { .. } => "aborted",
            Self::RolledBack { .. } => "rolled_back",
            Self::NeedsAttention { .. } => "needs_attention",
            Self::Superseded { .. } => "superseded",
        }
    }

    /// Whether the host was away before anything began.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Aborted { cause: StepFailure { reason: Reason::Unreachable { .. }, .. } })
    }
}

impl State {
    /// The word of the record, as it stands in `update_status`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running(Running::Preparing { .. }) => "preparing",
            Self::Running(Running::Updating { .. }) => "updating",
            Self::Running(Running::RollingBack { .. }) => "rolling_back",
            Self::Parked(_) => "unknown",
            Self::Finished(outcome) => outcome.word(),
        }
    }

    /// Whether the run is over.
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Finished(_))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("pending"),
            Self::Running(at) => write!(f, "{}#{}", at.step(), at.attempt().0),
            Self::Parked(at) => write!(f, "parked {}#{}", at.step(), at.attempt().0),
            Self::Finished(outcome) => f.write_str(&outcome.word().to_uppercase().replace('_', " ")),
        }
    }
}
