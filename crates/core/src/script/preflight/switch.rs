//! What preflight says of the dead-man's switch, and of the folders that are kept for the way back.

use super::Judge;
use super::repository::SPACE_MIN_KIB;
use crate::plan::Manager;

/// What it means that a host has none.
pub(super) const NO_SWITCH: &str = "a host cut off in the middle waits for `uphaul resume`";

impl Judge<'_> {
    /// A switch that a dead run left behind. It does nothing any more, or this run will void it.
    pub(super) fn stale_switch(&mut self) {
        if let Some(run) = self.answer.get("switch_stale").map(ToOwned::to_owned) {
            let found =
                format!("the dead-man's switch of run {run}, which is over, is still set; it will be voided");
            self.finding("stale-switch", found);
        }
        if let Some(unit) = self.answer.get("switch_left_over").map(ToOwned::to_owned) {
            self.finding(
                "stale-switch",
                format!("{unit} was left behind; `uphaul check --fix` takes it away"),
            );
        }
    }

    /// Where the host can have no switch, though the plan has one, or nothing was said against one.
    pub(super) fn no_switch(&mut self) {
        let why = match (&self.plan.service.manager, self.plan.deadman) {
            (Manager::Commands { .. }, _) => "service.commands has none".to_owned(),
            (Manager::Systemd { .. }, Some(_)) if !self.get("switch_read_only").is_empty() => {
                format!("{} is read-only", self.get("switch_read_only"))
            }
            (Manager::Systemd { .. }, _) => return,
        };
        self.finding("no-switch", format!("there is no dead-man's switch: {why}; {NO_SWITCH}"));
    }

    /// Room for the copies. A file system that shares blocks needs next to none.
    pub(super) fn kept_space(&mut self) {
        let Some(kept) = self.get("keep_kib").parse::<u64>().ok().filter(|kib| *kib > 0) else { return };
        let free = self.get("space_kib").parse::<u64>().unwrap_or(u64::MAX);
        let shares = matches!(self.get("file_system"), "btrfs" | "zfs" | "bcachefs");
        let needed = kept + SPACE_MIN_KIB;
        if !shares && free >= SPACE_MIN_KIB && free < needed {
            let folders: Vec<&str> = self.plan.service.keep.iter().map(|folder| folder.as_str()).collect();
            let (folders, path) = (folders.join(", "), self.plan.service.path.to_string());
            self.problem(
                "disk",
                format!(
                    "{} MiB are free at {path}; {} are needed, since {folders} is copied for the way back",
                    free / 1024,
                    needed.div_ceil(1024)
                ),
                "make room, or set service.keep = []".into(),
            );
        }
    }
}
