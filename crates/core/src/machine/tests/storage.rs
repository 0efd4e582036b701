//! The JSON of states and inputs is what is stored: it comes back as it was, and a change of it is seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::fixtures::{alphabet, label, plan};
use super::reach::reach;
use crate::ids::Attempt;
use crate::machine::{
    Command, Input, Outcome, PrepareStep, Problem, Reason, State, Step, StepFailure, UpdateStep,
};

#[test]
fn every_state_and_input_comes_back_from_its_json() {
    for switch in [false, true] {
        let plan = plan(3, switch);
        let reach = reach(plan.attempts_max, switch);
        for state in &reach.states {
            let json = serde_json::to_string(state).unwrap();
            let back: State = serde_json::from_str(&json).unwrap();
            assert_eq!(&back, state, "{json}");
            assert_eq!(Command::for_state(&plan, &back), Command::for_state(&plan, state));
        }
    }
    let inputs = alphabet().into_iter().map(|(_, input)| input).chain(reasons().map(Input::Failed));
    for input in inputs {
        let json = serde_json::to_string(&input).unwrap();
        assert_eq!(serde_json::from_str::<Input>(&json).unwrap(), input, "{json}");
    }
}

#[test]
fn a_stored_word_that_is_not_known_is_refused() {
    let bad = [
        r#"{"kind":"paused"}"#,
        r#"{"kind":"running","at":{"phase":"updating","step":"Deploy","attempt":1}}"#,
        r#"{"kind":"running","at":{"phase":"updating","step":"Fetch","attempt":1}}"#,
        r#"{"kind":"running","at":{"phase":"preparing","step":"Record","attempt":-1}}"#,
        r#"{"kind":"finished","at":{"outcome":"updated","previous":"main"}}"#,
        "{}",
    ];
    for json in bad {
        assert!(serde_json::from_str::<State>(json).is_err(), "{json}");
    }
}

/// Before a switch's note was kept, its rows had no place for one.
#[test]
fn a_row_without_the_note_of_a_switch_is_read() {
    let input: Input = serde_json::from_str(r#"{"input":"host_reverted"}"#).unwrap();
    assert_eq!(input, Input::HostReverted(None));
    let none = Reason::HostReverted { note: None };
    let input = r#"{"input":"failed","of":{"reason":"host_reverted"}}"#;
    assert_eq!(serde_json::from_str::<Input>(input).unwrap(), Input::Failed(none.clone()));
    let revision = "1".repeat(40);
    let json = format!(
        r#"{{"kind":"finished","at":{{"outcome":"rolled_back","to":"{revision}","cause":{{"step":{{"phase":"update","step":"Install"}},"reason":{{"reason":"host_reverted"}}}}}}}}"#
    );
    let state: State = serde_json::from_str(&json).unwrap();
    let cause = StepFailure { step: Step::Update(UpdateStep::Install), reason: none };
    assert_eq!(state, State::Finished(Outcome::RolledBack { to: revision.parse().unwrap(), cause }));
    // Where there is no note, a state is written as it was then.
    assert_eq!(serde_json::to_string(&state).unwrap(), json);
}

fn reasons() -> impl Iterator<Item = Reason> {
    let tail = || "last line".to_owned();
    let problem = Problem { code: "dirty-tree".into(), found: "2 files".into(), fix: "commit them".into() };
    [
        Reason::Refused { problems: vec![problem] },
        Reason::Held { by: "bob@two (77)".into() },
        Reason::Exited { code: 1, tail: tail() },
        Reason::TimedOut { after_s: 120, tail: tail() },
        Reason::NotProved { found: "HEAD is another".into(), tail: tail() },
        Reason::Unreachable { detail: "no route".into() },
        Reason::AttemptsExhausted { attempts: Attempt(3) },
        Reason::HostReverted { note: Some("went back to it at try 1".into()) },
        Reason::HostReverted { note: None },
        Reason::CalledOff { by: "b".repeat(40).parse().unwrap() },
        Reason::Unexpected { detail: "no exit code".into() },
    ]
    .into_iter()
}

/// One of each kind, as it is stored.
#[test]
fn storage_format() {
    let mut text = String::new();
    let mut say = |name: &str, json: String| writeln!(text, "# {name}:\n{json}").unwrap();
    let reach = reach(1, true);
    let mut states: BTreeMap<String, &State> = BTreeMap::new();
    for state in &reach.states {
        states.entry(label(state)).or_insert(state);
    }
    for (name, state) in states {
        say(&name, serde_json::to_string(state).unwrap());
    }
    let refused = reasons().next().unwrap();
    let cause = StepFailure { step: Step::Prepare(PrepareStep::Preflight), reason: refused };
    let unreachable = Reason::Unreachable { detail: "no route".into() };
    let aborted = StepFailure { step: Step::Prepare(PrepareStep::Preflight), reason: unreachable };
    for (name, outcome) in [
        ("ABORTED, unreachable", Outcome::Aborted { cause: aborted }),
        ("ABORTED, refused", Outcome::Aborted { cause }),
    ] {
        say(name, serde_json::to_string(&State::Finished(outcome)).unwrap());
    }
    for (name, input) in alphabet() {
        say(&format!("input {name}"), serde_json::to_string(&input).unwrap());
    }
    for reason in reasons() {
        say(&format!("reason, shown as \"{reason}\""), serde_json::to_string(&reason).unwrap());
    }
    insta::with_settings!({
        description => "the JSON of the log, one of each kind",
        omit_expression => true,
        prepend_module_to_snapshot => false,
        snapshot_path => "snapshots",
    }, {
        insta::assert_snapshot!("storage_format", text);
    });
}
