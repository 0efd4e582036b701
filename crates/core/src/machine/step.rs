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
        Input::Failed(reason) => Some(fail(plan, at, reason)),
        Input::Interrupted => Some(again(plan, at)),
        Input::Unreachable { detail } => Some(unreachable(plan, at, detail)),
        Input::HostReverted(note) => reverted(plan, at, note),
        Input::Superseded { by } => Some(superseded(at, by)),
    }
}

/// A parked run waits for its host: it was begun, so it can only be told that the host is back, and as what.
fn parked(plan: &Plan, at: &Running, input: Input) -> Option<State> {
    match input {
        // A step that was parked for its attempts is tried once each time that the host comes back.
        Input::Interrupted if at.switches() && at.attempt().0 >= plan.attempts_max => {
            Some(State::Running(at.clone()))
        }
        Input::Interrupted => Some(again(plan, at)),
        Input::HostReverted(note) => reverted(plan, at, note),
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
        (UpdateStep::Arm, Observation::Unarmed { .. }) => Some(to(UpdateStep::Checkout, Attempt::FIRST)),
        (
            _,
            Observation::AlreadyThere
            | Observation::Previous(_)
            | Observation::Unarmed { .. }
            | Observation::Rebooted,
        ) => None,
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
    let Running::RollingBack { step, attempt, previous, cause, failures, reverted } = at else { return None };
    let to = |step, attempt| {
        let (previous, cause, failures) = (previous.clone(), cause.clone(), failures.clone());
        State::Running(Running::RollingBack { step, attempt, previous, cause, failures, reverted: *reverted })
    };
    match (step, saw) {
        (RollbackStep::Verify, Observation::Rebooted) => {
            Some(restart_again(plan, at, |attempt| to(RollbackStep::Restart, attempt)))
        }
        (
            _,
            Observation::AlreadyThere
            | Observation::Previous(_)
            | Observation::Unarmed { .. }
            | Observation::Rebooted,
        ) => None,
        (RollbackStep::Checkout, Observation::Nothing) => Some(to(RollbackStep::Install, Attempt::FIRST)),
        (RollbackStep::Install, Observation::Nothing) => Some(to(RollbackStep::Restart, Attempt::FIRST)),
        (RollbackStep::Restart, Observation::Nothing) => Some(to(RollbackStep::Verify, *attempt)),
        (RollbackStep::Verify, Observation::Nothing) if plan.deadman.is_some() => {
            Some(to(RollbackStep::Confirm, Attempt::FIRST))
        }
        (RollbackStep::Verify | RollbackStep::Confirm, Observation::Nothing) => {
            Some(State::Finished(back(previous, cause, failures, *reverted)))
        }
    }
}

/// The end of a rollback: tidy, unless something failed on the way that the switch did not do again.
fn back(previous: &Previous, cause: &StepFailure, failures: &[StepFailure], reverted: bool) -> Outcome {
    if failures.is_empty() || reverted {
        return Outcome::RolledBack { to: previous.revision.clone(), cause: cause.clone() };
    }
    attention(previous, cause, failures.to_vec())
}

fn attention(previous: &Previous, cause: &StepFailure, failures: Vec<StepFailure>) -> Outcome {
    let Previous { revision, healthy } = previous.clone();
    let causes = std::iter::once(cause.clone()).chain(failures).collect();
    Outcome::NeedsAttention { previous: revision, was_healthy: healthy, causes }
}

/// The one decision of what a failure leads to.
fn fail(plan: &Plan, at: &Running, reason: Reason) -> State {
    let failure = StepFailure { step: at.step(), reason };
    match at {
        Running::Preparing { .. } => State::Finished(Outcome::Aborted { cause: failure }),
        Running::Updating { step: UpdateStep::Fetch | UpdateStep::Arm, .. } => {
            State::Finished(Outcome::Aborted { cause: failure })
        }
        Running::Updating { previous, .. } => back_to(RollbackStep::Checkout, previous, failure, false),
        Running::RollingBack { step, previous, cause, failures, reverted, .. } => {
            let failures: Vec<StepFailure> = failures.iter().cloned().chain([failure]).collect();
            match failed_back(plan, *step, cause, *reverted) {
                Some(step) => State::Running(Running::RollingBack {
                    step,
                    attempt: Attempt::FIRST,
                    previous: previous.clone(),
                    cause: cause.clone(),
                    failures,
                    reverted: *reverted,
                }),
                None => State::Finished(attention(previous, cause, failures)),
            }
        }
    }
}

/// Where a rollback goes on after one of its own steps failed; none where it ends.
fn failed_back(plan: &Plan, step: RollbackStep, cause: &StepFailure, reverted: bool) -> Option<RollbackStep> {
    match step {
        RollbackStep::Install if was_restarted(cause) => Some(RollbackStep::Restart),
        RollbackStep::Confirm => None,
        // A switch that is still armed would begin another rollback of a host that a person looks at.
        RollbackStep::Checkout | RollbackStep::Install | RollbackStep::Restart | RollbackStep::Verify => {
            Some(RollbackStep::Confirm).filter(|_| plan.deadman.is_some() && !reverted)
        }
    }
}

fn back_to(step: RollbackStep, previous: &Previous, cause: StepFailure, reverted: bool) -> State {
    let (attempt, previous) = (Attempt::FIRST, previous.clone());
    State::Running(Running::RollingBack { step, attempt, previous, cause, failures: Vec::new(), reverted })
}

/// Whether the failed update may already have restarted the service.
fn was_restarted(cause: &StepFailure) -> bool {
    match cause.step {
        Step::Update(step) => step >= UpdateStep::Restart,
        Step::Prepare(_) | Step::Rollback(_) => false,
    }
}

/// Begins the step again, or fails it when it was begun as often as it may be. Arm and Confirm are parked instead:
/// while the host has not answered there may be a switch that acts, so the run is not over; and what a Confirm would
/// confirm is proved, so its loss is no reason to go back.
fn again(plan: &Plan, at: &Running) -> State {
    if at.attempt().0 < plan.attempts_max {
        return State::Running(at.again());
    }
    if at.switches() {
        return State::Parked(at.clone());
    }
    fail(plan, at, Reason::AttemptsExhausted { attempts: at.attempt() })
}

/// A reboot after the restart voids it: restart again, as the next attempt.
fn restart_again(plan: &Plan, at: &Running, restart: impl Fn(Attempt) -> State) -> State {
    if at.attempt().0 < plan.attempts_max {
        return restart(at.attempt().next());
    }
    fail(plan, at, Reason::AttemptsExhausted { attempts: at.attempt() })
}

/// Before previous is known nothing was touched, and the run ends. Later the host may be anywhere: it is parked.
fn unreachable(plan: &Plan, at: &Running, detail: String) -> State {
    match at {
        Running::Preparing { .. } => fail(plan, at, Reason::Unreachable { detail }),
        Running::Updating { .. } | Running::RollingBack { .. } => State::Parked(at.clone()),
    }
}

/// The switch checked out, installed and restarted; it never proves health, so Verify is left to do.
fn reverted(plan: &Plan, at: &Running, note: Option<String>) -> Option<State> {
    match at {
        Running::Preparing { .. } => None,
        Running::Updating { step, previous, .. } => {
            let cause = StepFailure { step: Step::Update(*step), reason: Reason::HostReverted { note } };
            Some(back_to(RollbackStep::Verify, previous, cause, true))
        }
        // A proved host whose switch has acted is as good as a confirmed one: there is nothing left to disarm.
        Running::RollingBack {
            step: RollbackStep::Confirm,
            previous,
            cause,
            failures,
            reverted: true,
            ..
        } => Some(State::Finished(back(previous, cause, failures, true))),
        // Told once more: it counts, so that a host that says nothing else does not keep the run for ever.
        Running::RollingBack { attempt, reverted: true, .. } if attempt.0 >= plan.attempts_max => {
            Some(fail(plan, at, Reason::AttemptsExhausted { attempts: *attempt }))
        }
        Running::RollingBack { attempt, previous, cause, failures, reverted, .. } => {
            let attempt = if *reverted { attempt.next() } else { Attempt::FIRST };
            Some(State::Running(Running::RollingBack {
                step: RollbackStep::Verify,
                attempt,
                previous: previous.clone(),
                cause: cause.clone(),
                failures: failures.clone(),
                reverted: true,
            }))
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
