//! What only reads: the preflight's report, and the commit that a ref means. As `sh/preflight.sh` and `sh/resolve.sh`
//! tell it.

use super::runner::Lines;
use super::{Live, Order, Service};
use crate::origin::Origin;

const REMOTE: &str = "https://git.example.com/app.git";

impl Live {
    /// Everything that could stop an update, in one report.
    pub(crate) fn preflight(&self, origin: &Origin, order: &Order) -> String {
        let mut all: Vec<(String, String)> = Vec::new();
        let mut say = |key: &str, value: String| all.push((key.to_owned(), value));
        for (key, value) in [
            ("user", "root"),
            ("uid", "0"),
            ("home", "/root"),
            ("git_version", "git version 2.47.0"),
            ("systemd_version", "257"),
            ("systemd_runs", "1"),
        ] {
            say(key, value.into());
        }
        for tool in [
            "git",
            "flock",
            "timeout",
            "setsid",
            "mkfifo",
            "stdbuf",
            "systemctl",
            "systemd-run",
            "sudo",
            "ssh-keygen",
        ] {
            say("tool", format!("{tool} /usr/bin/{tool}"));
        }
        for (key, value) in [
            ("path_owner", "root"),
            ("space_kib", "10485760"),
            ("inodes", "1000000"),
            ("git_error", ""),
            ("git_writable", "1"),
            ("path_writable", "1"),
            ("branch", ""),
            ("remote", REMOTE),
            ("shallow", "false"),
            ("remote_code", "0"),
        ] {
            say(key, value.into());
        }
        say("git_dir", format!("{}/.git", order.dir));
        say("top", order.dir.trim_end_matches('/').into());
        say("real", order.dir.trim_end_matches('/').into());
        say("head", self.head.as_ref().map(ToString::to_string).unwrap_or_default());
        for file in &self.dirty {
            say("dirty", format!(" M {file}"));
        }
        if let (Some(head), Some(target)) = (&self.head, &order.target)
            && let Some((relation, commits)) = origin.relation(head, target)
        {
            say("target_here", "1".into());
            say("relation", relation.into());
            for line in commits.into_iter().take(20) {
                say("commit", line);
            }
            say("in_way", String::new());
        }
        if let Some(by) = self.holder(order) {
            say("held", by);
        }
        say("previous_ref", self.previous_ref.as_ref().map(ToString::to_string).unwrap_or_default());
        for unit in &order.units {
            say("unit", unit.clone());
            for prop in ["LoadState=loaded", "ActiveState=active", "SubState=running", "Type=simple"] {
                say("unit_prop", format!("{unit} {prop}"));
            }
        }
        say("linger", "1".into());
        if !order.tool.is_empty() {
            say("tool_at", format!("/usr/bin/{}", order.tool));
        }
        say("probe_tool", "curl".into());
        let escaped = order.dir.trim_matches('/').replace('-', "\\x2d").replace('/', "-");
        say("switch_unit", format!("/etc/systemd/system/uphaul-switch-{escaped}.service"));
        self.service_lines(origin, order, &mut say);
        say("end", "1".into());
        self.told(all)
    }

    fn service_lines(&self, origin: &Origin, order: &Order, say: &mut impl FnMut(&str, String)) {
        let ill = self.ill(origin, order);
        match (&self.service, ill) {
            (Service::Down, why) => say("not_running", why.unwrap_or_default()),
            (Service::Up { invocation, .. }, ill) => {
                say("running", format!("invocation {invocation} pid {}", 1000 + invocation));
                match ill {
                    None => say("healthy", "1".into()),
                    Some(why) => say("health_error", why),
                }
            }
        }
    }

    /// Puts this host's own values in the place of the usual ones.
    fn told(&self, mut all: Vec<(String, String)>) -> String {
        for (key, value) in &self.preflight {
            all.retain(|(known, _)| known != key);
            if let Some(value) = value {
                all.insert(0, (key.clone(), value.clone()));
            }
        }
        let mut lines = Lines::default();
        for (key, value) in all {
            lines.say(&key, value);
        }
        lines.0
    }
}

/// The one commit that a ref means.
pub(crate) fn resolve(origin: &Origin, order: &Order) -> String {
    let mut lines = Lines::default();
    lines.say("remote", REMOTE);
    match origin.resolve(&order.reference) {
        Ok((kind, revision)) => {
            lines.say("kind", kind);
            lines.say("commit", revision);
        }
        Err(why) => lines.say("error", why),
    }
    lines.0
}
