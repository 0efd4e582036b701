//! Steps, states and results in the words that people are told.

use uphaul_core::machine::{PrepareStep, RollbackStep, Running, State, Step, UpdateStep};

use crate::exit::Exit;
use crate::output::Style;

/// What a step is called.
pub(crate) fn step(step: Step) -> &'static str {
    match step {
        Step::Prepare(PrepareStep::Preflight) => "preflight",
        Step::Prepare(PrepareStep::Record) => "record",
        Step::Update(UpdateStep::Fetch) => "fetch",
        Step::Update(UpdateStep::Arm) => "arm",
        Step::Update(UpdateStep::Checkout) => "checkout",
        Step::Update(UpdateStep::Install) => "install",
        Step::Update(UpdateStep::Restart) => "restart",
        Step::Update(UpdateStep::Verify) => "verify",
        Step::Update(UpdateStep::Confirm) => "confirm",
        Step::Rollback(RollbackStep::Checkout) => "roll back: checkout",
        Step::Rollback(RollbackStep::Install) => "roll back: install",
        Step::Rollback(RollbackStep::Restart) => "roll back: restart",
        Step::Rollback(RollbackStep::Verify) => "roll back: verify",
        Step::Rollback(RollbackStep::Confirm) => "roll back: confirm",
    }
}

/// What a run is doing, with the attempt where it is not the first.
pub(crate) fn running(at: &Running) -> String {
    match at.attempt().0 {
        1 => step(at.step()).to_owned(),
        n => format!("{} (attempt {n})", step(at.step())),
    }
}

/// Where a run is.
pub(crate) fn state(state: &State) -> String {
    match state {
        State::Pending => "pending".to_owned(),
        State::Running(at) => running(at),
        State::Parked(at) => format!("waits for the host, in {}", running(at)),
        State::Finished(outcome) => spaced(outcome.word()),
    }
}

/// What is said of a run that nobody drives.
pub(crate) fn left(state: &State) -> String {
    match state {
        State::Parked(at) => format!("unknown ({})", step(at.step())),
        State::Running(at) => format!("left in the middle ({})", step(at.step())),
        State::Pending | State::Finished(_) => "left in the middle".to_owned(),
    }
}

/// A word of the record as two words, where it is.
pub(crate) fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

/// How a result looks.
pub(crate) fn style_of(exit: Exit) -> Style {
    match exit {
        Exit::Done => Style::Good,
        Exit::Gated | Exit::Aborted | Exit::RolledBack | Exit::Interrupted => Style::Warn,
        Exit::Unknown | Exit::Usage | Exit::Internal | Exit::NeedsAttention => Style::Bad,
    }
}

/// How a word of the record looks.
pub(crate) fn style_of_status(word: &str) -> Style {
    match word {
        "updated" | "unchanged" => Style::Good,
        "aborted" | "rolled_back" | "drifted" | "rolling_back" => Style::Warn,
        "unknown" | "needs_attention" | "superseded" => Style::Bad,
        _ => Style::Plain,
    }
}

/// `1 host`, `2 hosts`.
pub(crate) fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}
