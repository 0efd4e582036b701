//! What holds for every transition and every state of every run, each under its name.

use super::fixtures::{alphabet, begun};
use super::reach::StepFn;
use crate::machine::{
    Command, Input, Outcome, Previous, Reason, RollbackStep, Running, State, Step, StepFailure, Transition,
    UpdateStep,
};
use crate::plan::Plan;

/// What is wrong, when something is.
pub(super) type Verdict = Result<(), String>;

type OfTransition = fn(&Plan, &Transition) -> Verdict;
type OfState = fn(&Plan, StepFn, &State) -> Verdict;

/// All invariants of a transition, by name.
pub(super) const OF_TRANSITIONS: [(&str, OfTransition); 14] = [
    ("command_follows_from_state", invariant_command_follows_from_state),
    ("phase_never_goes_back", invariant_phase_never_goes_back),
    ("previous_never_changes", invariant_previous_never_changes),
    ("never_a_rollback_of_a_rollback", invariant_never_a_rollback_of_a_rollback),
    ("needs_attention_keeps_all_causes", invariant_needs_attention_keeps_all_causes),
    ("parked_keeps_the_attempt", invariant_parked_keeps_the_attempt),
    ("attempts_are_counted", invariant_attempts_are_counted),
    ("exhausted_is_true", invariant_exhausted_is_true),
    ("aborted_before_the_checkout", invariant_aborted_before_the_checkout),
    ("no_switch_no_arm", invariant_no_switch_no_arm),
    ("ends_after_confirm", invariant_ends_after_confirm),
    ("lost_confirm_never_rolls_back", invariant_lost_confirm_never_rolls_back),
    ("lost_arm_never_ends", invariant_lost_arm_never_ends),
    ("updated_after_verify", invariant_updated_after_verify),
];

/// All invariants of a state, by name.
pub(super) const OF_STATES: [(&str, OfState); 3] = [
    ("finished_accepts_nothing", invariant_finished_accepts_nothing),
    ("running_answers_everything", invariant_running_answers_everything),
    ("parked_waits_for_its_host", invariant_parked_waits_for_its_host),
];

fn holds(condition: bool, what: &str) -> Verdict {
    if condition { Ok(()) } else { Err(what.into()) }
}

fn phase(state: &State) -> u8 {
    match (state, begun(state)) {
        (State::Finished(_), _) => 4,
        (_, Some(Running::RollingBack { .. })) => 3,
        (_, Some(Running::Updating { .. })) => 2,
        (_, Some(Running::Preparing { .. })) => 1,
        (_, None) => 0,
    }
}

/// Whether all that is left is to disarm the switch.
pub(super) fn confirms(at: &Running) -> bool {
    matches!(at.step(), Step::Update(UpdateStep::Confirm) | Step::Rollback(RollbackStep::Confirm))
}

fn reverted(state: &State) -> bool {
    matches!(begun(state), Some(Running::RollingBack { reverted: true, .. }))
}

fn invariant_command_follows_from_state(plan: &Plan, moved: &Transition) -> Verdict {
    holds(moved.command == Command::for_state(plan, &moved.to), "the command is another than the state's")?;
    match (&moved.to, &moved.command) {
        (State::Running(at), Some(command)) => holds(
            command.step == at.step() && command.attempt == at.attempt(),
            "the command names another step",
        ),
        (State::Running(_), None) => Err("a running state without a command".into()),
        (_, command) => holds(command.is_none(), "a command where nothing must run"),
    }
}

fn invariant_phase_never_goes_back(_: &Plan, moved: &Transition) -> Verdict {
    holds(phase(&moved.to) >= phase(&moved.from), "the phase goes back")
}

fn invariant_previous_never_changes(_: &Plan, moved: &Transition) -> Verdict {
    let Some(previous) = begun(&moved.from).and_then(Running::previous) else { return Ok(()) };
    let Previous { revision, healthy } = previous;
    let kept = match &moved.to {
        State::Finished(Outcome::Updated { previous }) => previous == revision,
        State::Finished(Outcome::RolledBack { to, .. }) => to == revision,
        State::Finished(Outcome::NeedsAttention { previous, was_healthy, .. }) => {
            previous == revision && was_healthy == healthy
        }
        State::Finished(Outcome::Unchanged | Outcome::Aborted { .. } | Outcome::Superseded { .. }) => true,
        State::Pending | State::Running(_) | State::Parked(_) => {
            begun(&moved.to).and_then(Running::previous) == Some(previous)
        }
    };
    holds(kept, "the previous version has changed")
}

