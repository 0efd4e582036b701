//! Scenarios on real hosts, by the real binary and over SSH: half of them by the system's ssh, half by
//! libssh2; UPHAUL_TEST_EXECUTOR=openssh|libssh2 has all by one, `other` each by the other one. Each boots its own hosts and ends in a checked
//! state of host, record, exit code and text.
//!
//! `cargo test -p uphaul --test hosts [FILTER]`; a scenario is named `FILE::SCENARIO`. They mostly wait, so more of them
//! run at once than there are cores; RUST_TEST_THREADS or `--test-threads` say otherwise.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on says so by a panic"
)]

/// Says which functions of a file are scenarios; one that is left out is never used, which the compiler tells.
macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        pub(crate) const ALL: &[(&str, fn())] = &[$((stringify!($name), $name)),+];
    };
}

#[path = "hosts/going.rs"]
mod going;
#[path = "hosts/operator.rs"]
mod operator;
#[path = "hosts/proof.rs"]
mod proof;

#[path = "hosts/by_program.rs"]
mod by_program;
#[path = "hosts/contested.rs"]
mod contested;
#[path = "hosts/evidence.rs"]
mod evidence;
#[path = "hosts/good.rs"]
mod good;
#[path = "hosts/interrupted.rs"]
mod interrupted;
#[path = "hosts/killed.rs"]
mod killed;
#[path = "hosts/matrix.rs"]
mod matrix;
#[path = "hosts/races.rs"]
mod races;
#[path = "hosts/refused.rs"]
mod refused;
#[path = "hosts/releases.rs"]
mod releases;
#[path = "hosts/repositories.rs"]
mod repositories;
#[path = "hosts/stopped.rs"]
mod stopped;
#[path = "hosts/switch.rs"]
mod switch;
#[path = "hosts/taken.rs"]
mod taken;
#[path = "hosts/told.rs"]
mod told;
#[path = "hosts/unusual.rs"]
mod unusual;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use uphaul_tests::lab::{self, Host, HostSpec, Origin, Release};

/// How many run at once where nobody says: each has a host or two of some 40 MiB, and waits most of the time.
const AT_ONCE: usize = 8;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let asked = std::env::var("RUST_TEST_THREADS").ok().and_then(|threads| threads.parse().ok());
    arguments.test_threads.get_or_insert(asked.unwrap_or(AT_ONCE));
    // Panics, with the reason, where CI asks for real hosts and there can be none.
    let skip = !arguments.list && lab::skip();
    let files = [
        ("by_program", by_program::ALL),
        ("contested", contested::ALL),
        ("evidence", evidence::ALL),
        ("good", good::ALL),
        ("interrupted", interrupted::ALL),
        ("killed", killed::ALL),
        ("races", races::ALL),
        ("refused", refused::ALL),
        ("releases", releases::ALL),
        ("repositories", repositories::ALL),
        ("stopped", stopped::ALL),
        ("switch", switch::ALL),
        ("taken", taken::ALL),
        ("told", told::ALL),
        ("unusual", unusual::ALL),
    ];
    let trials = files.iter().flat_map(|(file, all)| all.iter().map(move |(name, run)| (file, name, *run)));
    let trials = trials.map(|(file, name, run)| {
        Trial::test(format!("{file}::{name}"), move || {
            operator::choose_backend(name);
            run();
            Ok(())
        })
        .with_ignored_flag(skip)
    });
    let trials = trials.chain(matrix::trials(skip)).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    matrix::print();
    conclusion.exit_code()
}

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
