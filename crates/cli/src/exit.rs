//! How a command ended, as the exit code says it.
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | all updated or already there; for other commands: done |
//! | 1 | internal error, or the database failed |
//! | 2 | usage or configuration |
//! | 3 | some hosts were rolled back |
//! | 4 | some hosts need attention |
//! | 5 | some hosts are unknown, were unreachable from the start, or were taken over by another driver |
//! | 6 | stopped by the budget, a pause or a gate |
//! | 7 | some hosts were aborted with nothing changed, for another reason than being unreachable |
//! | 130 | interrupted |
//!
//! Of several hosts the worst one wins, in the order 4, 1, 130, 5, 3, 7, 6: a host that needs a person is heard above
//! all, then that the work was not done to its end.

use std::process::ExitCode;
use std::time::Duration;

use uphaul_core::ids::{HostName, Revision, RunId};
use uphaul_core::machine::{Outcome, State};

/// How a command ended; the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// All updated or already there; for other commands: done.
    Done,
    /// Stopped by the budget, a pause or a gate.
    Gated,
    /// Some hosts were aborted with nothing changed.
    Aborted,
    /// Some hosts were rolled back.
    RolledBack,
    /// Some hosts are unknown, unreachable from the start, or superseded.
    Unknown,
    /// Ctrl-C.
    Interrupted,
    /// Usage or configuration; nothing was begun.
    Usage,
    /// A fault of Uphaul, or of its database.
    Internal,
    /// Some hosts need attention.
    NeedsAttention,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::RolledBack => 3,
            Self::NeedsAttention => 4,
            Self::Unknown => 5,
            Self::Gated => 6,
            Self::Aborted => 7,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// What became of the work on one host, which is not always how its run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostEnd {
    /// The run is over, or parked.
    Ended(State),
    /// It was stopped at once; the run can be resumed.
    Stopped(State),
    /// Another driver has the run now.
    TakenOver {
        /// Where the run was when it was lost.
        state: State,
        /// Who has it.
        by: String,
    },
    /// The database or Uphaul itself failed. The run can be resumed.
    Broken {
        /// Where the run is, if it was begun.
        state: Option<State>,
        /// Why.
        why: String,
    },
    /// It was not begun, because a stop was asked before its turn.
    NotBegun,
    /// It was not begun, because the budget, a pause or a gate stands before it.
    Gated {
        /// Which one.
        why: String,
    },
}

/// The end of the work on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnd {
    /// The host.
    pub host: HostName,
    /// Its run, if one was begun.
    pub run: Option<RunId>,
    /// Where it should have gone, if that is known.
    pub target: Option<Revision>,
    /// What became of it.
    pub end: HostEnd,
    /// How long it took.
    pub elapsed: Duration,
    /// Within how many seconds its switch takes the host back, where the run was left in the middle and has set one.
    pub reverts_within_s: Option<u32>,
    /// Whether the record has evidence of what failed.
    pub evidence: bool,
}

impl RunEnd {
    /// The end of the work on a host of which nothing else is known.
    pub fn of(host: HostName, end: HostEnd) -> Self {
        let (run, target, reverts_within_s) = (None, None, None);
        Self { host, run, target, end, elapsed: Duration::ZERO, reverts_within_s, evidence: false }
    }

    /// The exit code of this host alone.
    pub fn exit(&self) -> Exit {
        match &self.end {
            HostEnd::Ended(state) => of_state(state),
            HostEnd::Stopped(_) | HostEnd::NotBegun => Exit::Interrupted,
            HostEnd::TakenOver { .. } => Exit::Unknown,
            HostEnd::Broken { .. } => Exit::Internal,
            HostEnd::Gated { .. } => Exit::Gated,
        }
    }

    /// Where the run is, if it was begun.
    pub fn state(&self) -> Option<&State> {
        match &self.end {
            HostEnd::Ended(state) | HostEnd::Stopped(state) | HostEnd::TakenOver { state, .. } => Some(state),
            HostEnd::Broken { state, .. } => state.as_ref(),
            HostEnd::NotBegun | HostEnd::Gated { .. } => None,
        }
    }

