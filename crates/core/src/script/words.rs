//! The commands of a step as a person reads them: word for word what the scripts run on this host. A test holds them
//! against what the scripts really ran.

use super::Preflight;
use crate::ids::Revision;
use crate::machine::{Action, Step};
use crate::plan::{Dirty, Health, Manager, Plan, Scope, ShellText};
use crate::quote::word;

/// Leaves a word that no shell would misread as it is.
fn plain(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "%+,-./:=@_{}^~".contains(c);
    if !text.is_empty() && text.chars().all(safe) && !text.contains(['{', '~']) {
        text.to_owned()
    } else {
        word(text)
    }
}

fn git(plan: &Plan, args: &[&str]) -> String {
    let mut words = vec!["git".to_owned(), "-C".to_owned(), plain(plan.service.path.as_str())];
    for set in [
        "gc.auto=0",
        "maintenance.auto=0",
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "advice.detachedHead=false",
        "submodule.recurse=false",
    ] {
        words.extend(["-c".to_owned(), set.to_owned()]);
    }
    words.extend(args.iter().map(|arg| plain(arg)));
    words.join(" ")
}

/// What a step changes, or asks the service, as commands. What only reads the repository is left out; `scripts` are
/// the whole of it. `host` is what preflight saw there: who logs in, what it has, which tools it asks the service with.
pub fn words(plan: &Plan, step: Step, action: &Action, host: &Preflight) -> Vec<String> {
    match action {
        Action::Preflight => vec![git(plan, &["ls-remote", "--quiet", "origin", "HEAD"])],
        Action::Record => {
            let head = host.head.as_ref().map_or("HEAD", Revision::as_str);
            vec![git(plan, &["update-ref", "refs/uphaul/previous", head])]
        }
        Action::Fetch(to) => fetch(plan, to.as_str(), host),
        Action::Checkout(to) => checkout(plan, step, to.as_str(), host),
        Action::Install => install(plan),
        Action::Restart => restart(plan, host),
        Action::Verify(_) => verify(plan, host),
        Action::Arm(_) => manager(plan, host, |file, systemctl, unit| {
            let verbs =
                ["daemon-reload".to_owned(), format!("enable --quiet {unit}"), format!("restart {unit}")];
            let verbs = verbs.map(|verb| format!("{systemctl} {verb}")).join(" && ");
            format!("cat >{file}; {verbs}")
        }),
        Action::Confirm => manager(plan, host, |file, systemctl, unit| {
            format!(
                "{systemctl} disable --quiet {unit}; rm -f {file}; {systemctl} stop --no-block {unit}; {systemctl} daemon-reload"
            )
        }),
    }
}

fn fetch(plan: &Plan, to: &str, host: &Preflight) -> Vec<String> {
    let mut all = Vec::new();
    if !host.target_here {
        let mut args = vec!["fetch", "--quiet", "--no-tags", "--no-recurse-submodules"];
        args.extend(host.shallow.then_some("--depth=1"));
        args.extend(["origin", to]);
        all.push(git(plan, &args));
    }
    all.push(git(plan, &["update-ref", "refs/uphaul/target", to]));
    if plan.signers.is_some() {
        // The keys of service.allowed_signers, in a file of the job.
        let mut args = Vec::new();
        for set in [
            "gpg.format=ssh",
            "gpg.ssh.program=ssh-keygen",
            "gpg.ssh.allowedSignersFile=SIGNERS",
            "gpg.program=false",
            "gpg.openpgp.program=false",
            "gpg.x509.program=false",
            "gpg.minTrustLevel=fully",
        ] {
            args.extend(["-c", set]);
        }
        args.extend(["verify-commit", to]);
        all.push(git(plan, &args));
    }
    all
}

fn checkout(plan: &Plan, step: Step, to: &str, host: &Preflight) -> Vec<String> {
    let mut all = Vec::new();
    if matches!(step, Step::Rollback(_)) {
        all.push(git(plan, &["read-tree", plan.target.as_str()]));
    } else if !host.dirty.is_empty() {
        // Only the run itself knows its name, and what the edits become.
        let message = "uphaul: edits before run RUN";
        all.push(git(plan, &["stash", "create", message]));
        all.push(git(plan, &["update-ref", "refs/uphaul/edits/RUN", "EDITS"]));
        if plan.policy.dirty == Dirty::Stash {
            all.push(git(plan, &["stash", "store", "-m", message, "EDITS"]));
        }
    }
    all.push(git(plan, &["checkout", "--quiet", "--force", "--detach", to]));
    if plan.service.submodules {
        all.push(git(plan, &["submodule", "--quiet", "sync", "--recursive"]));
        all.push(git(plan, &["submodule", "--quiet", "update", "--init", "--recursive", "--force"]));
    }
    all
}

