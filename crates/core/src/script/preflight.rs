//! What preflight read, judged: everything that would stop an update, in one report.

mod repository;
mod rights;
mod switch;

use std::collections::BTreeMap;

use super::Answer;
use super::size::too_large;
use crate::ids::Revision;
use crate::machine::{Input, Observation, Problem, Reason};
use crate::plan::{Health, Manager, Plan, Scope};

/// The least git that has what the scripts use.
const GIT_MIN: (u32, u32) = (2, 20);
/// The least systemd.
const SYSTEMD_MIN: u32 = 235;

/// Something worth saying that does not stop the update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A stable word for it.
    pub code: &'static str,
    /// What was found.
    pub text: String,
}

/// The report of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// What would stop the update.
    pub problems: Vec<Problem>,
    /// What is worth saying.
    pub findings: Vec<Finding>,
    /// The commit that is checked out.
    pub head: Option<Revision>,
    /// Whether the service runs and its health check passes now.
    pub healthy: bool,
    /// Tracked files changed by hand, as `git status --porcelain` tells them; at most 21.
    pub dirty: Vec<String>,
    /// `newer`, `older` or `diverged`, where the host has the target already.
    pub relation: Option<String>,
    /// The commits between, `hash subject`, newest first; at most 20.
    pub commits: Vec<String>,
    /// Who holds the host, if somebody else does.
    pub held: Option<String>,
    /// The host's own URL of origin.
    pub remote: Option<String>,
    /// Whether what we run there runs as root, and needs no sudo.
    pub root: bool,
    /// Whether the checkout is a shallow one.
    pub shallow: bool,
    /// Whether the target's commit is on the host already.
    pub target_here: bool,
    /// What the service is asked with.
    pub probe_tool: Option<String>,
    /// The path of the unit that a dead-man's switch of this checkout has.
    pub switch_unit: Option<String>,
}

impl Preflight {
    /// Whether the host runs the target already, proved.
    pub fn already_there(&self, plan: &Plan) -> bool {
        let recorded = plan.recorded.as_ref().is_none_or(|recorded| *recorded == plan.target);
        recorded && self.head.as_ref() == Some(&plan.target) && self.healthy && self.dirty.is_empty()
    }

    /// What the machine is told.
    pub fn input(self, plan: &Plan) -> Input {
        if let Some(by) = self.held {
            return Input::Failed(Reason::Held { by });
        }
        if !self.problems.is_empty() {
            return Input::Failed(Reason::Refused { problems: self.problems });
        }
        if self.already_there(plan) && !plan.policy.force {
            return Input::Succeeded(Observation::AlreadyThere);
        }
        Input::Succeeded(Observation::Nothing)
    }
}

/// Collects problems.
struct Judge<'a> {
    plan: &'a Plan,
    answer: &'a Answer,
    problems: Vec<Problem>,
    findings: Vec<Finding>,
}

/// Judges what preflight read.
pub fn preflight_of(plan: &Plan, answer: &Answer) -> Preflight {
    let mut judge = Judge { plan, answer, problems: Vec::new(), findings: Vec::new() };
    judge.size();
    judge.tools();
    if judge.checkout() {
        judge.remote();
        judge.signatures();
        judge.tree();
        judge.space();
        judge.kept_space();
        judge.stale_switch();
    }
    judge.manager();
    judge.no_switch();
    judge.install();
    judge.health();
    if answer.get("end").is_none() && answer.get("path") != Some("missing") {
        judge.problem(
            "garbled",
            "the host's report was cut off".into(),
            "try again; look at the login shell of the user".into(),
        );
    }
    let text = |key: &str| answer.get(key).filter(|value| !value.is_empty()).map(ToOwned::to_owned);
    Preflight {
        head: answer.get("head").and_then(|head| head.parse().ok()),
        healthy: answer.get("healthy") == Some("1"),
        dirty: answer.all("dirty").map(ToOwned::to_owned).collect(),
        relation: text("relation"),
        commits: answer.all("commit").map(ToOwned::to_owned).collect(),
        held: text("held"),
        remote: text("remote"),
        root: answer.get("uid") == Some("0"),
        shallow: answer.get("shallow") == Some("true"),
        target_here: answer.get("target_here").is_some(),
        probe_tool: text("probe_tool"),
        switch_unit: text("switch_unit"),
        problems: judge.problems,
        findings: judge.findings,
    }
}

