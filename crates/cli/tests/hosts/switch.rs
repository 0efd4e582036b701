//! The dead-man's switch: the controller is gone for good, or the host is cut off, and the host goes back by itself.

use std::time::Duration;

use uphaul_tests::lab::{Host, HostSpec, Install, Origin, Release, Rights, Serve, wait_until};

use super::operator::{Going, Operator, installs_of};
use super::proof::runs;
use super::{host_with, usual};

scenarios!(
    the_controller_is_gone_after_the_restart_of_a_broken_version,
    and_the_host_is_rebooted_before_it_goes_back,
    and_the_host_loses_its_power_while_it_goes_back,
    and_the_origin_and_the_registry_are_out_of_reach,
    a_rollback_without_network_takes_what_was_kept,
    the_network_is_gone_for_good_and_the_run_is_parked,
    the_network_is_cut_for_longer_than_the_window,
    a_controller_that_slept_for_longer_than_the_window,
    a_good_update_leaves_no_switch_behind,
    without_one_the_host_waits_for_a_resume,
    a_host_whose_rights_allow_none_says_so,
    a_unit_of_the_user_has_one_of_the_user,
    another_database_waits_until_it_has_acted,
    what_one_left_behind_is_taken_away
);

/// The least that can be configured, so that the tests need not wait for long.
const WINDOW: (&str, &str) = ("service.deadman.window", "10s");

/// One whose switches wait for a short time.
pub(crate) fn hasty(hosts: &[&Host]) -> Operator {
    Operator::of(hosts).set(WINDOW.0, WINDOW.1)
}

/// Waits until the host has gone back to `at` by itself, wholly.
#[track_caller]
pub(crate) fn wait_reverted(host: &Host, at: &str) {
    wait_until("the host goes back by itself", Duration::from_secs(180), || {
        let state = host.root("cat /srv/app/.git/uphaul/switch/state 2>/dev/null; true").ok();
        assert!(!state.contains("state=failed"), "{state}");
        state.contains("state=reverted").then_some(())
    });
    host.wait_healthy();
    runs(host, at);
}

/// How many seconds after its time was up the switch began: as the host itself has counted them.
#[track_caller]
fn late(host: &Host) -> i64 {
    let state = host.root("cat /srv/app/.git/uphaul/switch/state").ok();
    let words = state.split_once(", begun ").and_then(|(_, rest)| rest.split_once(" s after its time"));
    words.unwrap_or_else(|| panic!("{state}")).0.parse().unwrap()
}

/// The promise: it begins within its window and this many seconds more.
const LATE_MAX: i64 = 15;

/// Holds the switch to it.
#[track_caller]
pub(crate) fn in_time(host: &Host) {
    let late = late(host);
    println!("the switch began {late} s after its time was up");
    assert!((0..=LATE_MAX).contains(&late), "{late} s");
}

/// An update to a version that runs and is ill, whose controller is killed for good when it has been restarted.
fn abandoned(origin: &Origin, operator: &Operator) -> String {
    let second = origin.commit(Release::good("v2").serve(Serve::Sick));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    update.wait("the restart is over", || operator.was("update/Verify#1"));
    update.kill();
    second
}

fn what_one_left_behind_is_taken_away() {
    let (origin, host, v1) = usual();
    let operator = hasty(&[&host]);
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(3)));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    update.wait_install(&host, "v2", 1);
    // While it is needed, it stays.
    let bob = hasty(&[&host]);
    bob.run(&["check", "web-1", "--fix"]).ended(7, &["nothing was taken away: held by"]);
    let unit = host.root("ls /etc/systemd/system/uphaul-switch-*").ok();
    let text = host.root(&format!("cat {unit}")).ok();
    update.end().ended(0, &["updated"]);
    no_switch(&host);
    host.root(&format!("cat >{unit} <<'END'\n{text}\nEND\nsystemctl daemon-reload; systemctl enable {unit}"))
        .ok();
    operator.run(&["check", "web-1"]).ended(0, &["was left behind", "check --fix"]);
    operator.run(&["check", "web-1", "--fix"]).ended(0, &["took away uphaul-switch-"]);
    no_switch(&host);
    operator.is_updated(&host, &v1, &v2);
}

/// What a resume makes of a host that has gone back by itself.
#[track_caller]
pub(crate) fn resumed(operator: &Operator, host: &Host, at: &str, target: &str) {
    operator.run(&["resume"]).ended(3, &["web-1", "rolled back", "went back by itself"]);
    operator.is_rolled_back(host, at, target);
    assert!(
        !operator.log().iter().any(|state| state.starts_with("rollback/Install")),
        "{:?}",
        operator.log()
    );
    operator.run(&["resume"]).ended(0, &["nothing was left"]);
    no_switch(host);
}

