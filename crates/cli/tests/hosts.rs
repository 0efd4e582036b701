//! Scenarios on real hosts, by the real binary and over the system's ssh. Each boots its own hosts and ends in a checked
//! state of host, record, exit code and text.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on says so by a panic"
)]

#[path = "hosts/operator.rs"]
mod operator;
#[path = "hosts/proof.rs"]
mod proof;

#[path = "hosts/by_program.rs"]
mod by_program;
#[path = "hosts/contested.rs"]
mod contested;
#[path = "hosts/good.rs"]
mod good;
#[path = "hosts/interrupted.rs"]
mod interrupted;
#[path = "hosts/killed.rs"]
mod killed;
#[path = "hosts/refused.rs"]
mod refused;
#[path = "hosts/releases.rs"]
mod releases;
#[path = "hosts/repositories.rs"]
mod repositories;
#[path = "hosts/stopped.rs"]
mod stopped;
#[path = "hosts/unusual.rs"]
mod unusual;

use uphaul_tests::lab::{Host, HostSpec, Origin, Release};

/// An origin with the commit `v1`, a host that runs it, and the hash.
fn host_with(spec: HostSpec, v1: Release) -> (Origin, Host, String) {
    let origin = Origin::start();
    let commit = origin.commit(v1);
    let host = spec.boot(&origin);
    if host.root("test -e /etc/systemd/system/app.socket").code != Some(0) {
        host.wait_healthy();
    }
    (origin, host, commit)
}

/// The usual one of these.
fn usual() -> (Origin, Host, String) {
    host_with(HostSpec::new(), Release::good("v1"))
}
