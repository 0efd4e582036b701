//! Uphaul is killed in the middle of each step, and `resume` brings the host to its end.

use std::time::Duration;

use uphaul_tests::lab::{Host, HostSpec, Install, Release, Serve};

use super::operator::{Going, Operator, installs_of};
use super::{host_with, usual};

scenarios!(
    in_preflight,
    in_record,
    in_fetch,
    in_the_checkout_of_git,
    in_install,
    in_restart,
    in_verify,
    in_the_checkout_of_a_rollback,
    in_the_install_of_a_rollback,
    in_the_restart_of_a_rollback,
    in_the_verify_of_a_rollback,
    in_a_rollback_that_was_asked_for,
    and_the_next_update_to_another_commit_calls_it_off,
    and_the_next_update_to_the_same_commit_goes_on
);

/// Kills an uphaul that does this as soon as `there` has seen what it waits for.
fn kill_in(operator: &Operator, args: &[&str], there: impl FnOnce(&Going)) {
    let doing = operator.spawn(args);
    there(&doing);
    doing.kill();
    assert_eq!(operator.leases(), 1, "the lease of the dead is still there");
    assert_eq!(operator.runs()[0].finished_at_us, None, "it was killed too late");
}

/// Kills an update from v1 to a good v2, and resumes.
fn killed_and_updated(v1: Release, v2: Release, there: impl FnOnce(&Going, &Operator, &Host)) {
    let (origin, host, first) = host_with(HostSpec::new(), v1);
    host.slow_checkout(Duration::from_millis(500));
    let operator = Operator::of(&[&host]).set("timeouts.healthy", "3s");
    let second = origin.commit(v2);
    kill_in(&operator, &["update", "web-1", "--to", "main"], |going| there(going, &operator, &host));
    operator.run(&["resume"]).ended(0, &["web-1", "updated"]);
    operator.is_updated(&host, &first, &second);
    operator.run(&["resume"]).ended(0, &["nothing was left"]);
}

/// Kills an update from v1 to an ill v2 on its way back, and resumes.
fn killed_and_rolled_back(v1: Release, there: impl FnOnce(&Going, &Operator, &Host)) {
    let (origin, host, first) = host_with(HostSpec::new(), v1);
    host.slow_checkout(Duration::from_millis(500));
    let operator = Operator::of(&[&host]).set("timeouts.verify", "8s").set("timeouts.healthy", "3s");
    let second = origin.commit(Release::good("v2").serve(Serve::ExitsAtOnce));
    kill_in(&operator, &["update", "web-1", "--to", "main"], |going| there(going, &operator, &host));
    operator.run(&["resume"]).ended(3, &["web-1", "rolled back"]);
    operator.is_rolled_back(&host, &first, &second);
    operator.because(&["update/Verify: "]);
    operator.run(&["resume"]).ended(0, &["nothing was left"]);
}

fn in_preflight() {
    killed_and_updated(Release::good("v1"), Release::good("v2"), |going, operator, _| {
        going.wait("the step", || operator.was("prepare/Preflight#1"));
    });
}

fn in_record() {
    killed_and_updated(Release::good("v1"), Release::good("v2"), |going, operator, _| {
        going.wait("the step", || operator.was("prepare/Record#1"));
    });
}

fn in_fetch() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2"));
    kill_in(&operator, &["update", "web-1", "--to", "main"], |going| {
        going.wait("record", || operator.was("prepare/Record#1"));
        origin.cut();
        going.wait("fetch", || operator.was("update/Fetch#1"));
    });
    origin.heal();
    operator.run(&["resume"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
}

fn in_the_checkout_of_git() {
    let v2 = Release::good("v2").slow_files(6).many_files(300);
    killed_and_updated(Release::good("v1"), v2, |going, _, host| {
        let marker = host.path("/var/lib/app/checking-out");
        going.wait("a checkout", || marker.exists());
    });
}

fn in_install() {
    killed_and_updated(
        Release::good("v1"),
        Release::good("v2").install(Install::Slow(4)),
        |going, _, host| going.wait_install(host, "v2", 1),
    );
}

fn in_restart() {
    let v1 = Release::good("v1").serve(Serve::SlowStop(4));
    killed_and_updated(v1, Release::good("v2"), |going, _, host| {
        going.wait("the stop", || host.unit_property("app.service", "ActiveState") == "deactivating");
    });
}

fn in_verify() {
    killed_and_updated(Release::good("v1"), Release::good("v2"), |going, operator, _| {
        going.wait("the step", || operator.was("update/Verify#1"));
    });
}

fn in_the_checkout_of_a_rollback() {
    // The first checkout of v1 was before the host became slow: so what begins to be slow is the rollback's.
    killed_and_rolled_back(Release::good("v1").slow_files(6).many_files(300), |going, _, host| {
        let marker = host.path("/var/lib/app/checking-out");
        going.wait("a checkout", || marker.exists());
    });
}

fn in_the_install_of_a_rollback() {
    killed_and_rolled_back(Release::good("v1").install(Install::Slow(4)), |going, _, host| {
        going.wait_install(host, "v1", 2);
    });
}

fn in_the_restart_of_a_rollback() {
    killed_and_rolled_back(Release::good("v1"), |going, operator, _| {
        going.wait("the step", || operator.was("rollback/Restart#1"));
    });
}

fn in_the_verify_of_a_rollback() {
    killed_and_rolled_back(Release::good("v1"), |going, operator, _| {
        going.wait("the step", || operator.was("rollback/Verify#1"));
    });
}

fn in_a_rollback_that_was_asked_for() {
    let (origin, host, v1) = host_with(HostSpec::new(), Release::good("v1").install(Install::Slow(4)));
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2"));
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    kill_in(&operator, &["rollback", "web-1"], |going| going.wait_install(&host, "v1", 2));
    operator.run(&["resume"]).ended(0, &["web-1"]);
    operator.is_updated(&host, &v2, &v1);
    assert_eq!(installs_of(&host, "v1"), 2);
}

fn and_the_next_update_to_another_commit_calls_it_off() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(4)));
    kill_in(&operator, &["update", "web-1", "--to", "main"], |going| going.wait_install(&host, "v2", 1));
    let v3 = origin.commit(Release::good("v3"));
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v3);
    let runs = operator.runs();
    let ends: Vec<_> =
        runs.iter().map(|run| (run.record.state.word(), run.record.plan.target.as_str())).collect();
    assert_eq!(ends, [("updated", &*v3), ("rolled_back", &*v2)], "a run never changes its commit");
    let first = operator.run(&["history", runs[1].record.id.as_str()]);
    first.ended(0, &["called off", &v3[..8]]);
    assert!(host.installs().iter().all(|line| line != "done v2"), "{:?}", host.installs());
}

fn and_the_next_update_to_the_same_commit_goes_on() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(4)));
    kill_in(&operator, &["update", "web-1", "--to", "main"], |going| going.wait_install(&host, "v2", 1));
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["web-1"]);
    let ends: Vec<_> = operator.runs().iter().map(|run| run.record.state.word()).collect();
    assert_eq!(ends, ["unchanged", "updated"]);
    assert_eq!(installs_of(&host, "v2"), 1, "the job went on, and was found again");
    operator.is("unchanged", &host, &v2, &v2);
    assert_eq!(operator.row().previous_version.as_ref().map(|v| v.as_str()), Some(&*v1));
}
