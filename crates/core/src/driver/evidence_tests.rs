use std::collections::BTreeMap;

use super::*;
use crate::ids::Revision;
use crate::machine::{Input, Observation, Previous, step};
use crate::plan::{Deadman, Goal, HostFacts, Limits, Manager, PLAN_VERSION, Plan, Policy, Scope, Service};

fn revision(digit: &str) -> Revision {
    digit.repeat(40).parse().unwrap()
}

fn plan(switch: bool) -> Plan {
    Plan {
        version: PLAN_VERSION,
        goal: Goal::Update,
        reference: "main".parse().unwrap(),
        target: revision("2"),
        origin: None,
        recorded: None,
        attempts_max: 2,
        deadman: switch.then_some(Deadman { window_s: 60 }),
        host: HostFacts { name: "web-1".parse().unwrap(), address: "x".into(), labels: BTreeMap::new() },
        service: Service {
            path: "/srv/app".parse().unwrap(),
            user: None,
            manager: Manager::Systemd { scope: Scope::System, units: vec!["app.service".parse().unwrap()] },
            install: "true".parse().unwrap(),
            before_restart: None,
            env: BTreeMap::new(),
            health: None,
            submodules: false,
            keep: Vec::new(),
        },
        limits: Limits::default(),
        policy: Policy::default(),
        signers: None,
    }
}

fn ok() -> Input {
    Input::Succeeded(Observation::Nothing)
}

fn failed() -> Input {
    Input::Failed(Reason::Exited { code: 1, tail: String::new() })
}

/// Of which transitions evidence is read, when a run is told these things from its fetch on.
fn read_of(switch: bool, inputs: &[Input]) -> Vec<String> {
    let plan = plan(switch);
    let previous = Previous { revision: revision("1"), healthy: true };
    let begin = [Input::Start, ok(), Input::Succeeded(Observation::Previous(previous))];
    let (mut state, mut read) = (State::Pending, Vec::new());
    for input in begin.iter().chain(inputs) {
        let moved = step(&plan, &state, input.clone()).unwrap();
        read.extend(wanted(&moved).map(|of| format!("{of} before {}", moved.to)));
        state = moved.to;
    }
    read
}

#[test]
fn a_failed_restart_or_verify_is_worth_it() {
    assert_eq!(read_of(false, &[ok(), ok(), ok(), failed()]), ["update/Restart before rollback/Checkout#1"]);
    let verify = [ok(), ok(), ok(), ok(), failed(), ok(), ok(), ok()];
    assert_eq!(read_of(false, &verify), ["update/Verify before rollback/Checkout#1"]);
    let both = [&verify[..], &[failed()]].concat();
    assert_eq!(
        read_of(false, &both),
        ["update/Verify before rollback/Checkout#1", "rollback/Verify before NEEDS ATTENTION"]
    );
    // With a switch there is one more transition before the end, which tells of no new failure.
    let with_switch = [&[ok()], &both[..], &[ok()]].concat();
    assert_eq!(
        read_of(true, &with_switch),
        ["update/Verify before rollback/Checkout#1", "rollback/Verify before rollback/Confirm#1"]
    );
}

#[test]
fn a_restart_that_was_interrupted_too_often_is_worth_it_once() {
    let inputs = [ok(), ok(), ok(), Input::Interrupted, Input::Interrupted, Input::Interrupted];
    assert_eq!(read_of(false, &inputs), ["update/Restart before rollback/Checkout#1"]);
}

#[test]
fn other_failures_have_their_own_words() {
    assert!(read_of(false, &[failed()]).is_empty(), "fetch");
    assert!(read_of(false, &[ok(), failed()]).is_empty(), "checkout");
    assert!(
        read_of(false, &[ok(), ok(), failed(), failed()]).is_empty(),
        "install, and the checkout of the rollback"
    );
    let called_off = Input::Failed(Reason::CalledOff { by: revision("3") });
    assert!(read_of(false, &[ok(), ok(), ok(), ok(), called_off]).is_empty(), "another target was asked for");
    let parked = Input::Unreachable { detail: String::new() };
    assert!(read_of(false, &[ok(), ok(), ok(), parked]).is_empty(), "away");
    let reverted = [ok(), ok(), ok(), ok(), ok(), Input::HostReverted(None), ok()];
    assert!(read_of(true, &reverted).is_empty(), "the host went back by itself");
    // What failed after that is there to be seen.
    let ill = [ok(), ok(), ok(), ok(), ok(), Input::HostReverted(None), failed()];
    assert_eq!(read_of(true, &ill), ["rollback/Verify before NEEDS ATTENTION"]);
}
