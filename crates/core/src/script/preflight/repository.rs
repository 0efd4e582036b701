//! What preflight read of the checkout, judged.

use super::Judge;
use crate::plan::Dirty;

/// The least free space at the checkout, in KiB, and free inodes: less than this stops no update that changes a
/// line, but the next install.
pub(super) const SPACE_MIN_KIB: u64 = 100 * 1024;
const INODES_MIN: u64 = 1000;

impl Judge<'_> {
    /// Whether there is a checkout to say more about.
    pub(super) fn checkout(&mut self) -> bool {
        let path = self.plan.service.path.to_string();
        let user = self.get("user").to_owned();
        if self.get("path") == "missing" {
            let fix = format!("clone the repository there as its owner: git clone URL {path}");
            self.problem("no-path", format!("{path} does not exist, or {user} may not see it"), fix);
            return false;
        }
        let owner = self.get("path_owner").to_owned();
        if self.answer.get("git_dir").is_none() {
            let said = self.get("git_error").to_owned();
            if said.contains("dubious ownership") {
                let fix = format!("set service.user = {owner:?} (or log in as {owner})");
                self.problem(
                    "owner",
                    format!("{path} belongs to {owner}, and git refuses it for {user}"),
                    fix,
                );
            } else {
                self.problem(
                    "no-checkout",
                    format!("{path} is not a git checkout: {said}"),
                    format!("clone the repository to {path}"),
                );
            }
            return false;
        }
        // git tells the top without symbolic links, and so is the path compared.
        let top = self.get("top").to_owned();
        if !top.is_empty() && top != self.get("real") {
            let fix = format!(
                "set service.path = {top:?}, and let service.install and the unit go to the folder below it"
            );
            self.problem("subfolder", format!("{path} is a folder inside the checkout {top}"), fix);
        }
        if self.get("git_writable") != "1" || self.get("path_writable") != "1" {
            let fix = format!("set service.user = {owner:?}, or chown -R {user} {path}");
            self.problem("owner", format!("{user} may not write {path} (it belongs to {owner})"), fix);
        }
        if self.get("head").is_empty() {
            self.problem(
                "no-commit",
                format!("{path} has no commit checked out"),
                format!("git -C {path} checkout BRANCH"),
            );
        }
        if let Some(lock) = self.answer.get("index_lock").map(ToOwned::to_owned) {
            let fix = format!(
                "if no git works there, remove it: rm {}",
                lock.split(',').next().unwrap_or_default()
            );
            self.problem("index-lock", format!("git's lock is there: {lock}"), fix);
        }
        true
    }

    pub(super) fn remote(&mut self) {
        let path = self.plan.service.path.to_string();
        let url = self.get("remote").to_owned();
        if url.is_empty() {
            self.problem(
                "no-remote",
                format!("{path} has no remote named origin"),
                format!("git -C {path} remote add origin URL"),
            );
            return;
        }
        let code = self.get("remote_code").to_owned();
        if code != "0" {
            let said: Vec<&str> = self.answer.all("remote_error").collect();
            let said = if code == "124" {
                format!("no answer within {} s", self.plan.limits.git_s)
            } else {
                said.join(" / ")
            };
            let fix = format!(
                "as {} on the host, run: git -C {path} ls-remote origin (an agent forwarded by ssh is not there for an \
                 update; use a deploy key)",
                self.get("user")
            );
            self.problem("remote", format!("git ls-remote origin ({url}) fails: {said}"), fix);
        }
        if let Some(origin) = self.plan.origin.as_ref().filter(|origin| **origin != url) {
            self.finding("other-remote", format!("its origin is {url}; the target was resolved at {origin}"));
        }
        if self.get("submodules") == "1" && !self.plan.service.submodules {
            self.finding("submodules", "the checkout has .gitmodules, and service.submodules is off".into());
        }
    }

    pub(super) fn tree(&mut self) {
        let path = self.plan.service.path.to_string();
        let dirty: Vec<String> = self.answer.all("dirty").map(ToOwned::to_owned).collect();
        if !dirty.is_empty() {
            let listed =
                dirty.iter().take(20).map(|line| line.trim().to_owned()).collect::<Vec<_>>().join(", ");
            let more = if dirty.len() > 20 { ", and more" } else { "" };
            let found = format!("tracked files were changed by hand: {listed}{more}");
            match self.plan.policy.dirty {
                Dirty::Refuse => {
                    let fix = format!(
                        "commit or undo them (git -C {path} diff), or set service.dirty to \"stash\" or \"discard\""
                    );
                    self.problem("dirty-tree", found, fix);
                }
                Dirty::Stash => self.finding("dirty-tree", format!("{found}; they will be stashed")),
                Dirty::Discard => self
                    .finding("dirty-tree", format!("{found}; they will be discarded (and kept under a ref)")),
            }
        }
        let middle = self.get("in_the_middle").to_owned();
        if !middle.is_empty() {
            let found =
                format!("somebody left a {middle} in the middle, which a checkout would end or break");
            let fix = format!("end it: git -C {path} status says how");
            self.problem("in-the-middle", found, fix);
        }
        let hidden = self.get("hidden_edits").trim().to_owned();
        if !hidden.is_empty() {
            let found = format!("edits that git was told not to see would be lost: {hidden}");
            let fix = format!(
                "git -C {path} update-index --no-assume-unchanged --no-skip-worktree FILE, then commit or undo them"
            );
            self.problem("hidden-edits", found, fix);
        }
        let inside = self.get("submodule_edits").trim().to_owned();
        if !inside.is_empty() {
            let found = format!("a submodule has edits by hand, which cannot be kept: {inside}");
            self.problem("submodule-edits", found, "commit or undo them there".into());
        }
        let in_way = self.get("in_way").trim().to_owned();
        if !in_way.is_empty() {
            self.problem(
                "in-the-way",
                format!("untracked files are in the way of the target: {in_way}"),
                "move or remove them".into(),
            );
        }
        self.drift();
        match self.get("relation") {
            "older" if self.get("head") != self.plan.target.as_str() => {
                self.finding(
                    "older",
                    format!("the target is older than what is checked out ({})", self.get("head")),
                );
            }
            "diverged" => self.finding(
                "diverged",
                format!("the target has diverged from what is checked out ({})", self.get("head")),
            ),
            _ => {}
        }
    }

    fn drift(&mut self) {
        let head = self.get("head").to_owned();
        let fix =
            "look at the host; then `uphaul version HOST` to record what it runs, or --accept-drift --force"
                .to_owned();
        match &self.plan.recorded {
            _ if self.plan.policy.accept_drift || head.is_empty() => {}
            Some(recorded) if recorded.as_str() != head => {
                self.problem(
                    "drift",
                    format!("the host has {head} checked out, and the record says {recorded}"),
                    fix,
                );
            }
            None if self.get("healthy") != "1" => {
                let seen = format!("{}{}", self.get("not_running"), self.get("health_error"));
                let found =
                    format!("nothing is recorded of this host, and what it runs is not healthy: {seen}");
                self.problem("not-proved", found, "bring the service up first, or --accept-drift".into());
            }
            Some(_) | None => {}
        }
    }

    pub(super) fn space(&mut self) {
        let path = self.plan.service.path.to_string();
        let kib = self.get("space_kib").parse::<u64>().ok();
        if let Some(kib) = kib.filter(|kib| *kib < SPACE_MIN_KIB) {
            self.problem(
                "disk",
                format!("{} MiB are free at {path}; {} are needed", kib / 1024, SPACE_MIN_KIB / 1024),
                "make room".into(),
            );
        }
        let inodes = self.get("inodes").parse::<u64>().ok();
        if let Some(inodes) = inodes.filter(|inodes| *inodes < INODES_MIN) {
            self.problem(
                "inodes",
                format!("{inodes} inodes are free at {path}; {INODES_MIN} are needed"),
                "make room".into(),
            );
        }
    }
}
