//! What must be running, computed from the state and never stored.

use super::{PrepareStep, RollbackStep, Running, State, Step, UpdateStep};
use crate::ids::{Attempt, Revision};
use crate::plan::Plan;

/// What is done to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read what would stop the update; changes nothing.
    Preflight,
    /// Prove and pin what the host runs.
    Record,
    /// Bring this commit's objects to the host and pin it.
    Fetch(Revision),
    /// Set the dead-man's switch that leads back to this commit.
    Arm(Revision),
    /// Check out this commit.
    Checkout(Revision),
    /// Install the dependencies of what is checked out.
    Install,
    /// Restart the service.
    Restart,
    /// Prove that the service runs this commit and stays healthy.
    Verify(Revision),
    /// Disarm the dead-man's switch.
    Confirm,
}

/// An action, and the step and attempt it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The step; with the run it names the job on the host, so a second attempt finds the first one's job.
    pub step: Step,
    /// The attempt.
    pub attempt: Attempt,
    /// What is done.
    pub action: Action,
}

impl Command {
    /// The command that must be running in this state; none where nothing must.
    pub fn for_state(plan: &Plan, state: &State) -> Option<Self> {
        let State::Running(at) = state else { return None };
        let target = || plan.target.clone();
        let action = match at {
            Running::Preparing { step: PrepareStep::Preflight, .. } => Action::Preflight,
            Running::Preparing { step: PrepareStep::Record, .. } => Action::Record,
            Running::Updating { step, previous, .. } => match step {
                UpdateStep::Fetch => Action::Fetch(target()),
                UpdateStep::Arm => Action::Arm(previous.revision.clone()),
                UpdateStep::Checkout => Action::Checkout(target()),
                UpdateStep::Install => Action::Install,
                UpdateStep::Restart => Action::Restart,
                UpdateStep::Verify => Action::Verify(target()),
                UpdateStep::Confirm => Action::Confirm,
            },
            Running::RollingBack { step, previous, .. } => match step {
                RollbackStep::Checkout => Action::Checkout(previous.revision.clone()),
                RollbackStep::Install => Action::Install,
                RollbackStep::Restart => Action::Restart,
                RollbackStep::Verify => Action::Verify(previous.revision.clone()),
                RollbackStep::Confirm => Action::Confirm,
            },
        };
        Some(Self { step: at.step(), attempt: at.attempt(), action })
    }
}
