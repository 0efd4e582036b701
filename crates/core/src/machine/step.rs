//! The one function that moves a run.

use super::{
    Command, Input, Observation, Outcome, PrepareStep, Previous, Reason, RollbackStep, Running, State, Step,
    StepFailure, UpdateStep,
};
use crate::ids::{Attempt, Revision};
use crate::plan::Plan;

/// A move of a run. It does nothing until it is written down and its command performed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a transition does nothing until it is written down and its command performed"]
pub struct Transition {
    /// Where the run was.
    pub from: State,
    /// What it was told.
    pub input: Input,
    /// Where it is now.
    pub to: State,
    /// What must be running now.
    pub command: Option<Command>,
}

/// The input means nothing in this state: a fault of the caller, never of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{input:?} means nothing in {state}")]
pub struct IllegalInput {
    /// The state.
    pub state: State,
    /// What it was told.
    pub input: Input,
}

/// Moves a run. Total: every state answers every input, with a transition or with [`IllegalInput`].
pub fn step(plan: &Plan, state: &State, input: Input) -> Result<Transition, Box<IllegalInput>> {
    let illegal = |input: Input| Box::new(IllegalInput { state: state.clone(), input });
    let next = match (state, input.clone()) {
        (State::Pending, Input::Start) => Some(State::Running(first())),
        (State::Running(at), input) => running(plan, at, input),
        (State::Parked(at), input) => parked(plan, at, input),
        (State::Pending | State::Finished(_), _) => None,
    };
    let to = next.ok_or_else(|| illegal(input.clone()))?;
    let command = Command::for_state(plan, &to);
    Ok(Transition { from: state.clone(), input, to, command })
}

fn first() -> Running {
    Running::Preparing { step: PrepareStep::Preflight, attempt: Attempt::FIRST }
}

fn running(plan: &Plan, at: &Running, input: Input) -> Option<State> {
    match input {
        Input::Start => None,
        Input::Succeeded(saw) => succeeded(plan, at, saw),
        Input::Failed(reason) => Some(fail(at, reason)),
        Input::Interrupted => Some(again(plan, at)),
        Input::Unreachable { detail } => Some(unreachable(at, detail)),
        Input::HostReverted => reverted(plan, at),
        Input::Superseded { by } => Some(superseded(at, by)),
    }
}

/// A parked run waits for its host: it was begun, so it can only be told that the host is back, and as what.
fn parked(plan: &Plan, at: &Running, input: Input) -> Option<State> {
    match input {
        Input::Interrupted => Some(again(plan, at)),
        Input::HostReverted => reverted(plan, at),
        Input::Superseded { by } => Some(superseded(at, by)),
        Input::Start | Input::Succeeded(_) | Input::Failed(_) | Input::Unreachable { .. } => None,
    }
}

fn superseded(at: &Running, by: String) -> State {
    State::Finished(Outcome::Superseded { step: at.step(), by })
}

fn succeeded(plan: &Plan, at: &Running, saw: Observation) -> Option<State> {
    match at {
        Running::Preparing { step, .. } => prepared(*step, saw),
        Running::Updating { step, attempt, previous } => updated(plan, *step, *attempt, previous, saw),
        Running::RollingBack { .. } => rolled_back(plan, at, saw),
    }
}

fn prepared(step: PrepareStep, saw: Observation) -> Option<State> {
    match (step, saw) {
        (PrepareStep::Preflight, Observation::AlreadyThere) => Some(State::Finished(Outcome::Unchanged)),
        (PrepareStep::Preflight, Observation::Nothing) => {
            Some(State::Running(Running::Preparing { step: PrepareStep::Record, attempt: Attempt::FIRST }))
        }
        (PrepareStep::Record, Observation::Previous(previous)) => {
            let step = UpdateStep::Fetch;
            Some(State::Running(Running::Updating { step, attempt: Attempt::FIRST, previous }))
        }
        (PrepareStep::Preflight | PrepareStep::Record, _) => None,
    }
}

