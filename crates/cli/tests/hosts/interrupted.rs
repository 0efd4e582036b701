//! The connection is cut, the host reboots or loses its power, in the middle of things.

use std::time::Duration;

use uphaul_tests::lab::{Host, HostSpec, Install, Origin, Release};

use super::operator::{Operator, installs_of};
use super::usual;

scenarios!(
    a_cut_in_the_middle_of_an_install_that_is_healed,
    sessions_that_are_killed_on_the_host,
    a_host_that_stays_away_is_waited_for,
    a_watch_takes_up_what_was_left_and_what_comes_back,
    a_watch_takes_up_others_while_one_takes_long,
    a_watch_leaves_what_has_waited_for_too_long,
    a_watch_that_is_stopped_waits_for_no_host,
    a_reboot_in_the_middle_of_an_install,
    a_reboot_in_the_middle_of_verify,
    a_power_cut_in_the_middle_of_a_checkout,
    git_is_killed_in_the_middle_of_a_checkout,
    the_origin_is_cut_off
);

fn a_cut_in_the_middle_of_an_install_that_is_healed() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(15)));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    update.wait_install(&host, "v2", 1);
    host.cut();
    update.wait_said("the connection is lost");
    host.heal();
    update.end().ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    assert_eq!(installs_of(&host, "v2"), 1, "the job went on, and was found again");
    assert!(operator.log().contains(&"update/Install#2".to_owned()), "{:?}", operator.log());
}

fn sessions_that_are_killed_on_the_host() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(5)));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    update.wait_install(&host, "v2", 1);
    assert!(host.kill_sshd_sessions() > 0);
    update.end().ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    assert_eq!(installs_of(&host, "v2"), 1);
}

fn a_host_that_stays_away_is_waited_for() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]).set("limits.reconnect", "2s").set("timeouts.connect", "8s");
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(5)));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    update.wait_install(&host, "v2", 1);
    host.cut();
    update.end().ended(5, &["web-1", "unknown"]);
    assert_eq!(operator.row().update_status.as_deref(), Some("unknown"));
    assert_eq!(operator.row().current_version.as_ref().map(|v| v.as_str()), Some(&*v1));
    // It is still away, and no attempt is used up.
    operator.run(&["resume"]).ended(5, &["web-1", "unknown"]);
    host.heal();
    operator.run(&["resume"]).ended(0, &["web-1", "updated"]);
    operator.is_updated(&host, &v1, &v2);
    assert_eq!(installs_of(&host, "v2"), 1);
    assert!(!operator.log().contains(&"update/Install#3".to_owned()), "{:?}", operator.log());
}

/// An update whose host was cut off in its install, and that has ended without it.
fn parked(operator: &Operator, origin: &Origin, host: &Host) -> String {
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(5)));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    update.wait_install(host, "v2", 1);
    host.cut();
    update.end().ended(5, &["web-1", "unknown"]);
    v2
}

fn a_watch_takes_up_what_was_left_and_what_comes_back() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]).set("limits.reconnect", "2s").set("timeouts.connect", "8s");
    let v2 = parked(&operator, &origin, &host);
    let watch = operator.spawn(&["resume", "--watch", "--every", "1s"]);
    watch.wait_said("whether it is back");
    host.heal();
    watch.wait("the end of the run", || operator.run_of(0).finished_at_us.is_some());
    watch.wait("the lease is given back", || operator.leases() == 0);
    operator.is_updated(&host, &v1, &v2);

    // And it goes on: a run whose controller is killed is taken up as well.
    let v3 = origin.commit(Release::good("v3").install(Install::Slow(3)));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    update.wait_install(&host, "v3", 1);
    assert!(!operator.was("update/Install#2"), "what somebody drives is left to them");
    update.kill();
    watch.wait("the end of the run", || operator.run_of(0).finished_at_us.is_some());
    watch.wait("the lease is given back", || operator.leases() == 0);
    watch.signal("TERM");
    watch.end().ended(0, &["watching", "updated"]);
    operator.is_updated(&host, &v2, &v3);
    assert_eq!((installs_of(&host, "v2"), installs_of(&host, "v3")), (1, 1));
}

fn a_watch_takes_up_others_while_one_takes_long() {
    let (origin, slow, v1) = usual();
    let other = HostSpec::new().boot(&origin);
    other.wait_healthy();
    let hosts = [&slow, &other];
    // An install that takes until it may end.
    let install = "bun install && while [ ! -e /tmp/go ]; do sleep 0.1; done";
    let operator = Operator::of(&hosts).set("service.install", install).set("timeouts.install", "230s");
    let operator = operator.set("limits.reconnect", "2s").set("timeouts.connect", "8s");
    let v2 = origin.commit(Release::good("v2"));
    let update = operator.spawn(&["update", "web-1", "web-2", "--to", "main"]);
    hosts.iter().for_each(|host| update.wait_install(host, "v2", 1));
    hosts.iter().for_each(|host| host.cut());
    update.end().ended(5, &["unknown (2)"]);
    let watch = operator.spawn(&["resume", "--watch", "--every", "1s"]);
    watch.wait_said("whether it is back");
    slow.heal();
    watch.wait("the first is taken up", || operator.was("update/Install#2"));
    assert!(operator.run_of(1).finished_at_us.is_none());
    other.heal();
    other.root("touch /tmp/go").ok();
    watch.wait("the end of the second", || operator.run_of(1).finished_at_us.is_some());
    assert_eq!(operator.run_of(1).record.state.word(), "updated");
    assert!(operator.run_of(0).finished_at_us.is_none(), "the first is in its install still");
    slow.root("touch /tmp/go").ok();
    watch.wait("the end of the first", || operator.run_of(0).finished_at_us.is_some());
    watch.wait("the leases are given back", || operator.leases() == 0);
    watch.signal("TERM");
    watch.end().ended(0, &["watching", "updated (1)"]);
    operator.is_updated(&slow, &v1, &v2);
    super::proof::runs(&other, &v2);
    assert!(!operator.was("update/Install#3"), "nobody took it up once more: {:?}", operator.log());
    hosts.iter().for_each(|host| assert_eq!(installs_of(host, "v2"), 1));
}

