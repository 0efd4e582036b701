//! The commands of a step as a person reads them: word for word what the scripts run on this host. A test holds them
//! against what the scripts really ran.

use crate::ids::Revision;
use crate::machine::{Action, Step};
use crate::plan::{Health, Manager, Plan, Scope};
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
/// the whole of it. `head` is what the host has checked out, where that is known.
pub fn words(plan: &Plan, step: Step, action: &Action, head: Option<&Revision>) -> Vec<String> {
    match action {
        Action::Preflight => vec![git(plan, &["ls-remote", "--quiet", "origin", "HEAD"])],
        Action::Record => {
            let head = head.map_or("HEAD", Revision::as_str);
            vec![git(plan, &["update-ref", "refs/uphaul/previous", head])]
        }
        Action::Fetch(to) => vec![
            git(plan, &["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "origin", to.as_str()]),
            git(plan, &["update-ref", "refs/uphaul/target", to.as_str()]),
        ],
        Action::Checkout(to) => checkout(plan, step, to.as_str()),
        Action::Install => install(plan),
        Action::Restart => restart(plan),
        Action::Verify(_) => verify(plan),
        Action::Arm(_) | Action::Confirm => Vec::new(),
    }
}

fn checkout(plan: &Plan, step: Step, to: &str) -> Vec<String> {
    let mut all = Vec::new();
    if matches!(step, Step::Rollback(_)) {
        all.push(git(plan, &["read-tree", plan.target.as_str()]));
    }
    all.push(git(plan, &["checkout", "--quiet", "--force", "--detach", to]));
    if plan.service.submodules {
        all.push(git(plan, &["submodule", "--quiet", "sync", "--recursive"]));
        all.push(git(plan, &["submodule", "--quiet", "update", "--init", "--recursive", "--force"]));
    }
    all
}

fn install(plan: &Plan) -> Vec<String> {
    let texts = [Some(&plan.service.install), plan.service.before_restart.as_ref()];
    texts.into_iter().flatten().map(|text| format!("sh -c {}", word(text.as_str()))).collect()
}

/// How systemctl is called. A login as root needs no sudo, which is not known here; then the word is left out.
fn systemctl(scope: Scope) -> &'static str {
    match scope {
        Scope::System => "sudo -n systemctl",
        Scope::User => "systemctl --user",
    }
}

fn restart(plan: &Plan) -> Vec<String> {
    match &plan.service.manager {
        Manager::Systemd { scope, units } => {
            let each = units.iter().flat_map(|unit| ["reset-failed", "restart"].map(|verb| (verb, unit)));
            each.map(|(verb, unit)| format!("{} {verb} {}", systemctl(*scope), plain(unit.as_str())))
                .collect()
        }
        Manager::Commands { restart, .. } => vec![format!("sh -c {}", word(restart.as_str()))],
    }
}

fn verify(plan: &Plan) -> Vec<String> {
    let mut all = match &plan.service.manager {
        Manager::Systemd { scope, units } => {
            let show = match scope {
                Scope::System => "systemctl show",
                Scope::User => "systemctl --user show",
            };
            let props = "ActiveState,SubState,InvocationID,MainPID,NRestarts,Result";
            units.iter().map(|unit| format!("{show} -p {props} -- {}", plain(unit.as_str()))).collect()
        }
        Manager::Commands { status, .. } => vec![format!("sh -c {}", word(status.as_str()))],
    };
    match &plan.service.health {
        None => {}
        Some(Health::Http(url)) => all.push(format!(
            "curl -sS -m {} -o /dev/null -w %{{http_code}} -- {}",
            plan.limits.probe_s,
            plain(url.as_str())
        )),
        Some(Health::Tcp(at)) => all.push(format!("connect to {at}")),
        Some(Health::Command(text)) => all.push(format!("sh -c {}", word(text.as_str()))),
    }
    all
}
