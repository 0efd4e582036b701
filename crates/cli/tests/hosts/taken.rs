//! `uphaul unlock --takeover` against a driver that lives and is in the middle of a long step: it loses the host, says so and
//! changes nothing more, whoever comes next.

use uphaul_core::machine::State;
use uphaul_tests::lab::{Host, Install, Release};

use super::operator::{Going, Operator, installs_of};
use super::proof::runs;
use super::usual;

scenarios!(
    a_live_driver_loses_the_host_to_a_resume,
    a_live_driver_loses_the_host_to_another_update,
    a_live_driver_loses_the_host_to_nobody
);

/// A renewal between the two looks of `unlock` would keep the host for its holder, and with this there is none for long.
const LEASE: (&str, &str) = ("limits.lease", "1h");

/// Takes web-1 from this driver, which installs v2 and will for some time; its run is as it was, and unfinished.
fn take_over(operator: &Operator, host: &Host, driver: &Going) {
    driver.wait_install(host, "v2", 1);
    let state = operator.state().unwrap();
    let process = format!("{} (it is alive on this machine)", driver.pid());
    let run = operator.run_of(0).record.id;
    let shown = operator.run(&["unlock", "web-1"]);
    shown.ended(0, &["held by", &process, "uphaul unlock web-1 --takeover"]);
    assert_eq!(operator.leases(), 1, "it was only shown");
    let taken = operator.run(&["unlock", "web-1", "--takeover"]);
    taken.ended(0, &["held by", &process, "web-1 is free", &format!("its run {run} is not finished")]);
    let (owner, free) = (taken.stdout.find(&process), taken.stdout.find("is free"));
    assert!(owner < free, "the owner is told first: {taken}");
    assert_eq!(operator.leases(), 0);
    assert_eq!(operator.state().unwrap(), state);
    assert!(!driver.is_in("ZX"), "it does not know yet: {}", driver.said());
}

/// How a driver ends that has lost its host.
#[track_caller]
fn lost(driver: Going) {
    let left = ["left to the one who has the run now", "where nobody goes on with it, `uphaul resume` does"];
    driver.end().ended(5, &[&["web-1", "taken over (1)", "at:    install"], &left[..]].concat());
}

fn a_live_driver_loses_the_host_to_a_resume() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]).set(LEASE.0, LEASE.1);
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(15)));
    let driver = operator.spawn(&["update", "web-1", "--to", "main"]);
    take_over(&operator, &host, &driver);
    let resume = operator.spawn(&["resume"]);
    resume.wait("the take-over", || operator.was("update/Install#2"));
    lost(driver);
    resume.end().ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    assert_eq!(operator.runs().len(), 1);
    assert_eq!(installs_of(&host, "v2"), 1, "the job went on, and was found again");
    one_restart(&operator, 1);
}

fn a_live_driver_loses_the_host_to_another_update() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]).set(LEASE.0, LEASE.1);
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(15)));
    let driver = operator.spawn(&["update", "web-1", "--to", "main"]);
    take_over(&operator, &host, &driver);
    let v3 = origin.commit(Release::good("v3"));
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated (1)"]);
    lost(driver);
    operator.is_updated(&host, &v1, &v3);
    let [last, first] = &operator.runs()[..] else { panic!("there are {} runs", operator.runs().len()) };
    assert_eq!((first.record.plan.target.as_str(), first.record.state.word()), (&*v2, "rolled_back"));
    assert!(first.finished_at_us.unwrap() <= last.started_at_us, "one after the other");
    // Before anything else was installed, that of the first driver was over.
    let installs = host.installs();
    assert!(installs.iter().filter(|line| line.starts_with("start ")).count() >= 3, "{installs:?}");
    for two in installs.chunks(2) {
        let label = two[0].strip_prefix("start ").unwrap();
        let begun_and_over = two.get(1).is_none_or(|end| *end == format!("end {label}"));
        assert!(begun_and_over, "{installs:?}");
    }
}

fn a_live_driver_loses_the_host_to_nobody() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]).set(LEASE.0, LEASE.1);
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(6)));
    let driver = operator.spawn(&["update", "web-1", "--to", "main"]);
    take_over(&operator, &host, &driver);
    let log = operator.log();
    lost(driver);
    // It has seen the install end, and neither written that nor restarted anything.
    assert_eq!(operator.log(), log);
    assert_eq!(host.running_version().as_deref(), Some("v1"));
    assert!(matches!(operator.state(), Some(State::Running(_))));
    assert_eq!(operator.leases(), 0);
    operator.run(&["resume"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    assert_eq!(installs_of(&host, "v2"), 1);
    one_restart(&operator, 1);
    runs(&host, &v2);
}

/// The log has one driver's way only: no state was written twice.
#[track_caller]
fn one_restart(operator: &Operator, times: usize) {
    let restarts = operator.log().iter().filter(|state| state.starts_with("update/Restart")).count();
    assert_eq!(restarts, times, "{:?}", operator.log());
}
