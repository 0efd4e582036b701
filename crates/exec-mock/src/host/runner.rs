//! The runner: the claim and its number, the job that was begun before, the answer. As `sh/runner.sh` does it.

use super::{Claim, Ended, How, Live, Order};
use crate::origin::Origin;

/// An answer in the making: `key=value` lines.
#[derive(Debug, Default)]
pub(crate) struct Lines(pub(crate) String);

impl Lines {
    pub(crate) fn say(&mut self, key: &str, value: impl ToString) {
        let value = value.to_string().replace(['\n', '\r'], " ");
        self.0.push_str(&format!("{key}={value}\n"));
    }
}

/// Why a host does not let a driver begin.
enum No {
    Held(String),
    Fenced(String),
}

impl Live {
    /// Whether the claim is still worth anything. After a reboot its time counts anew.
    fn claim_lives(&self) -> bool {
        let since = if self.claim.boot == self.boot { self.claim.up_s } else { 0 };
        !self.claim.run.is_empty() && self.up_s.saturating_sub(since) <= self.claim.ttl_s
    }

    /// Who holds the host, if somebody else does.
    pub(super) fn holder(&self, order: &Order) -> Option<String> {
        let other = self.claim.run != order.run && !order.settled.contains(&self.claim.run);
        (self.claim_lives() && other).then(|| format!("{} (run {})", self.claim.owner, self.claim.run))
    }

    /// Whether a driver of this run has taken the host since with a later transition.
    fn slept(&self, order: &Order) -> bool {
        self.claim.run == order.run && order.seq < self.claim.seq
    }

    fn claim_for(&mut self, order: &Order) -> Result<u64, No> {
        if order.fence.is_none()
            && let Some(by) = self.holder(order)
        {
            return Err(No::Held(by));
        }
        if order.fence.is_none() && (self.claim.over == order.run || self.slept(order)) {
            return Err(No::Fenced(format!(
                "{}: run {} has gone on without it",
                self.claim.owner, order.run
            )));
        }
        let fence = match order.fence {
            None => self.claim.fence + 1,
            Some(_) if self.drove_until_then(order) => self.claim.fence + 1,
            Some(fence) if fence == self.claim.fence => fence,
            Some(fence) => {
                let Claim { owner, run, fence: now, .. } = &self.claim;
                return Err(No::Fenced(format!("{owner} (run {run}, number {now}; ours was {fence})")));
            }
        };
        self.claim = Claim {
            fence,
            run: order.run.clone(),
            owner: order.owner.clone(),
            boot: self.boot,
            up_s: self.up_s,
            ttl_s: u64::from(order.limit_s) + 90,
            seq: order.seq,
            over: std::mem::take(&mut self.claim.over),
        };
        Ok(fence)
    }

    /// Runs the command of a step, or finds its job, and answers.
    pub(crate) fn run_step(&mut self, origin: &Origin, order: &Order, how: How) -> String {
        let mut lines = Lines::default();
        lines.say("run", &order.run);
        lines.say("step", &order.step);
        match self.claim_for(order) {
            Err(No::Held(by)) => {
                let recorded = order.step != "prepare-Record";
                lines.say("state", if recorded { "fenced" } else { "held" });
                lines.say("by", by);
                return lines.0;
            }
            Err(No::Fenced(by)) => {
                lines.say("state", "fenced");
                lines.say("by", by);
                return lines.0;
            }
            Ok(fence) => lines.say("fence", fence),
        }
        // A job that goes on holds the lock, so it ends before anything else begins.
        self.finish_pending(origin);
        if order.action == "release" {
            self.claim.run.clear();
            self.claim.ttl_s = 0;
            self.claim.over.clone_from(&order.run);
            lines.say("state", "done");
            lines.say("rc", 0);
            return lines.0;
        }
        if let Some(note) = self.acted(order)
            && (order.action == "confirm" || !order.knows_reverted)
        {
            lines.say("state", "reverted");
            lines.say("by", note);
            return lines.0;
        }
        if order.step == "prepare-Record" {
            let ours = format!("{}.", order.run);
            self.jobs.retain(|job, _| job.starts_with(&ours));
        }
        if !self.is_done(order) {
            let ended = self.job(origin, order, how);
            self.jobs.insert(order.job(), ended);
        }
        self.report(&order.job(), lines)
    }

    /// Whether the job has a result that still says something. What was restarted or verified before a reboot does
    /// not, nor does a proof of long ago.
    fn is_done(&self, order: &Order) -> bool {
        let proof = order.step.ends_with("-Verify");
        let voided = proof || order.step.ends_with("-Restart");
        self.jobs.get(&order.job()).is_some_and(|ended| {
            (!voided || ended.boot == self.boot) && (!proof || self.up_s.saturating_sub(ended.up_s) <= 60)
        })
    }

    /// Begins a job that nobody waits for; it ends when the host is needed again.
    pub(crate) fn begin_job(&mut self, origin: &Origin, order: &Order, how: How) {
        if order.only_reads() || order.action == "release" || self.claim_for(order).is_err() {
            return;
        }
        self.finish_pending(origin);
        if !self.is_done(order) {
            self.pending = Some((order.clone(), how));
        }
    }

    /// Lets a job that goes on end.
    pub(crate) fn finish_pending(&mut self, origin: &Origin) {
        if let Some((order, how)) = self.pending.take() {
            let ended = self.job(origin, &order, how);
            self.note(format!("      the job {} has ended, exit {}", order.step, ended.code));
            self.jobs.insert(order.job(), ended);
        }
    }

    fn report(&self, job: &str, mut lines: Lines) -> String {
        let ended = self.jobs.get(job).cloned().unwrap_or_default();
        let Ended { boot, code, result, tail, up_s: _ } = ended;
        lines.say("state", "done");
        lines.say("boot", boot);
        lines.say("now", self.boot);
        lines.say("rc", code);
        for (key, value) in result {
            lines.say(&key, value);
        }
        format!("{}--\n{tail}", lines.0)
    }
}
