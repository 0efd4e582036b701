//! The fault matrix: each fault at each step of an update and of a rollback. Whatever happens, the host ends on the
//! target or on the previous commit, wholly and healthy; the record says which, or `unknown` while it cannot know; and
//! nobody logs in: what is done afterwards is `uphaul resume`, and nothing on the host.
//!
//! A cell is the trial `matrix::FAULT::STEP::EXECUTOR`. Some of them run with all other tests, so that each fault and each
//! step is there; UPHAUL_TEST_MATRIX=full has all of them, by both executors unless UPHAUL_TEST_EXECUTOR names one, and
//! prints the page docs/fault-matrix.md.

#[path = "matrix/fault.rs"]
mod fault;
#[path = "matrix/judge.rs"]
mod judge;
#[path = "matrix/small_disk.rs"]
mod small_disk;
#[path = "matrix/stage.rs"]
mod stage;
#[path = "matrix/table.rs"]
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use libtest_mimic::Trial;
use uphaul_core::machine::PrepareStep::{Preflight, Record};
use uphaul_core::machine::Step::{Prepare, Rollback, Update};
use uphaul_core::machine::{RollbackStep, Step, UpdateStep};

use super::operator;
use fault::Fault;
use stage::Stage;
pub(crate) use table::print;

/// The steps, in the order in which a run that fails in `Verify` goes through them.
const STEPS: [Step; 14] = [
    Prepare(Preflight),
    Prepare(Record),
    Update(UpdateStep::Fetch),
    Update(UpdateStep::Arm),
    Update(UpdateStep::Checkout),
    Update(UpdateStep::Install),
    Update(UpdateStep::Restart),
    Update(UpdateStep::Verify),
    Update(UpdateStep::Confirm),
    Rollback(RollbackStep::Checkout),
    Rollback(RollbackStep::Install),
    Rollback(RollbackStep::Restart),
    Rollback(RollbackStep::Verify),
    Rollback(RollbackStep::Confirm),
];

/// The cells that run where not all of them are asked for: each step and each fault is among them.
const SOME: [(Fault, Step); 15] = [
    (Fault::DatabaseAway, Prepare(Preflight)),
    (Fault::ClockBack, Prepare(Record)),
    (Fault::OriginCut, Update(UpdateStep::Fetch)),
    (Fault::Killed, Update(UpdateStep::Arm)),
    (Fault::HostFull, Update(UpdateStep::Checkout)),
    (Fault::SecondOperator, Update(UpdateStep::Install)),
    (Fault::SshdKilled, Update(UpdateStep::Restart)),
    (Fault::Rebooted, Update(UpdateStep::Verify)),
    (Fault::CutForGood, Update(UpdateStep::Confirm)),
    (Fault::ControllerFull, Rollback(RollbackStep::Checkout)),
    (Fault::OriginCut, Rollback(RollbackStep::Install)),
    (Fault::Killed, Rollback(RollbackStep::Restart)),
    (Fault::CutForAMoment, Rollback(RollbackStep::Verify)),
    (Fault::CutForGood, Rollback(RollbackStep::Install)),
    (Fault::SshdKilled, Rollback(RollbackStep::Confirm)),
];

/// How often a cell is begun, on a new host each time, until the fault has met the run in its step.
const TRIES: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    backend: &'static str,
    step: Step,
    fault: Fault,
}

impl Cell {
    fn is_of_rollback(self) -> bool {
        matches!(self.step, Rollback(_))
    }
}

/// See above.
pub(crate) fn trials(skip: bool) -> Vec<Trial> {
    let cells: Vec<Cell> = match std::env::var("UPHAUL_TEST_MATRIX").as_deref() {
        Ok("full") => all(),
        Err(_) | Ok("") => SOME
            .iter()
            .map(|(fault, step)| Cell {
                backend: operator::backend_of(&format!("{}{step}", fault.name())),
                step: *step,
                fault: *fault,
            })
            .collect(),
        Ok(other) => panic!("UPHAUL_TEST_MATRIX is {other:?}, and has to be \"full\" where it is set"),
    };
    let trial = |cell: Cell| {
        let name = format!("matrix::{}::{}::{}", cell.fault.name(), cell.step, cell.backend);
        Trial::test(name, move || {
            run(cell);
            Ok(())
        })
        .with_ignored_flag(skip)
    };
    cells.into_iter().map(trial).collect()
}

fn all() -> Vec<Cell> {
    let asked = std::env::var("UPHAUL_TEST_EXECUTOR").unwrap_or_default();
    let backends = if asked.is_empty() { vec!["openssh", "libssh2"] } else { vec![operator::backend_of("")] };
    let mut cells = Vec::new();
    for backend in backends {
        for step in STEPS {
            cells.extend(Fault::ALL.map(|fault| Cell { backend, step, fault }));
        }
    }
    cells
}

/// Runs a cell to its end, and notes it for the table.
fn run(cell: Cell) {
    operator::reach_by(cell.backend);
    for missed in 0..TRIES {
        match catch_unwind(AssertUnwindSafe(|| attempt(cell))) {
            Ok(None) => {}
            Ok(Some(end)) => return table::note(cell, missed, Some(end)),
            Err(panic) => {
                table::note(cell, missed, None);
                resume_unwind(panic);
            }
        }
    }
    table::note(cell, TRIES, None);
    panic!("in {TRIES} runs the fault has never met the run in {}", cell.step);
}

/// Runs a cell once; None where the run was not met in its step.
fn attempt(cell: Cell) -> Option<String> {
    let mut stage = match Stage::new(cell) {
        Ok(stage) => stage,
        Err(why) => {
            uphaul_tests::postgres::skip(&why);
            return Some("left out".to_owned());
        }
    };
    let going = stage.operator.spawn(&stage::UPDATE);
    if !stage.meet(&going) {
        eprintln!("{cell:?} was missed: {:?}\n{}", stage.operator.log(), going.said());
        return None;
    }
    let first = cell.fault.strike(&mut stage, going);
    Some(judge::judge(&stage, first))
}
