//! SSH in the process: what it could not do for the hosts that are given to it.

use uphaul_core::ids::HostName;
use uphaul_exec_libssh2::Remark;
use uphaul_store::Host;

use super::backends::{refused, unread};
use super::{Finding, Mark};
use crate::config::{Backend, Config};
use crate::engine;

/// How many findings are told.
const REMARKS_TOLD: usize = 20;
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
    let remarks = executor.survey(&targets);
    let more = remarks.len().saturating_sub(REMARKS_TOLD);
    findings.extend(remarks.into_iter().take(REMARKS_TOLD).map(finding));
    if more > 0 {
        findings.push(Finding::note(format!("and {more} more")));
    }
    if findings.iter().all(|finding| finding.mark == Mark::Good) && !targets.is_empty() {
        let count = crate::render::words::count(targets.len(), "host");
        findings
            .push(Finding::good(format!("{count}: the ssh_config, a key and a known host key are there")));
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