fn invariant_never_a_rollback_of_a_rollback(_: &Plan, moved: &Transition) -> Verdict {
    let Some(Running::RollingBack { cause, failures, reverted, .. }) = begun(&moved.from) else {
        return Ok(());
    };
    match (&moved.to, begun(&moved.to)) {
        (_, Some(Running::RollingBack { cause: now, failures: all, reverted: back, .. })) => {
            holds(now == cause, "the cause has changed")?;
            holds(all.starts_with(failures) && all.len() <= failures.len() + 1, "a failure was forgotten")?;
            holds(*back || !reverted, "the host's own way back was forgotten")
        }
        (State::Finished(Outcome::RolledBack { cause: now, .. }), _) => holds(now == cause, "another cause"),
        (State::Finished(Outcome::NeedsAttention { .. } | Outcome::Superseded { .. }), _) => Ok(()),
        (to, _) => Err(format!("a rollback leads to {to}")),
    }
}

fn invariant_needs_attention_keeps_all_causes(_: &Plan, moved: &Transition) -> Verdict {
    let State::Finished(Outcome::NeedsAttention { causes, .. }) = &moved.to else { return Ok(()) };
    let Some(Running::RollingBack { cause, failures, .. }) = begun(&moved.from) else {
        return Err("needs attention without a rollback".into());
    };
    let known: Vec<&StepFailure> = std::iter::once(cause).chain(failures).collect();
    let kept = causes.iter().take(known.len()).collect::<Vec<_>>() == known;
    holds(kept && causes.len() >= 2, "a cause was lost")
}

fn invariant_parked_keeps_the_attempt(plan: &Plan, moved: &Transition) -> Verdict {
    match (&moved.from, &moved.to) {
        (State::Running(at), State::Parked(parked)) => holds(at == parked, "parked as something else"),
        (State::Parked(parked), State::Running(at)) if moved.input == Input::Interrupted => {
            let same = at.step() == parked.step();
            let counted = at.attempt().0 == (parked.attempt().0 + 1).min(plan.attempts_max);
            let failed = phase(&moved.to) > phase(&moved.from) || at.attempt().0 == 1;
            holds(same && counted || failed, "comes back as another attempt")
        }
        (State::Pending | State::Finished(_), State::Parked(_)) => Err("parked without a step".into()),
        _ => Ok(()),
    }
}

fn invariant_attempts_are_counted(plan: &Plan, moved: &Transition) -> Verdict {
    let Some(now) = begun(&moved.to) else { return Ok(()) };
    holds((1..=plan.attempts_max).contains(&now.attempt().0), "an attempt out of bounds")?;
    match (begun(&moved.from), &moved.input) {
        (Some(was), Input::Interrupted) if was.step() == now.step() && was.attempt() == now.attempt() => {
            holds(was.switches(), "an interruption that is not counted")
        }
        _ => Ok(()),
    }
}

fn invariant_exhausted_is_true(plan: &Plan, moved: &Transition) -> Verdict {
    let newest = match (&moved.to, begun(&moved.to)) {
        (_, Some(Running::RollingBack { cause, failures, .. })) => failures.last().unwrap_or(cause),
        (State::Finished(Outcome::Aborted { cause }), _) => cause,
        (State::Finished(Outcome::NeedsAttention { causes, .. }), _) => {
            causes.last().ok_or("needs attention without a cause")?
        }
        _ => return Ok(()),
    };
    let (Reason::AttemptsExhausted { attempts }, Some(was)) = (&newest.reason, begun(&moved.from)) else {
        return Ok(());
    };
    let old = matches!(was, Running::RollingBack { cause, failures, .. }
        if failures.last().unwrap_or(cause) == newest);
    holds(old || (was.attempt() == *attempts && attempts.0 == plan.attempts_max), "not exhausted in truth")
}

fn invariant_aborted_before_the_checkout(_: &Plan, moved: &Transition) -> Verdict {
    let State::Finished(Outcome::Aborted { .. }) = &moved.to else { return Ok(()) };
    let before = match begun(&moved.from).map(Running::step) {
        Some(Step::Prepare(_)) => true,
        Some(Step::Update(step)) => step < UpdateStep::Checkout,
        Some(Step::Rollback(_)) | None => false,
    };
    holds(before, "aborted after the checkout began")
}