impl Judge<'_> {
    fn problem(&mut self, code: &str, found: String, fix: String) {
        self.problems.push(Problem { code: code.into(), found, fix });
    }

    fn finding(&mut self, code: &'static str, text: String) {
        self.findings.push(Finding { code, text });
    }

    fn get(&self, key: &str) -> &str {
        self.answer.get(key).unwrap_or_default()
    }

    /// Where a program lies on the host.
    fn tool_path(&self, name: &str) -> Option<&str> {
        self.answer.all("tool").find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
    }

    fn systemd(&self) -> Option<(Scope, Vec<String>)> {
        match &self.plan.service.manager {
            Manager::Systemd { scope, units } => {
                Some((*scope, units.iter().map(ToString::to_string).collect()))
            }
            Manager::Commands { .. } => None,
        }
    }

    fn tools(&mut self) {
        let have: Vec<&str> = self.answer.all("tool").filter_map(|line| line.split(' ').next()).collect();
        let needed = [
            ("git", "git"),
            ("flock", "util-linux"),
            ("setsid", "util-linux"),
            ("timeout", "coreutils"),
            ("mkfifo", "coreutils"),
            ("stdbuf", "coreutils"),
        ];
        let missing: Vec<(&str, &str)> =
            needed.into_iter().filter(|(tool, _)| !have.contains(tool)).collect();
        for (tool, package) in missing {
            self.problem(
                "tool-missing",
                format!("{tool} is not on the host"),
                format!("install the package {package}"),
            );
        }
        let git = numbers(self.get("git_version"));
        if let [major, minor, ..] = git[..]
            && (major, minor) < GIT_MIN
        {
            let found = format!("git {major}.{minor} is older than {}.{}", GIT_MIN.0, GIT_MIN.1);
            self.problem("git-old", found, "install a newer git on the host".into());
        }
        if self.systemd().is_some() {
            let version = numbers(self.get("systemd_version")).first().copied();
            match version {
                Some(version) if version >= SYSTEMD_MIN => {}
                Some(version) if version < SYSTEMD_MIN => self.problem(
                    "systemd-old",
                    format!("systemd {version} is older than {SYSTEMD_MIN}"),
                    "use service.commands instead of service.unit".into(),
                ),
                Some(_) | None => self.problem(
                    "no-systemd",
                    "systemd does not run on this host".into(),
                    "set service.commands.restart and service.commands.status".into(),
                ),
            }
        }
    }

    /// Whether every command of the run can be sent.
    fn size(&mut self) {
        if let Some(over) = too_large(self.plan) {
            self.problem(
                "too-large",
                format!("what the steps are told, service.env above all, has {over} bytes more than a command can carry"),
                "shorten service.env: let the service and its commands read long values from a file on the host".into(),
            );
        }
    }

    /// What a host needs to look at signatures.
    fn signatures(&mut self) {
        let Some(signers) = &self.plan.signers else { return };
        let (keys, times) = (signers.count(), signers.has_times());
        self.finding(
            "signature",
            format!(
                "only what is signed by one of {keys} key{} (service.allowed_signers) is checked out",
                if keys == 1 { "" } else { "s" }
            ),
        );
        // Older ones ask whether a key is good now, and not whether it was when the commit was made.
        let needed = if times { (2, 35) } else { (2, 34) };
        if let [major, minor, ..] = numbers(self.get("git_version"))[..]
            && (major, minor) < needed
        {
            let what = if times { "signatures of keys that are good for a time only" } else { "signatures" };
            let found =
                format!("git {major}.{minor} cannot look at {what}: it takes {}.{}", needed.0, needed.1);
            self.problem(
                "git-signature",
                found,
                "install a newer git on the host, or set service.verify_signature to false for it".into(),
            );
        }
        if self.tool_path("ssh-keygen").is_none() {
            self.problem(
                "tool-missing",
                "ssh-keygen is not on the host, and signatures are to be looked at".into(),
                "install the package openssh-client, or set service.verify_signature to false for it".into(),
            );
        }
    }

    fn manager(&mut self) {
        let Some((scope, units)) = self.systemd() else { return };
        for unit in &units {
            self.unit(unit);
        }
        let user = self.get("user").to_owned();
        match scope {
            Scope::User => {
                if self.get("linger") != "1" {
                    let fix = format!("as root on the host: loginctl enable-linger {user}");
                    self.problem(
                        "no-linger",
                        format!("{user} has no linger, so its units end with its login"),
                        fix,
                    );
                }
            }
            Scope::System if self.get("uid") == "0" => {}
            Scope::System => self.rights(&user, &units),
        }
    }

    fn rights(&mut self, user: &str, units: &[String]) {
        let listing: Vec<&str> = self.answer.all("sudo").collect();
        let rights = rights::Rights::read(&listing);
        let systemctl = self.tool_path("systemctl").unwrap_or("/usr/bin/systemctl").to_owned();
        let matched: Vec<&str> = self.answer.all("sudo_matches").collect();
        let calls =
            units.iter().flat_map(|unit| ["restart", "reset-failed"].map(|verb| format!("{verb} {unit}")));
        let allowed = |call: &String| {
            rights.allows(&format!("{systemctl} {call}"))
                || (rights.never_asks() && matched.contains(&call.as_str()))
        };
        let missing: Vec<String> =
            calls.filter(|call| !allowed(call)).map(|call| format!("{systemctl} {call}")).collect();
        if !missing.is_empty() {
            let why = if rights.asks_for(&missing[0]) {
                "sudo would ask for a password".to_owned()
            } else if rights.hidden {
                "sudo asks for a password even to list what it allows".to_owned()
            } else {
                rights
                    .said
                    .as_ref()
                    .map_or_else(|| "sudo does not allow it".to_owned(), |said| format!("sudo says: {said}"))
            };
            let tty = rights.said.as_ref().is_some_and(|said| said.contains("must have a tty"));
            let words: Vec<String> = missing.iter().map(|command| rights::in_sudoers(command)).collect();
            let fix = if tty {
                format!("add to /etc/sudoers.d/uphaul: Defaults:{user} !requiretty")
            } else {
                format!("add to /etc/sudoers.d/uphaul: {user} ALL=(root) NOPASSWD: {}", words.join(", "))
            };
            self.problem("rights", format!("{user} may not run `sudo {}`: {why}", missing[0]), fix);
        }
        let systemd_run = self.tool_path("systemd-run").unwrap_or("/usr/bin/systemd-run");
        if !rights.allows(&format!("{systemd_run} --quiet")) {
            let found =
                "no right to systemd-run: jobs run as sessions, which a child that calls setsid can escape";
            let switch = match self.plan.deadman {
                Some(_) => format!(", and there is no dead-man's switch: {}", switch::NO_SWITCH),
                None => String::new(),
            };
            self.finding("minimal-rights", format!("{found}{switch}"));
        }
    }

    fn unit(&mut self, unit: &str) {
        let prefix = format!("{unit} ");
        let props: BTreeMap<String, String> = self
            .answer
            .all("unit_prop")
            .filter_map(|line| line.strip_prefix(&prefix)?.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let prop = |key: &str| props.get(key).map(String::as_str).unwrap_or_default();
        match prop("LoadState") {
            "loaded" => {}
            "masked" => {
                return self.problem("unit", format!("{unit} is masked"), format!("systemctl unmask {unit}"));
            }
            state => {
                let state = if state.is_empty() { "cannot be read" } else { state };
                let fix = "look at service.unit, and at `systemctl status` on the host".into();
                return self.problem("unit", format!("{unit}: {state}"), fix);
            }
        }
        if unit.ends_with(".target") {
            let found = format!("{unit} is a target: it stays active whatever becomes of its services");
            return self.problem("unit", found, "name its services in service.units".into());
        }
        if prop("Type") == "oneshot" && prop("RemainAfterExit") != "yes" {
            let fix = "set RemainAfterExit=yes, or update a unit that keeps running".into();
            self.problem(
                "oneshot",
                format!("{unit} is Type=oneshot without RemainAfterExit: nothing of it stays to verify"),
                fix,
            );
        }
        if prop("TriggeredBy").contains(".socket") && matches!(self.plan.service.health, Some(Health::Tcp(_)))
        {
            let found = format!(
                "{unit} is started by {}: systemd itself would answer a tcp check",
                prop("TriggeredBy")
            );
            self.problem("socket", found, "use service.health.http or service.health.command".into());
        }
    }

    fn install(&mut self) {
        let install = self.plan.service.install.as_str();
        let tool = super::install_tool(install).unwrap_or_default();
        // A word of the shell itself (`true`, `cd`) has no path, and is found all the same.
        if tool.is_empty() || !self.get("tool_at").is_empty() || self.answer.get("tool_at").is_none() {
            return;
        }
        let path = self.plan.service.env.iter().find(|(name, _)| name.as_str() == "PATH");
        let path = path.map_or("/usr/local/bin:/usr/bin:/bin", |(_, value)| value.as_str());
        let found =
            format!("the install command needs {tool}, which is not on the PATH that will be used ({path})");
        let fix = match self.get("tool_lies") {
            "" => format!("install {tool} on the host"),
            lies => format!("it is at {lies}: add its folder to service.env.PATH"),
        };
        self.problem("install-tool", found, fix);
    }

    fn health(&mut self) {
        let needs_tool = matches!(self.plan.service.health, Some(Health::Http(_) | Health::Tcp(_)));
        if needs_tool && self.get("probe_tool").is_empty() {
            let found = "the host has no curl, wget, bash or python3 to ask the service with".into();
            self.problem("probe-tool", found, "install curl there, or set service.health.command".into());
        }
        if self.get("healthy") != "1" {
            let seen = format!("{}{}", self.get("not_running"), self.get("health_error"));
            self.finding(
                "ill",
                format!("the service is not healthy now, before anything was touched: {seen}"),
            );
        }
        if self.plan.service.health.is_none() {
            self.finding("no-health", "no service.health is set: running is all that is proved".into());
        }
    }
}

/// The numbers of a version text: `git version 2.39.5` is 2, 39, 5.
fn numbers(text: &str) -> Vec<u32> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}
