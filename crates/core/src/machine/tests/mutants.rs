//! The exploration has teeth: machines and hosts that are broken on purpose are found out.

use super::exploration::violations;
use super::fixtures::{begun, plan, target_revision};
use super::reach::{Reach, StepFn};
use super::scripts::stories_of_the_broken;
use super::world::Rules;
use crate::ids::Attempt;
use crate::machine::{
    Command, IllegalInput, Input, Outcome, Reason, RollbackStep, Running, State, Step, StepFailure,
    Transition, UpdateStep, step,
};
use crate::plan::Plan;

type Stepped = Result<Transition, Box<IllegalInput>>;

/// Changes where the true machine goes.
fn changed(
    plan: &Plan,
    state: &State,
    input: Input,
    change: impl Fn(&Transition) -> Option<State>,
) -> Stepped {
    let mut moved = step(plan, state, input)?;
    if let Some(to) = change(&moved) {
        moved.command = Command::for_state(plan, &to);
        moved.to = to;
    }
    Ok(moved)
}

fn at(state: &State) -> Option<Step> {
    begun(state).map(Running::step)
}

fn aborts_after_the_checkout(plan: &Plan, state: &State, input: Input) -> Stepped {
    changed(plan, state, input, |moved| {
        let Input::Failed(reason) = &moved.input else { return None };
        let step = at(&moved.from).filter(|step| *step == Step::Update(UpdateStep::Checkout))?;
        Some(State::Finished(Outcome::Aborted { cause: StepFailure { step, reason: reason.clone() } }))
    })
}

fn restarts_before_the_install(plan: &Plan, state: &State, input: Input) -> Stepped {
    changed(plan, state, input, |moved| {
        let mut to = moved.to.clone();
        let State::Running(Running::RollingBack { step, .. }) = &mut to else { return None };
        (at(&moved.from) == Some(Step::Rollback(RollbackStep::Checkout)) && *step == RollbackStep::Install)
            .then(|| *step = RollbackStep::Restart)?;
        Some(to)
    })
}

fn forgets_that_a_reboot_voids_the_restart(plan: &Plan, state: &State, input: Input) -> Stepped {
    changed(plan, state, input, |moved| {
        let reboots = moved.input == Input::Succeeded(crate::machine::Observation::Rebooted);
        let verifies = at(&moved.from) == Some(Step::Update(UpdateStep::Verify));
        let previous = begun(&moved.from)?.previous()?.revision.clone();
        (reboots && verifies).then_some(State::Finished(Outcome::Updated { previous }))
    })
}

fn ends_with_an_armed_switch(plan: &Plan, state: &State, input: Input) -> Stepped {
    changed(plan, state, input, |moved| {
        let confirms = at(&moved.to) == Some(Step::Update(UpdateStep::Confirm));
        let previous = begun(&moved.from)?.previous()?.revision.clone();
        confirms.then_some(State::Finished(Outcome::Updated { previous }))
    })
}

fn rolls_back_a_rollback(plan: &Plan, state: &State, input: Input) -> Stepped {
    changed(plan, state, input, |moved| {
        let State::Running(Running::RollingBack { previous, .. }) = &moved.from else { return None };
        let (step, attempt) = (UpdateStep::Checkout, Attempt::FIRST);
        let failed = matches!(moved.input, Input::Failed(_));
        failed.then(|| State::Running(Running::Updating { step, attempt, previous: previous.clone() }))
    })
}

fn takes_the_target_for_the_previous(plan: &Plan, state: &State, input: Input) -> Stepped {
    changed(plan, state, input, |moved| {
        let mut to = moved.to.clone();
        let State::Running(Running::RollingBack { previous, .. }) = &mut to else { return None };
        matches!(moved.from, State::Running(Running::Updating { .. }))
            .then(|| previous.revision = target_revision())?;
        Some(to)
    })
}

fn forgets_a_cause(plan: &Plan, state: &State, input: Input) -> Stepped {
    changed(plan, state, input, |moved| {
        let mut to = moved.to.clone();
        let State::Finished(Outcome::NeedsAttention { causes, .. }) = &mut to else { return None };
        causes.remove(0);
        Some(to)
    })
}

fn counts_no_attempts(plan: &Plan, state: &State, input: Input) -> Stepped {
    changed(plan, state, input, |moved| {
        let again = moved.input == Input::Interrupted && at(&moved.from) == at(&moved.to);
        again.then(|| State::Running(begun(&moved.from).unwrap().clone()))
    })
}

fn uses_attempts_up_while_away(plan: &Plan, state: &State, input: Input) -> Stepped {
    changed(plan, state, input, |moved| {
        let State::Parked(at) = &moved.to else { return None };
        Some(State::Parked(at.again())).filter(|_| at.attempt().0 < plan.attempts_max)
    })
}

fn goes_on_after_the_end(plan: &Plan, state: &State, input: Input) -> Stepped {
    match (state, &input) {
        (State::Finished(Outcome::Aborted { .. }), Input::Start) => {
            step(plan, &State::Pending, input).map(|moved| Transition { from: state.clone(), ..moved })
        }
        _ => step(plan, state, input),
    }
}

fn trusts_the_switch(plan: &Plan, state: &State, input: Input) -> Stepped {
    changed(plan, state, input, |moved| {
        let previous = begun(&moved.from)?.previous()?;
        let cause = StepFailure { step: at(&moved.from)?, reason: Reason::HostReverted { note: None } };
        let reverted = matches!(moved.input, Input::HostReverted(_));
        reverted.then(|| State::Finished(Outcome::RolledBack { to: previous.revision.clone(), cause }))
    })
}

#[test]
fn broken_machines_are_found_out() {
    let broken: [(&str, StepFn); 11] = [
        ("aborts after the checkout", aborts_after_the_checkout),
        ("restarts before the install", restarts_before_the_install),
        ("forgets that a reboot voids the restart", forgets_that_a_reboot_voids_the_restart),
        ("ends with an armed switch", ends_with_an_armed_switch),
        ("rolls back a rollback", rolls_back_a_rollback),
        ("takes the target for the previous", takes_the_target_for_the_previous),
        ("forgets a cause", forgets_a_cause),
        ("counts no attempts", counts_no_attempts),
        ("uses attempts up while away", uses_attempts_up_while_away),
        ("goes on after the end", goes_on_after_the_end),
        ("trusts the switch", trusts_the_switch),
    ];
    for (name, step) in broken {
        let plan = plan(2, true);
        let reach = Reach::of(&plan, step);
        let by_rule = violations(&plan, step, &reach);
        let circle = reach.longest(|state| !matches!(state, State::Parked(_))).is_none();
        let by_script =
            if circle { Vec::new() } else { stories_of_the_broken(&reach, Rules { fence: true }, 2) };
        println!("{name}: {} rules, circle {circle}, {} stories", by_rule.len(), by_script.len());
        assert!(!by_rule.is_empty() || circle || !by_script.is_empty(), "nobody noticed: {name}");
    }
}

#[test]
fn a_host_that_lets_an_overtaken_driver_in_is_found_out() {
    let reach = Reach::of(&plan(2, false), step);
    let stories = stories_of_the_broken(&reach, Rules { fence: false }, 2);
    assert!(!stories.is_empty(), "a stale command reached the host, and nobody noticed");
    println!("{}", stories[0]);
}
