//! SSH in the process: what it could not do for the hosts that are given to it.

use uphaul_core::ids::HostName;
use uphaul_core::ports::Target;
use uphaul_exec_libssh2::{Libssh2Executor, Remark};
use uphaul_store::Host;

use super::backends::{refused, unread};
use super::{Finding, Mark};
use crate::config::{Backend, Config};
use crate::engine;

/// How many findings are told.
const REMARKS_TOLD: usize = 20;
/// How many are told where no host is its own.
const OTHERS_TOLD: usize = 5;
/// How many hosts of one are named.
const HOSTS_TOLD: usize = 3;

/// Looks at the way to each of its hosts, and reaches none. Nobody is asked for a passphrase.
pub(super) fn look(config: Option<&Config>, hosts: &[Host]) -> Vec<Finding> {
    let Some(config) = config else { return vec![unread()] };
    let executor = match engine::libssh2(config, &|_| None) {
        Ok(executor) => executor,
        Err(error) => return vec![refused(&error)],
    };
    let mut findings = vec![Finding::good("is built in; no ssh is needed on this machine")];
    let own = hosts.iter().filter(|host| config.backend_of(host).backend == Backend::Libssh2);
    let targets: Vec<_> = own.map(|host| engine::target(config, host)).collect();
    if targets.is_empty() {
        findings.extend(could_not(&executor, config, hosts));
        return findings;
    }
    let remarks = executor.survey(&targets);
    let more = remarks.len().saturating_sub(REMARKS_TOLD);
    findings.extend(remarks.into_iter().take(REMARKS_TOLD).map(finding));
    if more > 0 {
        findings.push(Finding::note(format!("and {more} more")));
    }
    if findings.iter().all(|finding| finding.mark == Mark::Good) {
        let count = crate::render::words::count(targets.len(), "host");
        findings
            .push(Finding::good(format!("{count}: the ssh_config, a key and a known host key are there")));
    }
    findings
}

/// What it could not do for the hosts of ssh, should it get them, which is only worth knowing; without a host, for one that
/// nobody knows.
fn could_not(executor: &Libssh2Executor, config: &Config, hosts: &[Host]) -> Vec<Finding> {
    let of_ssh = hosts.iter().filter(|host| config.backend_of(host).backend == Backend::Openssh);
    let mut targets: Vec<_> = of_ssh.map(|host| engine::target(config, host)).collect();
    if let (true, Ok(name)) = (hosts.is_empty(), "any-host".parse::<HostName>()) {
        let address = name.to_string();
        let connect_timeout = std::time::Duration::from_secs(1);
        targets.push(Target { name, address, port: None, user: None, host_key: None, connect_timeout });
    }
    let grave: Vec<_> = executor.survey(&targets).into_iter().filter(|remark| remark.grave).collect();
    let more = grave.len().saturating_sub(OTHERS_TOLD);
    let told = |remark: Remark| Finding::note(format!("{}: {}", named(&remark.hosts), remark.what));
    let mut findings: Vec<_> = grave.into_iter().take(OTHERS_TOLD).map(told).collect();
    if more > 0 {
        findings.push(Finding::note(format!("and {more} more")));
    }
    findings
}

fn finding(remark: Remark) -> Finding {
    let found = format!("{}: {}", named(&remark.hosts), remark.what);
    if remark.grave { Finding::bad(found) } else { Finding::note(found) }
}

/// `web-1, web-2, web-3 and 4 more`
fn named(hosts: &[HostName]) -> String {
    let told: Vec<&str> = hosts.iter().take(HOSTS_TOLD).map(HostName::as_str).collect();
    match hosts.len().saturating_sub(HOSTS_TOLD) {
        0 => told.join(", "),
        more => format!("{} and {more} more", told.join(", ")),
    }
}
