//! Which transitions prove a version: the column `current_version` follows from these alone.

use super::fixtures::{letter, plan, previous_revision, target_revision};
use super::reach::reach;
use crate::ids::Attempt;
use crate::machine::{Outcome, Running, State, Transition, UpdateStep, step};
use crate::plan::Plan;

/// Plays inputs by their names, and says what the last one proved.
fn proved_by(plan: &Plan, inputs: &[&str]) -> Option<&'static str> {
    let alphabet = super::fixtures::alphabet();
    let mut state = State::Pending;
    let mut last = None;
    for name in inputs {
        let moved = step(plan, &state, alphabet[letter(name)].1.clone()).unwrap();
        state = moved.to.clone();
        last = Some(moved);
    }
    let proved = last.and_then(|moved| moved.proved(plan))?;
    Some(if proved == target_revision() { "target" } else { "previous" })
}

/// What it shows, whether with a switch, how the run begins, how it goes on, what the last input proved.
type Case<'a> = (&'a str, bool, &'a [&'a str], &'a [&'a str], Option<&'a str>);

#[test]
fn proved_says_what_the_host_has_proved() {
    let begin = ["start", "ok", "previous"];
    let cases: [Case<'_>; 14] = [
        ("begun", false, &["start"], &[], None),
        ("preflight passed", false, &["start", "ok"], &[], None),
        ("already there", false, &["start", "already there"], &[], Some("target")),
        ("recorded, healthy", false, &begin, &[], Some("previous")),
        ("recorded, ill", false, &["start", "ok", "previous (ill)"], &[], None),
        ("fetch tried again", false, &begin, &["interrupted"], None),
        ("fetch parked", false, &begin, &["unreachable"], None),
        ("aborted", false, &begin, &["failed"], None),
        ("checked out", false, &begin, &["ok", "ok"], None),
        ("updated", false, &begin, &["ok", "ok", "ok", "ok", "ok"], Some("target")),
        ("verified, not confirmed", true, &begin, &["ok", "ok", "ok", "ok", "ok", "ok"], None),
        ("confirmed", true, &begin, &["ok", "ok", "ok", "ok", "ok", "ok", "ok"], Some("target")),
        ("rolled back", false, &begin, &["ok", "failed", "ok", "ok", "ok", "ok"], Some("previous")),
        ("needs attention", false, &begin, &["ok", "failed", "ok", "failed"], None),
    ];
    for (name, switch, first, then, proved) in cases {
        let inputs: Vec<&str> = first.iter().chain(then).copied().collect();
        assert_eq!(proved_by(&plan(3, switch), &inputs), proved, "{name}");
    }
}

#[test]
fn nothing_else_proves_anything() {
    for switch in [false, true] {
        let plan = plan(2, switch);
        for moved in &reach(plan.attempts_max, switch).transitions {
            assert_eq!(moved.proved(&plan), expected(moved), "{} -> {}", moved.from, moved.to);
        }
    }
}

fn expected(moved: &Transition) -> Option<crate::ids::Revision> {
    match &moved.to {
        State::Finished(Outcome::Updated { .. } | Outcome::Unchanged) => Some(target_revision()),
        State::Finished(Outcome::RolledBack { .. }) => Some(previous_revision()),
        State::Running(Running::Updating { step: UpdateStep::Fetch, attempt: Attempt(1), previous }) => {
            Some(previous_revision()).filter(|_| previous.healthy)
        }
        State::Pending | State::Running(_) | State::Parked(_) | State::Finished(_) => None,
    }
}