fn invariant_no_switch_no_arm(plan: &Plan, moved: &Transition) -> Verdict {
    let arms = begun(&moved.to).is_some_and(Running::switches);
    holds(plan.deadman.is_some() || !arms, "a switch that the plan does not have")
}

/// With a switch, what is written as over cannot be undone by it any more.
fn invariant_ends_after_confirm(plan: &Plan, moved: &Transition) -> Verdict {
    let State::Finished(outcome) = &moved.to else { return Ok(()) };
    let confirmed = begun(&moved.from).is_some_and(confirms);
    match outcome {
        Outcome::Updated { .. } | Outcome::RolledBack { .. } | Outcome::NeedsAttention { .. } => {
            let over = confirmed || reverted(&moved.from) || plan.deadman.is_none();
            holds(over, "written as over before Confirm has answered")
        }
        Outcome::Unchanged | Outcome::Aborted { .. } | Outcome::Superseded { .. } => Ok(()),
    }
}

fn invariant_lost_confirm_never_rolls_back(_: &Plan, moved: &Transition) -> Verdict {
    let Some(was) = begun(&moved.from).filter(|at| confirms(at)) else { return Ok(()) };
    if !matches!(moved.input, Input::Interrupted | Input::Unreachable { .. }) {
        return Ok(());
    }
    holds(begun(&moved.to).map(Running::step) == Some(was.step()), "a lost Confirm leads elsewhere")
}

/// While the host has not said whether there is a switch, the run is not over.
fn invariant_lost_arm_never_ends(_: &Plan, moved: &Transition) -> Verdict {
    let arms = begun(&moved.from).is_some_and(|at| at.step() == Step::Update(UpdateStep::Arm));
    let lost = matches!(moved.input, Input::Interrupted | Input::Unreachable { .. });
    holds(!(arms && lost && moved.to.is_finished()), "over, and nobody knows whether the switch is armed")
}

fn invariant_updated_after_verify(plan: &Plan, moved: &Transition) -> Verdict {
    let last = |state: &State| begun(state).map(Running::step);
    let proof = if plan.deadman.is_some() { UpdateStep::Confirm } else { UpdateStep::Verify };
    match &moved.to {
        State::Finished(Outcome::Updated { .. }) => {
            holds(last(&moved.from) == Some(Step::Update(proof)), "updated without a proof")
        }
        State::Finished(Outcome::RolledBack { .. }) => {
            let proofs = [RollbackStep::Verify, RollbackStep::Confirm].map(Step::Rollback).map(Some);
            holds(proofs.contains(&last(&moved.from)), "rolled back without a proof")
        }
        State::Pending | State::Running(_) | State::Parked(_) | State::Finished(_) => Ok(()),
    }
}

fn accepted(plan: &Plan, step: StepFn, state: &State) -> Vec<&'static str> {
    let legal = |input: Input| step(plan, state, input).is_ok();
    alphabet().into_iter().filter(|(_, input)| legal(input.clone())).map(|(name, _)| name).collect()
}

fn invariant_finished_accepts_nothing(plan: &Plan, step: StepFn, state: &State) -> Verdict {
    holds(!state.is_finished() || accepted(plan, step, state).is_empty(), "a finished run goes on")
}

fn invariant_running_answers_everything(plan: &Plan, step: StepFn, state: &State) -> Verdict {
    let State::Running(at) = state else { return Ok(()) };
    let accepted = accepted(plan, step, state);
    let success =
        if at.step() == Step::Prepare(crate::machine::PrepareStep::Record) { "previous" } else { "ok" };
    let prepares = matches!(at, Running::Preparing { .. });
    for name in [success, "failed", "interrupted", "unreachable", "superseded", "reverted"] {
        holds(accepted.contains(&name) || prepares && name == "reverted", &format!("no answer to {name}"))?;
    }
    holds(!accepted.contains(&"start"), "begun twice")
}

fn invariant_parked_waits_for_its_host(plan: &Plan, step: StepFn, state: &State) -> Verdict {
    let State::Parked(at) = state else { return Ok(()) };
    holds(accepted(plan, step, state) == ["interrupted", "reverted", "superseded"], "hears something else")?;
    holds(!matches!(at, Running::Preparing { .. }), "parked before anything was known")
}
