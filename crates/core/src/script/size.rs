//! Whether the commands of a run fit into what an executor sends.

use super::{Context, lower, steps_of_rollback, steps_of_update};
use crate::ids::{Attempt, Fence, RunId, Seq};
use crate::machine::{Action, Command, PrepareStep, Step};
use crate::plan::Plan;
use crate::ports::frame::COMMAND_MAX;

/// What a driver adds to a command as the run goes on: who it is, and the runs that are over. More than both have.
const CONTEXT_MAX: usize = 2048;

/// How many bytes too many the largest command of a run of this plan has; none where all fit. It is asked before anything
/// is touched: a run that cannot send its next step in the middle could go neither on nor back.
pub(super) fn too_large(plan: &Plan) -> Option<usize> {
    let Ok(run) = "rrrrrrrrrrrr".parse::<RunId>() else { return None };
    let context = Context {
        run: &run,
        seq: Seq(u32::MAX),
        fence: Some(Fence(u64::MAX)),
        owner: "",
        settled: &[],
        knows_reverted: false,
    };
    let record = (Step::Prepare(PrepareStep::Record), Action::Record);
    let steps = [record].into_iter().chain(steps_of_update(plan)).chain(steps_of_rollback(&plan.target));
    let sizes = steps.map(|(step, action)| {
        lower(plan, &Command { step, attempt: Attempt::FIRST, action }, &context).size()
    });
    let largest = sizes.max().unwrap_or_default() + CONTEXT_MAX;
    largest.checked_sub(COMMAND_MAX).filter(|over| *over > 0)
}
