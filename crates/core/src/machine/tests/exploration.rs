//! Every state with every input: the invariants hold, nothing is a dead end, and no driving goes on for ever.

use std::collections::BTreeMap;

use super::fixtures::{begun, label, plan};
use super::invariants::{OF_STATES, OF_TRANSITIONS};
use super::reach::{Reach, StepFn, reach};
use crate::machine::{Outcome, PrepareStep, Running, State, Step, UpdateStep, step};
use crate::plan::Plan;

/// All plans of the exploration: few and many attempts, with and without a switch.
fn plans() -> impl Iterator<Item = Plan> {
    (1..=4).flat_map(|attempts| [false, true].map(|switch| plan(attempts, switch)))
}

/// What is wrong with a machine, each with the invariant's name.
pub(super) fn violations(plan: &Plan, step: StepFn, reach: &Reach) -> Vec<String> {
    let mut wrong = Vec::new();
    for moved in &reach.transitions {
        for (name, invariant) in OF_TRANSITIONS {
            if let Err(what) = invariant(plan, moved) {
                wrong.push(format!("{name}: {what}: {} + {:?} -> {}", moved.from, moved.input, moved.to));
            }
        }
    }
    for state in &reach.states {
        for (name, invariant) in OF_STATES {
            if let Err(what) = invariant(plan, step, state) {
                wrong.push(format!("{name}: {what}: {state}"));
            }
        }
    }
    wrong
}

#[test]
fn invariants_hold_everywhere() {
    for plan in plans() {
        let reach = reach(plan.attempts_max, plan.deadman.is_some());
        let wrong = violations(&plan, step, &reach);
        let switch = if plan.deadman.is_some() { "with" } else { "without" };
        println!(
            "at most {} attempts, {switch} switch: {} states, {} edges, {} violations",
            plan.attempts_max,
            reach.states.len(),
            reach.edges(),
            wrong.len()
        );
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// The bound: until it is parked or over, a run moves at most 13 times the number of attempts, and with a switch 17
/// times; a parked run is driven anew, with the same bound. The driver's own limit must lie above it.
#[test]
fn invariant_a_driving_is_bounded() {
    for plan in plans() {
        let reach = reach(plan.attempts_max, plan.deadman.is_some());
        let longest = reach.longest(|state| !matches!(state, State::Parked(_)));
        let longest = longest.expect("a run can go round in a circle without being parked");
        let steps = if plan.deadman.is_some() { 17 } else { 13 };
        assert_eq!(longest, steps * usize::from(plan.attempts_max));
    }
}

/// The ends that a run may still come to, by where it is.
fn legal_ends(plan: &Plan, state: &State) -> Vec<&'static str> {
    let Some(at) = begun(state) else {
        return vec!["unchanged", "aborted", "updated", "rolled_back", "needs_attention", "superseded"];
    };
    let mut ends = vec!["needs_attention", "superseded"];
    // When its host is back, a parked step that was begun as often as it may be has failed; unless the host says
    // that it went back by itself, and has not said so before.
    let exhausted =
        matches!(state, State::Parked(_)) && at.attempt().0 == plan.attempts_max && !at.switches();
    let reverted = matches!(at, Running::RollingBack { reverted: true, .. });
    if !(exhausted && reverted) {
        ends.push("rolled_back");
    }
    let untouched = match at.step() {
        Step::Prepare(_) => true,
        Step::Update(step) => step < UpdateStep::Checkout,
        Step::Rollback(_) => return ends,
    };
    if untouched {
        ends.push("aborted");
    }
    if at.step() == Step::Prepare(PrepareStep::Preflight) {
        ends.push("unchanged");
    }
    if !exhausted {
        ends.push("updated");
    }
    ends
}

#[test]
fn from_every_state_every_legal_end_can_be_reached_and_no_other() {
    let words = ["updated", "unchanged", "aborted", "rolled_back", "needs_attention", "superseded"];
    for plan in plans() {
        let reach = reach(plan.attempts_max, plan.deadman.is_some());
        let can: BTreeMap<&str, Vec<bool>> = words
            .into_iter()
            .map(|word| (word, reach.can_reach(|state| state.is_finished() && state.word() == word)))
            .collect();
        for (at, state) in reach.states.iter().enumerate().filter(|(_, state)| !state.is_finished()) {
            for (word, can) in &can {
                assert_eq!(can[at], legal_ends(&plan, state).contains(word), "{} to {word}", label(state));
            }
        }
    }
}

#[test]
fn every_parked_state_comes_back_and_every_begun_step_can_be_parked() {
    for plan in plans() {
        let reach = reach(plan.attempts_max, plan.deadman.is_some());
        let runs = reach.can_reach(|state| matches!(state, State::Running(_)));
        let mut parked = 0;
        for (at, state) in reach.states.iter().enumerate() {
            match state {
                State::Parked(_) => {
                    parked += 1;
                    let back = super::fixtures::letter("interrupted");
                    let to = reach.next[at][back].map(|to| &reach.states[to]);
                    let on = to.is_some_and(|to| matches!(to, State::Running(_) | State::Finished(_)));
                    assert!(on, "{} does not come back", label(state));
                    let with_others = to.is_some_and(State::is_finished) || runs[at];
                    assert!(with_others, "{} only ends", label(state));
                }
                State::Running(Running::Preparing { .. }) | State::Pending | State::Finished(_) => {}
                State::Running(running) => {
                    let to = reach.next[at][super::fixtures::letter("unreachable")];
                    assert_eq!(to.map(|to| &reach.states[to]), Some(&State::Parked(running.clone())));
                }
            }
        }
        assert!(parked > 0);
    }
}

#[test]
fn a_rollback_that_failed_with_an_armed_switch_disarms_it_and_tells_everything() {
    let reach = reach(1, true);
    let told = |state: &State| match state {
        State::Finished(Outcome::NeedsAttention { causes, .. }) => causes.len(),
        State::Pending | State::Running(_) | State::Parked(_) | State::Finished(_) => 0,
    };
    let most = reach.states.iter().map(told).max();
    // The update's verify, the rollback's install, its restart, and then Confirm itself or the proof of what the
    // switch did.
    assert_eq!(most, Some(4));
}
