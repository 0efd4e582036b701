//! Performs a command that was written down, and says what came back.

use std::time::Duration;

use super::{Committed, Event, Link, Observer};
use crate::evidence::Mask;
use crate::ids::Fence;
use crate::machine::{Action, Command, Input, Problem, Reason, Running, State, UpdateStep};
use crate::plan::Plan;
use crate::ports::{ExecError, ExecErrorKind, Output, RunRecord};
use crate::script::{self, Answer, Context};

/// What a driver keeps between the commands of a run.
pub(super) struct Performer<'a> {
    pub(super) link: Link,
    pub(super) fence: Option<Fence>,
    pub(super) owner: &'a str,
    pub(super) settled: &'a [crate::ids::RunId],
    pub(super) observer: &'a dyn Observer,
    pub(super) reconnect: Duration,
    pub(super) mask: Mask,
}

impl Performer<'_> {
    /// Performs. Every way that this can go wrong is an input of the machine. What the host said is masked before anybody
    /// sees it.
    pub(super) async fn perform(&mut self, record: &RunRecord, command: Committed<Command>) -> Input {
        match self.performed(record, command).await {
            Input::Failed(reason) => Input::Failed(self.mask.reason(reason)),
            Input::HostReverted(note) => Input::HostReverted(note.map(|note| self.mask.note(&note))),
            other @ (Input::Start
            | Input::Succeeded(_)
            | Input::Interrupted
            | Input::Unreachable { .. }
            | Input::Superseded { .. }) => other,
        }
    }

    async fn performed(&mut self, record: &RunRecord, command: Committed<Command>) -> Input {
        let command = command.into_inner();
        if command.action == Action::Confirm {
            // A fresh connection proves that the host can still be reached.
            self.link.close().await;
        }
        if let Err(error) = self.link.open().await {
            return self.not_open(record, &command, error).await;
        }
        let context = self.context(record);
        let words = script::lower(&record.plan, &command, &context);
        match self.link.run(&words).await {
            Ok(output) => self.answered(record, &command, &output),
            Err(error) => self.failed(record, error).await,
        }
    }

    pub(super) fn context<'a>(&'a self, record: &'a RunRecord) -> Context<'a> {
        let knows_reverted = match &record.state {
            State::Running(at) | State::Parked(at) => at.knows_reverted(),
            State::Pending | State::Finished(_) => false,
        };
        Context {
            run: &record.id,
            seq: record.seq,
            fence: self.fence,
            owner: self.owner,
            settled: self.settled,
            knows_reverted,
        }
    }

    /// The run is not begun while its host was never reached: one try is enough. Later it is worth waiting for.
    async fn not_open(&mut self, record: &RunRecord, command: &Command, error: ExecError) -> Input {
        if command.action == Action::Preflight {
            return match problem(&record.plan, &error) {
                Some(problem) => Input::Failed(Reason::Refused { problems: vec![problem] }),
                None => Input::Unreachable { detail: error.detail },
            };
        }
        self.failed(record, error).await
    }

    fn answered(&mut self, record: &RunRecord, command: &Command, output: &Output) -> Input {
        let answer = match Answer::of(output) {
            Ok(answer) => answer,
            // Only who waited for the job was killed: the job goes on, and is found again.
            Err(Reason::Exited { code, .. }) if code > 128 && command.action != Action::Preflight => {
                return Input::Interrupted;
            }
            Err(reason) => return Input::Failed(reason),
        };
        if command.action == Action::Preflight {
            let report = script::preflight_of(&record.plan, &answer);
            for finding in &report.findings {
                self.observer.tell(&Event::Found { host: &record.host, finding });
            }
            return report.input(&record.plan);
        }
        if let Err(reason) = answer.is_for(&record.id, command.step, self.fence) {
            return Input::Failed(reason);
        }
        self.fence = answer.fence().or(self.fence);
        answer.input(command)
    }

    /// The command may have run, or may still be running: reach the host again, and only then count the attempt.
    async fn failed(&mut self, record: &RunRecord, error: ExecError) -> Input {
        match error.kind {
            ExecErrorKind::Timeout => Input::Interrupted,
            // What this machine cannot do is no reason to go back, nor a fault of the host: another driver may go on.
            ExecErrorKind::Local if touched(&record.state) => Input::Unreachable { detail: error.detail },
            ExecErrorKind::Local => Input::Failed(Reason::Unexpected { detail: error.detail }),
            ExecErrorKind::Connect | ExecErrorKind::Lost | ExecErrorKind::Auth | ExecErrorKind::HostKey => {
                self.observer.tell(&Event::Reconnecting { host: &record.host, why: &error.detail });
                self.reached_again().await
            }
        }
    }

    /// Whether the host is there again.
    pub(super) async fn reached_again(&mut self) -> Input {
        match self.link.reopen(self.reconnect).await {
            Ok(()) => Input::Interrupted,
            Err(error) => Input::Unreachable { detail: error.detail },
        }
    }

    /// Gives the host back. Where that fails, the claim grows old by itself.
    pub(super) async fn release(&mut self, record: &RunRecord) {
        if self.fence.is_some() {
            let context = self.context(record);
            let _unimportant = self.link.run(&script::release(&record.plan, &context)).await;
        }
    }
}

/// What a person has to mend before the host can be reached at all; none where it is just away.
fn problem(plan: &Plan, error: &ExecError) -> Option<Problem> {
    let (code, fix) = match error.kind {
        ExecErrorKind::Auth => ("auth", format!("check the user and the key: ssh {}", plan.host.address)),
        ExecErrorKind::HostKey => {
            ("host-key", "compare the key with the host's own, then mend known_hosts".to_owned())
        }
        ExecErrorKind::Local => ("local", "mend it on this machine".to_owned()),
        ExecErrorKind::Connect | ExecErrorKind::Lost | ExecErrorKind::Timeout => return None,
    };
    Some(Problem { code: code.into(), found: error.detail.clone(), fix })
}

/// Whether the host may have been changed already, or have a switch that acts.
fn touched(state: &State) -> bool {
    match state {
        State::Running(Running::Updating { step, .. }) => *step > UpdateStep::Fetch,
        State::Running(Running::RollingBack { .. }) => true,
        State::Pending
        | State::Running(Running::Preparing { .. })
        | State::Parked(_)
        | State::Finished(_) => false,
    }
}
