//! The dead-man's switch of a simulated host, as `sh/arm.sh`, `sh/switch.sh` and `sh/confirm.sh` have it.

use uphaul_core::ids::Revision;

use super::{Live, Order, Version};
use crate::origin::Origin;

/// The switch that the last armed run left.
#[derive(Debug, Clone)]
pub(super) struct Switch {
    run: String,
    to: Revision,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Armed,
    Confirmed,
    /// It acted; the number that it found, the one that it took, and its note.
    Reverted {
        before: u64,
        fence: u64,
        note: String,
    },
}

impl Live {
    pub(super) fn arm(&mut self, order: &Order, to: Revision) {
        self.switch = Some(Switch { run: order.run.clone(), to, state: State::Armed });
    }

    pub(super) fn disarm(&mut self, order: &Order) {
        if let Some(switch) = self.switch.as_mut().filter(|switch| switch.run == order.run)
            && switch.state == State::Armed
        {
            switch.state = State::Confirmed;
        }
    }

    /// The window is over: where the switch is armed, the host goes back by itself.
    pub(crate) fn fire(&mut self, origin: &Origin) {
        self.finish_pending(origin);
        let Some(switch) = self.switch.clone().filter(|switch| switch.state == State::Armed) else { return };
        let before = self.claim.fence;
        self.claim.fence += 1;
        self.claim.ttl_s = 0;
        let ours = format!("{}.", switch.run);
        self.jobs.retain(|job, _| !job.starts_with(&ours));
        if let Some(kept) = self.runs.get_mut(&switch.run) {
            kept.restarted.clear();
            kept.invocations.clear();
            self.dirty = kept.edits.clone().unwrap_or_default();
        }
        (self.head, self.whole) = (Some(switch.to.clone()), true);
        self.installed = Version::Of(switch.to.clone());
        self.start(origin);
        self.note("      the switch of the host has taken it back");
        // A simulated host has no window that could be over: its switch is as soon as can be.
        let note = format!(
            "went back to {} at try 1, begun 0 s after its time was up, done {} s after the boot {:08x}",
            switch.to, self.up_s, self.boot
        );
        let state = State::Reverted { before, fence: self.claim.fence, note };
        self.switch = Some(Switch { state, ..switch });
    }

    /// The note of the switch of the order's run, where it has acted.
    pub(super) fn acted(&self, order: &Order) -> Option<&str> {
        match &self.switch.as_ref().filter(|switch| switch.run == order.run)?.state {
            State::Reverted { note, .. } => Some(note),
            State::Armed | State::Confirmed => None,
        }
    }

    /// Whether who comes with this number drove until the switch acted, and nobody has driven since.
    pub(super) fn drove_until_then(&self, order: &Order) -> bool {
        let ours = self.switch.as_ref().filter(|switch| switch.run == order.run);
        ours.is_some_and(|switch| match switch.state {
            State::Reverted { before, fence, .. } => order.fence == Some(before) && self.claim.fence == fence,
            State::Armed | State::Confirmed => false,
        })
    }
}