/// A command of the operator: in the checkout, with its limit, as one word.
fn operator(plan: &Plan, limit_s: u32, text: &ShellText) -> String {
    let dir = plain(plan.service.path.as_str());
    format!("cd {dir} && timeout -k 5 {limit_s} sh -c {}", word(text.as_str()))
}

fn install(plan: &Plan) -> Vec<String> {
    let (service, limits) = (&plan.service, &plan.limits);
    let mut all = vec![operator(plan, limits.install_s, &service.install)];
    all.extend(service.before_restart.as_ref().map(|text| operator(plan, limits.before_restart_s, text)));
    all
}

/// How systemctl is called to change something.
fn systemctl(scope: Scope, host: &Preflight) -> &'static str {
    match scope {
        Scope::System if host.root => "systemctl",
        Scope::System => "sudo -n systemctl",
        Scope::User => "systemctl --user",
    }
}

/// What is done to the unit of the dead-man's switch: `script`, of its file, systemctl and its name, on the stdin of a
/// shell. What the file says is in the whole scripts.
fn manager(plan: &Plan, host: &Preflight, script: impl Fn(&str, &str, &str) -> String) -> Vec<String> {
    let Manager::Systemd { scope, .. } = &plan.service.manager else { return Vec::new() };
    let (shell, systemctl) = match scope {
        Scope::User => ("sh -s", "systemctl --user"),
        Scope::System if host.root => ("sh -s", "systemctl"),
        Scope::System => {
            ("sudo -n systemd-run --quiet --collect --wait --pipe -p RuntimeMaxSec=50 sh -s", "systemctl")
        }
    };
    let file = host.switch_unit.as_deref().unwrap_or("UNIT");
    let unit = file.rsplit('/').next().unwrap_or(file);
    vec![format!("{shell} <<< {}", plain(&script(&plain(file), systemctl, &plain(unit))))]
}

fn restart(plan: &Plan, host: &Preflight) -> Vec<String> {
    match &plan.service.manager {
        Manager::Systemd { scope, units } => {
            let each = units.iter().flat_map(|unit| ["reset-failed", "restart"].map(|verb| (verb, unit)));
            each.map(|(verb, unit)| format!("{} {verb} {}", systemctl(*scope, host), plain(unit.as_str())))
                .collect()
        }
        Manager::Commands { restart, .. } => {
            let limit = super::limit_s(plan, &Action::Restart);
            vec![operator(plan, limit, restart)]
        }
    }
}

fn verify(plan: &Plan, host: &Preflight) -> Vec<String> {
    let probe_s = plan.limits.probe_s;
    let mut all = match &plan.service.manager {
        Manager::Systemd { scope, units } => {
            let show = match scope {
                Scope::System => "systemctl show",
                Scope::User => "systemctl --user show",
            };
            let props = "ActiveState,SubState,InvocationID,MainPID,NRestarts,Result";
            units.iter().map(|unit| format!("{show} -p {props} -- {}", plain(unit.as_str()))).collect()
        }
        Manager::Commands { status, .. } => vec![operator(plan, probe_s, status)],
    };
    let tool = host.probe_tool.as_deref().unwrap_or("curl");
    match &plan.service.health {
        None => {}
        Some(Health::Http(url)) => all.push(ask_http(tool, probe_s, &plain(url.as_str()))),
        Some(Health::Tcp(at)) => all.push(ask_tcp(tool, probe_s, at.as_str())),
        Some(Health::Command(text)) => all.push(operator(plan, probe_s, text)),
    }
    all
}

/// `...` stands for a program of some lines, which `scripts` have.
fn ask_http(tool: &str, limit_s: u32, url: &str) -> String {
    match tool {
        "curl" => format!("curl -q -sS -m {limit_s} -o /dev/null -w '%{{http_code}}' -- {url}"),
        "wget" => {
            format!(
                "timeout {limit_s} wget --no-config -nv --max-redirect=0 -t 1 -T {limit_s} -O /dev/null -- {url}"
            )
        }
        "bash" => format!("timeout {limit_s} bash -c '...' bash {url}"),
        other => format!("timeout {limit_s} {other} -c '...' {url} {limit_s}"),
    }
}

fn ask_tcp(tool: &str, limit_s: u32, at: &str) -> String {
    let (name, port) = at.rsplit_once(':').unwrap_or((at, ""));
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    match tool {
        "curl" => format!("timeout {limit_s} curl -q -sS -m {limit_s} -v -- telnet://{at}"),
        "bash" => {
            format!("timeout {limit_s} bash -c 'exec 3<>\"/dev/tcp/$1/$2\"' bash {bare} {port}")
        }
        other => format!("timeout {limit_s} {other} -c '...' {bare} {port} {limit_s}"),
    }
}
