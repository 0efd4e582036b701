//! What reaches hosts: each executor, whether it can work here.

use std::time::Duration;

use uphaul_core::ports::{RemoteExecutor as _, Target};
use uphaul_exec_local::LocalExecutor;
use uphaul_store::Host;

use super::{Area, Finding, Mark, libssh2, ssh};
use crate::config::{Backend, Config, rule_key};
use crate::exit::Exit;
use crate::select::no_match;
use crate::surroundings::Surroundings;

/// Looks at all of them. What is wrong with one that no host is given is only worth knowing.
pub(super) async fn look(config: Option<&Config>, hosts: &[Host], around: &Surroundings) -> Vec<Area> {
    let used = config.map(Config::backends).unwrap_or_default();
    let mut areas = Vec::new();
    for backend in Backend::ALL {
        let mut findings = match backend {
            Backend::Openssh => ssh::openssh(config, around).await,
            Backend::Libssh2 => libssh2::look(config, hosts),
            Backend::Command => command(config),
            Backend::Local => local().await,
            Backend::Mock => vec![Finding::good("simulates hosts; nothing real is reached")],
        };
        let in_use = used.contains(&backend);
        if !in_use {
            let lower = |finding: &mut Finding| {
                if finding.mark == Mark::Bad {
                    finding.mark = Mark::Note;
                }
            };
            findings.iter_mut().for_each(lower);
        }
        let name = if in_use { format!("executor {backend}, in use") } else { format!("executor {backend}") };
        areas.push(Area { name, exit: Exit::Unknown, findings });
    }
    if let Some(config) = config.filter(|config| !config.rules.is_empty()) {
        areas.push(Area { name: "rules".into(), exit: Exit::Usage, findings: rules(config, hosts) });
    }
    areas
}

/// How many hosts each rule gives what; a rule without any may be misspelt.
fn rules(config: &Config, hosts: &[Host]) -> Vec<Finding> {
    let chosen: Vec<_> = hosts.iter().map(|host| config.backend_of(host)).collect();
    let rule = |(at, rule): (usize, &crate::config::Rule)| {
        let key = rule_key(at);
        let (selector, backend) = (&rule.selector, rule.backend);
        let of_it = chosen.iter().filter(|chosen| chosen.key == key).count();
        let matched = hosts.iter().filter(|host| rule.matcher.matches(host)).count();
        match (of_it, matched) {
            (0, 0) if hosts.is_empty() => {
                Finding::note(format!("{key}: {selector} -> {backend}; there is no host yet"))
            }
            (0, 0) => Finding::note(format!("{key}: {}", no_match(selector, &rule.matcher, hosts)))
                .fix(format!("correct `match` in {}", config.file_name().display())),
            (0, _) => Finding::note(format!(
                "{key}: every host that {selector} matches is taken by a rule before it"
            )),
            (n, _) => Finding::good(format!(
                "{key}: {selector} -> {backend}, {}",
                crate::render::words::count(n, "host")
            )),
        }
    };
    config.rules.iter().enumerate().map(rule).collect()
}

fn command(config: Option<&Config>) -> Vec<Finding> {
    let Some(config) = config else { return vec![unread()] };
    let Some(template) = &config.command else {
        return vec![Finding::good("not set up: executor.command.argv names no program")];
    };
    vec![match uphaul_exec_command::find(template.program()) {
        Ok(program) => Finding::good(format!(
            "{} is there; whom it reaches, `uphaul check HOSTS` tells",
            program.display()
        )),
        Err(why) => Finding::bad(why).fix("install it, or correct executor.command.argv"),
    }]
}

async fn local() -> Vec<Finding> {
    let Ok(name) = "local".parse() else { return Vec::new() };
    let connect_timeout = Duration::from_secs(10);
    let here =
        Target { name, address: "local".into(), port: None, user: None, host_key: None, connect_timeout };
    vec![match LocalExecutor::new().connect(&here).await {
        Ok(_) => Finding::good("reaches this machine"),
        Err(error) => Finding::bad(error.detail),
    }]
}

pub(super) fn unread() -> Finding {
    Finding::note("not looked at: the configuration cannot be read")
}

pub(super) fn refused(error: &crate::error::CliError) -> Finding {
    let mut found = error.causes.join("; ");
    if found.is_empty() {
        found.clone_from(&error.message);
    }
    let finding = Finding::bad(found);
    if error.hints.is_empty() { finding } else { finding.fix(error.hints.join("; ")) }
}