fn a_watch_leaves_what_has_waited_for_too_long() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]).set("limits.reconnect", "2s").set("timeouts.connect", "8s");
    let operator = operator.set("limits.catch_up", "1s");
    let v2 = parked(&operator, &origin, &host);
    host.heal();
    let watch = operator.spawn(&["resume", "--watch", "--every", "1s"]);
    watch.wait_said("it stays so: look at the host, then: uphaul resume web-1");
    watch.signal("TERM");
    watch.end().ended(0, &["watching"]);
    assert_eq!(operator.row().update_status.as_deref(), Some("unknown"));
    operator.run(&["resume", "web-1"]).ended(0, &["web-1", "updated"]);
    operator.is_updated(&host, &v1, &v2);
}

fn a_watch_that_is_stopped_waits_for_no_host() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]).set("limits.reconnect", "2s").set("timeouts.connect", "8s");
    let v2 = parked(&operator, &origin, &host);
    // Longer than a test waits for the end of anything.
    let operator = operator.set("timeouts.connect", "600s");
    let watch = operator.spawn(&["resume", "--watch"]);
    watch.wait_said("watching");
    watch.wait("it listens for signals", || watch.catches(15));
    watch.signal("TERM");
    watch.end().ended(0, &["watching", "stopping"]);
    assert_eq!(operator.row().update_status.as_deref(), Some("unknown"));
    host.heal();
    operator.run(&["resume"]).ended(0, &["web-1", "updated"]);
    operator.is_updated(&host, &v1, &v2);
}

fn a_reboot_in_the_middle_of_an_install() {
    let (origin, mut host, v1) = usual();
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(8)));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    update.wait_install(&host, "v2", 1);
    host.reboot();
    update.end().ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    assert_eq!(installs_of(&host, "v2"), 2, "the first one ended with the boot");
}

fn a_reboot_in_the_middle_of_verify() {
    let (origin, mut host, v1) = usual();
    // A host that goes down and comes up slowly lets somebody in, and cuts him off, more than once.
    let operator = Operator::of(&[&host]).set("timeouts.healthy", "6s").set("timeouts.attempts", "8");
    let v2 = origin.commit(Release::good("v2"));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    update.wait("verify", || operator.was("update/Verify#1"));
    host.reboot();
    update.end().ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    let restarts = operator.log().iter().filter(|state| state.starts_with("update/Restart")).count();
    assert_eq!(restarts, 2, "what runs after a boot was started by nobody who waited for it");
}

fn a_power_cut_in_the_middle_of_a_checkout() {
    let (origin, mut host, v1) = usual();
    host.slow_checkout(Duration::from_millis(500));
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2").slow_files(8).many_files(300));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    let marker = host.path("/var/lib/app/checking-out");
    update.wait("a checkout", || marker.exists());
    host.cut_power();
    host.start();
    update.end().ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    assert!(!host.path("/srv/app/.git/index.lock").exists());
}

fn git_is_killed_in_the_middle_of_a_checkout() {
    let (origin, host, v1) = usual();
    host.slow_checkout(Duration::from_millis(500));
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2").slow_files(8).many_files(300));
    let update = operator.spawn(&["update", "web-1", "--to", "main"]);
    let marker = host.path("/var/lib/app/checking-out");
    update.wait("a checkout", || marker.exists());
    let git = host.processes("git -C /srv/app").into_iter().map(|(pid, _)| pid.to_string());
    host.root(&format!("kill -KILL {}", git.collect::<Vec<_>>().join(" "))).ok();
    update.end().ended(3, &["rolled back"]);
    operator.is_rolled_back(&host, &v1, &v2);
    operator.because(&["update/Checkout: "]);
    assert!(!host.path("/srv/app/.git/index.lock").exists());
    assert!(!host.path("/srv/app/big").exists(), "nothing of the target is left");
}

fn the_origin_is_cut_off() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]).set("timeouts.git", "5s");
    let v2 = origin.commit(Release::good("v2"));
    operator.run(&["check", "web-1"]).ended(0, &["ok"]);
    origin.cut();
    operator.run(&["check", "web-1"]).ended(7, &["ls-remote", "no answer within 5 s"]);
    operator.run(&["update", "web-1", "--to", &v2]).ended(7, &["ls-remote origin: no answer within 5 s"]);
    origin.heal();
    operator.run(&["update", "web-1", "--to", &v2]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
}
