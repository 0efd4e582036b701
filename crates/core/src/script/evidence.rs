//! The command that tells what can be seen of a failed step; `crate::evidence` reads what it prints.

use super::{Context, LIB, job_name, phase, remote, values};
use crate::machine::Step;
use crate::plan::Plan;
use crate::ports::RemoteCommand;

/// What it may print, each line after a blank.
const PRINTED_MAX: usize = 128 * 1024;
/// How long it may take, in seconds: the service is down meanwhile.
const LIMIT_S: u32 = 10;
/// How long each of its questions may take, in seconds.
const EACH_S: u32 = 3;

/// The read-only command for the step that failed. It leaves the dead-man's switch half of its window, since nothing puts
/// that off meanwhile.
pub fn evidence(plan: &Plan, context: &Context<'_>, of: Step) -> RemoteCommand {
    let limit = plan.deadman.map_or(LIMIT_S, |deadman| LIMIT_S.min(deadman.window_s / 2));
    let mut env = values(plan, context, "evidence");
    env.insert("U_STEP".into(), "evidence".into());
    env.insert("U_OF".into(), job_name(of));
    env.insert("U_PHASE".into(), phase(of).into());
    env.insert("U_LIMIT".into(), limit.to_string());
    env.insert("U_EACH_S".into(), EACH_S.to_string());
    let script = [LIB, include_str!("sh/evidence.sh")].concat();
    RemoteCommand { output_max: PRINTED_MAX, ..remote(plan, script, env, limit + 2) }
}
