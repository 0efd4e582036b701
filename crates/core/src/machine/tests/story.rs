//! One script as a page to read: what was saved, what then ran, what came back, what the host was after it.

use std::fmt::Write as _;

use super::fixtures::begun;
use super::host::Host;
use super::reach::reach;
use super::world::{Choice, Fate, Laws, Rules, World};
use super::{host::How, host::Reached};
use crate::machine::{Running, State, Step};

/// Tells a script, choice by choice, from the beginning.
pub(super) fn story(laws: &Laws<'_>, title: &str, faults: u8, script: &[Choice]) -> String {
    let mut world = World { at: 0, host: Host::NEW, sleeper: None, left: faults };
    let mut text = format!("{title}\nhost web-1  v1 -> v2\n\n");
    let head = ["seq", "saved state", "then runs", "outcome"];
    let columns = format!("{:>3}  {:22} {:14} {:34}", head[0], head[1], head[2], head[3]);
    writeln!(text, "{columns} host after (tree/installed/running)").unwrap();
    let mut seq = 0;
    let mut phase = 0;
    for choice in script {
        let state = laws.state(&world);
        let (next, told) = match laws.told(&world, *choice) {
            Ok(told) => told,
            Err(input) => {
                writeln!(text, "     -- {input} means nothing in {state} --").unwrap();
                break;
            }
        };
        let stays = told.is_none();
        let host = next.host.shown();
        match state {
            State::Running(at) if !stays => {
                let outcome = outcome(*choice, told.unwrap_or_default());
                let (state, runs) = (state.to_string(), runs(at.step()));
                writeln!(text, "{seq:>3}  {state:22} {runs:14} {outcome:34} {host}").unwrap();
            }
            State::Pending => {}
            State::Running(_) | State::Parked(_) | State::Finished(_) => {
                let aside = format!("-- {choice} --");
                writeln!(text, "     {aside:72} {host}").unwrap();
            }
        }
        if !stays {
            seq += 1;
            tell_turn(&mut text, laws.state(&next), &mut phase);
        }
        world = next;
    }
    writeln!(text, "{seq:>3}  {}", laws.state(&world)).unwrap();
    text
}

/// What came back: what befell the driver, or else what the host said.
fn outcome(choice: Choice, told: &str) -> String {
    match (choice, told) {
        (Choice::Well, "ok" | "previous") => "ok".into(),
        (Choice::Well, "failed") => "FAILED".into(),
        (Choice::Well | Choice::Fails(_), "rebooted") => "the host was rebooted".into(),
        (Choice::Well | Choice::Fails(_), "reverted") => "the host has gone back by itself".into(),
        (Choice::Fails(_), "ok") => "ok, from the job of before".into(),
        _ => choice.to_string(),
    }
}

fn tell_turn(text: &mut String, state: &State, phase: &mut u8) {
    let back = matches!(begun(state), Some(Running::RollingBack { .. }));
    if back && *phase == 0 {
        *phase = 1;
        writeln!(text, "     -- rolling back to v1 --").unwrap();
    }
    if let State::Parked(_) = state {
        writeln!(text, "     -- parked --").unwrap();
    }
}

fn runs(step: Step) -> &'static str {
    use crate::machine::{PrepareStep as P, RollbackStep as R, UpdateStep as U};
    match step {
        Step::Prepare(P::Preflight) => "check host",
        Step::Prepare(P::Record) => "read revision",
        Step::Update(U::Fetch) => "fetch v2",
        Step::Update(U::Arm) => "arm",
        Step::Update(U::Checkout) => "checkout v2",
        Step::Update(U::Install) | Step::Rollback(R::Install) => "install",
        Step::Update(U::Restart) | Step::Rollback(R::Restart) => "restart",
        Step::Update(U::Verify) => "verify v2",
        Step::Update(U::Confirm) | Step::Rollback(R::Confirm) => "confirm",
        Step::Rollback(R::Checkout) => "checkout v1",
        Step::Rollback(R::Verify) => "verify v1",
    }
}

/// Plays a script on the toy host, to the end: what is not said goes well.
fn play(title: &str, switch: bool, faults: &[(usize, Choice)]) -> String {
    let reach = reach(3, switch);
    let laws = Laws::new(&reach, Rules { fence: true });
    let mut world = World { at: 0, host: Host::NEW, sleeper: None, left: 9 };
    let mut script = Vec::new();
    // A script without a fault has at most 20 choices; each fault adds a few.
    for place in 0..60 {
        if laws.state(&world).is_finished() && world.sleeper.is_none() {
            break;
        }
        let planned = faults.iter().find(|(at, _)| *at == place).map(|(_, choice)| *choice);
        let choice = planned.unwrap_or_else(|| laws.choices(&world)[0]);
        world = laws.apply(&world, choice).unwrap();
        script.push(choice);
    }
    story(&laws, title, 9, &script)
}

fn check(name: &str, text: &str) {
    insta::with_settings!({
        description => "a script of the exploration, as a failing one is told",
        omit_expression => true,
        prepend_module_to_snapshot => false,
        snapshot_path => "snapshots",
    }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn verify_fails_rollback_succeeds() {
    let text = play("verify fails, rollback succeeds", false, &[(7, Choice::Fails(Reached::Before))]);
    check("verify_fails_rollback_succeeds", &text);
}

#[test]
fn lost_in_the_install_and_overtaken() {
    let faults = [
        (5, Choice::Lost(Fate::GoesOn(How::Well))),
        (6, Choice::Paused),
        (8, Choice::Wakes),
        (10, Choice::Away(Fate::NotBegun)),
    ];
    check("lost_in_the_install_and_overtaken", &play("lost in the install, and overtaken", false, &faults));
}

#[test]
fn away_until_the_host_went_back() {
    let faults = [(8, Choice::Away(Fate::Done(How::Well))), (9, Choice::SwitchFires { well: true })];
    check("away_until_the_host_went_back", &play("away until the host went back by itself", true, &faults));
}
