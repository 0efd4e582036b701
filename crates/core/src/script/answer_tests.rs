//! What is made of the note of a dead-man's switch.

use super::*;
use crate::ids::Attempt;

/// What a driver is told where the host says that its switch acted, and `by` of it.
fn told(by: &str) -> Input {
    let step = Step::Update(UpdateStep::Install);
    let command = Command { step, attempt: Attempt::FIRST, action: Action::Install };
    Answer::read(&format!("run=r\nstep=update-Install\nfence=3\nstate=reverted\n{by}")).input(&command)
}

#[track_caller]
fn note(by: &str) -> String {
    let Input::HostReverted(Some(note)) = told(by) else { panic!("{by}: no note") };
    note
}

#[test]
fn the_note_of_a_switch_is_told() {
    let words =
        "went back to 1111 at try 2, begun 3 s after its time was up, done 77 s after the boot 0a1b2c3d";
    assert_eq!(note(&format!("by={words}\n")), words);
    // What follows an equals sign belongs to it.
    assert_eq!(note("by=try 1, failed at install, exit 1: A=B\n"), "try 1, failed at install, exit 1: A=B");
}

#[test]
fn a_host_that_says_nothing_of_it_went_back_all_the_same() {
    for by in ["", "by=\n", "by= \t\n", "by=\u{1b}[2J\r\n", "--\nby=of what was printed\n"] {
        assert_eq!(told(by), Input::HostReverted(None), "{by:?}");
    }
}

#[test]
fn the_note_of_a_host_that_means_ill_is_short_harmless_and_one_line() {
    let bad = "by=\u{1b}[31mwent\u{1b}[0m back\r\u{1b}]0;owned\u{7}\tx\u{202e}y\u{2028}z\nby=a second one\n";
    assert_eq!(note(bad), "went back \\u{1b}]0;owned\\u{7} x\\u{202e}y\\u{2028}z");
    for c in ["a", "ü", "✓", "\u{7}", "\u{1b}"] {
        let note = note(&format!("by={}\n", c.repeat(5000)));
        assert!((NOTE_MAX - 4..=NOTE_MAX).contains(&note.len()), "{c:?}: {}", note.len());
        assert!(!note.contains(char::is_control), "{c:?}");
    }
}

#[test]
fn before_there_can_be_a_switch_none_is_believed() {
    let step = Step::Update(UpdateStep::Fetch);
    let action = Action::Fetch("1".repeat(40).parse().unwrap());
    let command = Command { step, attempt: Attempt::FIRST, action };
    let told = Answer::read("state=reverted\nby=went back\n").input(&command);
    assert!(matches!(told, Input::Failed(Reason::Unexpected { .. })), "{told:?}");
}