/// No unit of a switch is left.
#[track_caller]
pub(crate) fn no_switch(host: &Host) {
    let left =
        "ls /etc/systemd/system/*/uphaul-switch-* /etc/systemd/system/uphaul-switch-* 2>/dev/null; true";
    wait_until("the switch is taken away", Duration::from_secs(20), || {
        host.root(left).ok().is_empty().then_some(())
    });
}

fn the_controller_is_gone_after_the_restart_of_a_broken_version() {
    let (origin, host, v1) = usual();
    let operator = hasty(&[&host]);
    let v2 = abandoned(&origin, &operator);
    wait_reverted(&host, &v1);
    in_time(&host);
    assert_eq!(operator.row().update_status.as_deref(), Some("updating"), "nobody was there to write it");
    let seconds = late(&host);
    resumed(&operator, &host, &v1, &v2);
    // What the host has counted is in the record, for when the host is gone.
    let (run, begun) = (operator.run_of(0).record.id, format!(", begun {seconds} s after its time was up"));
    operator.run(&["history", run.as_str()]).ended(0, &["went back by itself: went back to", &v1, &begun]);
    operator.run(&["history", run.as_str(), "--json"]).ended(0, &["\"note\":\"went back to", &begun]);
}

fn and_the_host_is_rebooted_before_it_goes_back() {
    let (origin, mut host, v1) = usual();
    let operator = hasty(&[&host]);
    let v2 = abandoned(&origin, &operator);
    host.reboot();
    wait_reverted(&host, &v1);
    in_time(&host);
    resumed(&operator, &host, &v1, &v2);
}

fn and_the_host_loses_its_power_while_it_goes_back() {
    let (origin, mut host, v1) = host_with(HostSpec::new(), Release::good("v1").install(Install::Slow(6)));
    let operator = hasty(&[&host]);
    let v2 = abandoned(&origin, &operator);
    wait_until("the switch installs", Duration::from_secs(120), || {
        (installs_of(&host, "v1") == 2).then_some(())
    });
    host.cut_power();
    host.start();
    wait_reverted(&host, &v1);
    assert_eq!(installs_of(&host, "v1"), 3, "it began anew");
    in_time(&host);
    resumed(&operator, &host, &v1, &v2);
}

/// An install that needs the network, and without it leaves nothing of what was there.
pub(crate) const NEEDS_NETWORK: &str = "timeout 5 git ls-remote origin >/dev/null || { rm -rf node_modules; exit 1; }; \
                             bun install && sed -n 's/^label=//p' release >node_modules/of";

fn and_the_origin_and_the_registry_are_out_of_reach() {
    let (origin, host, v1) = usual();
    let operator = hasty(&[&host]).set("service.install", NEEDS_NETWORK);
    host.as_user("deploy", "echo v1 >/srv/app/node_modules/of").ok();
    let v2 = origin.commit(Release::good("v2").serve(Serve::Sick));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    update.wait("the restart is over", || operator.was("update/Verify#1"));
    origin.cut();
    update.kill();
    assert_eq!(host.root("cat /srv/app/node_modules/of").ok(), "v2");
    wait_reverted(&host, &v1);
    assert_eq!(host.root("cat /srv/app/node_modules/of").ok(), "v1", "the kept copy is in its place");
    in_time(&host);
    resumed(&operator, &host, &v1, &v2);
}

fn a_rollback_without_network_takes_what_was_kept() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]).set("service.install", NEEDS_NETWORK).set("timeouts.verify", "15s");
    host.as_user("deploy", "echo v1 >/srv/app/node_modules/of").ok();
    let v2 = origin.commit(Release::good("v2").serve(Serve::Sick));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    update.wait("the restart is over", || operator.was("update/Verify#1"));
    origin.cut();
    update.end().ended(3, &["rolled back"]);
    assert_eq!(host.root("cat /srv/app/node_modules/of").ok(), "v1");
    operator.is_rolled_back(&host, &v1, &v2);
}

fn the_network_is_gone_for_good_and_the_run_is_parked() {
    let (origin, host, v1) = usual();
    let operator = hasty(&[&host]).set("limits.reconnect", "2s").set("timeouts.connect", "8s");
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(4)));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    update.wait_install(&host, "v2", 1);
    host.cut();
    update.end().ended(5, &["web-1", "unknown"]);
    wait_reverted(&host, &v1);
    operator.run(&["resume"]).ended(5, &["web-1", "unknown"]);
    host.heal();
    resumed(&operator, &host, &v1, &v2);
}

