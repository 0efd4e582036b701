//! What must be so at the end of a cell.

use std::time::Duration;

use uphaul_core::machine::{Outcome, State};
use uphaul_tests::lab::wait_until;

use super::stage::Stage;
use crate::proof::runs;
use crate::switch::no_switch;

/// How often `resume` may be needed: a host that was left in the middle may still be going back by itself.
const RESUMES: u32 = 2;

/// An hour is more than this, whatever else takes its time.
const NEARLY_AN_HOUR_US: i64 = 3_000_000_000;

/// Whether the last run has ended.
pub(super) fn is_over(stage: &Stage) -> bool {
    matches!(stage.operator.state(), Some(State::Finished(_)))
}

/// The host is cut off, and its controller gone: it has come to rest on one commit by itself, and the record does not
/// say more than it can know.
pub(super) fn apart(stage: &Stage) {
    let (host, operator) = (&stage.host, &stage.operator);
    let look = "cat /srv/app/.git/uphaul/switch/state 2>/dev/null; systemctl list-units --all --plain --no-legend 'uphaul-*'";
    wait_until("the host comes to rest", Duration::from_secs(180), || {
        let seen = host.root(look).stdout;
        (!["state=armed", "state=reverting", "uphaul-"].iter().any(|word| seen.contains(word))).then_some(())
    });
    host.wait_healthy();
    let at = host.head();
    assert!(at == stage.v1 || at == stage.v2, "{at}");
    runs(host, &at);
    if is_over(stage) {
        return;
    }
    is_unknown(stage);
    operator.run(&["resume"]).ended(5, &["web-1", "unknown"]);
    is_unknown(stage);
}

/// The record says what was proved last, and that what is now is not known.
fn is_unknown(stage: &Stage) {
    let row = stage.operator.row();
    assert_eq!(row.update_status.as_deref(), Some("unknown"));
    assert_eq!(row.current_version.as_ref().map(|v| v.as_str()), Some(&*stage.v1));
    assert_eq!(row.target_version.as_ref().map(|v| v.as_str()), Some(&*stage.v2));
}

/// Nothing is wrong any more. What is not over is resumed; then host and record agree on one commit, and nothing is
/// left. Gives what the cell came to, after `first`.
#[track_caller]
pub(super) fn judge(stage: &Stage, first: String) -> String {
    let Stage { operator, host, v1, v2, .. } = stage;
    for _ in 0..RESUMES {
        if is_over(stage) {
            break;
        }
        let out = operator.run(&["resume"]);
        assert!(matches!(out.code, Some(0 | 3 | 5 | 7)), "{out}");
    }
    let outcome = operator.outcome();
    let word = outcome.word();
    if let (Some(other), true) = (&stage.other, stage.other_drove) {
        other.is_updated(host, v1, v2);
        // A record of one's own says what was proved last; what another one did is told as drift.
        operator.row_says("aborted", Some(v1), v2);
        operator.because(&["the record says", v1]);
        operator.left_nothing(host);
        return "aborted (the other updated)".to_owned();
    }
    match outcome {
        Outcome::Updated { .. } => operator.is_updated(host, v1, v2),
        Outcome::RolledBack { .. } => operator.is_rolled_back(host, v1, v2),
        Outcome::Aborted { .. } => operator.is_aborted(host, v1, v2),
        Outcome::Unchanged | Outcome::NeedsAttention { .. } | Outcome::Superseded { .. } => {
            panic!("{word}: {}", operator.causes())
        }
    }
    no_switch(host);
    operator.run(&["resume"]).ended(0, &["nothing was left"]);
    let end = if first == word || first.is_empty() { word.to_owned() } else { format!("{first}, {word}") };
    end.replace('_', " ")
}

/// From the fault on the record was written an hour earlier than what was written before.
pub(super) fn clock_went_back(stage: &Stage) {
    let events = stage.operator.events(&stage.operator.run_of(0).record.id);
    let times: Vec<i64> = events.iter().map(|event| event.at_us).collect();
    assert!(times.windows(2).any(|two| two[0] - two[1] > NEARLY_AN_HOUR_US), "{times:?}");
    stage.operator.run(&["history", "web-1"]).ended(0, &["web-1"]);
}
