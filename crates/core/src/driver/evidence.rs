//! What is read of a failed step before the way back makes it go.

use std::time::Duration;

use super::perform::Performer;
use crate::evidence::Evidence;
use crate::machine::{
    Outcome, Reason, RollbackStep, Running, State, Step, StepFailure, Transition, UpdateStep,
};
use crate::ports::RunRecord;
use crate::script;

/// How much longer than the host's own limit the answer is waited for: a connection that died must not keep the way back.
const GRACE: Duration = Duration::from_secs(3);
/// How long a connection may take to be closed on which no answer came.
const CLOSE: Duration = Duration::from_secs(2);

/// The step of which evidence is worth reading: a restart or a verify that this transition says has failed. Not where the
/// host went back by itself, since what there was to see is gone; nor where another target was asked for.
pub(super) fn wanted(transition: &Transition) -> Option<Step> {
    let State::Running(at) = &transition.from else { return None };
    let of_the_service = match at.step() {
        Step::Update(step) => matches!(step, UpdateStep::Restart | UpdateStep::Verify),
        Step::Rollback(step) => matches!(step, RollbackStep::Restart | RollbackStep::Verify),
        Step::Prepare(_) => false,
    };
    let (before, after) = (failures(&transition.from), failures(&transition.to));
    let last = after.last().filter(|_| of_the_service && after.len() > before.len())?;
    let failed = !matches!(last.reason, Reason::HostReverted { .. } | Reason::CalledOff { .. });
    (last.step == at.step() && failed).then_some(last.step)
}

/// What a state knows to have failed, in order.
fn failures(state: &State) -> Vec<&StepFailure> {
    match state {
        State::Running(Running::RollingBack { cause, failures, .. })
        | State::Parked(Running::RollingBack { cause, failures, .. }) => {
            std::iter::once(cause).chain(failures).collect()
        }
        State::Finished(Outcome::NeedsAttention { causes, .. }) => causes.iter().collect(),
        State::Pending | State::Running(_) | State::Parked(_) | State::Finished(_) => Vec::new(),
    }
}

impl Performer<'_> {
    /// Reads it. Whatever goes wrong is told in it, and changes nothing of the run's way.
    pub(super) async fn evidence(&mut self, record: &RunRecord, of: Step) -> Evidence {
        let words = script::evidence(&record.plan, &self.context(record), of);
        let limit = words.timeout + GRACE;
        match tokio::time::timeout(limit, self.link.run(&words)).await {
            Ok(Ok(output)) => Evidence::read(of, &output, &self.mask),
            Ok(Err(error)) => Evidence::none(of, &error.detail, &self.mask),
            Err(_) => {
                let _dropped_then = tokio::time::timeout(CLOSE, self.link.close()).await;
                Evidence::none(of, &format!("no answer within {} s", limit.as_secs()), &self.mask)
            }
        }
    }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
