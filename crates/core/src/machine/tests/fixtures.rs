//! The plan and the alphabet that the machine's tests speak.

use std::collections::BTreeMap;

use crate::ids::Revision;
use crate::machine::{Input, Observation, Previous, Reason, Running, State, Step, UpdateStep};
use crate::plan::{
    Deadman, Goal, Health, HostFacts, Limits, Manager, PLAN_VERSION, Plan, Policy, Scope, Service,
};

pub(super) fn previous_revision() -> Revision {
    "1".repeat(40).parse().unwrap()
}

pub(super) fn target_revision() -> Revision {
    "2".repeat(40).parse().unwrap()
}

pub(super) fn previous(healthy: bool) -> Previous {
    Previous { revision: previous_revision(), healthy }
}

/// A plan from version 1 to version 2.
pub(super) fn plan(attempts_max: u8, switch: bool) -> Plan {
    Plan {
        version: PLAN_VERSION,
        goal: Goal::Update,
        reference: "main".parse().unwrap(),
        target: target_revision(),
        origin: None,
        recorded: Some(previous_revision()),
        attempts_max,
        signers: None,
        deadman: switch.then_some(Deadman { window_s: 600 }),
        host: HostFacts {
            name: "web-1".parse().unwrap(),
            address: "192.0.2.1".into(),
            labels: BTreeMap::new(),
        },
        service: Service {
            path: "/srv/app".parse().unwrap(),
            user: None,
            manager: Manager::Systemd { scope: Scope::System, units: vec!["app.service".parse().unwrap()] },
            install: "bun install".parse().unwrap(),
            before_restart: None,
            env: BTreeMap::new(),
            health: Some(Health::Http("http://127.0.0.1:3000/health".parse().unwrap())),
            submodules: false,
            keep: Vec::new(),
        },
        limits: Limits::default(),
        policy: Policy::default(),
    }
}

/// What a run can be told, one of each kind. The reasons are fixed, so the state space is finite.
pub(super) fn alphabet() -> Vec<(&'static str, Input)> {
    let saw = |observation| Input::Succeeded(observation);
    vec![
        ("start", Input::Start),
        ("ok", saw(Observation::Nothing)),
        ("already there", saw(Observation::AlreadyThere)),
        ("previous", saw(Observation::Previous(previous(true)))),
        ("previous (ill)", saw(Observation::Previous(previous(false)))),
        ("unarmed", saw(Observation::Unarmed { why: "no right".into() })),
        ("rebooted", saw(Observation::Rebooted)),
        ("failed", Input::Failed(Reason::Exited { code: 1, tail: String::new() })),
        ("interrupted", Input::Interrupted),
        ("unreachable", Input::Unreachable { detail: "no route".into() }),
        (
            "reverted",
            Input::HostReverted(Some("went back to it at try 1, begun 3 s after its time was up".into())),
        ),
        ("superseded", Input::Superseded { by: "bob@two".into() }),
    ]
}

/// Where an input stands in [`alphabet`].
pub(super) fn letter(name: &str) -> usize {
    alphabet().iter().position(|(word, _)| *word == name).unwrap()
}

/// The step that a begun run is at.
pub(super) fn begun(state: &State) -> Option<&Running> {
    match state {
        State::Running(at) | State::Parked(at) => Some(at),
        State::Pending | State::Finished(_) => None,
    }
}

/// A short name of what makes states differ: the step and attempt, and for a rollback three marks: `*` the failed
/// update may have restarted the service (where that still matters), `!` something failed on the way back, `^` the
/// host went back by itself.
pub(super) fn label(state: &State) -> String {
    let Some(Running::RollingBack { step, cause, failures, reverted, .. }) = begun(state) else {
        return state.to_string();
    };
    let restarted = matches!(cause.step, Step::Update(step) if step >= UpdateStep::Restart);
    let matters = *step <= crate::machine::RollbackStep::Install;
    let marks = [(restarted && matters, "*"), (!failures.is_empty(), "!"), (*reverted, "^")];
    let marks: String = marks.iter().filter(|(on, _)| *on).map(|(_, mark)| *mark).collect();
    format!("{state}{marks}")
}
