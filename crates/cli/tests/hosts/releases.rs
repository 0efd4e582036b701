//! Releases that do not work: the host comes back from each.

use uphaul_tests::lab::{HostSpec, Install, Release, Rights, Serve, Unit};

use super::operator::Operator;
use super::proof::nothing_runs;
use super::{host_with, usual};

scenarios!(
    the_service_exits_at_once,
    the_service_runs_and_does_not_answer,
    the_service_answers_that_it_is_ill,
    the_service_dies_eight_seconds_after_its_start,
    a_crash_loop_under_restart_always,
    a_slow_crash_loop_under_restart_always,
    the_install_fails,
    the_install_hangs,
    the_install_hangs_and_has_a_child_in_a_session_of_its_own,
    the_install_rewrites_a_tracked_file_twice_in_a_row,
    the_install_fills_the_disk
);

/// Updates the usual host to a release, which fails; gives why.
fn comes_back(spec: HostSpec, release: Release, keys: &[(&str, &str)]) -> String {
    comes_back_with_evidence(spec, release, keys).0
}

/// The same, with what was seen on the host.
fn comes_back_with_evidence(spec: HostSpec, release: Release, keys: &[(&str, &str)]) -> (String, String) {
    let (origin, host, v1) = host_with(spec, Release::good("v1"));
    let mut operator = Operator::of(&[&host]);
    for (key, value) in keys {
        operator = operator.set(key, value);
    }
    let v2 = origin.commit(release);
    operator.run(&["update", "web-1", "--to", "main"]).ended(3, &["web-1", "rolled back"]);
    operator.is_rolled_back(&host, &v1, &v2);
    let run = operator.run_of(0).record.id.to_string();
    (operator.causes(), operator.run(&["history", &run, "--evidence"]).stdout)
}

fn the_service_exits_at_once() {
    let release = Release::good("v2").serve(Serve::ExitsAtOnce);
    let (why, evidence) = comes_back_with_evidence(HostSpec::new(), release, &[]);
    assert!(why.starts_with("update/Verify: ") && why.contains("app.service is failed"), "{why}");
    assert!(evidence.contains("dying: at once"), "the end of its journal is kept: {evidence}");
}

fn the_service_runs_and_does_not_answer() {
    let release = Release::good("v2").serve(Serve::Deaf);
    let why = comes_back(HostSpec::new(), release, &[("timeouts.verify", "8s")]);
    assert!(why.starts_with("update/Verify: not healthy for 2 s within 8 s: http://"), "{why}");
}

fn the_service_answers_that_it_is_ill() {
    let release = Release::good("v2").serve(Serve::Sick);
    let why = comes_back(HostSpec::new(), release, &[("timeouts.verify", "8s")]);
    assert!(why.starts_with("update/Verify: ") && why.contains("500"), "{why}");
}

fn the_service_dies_eight_seconds_after_its_start() {
    let release = Release::good("v2").serve(Serve::DiesAfter(8));
    let why = comes_back(HostSpec::new(), release, &[("timeouts.healthy", "10s")]);
    assert!(why.starts_with("update/Verify: ") && why.contains("app.service is failed"), "{why}");
}

fn a_crash_loop_under_restart_always() {
    let release = Release::good("v2").serve(Serve::ExitsAtOnce);
    let why = comes_back(HostSpec::new().unit(Unit::RestartAlways), release, &[]);
    assert!(why.starts_with("update/Verify: ") && why.contains("app.service"), "{why}");
}

fn a_slow_crash_loop_under_restart_always() {
    let release = Release::good("v2").serve(Serve::DiesAfter(2));
    let why = comes_back(HostSpec::new().unit(Unit::RestartAlways), release, &[("timeouts.healthy", "6s")]);
    assert!(why.starts_with("update/Verify: "), "{why}");
}

fn the_install_fails() {
    let why = comes_back(HostSpec::new(), Release::good("v2").install(Install::Fails), &[]);
    assert!(
        why.starts_with("update/Install: exit 1") && why.contains("no package of this name: left-sail"),
        "{why}"
    );
}

fn the_install_hangs() {
    let limit = [("timeouts.install", "6s")];
    for rights in [Rights::Full, Rights::Minimal] {
        let spec = HostSpec::new().rights(rights);
        let why = comes_back(spec, Release::good("v2").install(Install::Hangs), &limit);
        assert!(why.starts_with("update/Install: no end after 6 s"), "{why}");
    }
}

fn the_install_hangs_and_has_a_child_in_a_session_of_its_own() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]).set("timeouts.install", "6s");
    let v2 = origin.commit(Release::good("v2").install(Install::HangsSetsid));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    let runs = |line: &str| !host.processes(line).is_empty();
    update.wait("both children", || runs(Install::HANGS) && runs(Install::HANGS_SETSID));
    update.end().ended(3, &["rolled back"]);
    operator.because(&["update/Install: no end after 6 s"]);
    nothing_runs(&host);
    operator.is_rolled_back(&host, &v1, &v2);
}

fn the_install_rewrites_a_tracked_file_twice_in_a_row() {
    let rewrites = |label: &str| Release::good(label).install(Install::RewritesLockfile);
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(rewrites("v2"));
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    let v3 = origin.commit(rewrites("v3"));
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v2, &v3);
    // And it is no obstacle on the way back, where both have rewritten it.
    let v4 = origin.commit(rewrites("v4").serve(Serve::ExitsAtOnce));
    operator.run(&["update", "web-1", "--to", "main"]).ended(3, &["rolled back"]);
    operator.is_rolled_back(&host, &v3, &v4);
    operator.run(&["rollback", "web-1"]).ended(0, &[]);
    operator.is_updated(&host, &v3, &v2);
}

fn the_install_fills_the_disk() {
    let release = Release::good("v2").install(Install::Writes(1 << 30));
    let why = comes_back(HostSpec::new().small_disk(160), release, &[]);
    assert!(why.starts_with("update/Install: "), "{why}");
}