fn updated(
    plan: &Plan,
    step: UpdateStep,
    attempt: Attempt,
    previous: &Previous,
    saw: Observation,
) -> Option<State> {
    let to = |step, attempt| State::Running(Running::Updating { step, attempt, previous: previous.clone() });
    let done = || State::Finished(Outcome::Updated { previous: previous.revision.clone() });
    match (step, saw) {
        (UpdateStep::Verify, Observation::Rebooted) => {
            let at = Running::Updating { step, attempt, previous: previous.clone() };
            Some(restart_again(plan, &at, |attempt| to(UpdateStep::Restart, attempt)))
        }
        (_, Observation::AlreadyThere | Observation::Previous(_) | Observation::Rebooted) => None,
        (UpdateStep::Fetch, Observation::Nothing) if plan.deadman.is_some() => {
            Some(to(UpdateStep::Arm, Attempt::FIRST))
        }
        (UpdateStep::Fetch | UpdateStep::Arm, Observation::Nothing) => {
            Some(to(UpdateStep::Checkout, Attempt::FIRST))
        }
        (UpdateStep::Checkout, Observation::Nothing) => Some(to(UpdateStep::Install, Attempt::FIRST)),
        (UpdateStep::Install, Observation::Nothing) => Some(to(UpdateStep::Restart, Attempt::FIRST)),
        // Verify goes on counting where Restart was, so a host that reboots for ever ends all the same.
        (UpdateStep::Restart, Observation::Nothing) => Some(to(UpdateStep::Verify, attempt)),
        (UpdateStep::Verify, Observation::Nothing) if plan.deadman.is_some() => {
            Some(to(UpdateStep::Confirm, Attempt::FIRST))
        }
        (UpdateStep::Verify | UpdateStep::Confirm, Observation::Nothing) => Some(done()),
    }
}

fn rolled_back(plan: &Plan, at: &Running, saw: Observation) -> Option<State> {
    let Running::RollingBack { step, attempt, previous, cause, install, reverted } = at else { return None };
    let to = |step, attempt| {
        let (previous, cause, install) = (previous.clone(), cause.clone(), install.clone());
        State::Running(Running::RollingBack { step, attempt, previous, cause, install, reverted: *reverted })
    };
    match (step, saw) {
        (RollbackStep::Verify, Observation::Rebooted) => {
            Some(restart_again(plan, at, |attempt| to(RollbackStep::Restart, attempt)))
        }
        (_, Observation::AlreadyThere | Observation::Previous(_) | Observation::Rebooted) => None,
        (RollbackStep::Checkout, Observation::Nothing) => Some(to(RollbackStep::Install, Attempt::FIRST)),
        (RollbackStep::Install, Observation::Nothing) => Some(to(RollbackStep::Restart, Attempt::FIRST)),
        (RollbackStep::Restart, Observation::Nothing) => Some(to(RollbackStep::Verify, *attempt)),
        (RollbackStep::Verify, Observation::Nothing) if plan.deadman.is_some() => {
            Some(to(RollbackStep::Confirm, *attempt))
        }
        (RollbackStep::Verify | RollbackStep::Confirm, Observation::Nothing) => {
            Some(State::Finished(back(previous, cause, install.as_ref())))
        }
    }
}

/// The end of a rollback that was proved: tidy, unless its own install failed on the way.
fn back(previous: &Previous, cause: &StepFailure, install: Option<&StepFailure>) -> Outcome {
    match install {
        None => Outcome::RolledBack { to: previous.revision.clone(), cause: cause.clone() },
        Some(install) => attention(previous, vec![cause.clone(), install.clone()]),
    }
}

fn attention(previous: &Previous, causes: Vec<StepFailure>) -> Outcome {
    let Previous { revision, healthy } = previous.clone();
    Outcome::NeedsAttention { previous: revision, was_healthy: healthy, causes }
}