/// Whoever was away for longer than the window is told that the host has gone back, and proves what it runs.
fn overslept(away: impl FnOnce(&Host, &Going), back: impl FnOnce(&Host, &Going)) {
    let (origin, host, v1) = usual();
    let operator = hasty(&[&host]).set("limits.reconnect", "200s");
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(4)));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    update.wait_install(&host, "v2", 1);
    away(&host, &update);
    wait_reverted(&host, &v1);
    back(&host, &update);
    update.end().ended(3, &["web-1", "rolled back", "went back by itself: went back to", ", begun "]);
    operator.is_rolled_back(&host, &v1, &v2);
    no_switch(&host);
}

fn the_network_is_cut_for_longer_than_the_window() {
    overslept(|host, _| host.cut(), |host, _| host.heal());
}

fn a_controller_that_slept_for_longer_than_the_window() {
    overslept(|_, update| update.signal("STOP"), |_, update| update.signal("CONT"));
}

fn a_good_update_leaves_no_switch_behind() {
    let (origin, host, v1) = usual();
    let operator = hasty(&[&host]);
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(3)));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    update.wait_install(&host, "v2", 1);
    let unit = host.root("systemctl list-units --plain --no-legend 'uphaul-switch-*' | cut -d' ' -f1").ok();
    assert_eq!(host.unit_property(&unit, "UnitFileState"), "enabled");
    update.end().ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    for step in ["update/Arm#1", "update/Confirm#1"] {
        assert!(operator.was(step), "{:?}", operator.log());
    }
    no_switch(&host);
}

fn without_one_the_host_waits_for_a_resume() {
    let (origin, host, v1) = usual();
    let operator = hasty(&[&host]);
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(3)));
    let update = operator.spawn(&["update", "web-1", "--to", "main", "--no-deadman"]);
    update.wait_install(&host, "v2", 1);
    assert_eq!(host.root("systemctl list-unit-files --no-legend 'uphaul-switch-*'; true").ok(), "");
    update.kill();
    operator.run(&["resume"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    assert!(!operator.was("update/Arm#1"), "{:?}", operator.log());
}

fn a_host_whose_rights_allow_none_says_so() {
    let (origin, host, v1) = host_with(HostSpec::new().rights(Rights::Minimal), Release::good("v1"));
    let operator = hasty(&[&host]);
    operator.run(&["check", "web-1"]).ended(0, &["there is no dead-man's switch"]);
    let v2 = origin.commit(Release::good("v2"));
    operator.run(&["plan", "web-1", "--to", "main"]).ended(0, &["there is no dead-man's switch"]);
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    operator
        .run(&["history", operator.run_of(0).record.id.as_str()])
        .ended(0, &["no dead-man's switch here"]);
}

fn a_unit_of_the_user_has_one_of_the_user() {
    let (origin, host, v1) = host_with(HostSpec::new().user_unit().rights(Rights::None), Release::good("v1"));
    let operator = hasty(&[&host]).set("service.scope", "user");
    let v2 = abandoned(&origin, &operator);
    wait_reverted(&host, &v1);
    operator.run(&["resume"]).ended(3, &["rolled back", "went back by itself"]);
    operator.is_rolled_back(&host, &v1, &v2);
    let left = "ls ~/.config/systemd/user/*/uphaul-switch-* ~/.config/systemd/user/uphaul-switch-* 2>/dev/null; true";
    assert_eq!(host.as_user("deploy", left).ok(), "");
}

fn another_database_waits_until_it_has_acted() {
    let (origin, host, v1) = usual();
    let (ann, bob) = (hasty(&[&host]), hasty(&[&host]));
    let v2 = abandoned(&origin, &ann);
    // The claim of the dead is old before its switch acts, where the window is long; here either holds the host.
    bob.run(&["update", "web-1", "--to", &v2]).ended(7, &["held by"]);
    wait_reverted(&host, &v1);
    let v3 = origin.commit(Release::good("v3"));
    bob.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    bob.is_updated(&host, &v1, &v3);
    // The host is another's now; what it runs is not touched.
    ann.run(&["resume"]).ended(5, &["superseded"]);
    runs(&host, &v3);
    assert_eq!(ann.run_of(0).record.plan.target.as_str(), v2);
}