    /// The word of the result, as people and scripts are told it.
    pub fn word(&self) -> &'static str {
        match &self.end {
            HostEnd::Ended(State::Finished(outcome)) if outcome.is_unreachable() => "unreachable",
            HostEnd::Ended(state) => state.word(),
            HostEnd::Stopped(_) => "interrupted",
            HostEnd::TakenOver { .. } => "taken_over",
            HostEnd::Broken { .. } => "broken",
            HostEnd::NotBegun => "not_begun",
            HostEnd::Gated { .. } => "gated",
        }
    }
}

fn of_state(state: &State) -> Exit {
    match state {
        State::Finished(outcome) => of_outcome(outcome),
        // A run that was driven to its end and is in none is a fault of the driver, not of the host.
        State::Pending | State::Running(_) => Exit::Internal,
        State::Parked(_) => Exit::Unknown,
    }
}

fn of_outcome(outcome: &Outcome) -> Exit {
    match outcome {
        Outcome::Updated { .. } | Outcome::Unchanged => Exit::Done,
        Outcome::Aborted { .. } if outcome.is_unreachable() => Exit::Unknown,
        Outcome::Aborted { .. } => Exit::Aborted,
        Outcome::RolledBack { .. } => Exit::RolledBack,
        Outcome::NeedsAttention { .. } => Exit::NeedsAttention,
        Outcome::Superseded { .. } => Exit::Unknown,
    }
}

/// The exit code of many hosts: the worst one's.
pub fn worst(ends: &[RunEnd]) -> Exit {
    ends.iter().map(RunEnd::exit).max().unwrap_or(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uphaul_core::ids::Attempt;
    use uphaul_core::machine::{PrepareStep, Reason, Running, Step, StepFailure};

    fn end(end: HostEnd) -> RunEnd {
        RunEnd::of("web-1".parse().unwrap(), end)
    }

    fn finished(outcome: Outcome) -> RunEnd {
        end(HostEnd::Ended(State::Finished(outcome)))
    }

    fn failure(reason: Reason) -> StepFailure {
        StepFailure { step: Step::Prepare(PrepareStep::Preflight), reason }
    }

    fn revision() -> Revision {
        "a".repeat(40).parse().unwrap()
    }

    /// One host for each way to end, the worst first.
    fn one_of_each() -> Vec<RunEnd> {
        let cause = || failure(Reason::Held { by: "somebody".into() });
        let at = Running::Preparing { step: PrepareStep::Preflight, attempt: Attempt::FIRST };
        vec![
            finished(Outcome::NeedsAttention {
                previous: revision(),
                was_healthy: true,
                causes: vec![cause()],
            }),
            end(HostEnd::Broken { state: None, why: "disk full".into() }),
            end(HostEnd::NotBegun),
            end(HostEnd::Ended(State::Parked(at))),
            finished(Outcome::RolledBack { to: revision(), cause: cause() }),
            finished(Outcome::Aborted { cause: cause() }),
            end(HostEnd::Gated { why: "the budget is spent".into() }),
            finished(Outcome::Unchanged),
        ]
    }

    #[test]
    fn the_worst_host_decides() {
        let mut ends = one_of_each();
        let mut codes = Vec::new();
        while !ends.is_empty() {
            codes.push(worst(&ends).code());
            ends.remove(0);
        }
        assert_eq!(codes, [4, 1, 130, 5, 3, 7, 6, 0]);
        assert_eq!(worst(&[]).code(), 0);
    }

    #[test]
    fn away_from_the_start_is_unknown_and_not_aborted() {
        let away =
            finished(Outcome::Aborted { cause: failure(Reason::Unreachable { detail: "no route".into() }) });
        assert_eq!((away.exit().code(), away.word()), (5, "unreachable"));
        let step = Step::Prepare(PrepareStep::Preflight);
        let superseded = finished(Outcome::Superseded { step, by: "x".into() });
        assert_eq!((superseded.exit().code(), superseded.word()), (5, "superseded"));
    }
}
