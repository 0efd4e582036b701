//! The configuration: which one, and what is wrong with it.

use uphaul_store::Host;

use super::Finding;
use crate::config::{self, Config};
use crate::context::Context;

/// How many hosts that cannot be planned are told one by one.
const HOSTS_TOLD: usize = 5;

/// Reads it. Where it cannot be read there is none, and everything that is wrong with it.
pub(super) fn look(context: &Context) -> (Option<Config>, Vec<Finding>) {
    let loaded = match config::load(&context.flags, &context.around) {
        Ok(loaded) => loaded,
        Err(error) => {
            let causes = error.causes.into_iter().map(Finding::bad).collect();
            return (None, causes);
        }
    };
    let config = loaded.config;
    let others = config::profiles(&context.flags, &context.around);
    let of = if others.len() > 1 { format!(" (there are {})", others.join(", ")) } else { String::new() };
    let mut findings = vec![match &config.file {
        Some(file) => Finding::good(format!("{}, profile {}{of}", file.display(), config.profile)),
        None => Finding::note("there is no configuration file; the built-in defaults hold")
            .fix("`uphaul init` writes one, with every key explained"),
    }];
    let flags = config::Flags { profile: None, ..context.flags.clone() };
    for profile in others.into_iter().filter(|profile| *profile != config.profile) {
        let flags = config::Flags { profile: Some(profile.clone()), ..flags.clone() };
        if let Err(error) = config::load(&flags, &context.around) {
            let causes = error.causes.into_iter();
            findings.extend(causes.map(|cause| Finding::note(format!("profile {profile}: {cause}"))));
        }
    }
    findings.extend(loaded.warnings.into_iter().map(Finding::note));
    findings.extend(config.remarks().into_iter().map(Finding::note));
    (Some(config), findings)
}

/// Hosts whose service cannot be planned, which would stop every command that is about them.
pub(super) fn services(config: &Config, hosts: &[Host]) -> Vec<Finding> {
    let wrong = hosts.iter().filter_map(|host| config.plan_service(host).err());
    let mut findings: Vec<Finding> = wrong
        .map(|error| {
            let found = format!("{}: {}", error.message, error.causes.join("; "));
            Finding::bad(found).fix(error.hints.join("; "))
        })
        .collect();
    if findings.len() > HOSTS_TOLD {
        let more = findings.len() - HOSTS_TOLD;
        findings.truncate(HOSTS_TOLD);
        findings.push(Finding::bad(format!("and {more} more hosts")));
    }
    findings
}