/// The one decision of what a failure leads to.
fn fail(at: &Running, reason: Reason) -> State {
    let failure = StepFailure { step: at.step(), reason };
    match at {
        Running::Preparing { .. } => State::Finished(Outcome::Aborted { cause: failure }),
        Running::Updating { step: UpdateStep::Fetch | UpdateStep::Arm, .. } => {
            State::Finished(Outcome::Aborted { cause: failure })
        }
        Running::Updating { previous, .. } => back_to(RollbackStep::Checkout, previous, failure),
        Running::RollingBack { step: RollbackStep::Install, previous, cause, .. } if was_restarted(cause) => {
            State::Running(Running::RollingBack {
                step: RollbackStep::Restart,
                attempt: Attempt::FIRST,
                previous: previous.clone(),
                cause: cause.clone(),
                install: Some(failure),
                reverted: false,
            })
        }
        Running::RollingBack { previous, cause, install, .. } => {
            let causes = [Some(cause.clone()), install.clone(), Some(failure)];
            State::Finished(attention(previous, causes.into_iter().flatten().collect()))
        }
    }
}

fn back_to(step: RollbackStep, previous: &Previous, cause: StepFailure) -> State {
    let previous = previous.clone();
    State::Running(Running::RollingBack {
        step,
        attempt: Attempt::FIRST,
        previous,
        cause,
        install: None,
        reverted: false,
    })
}

/// Whether the failed update may already have restarted the service.
fn was_restarted(cause: &StepFailure) -> bool {
    match cause.step {
        Step::Update(step) => step >= UpdateStep::Restart,
        Step::Prepare(_) | Step::Rollback(_) => false,
    }
}

/// Begins the step again, or fails it when it was begun as often as it may be.
fn again(plan: &Plan, at: &Running) -> State {
    if at.attempt().0 < plan.attempts_max {
        return State::Running(at.again());
    }
    fail(at, Reason::AttemptsExhausted { attempts: at.attempt() })
}

/// A reboot after the restart voids it: restart again, as the next attempt.
fn restart_again(plan: &Plan, at: &Running, restart: impl Fn(Attempt) -> State) -> State {
    if at.attempt().0 < plan.attempts_max {
        return restart(at.attempt().next());
    }
    fail(at, Reason::AttemptsExhausted { attempts: at.attempt() })
}

/// Before previous is known nothing was touched, and the run ends. Later the host may be anywhere: it is parked.
fn unreachable(at: &Running, detail: String) -> State {
    match at {
        Running::Preparing { .. } => fail(at, Reason::Unreachable { detail }),
        Running::Updating { .. } | Running::RollingBack { .. } => State::Parked(at.clone()),
    }
}

/// The switch checked out, installed and restarted; it never proves health, so Verify is left to do.
fn reverted(plan: &Plan, at: &Running) -> Option<State> {
    let verify = |attempt, previous: &Previous, cause| {
        let (step, previous) = (RollbackStep::Verify, previous.clone());
        // What the switch installed replaces what failed before it.
        State::Running(Running::RollingBack { step, attempt, previous, cause, install: None, reverted: true })
    };
    match at {
        Running::Preparing { .. } => None,
        Running::Updating { step, previous, .. } => {
            let cause = StepFailure { step: Step::Update(*step), reason: Reason::HostReverted };
            Some(verify(Attempt::FIRST, previous, cause))
        }
        // A proved host whose switch has acted is as good as a confirmed one: there is nothing left to disarm.
        Running::RollingBack {
            step: RollbackStep::Confirm,
            previous,
            cause,
            install,
            reverted: true,
            ..
        } => Some(State::Finished(back(previous, cause, install.as_ref()))),
        Running::RollingBack { attempt, .. } if attempt.0 >= plan.attempts_max => {
            Some(fail(at, Reason::AttemptsExhausted { attempts: *attempt }))
        }
        Running::RollingBack { attempt, previous, cause, .. } => {
            Some(verify(attempt.next(), previous, cause.clone()))
        }
    }
}

impl Transition {
    /// The version that this transition has proved the host to run, if it has proved one.
    pub fn proved(&self, plan: &Plan) -> Option<Revision> {
        match &self.to {
            State::Finished(Outcome::Updated { .. } | Outcome::Unchanged) => Some(plan.target.clone()),
            State::Finished(Outcome::RolledBack { to, .. }) => Some(to.clone()),
            State::Running(Running::Updating {
                step: UpdateStep::Fetch,
                attempt: Attempt::FIRST,
                previous,
            }) => previous.healthy.then(|| previous.revision.clone()),
            State::Pending | State::Running(_) | State::Parked(_) | State::Finished(_) => None,
        }
    }
}
