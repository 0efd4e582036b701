//! Ctrl-C, once and twice.

use std::time::{Duration, Instant};

use uphaul_tests::lab::{HostSpec, Install, Release};

use super::operator::{Operator, installs_of};
use super::proof::runs;
use super::{switch, usual};

scenarios!(
    once_brings_those_begun_to_their_end_and_begins_no_other,
    twice_stops_now_and_says_which_hosts_are_in_the_middle,
    twice_says_when_hosts_go_back_by_themselves_and_they_do
);

fn once_brings_those_begun_to_their_end_and_begins_no_other() {
    let (origin, first, v1) = usual();
    let second = HostSpec::new().boot(&origin);
    second.wait_healthy();
    let operator = Operator::of(&[&first, &second]);
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(4)));
    let update = operator.spawn(&["update", "web-1", "web-2", "--to", "main", "--parallel", "1"]);
    // Which of the two is begun first is not promised.
    let begun = |host| installs_of(host, "v2") > 0;
    update.wait("an install", || begun(&first) || begun(&second));
    update.signal("INT");
    update.wait_said("no new host is begun");
    update.end().ended(130, &["updated (1)", "not begun (1)"]);
    let (done, other) = if begun(&first) { (&first, &second) } else { (&second, &first) };
    runs(done, &v2);
    runs(other, &v1);
    assert_eq!(installs_of(other, "v2"), 0);
    operator.left_nothing(done);
    operator.left_nothing(other);
    operator.run(&["update", "web-1", "web-2", "--to", "main"]).ended(0, &["updated", "unchanged"]);
    runs(other, &v2);
}

fn twice_stops_now_and_says_which_hosts_are_in_the_middle() {
    let (origin, first, v1) = usual();
    let second = HostSpec::new().boot(&origin);
    second.wait_healthy();
    let operator = Operator::of(&[&first, &second]);
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(15)));
    let update = operator.spawn(&["update", "web-1", "web-2", "--to", "main"]);
    update.wait_install(&first, "v2", 1);
    update.wait_install(&second, "v2", 1);
    update.signal("INT");
    update.wait_said("no new host is begun");
    update.signal("INT");
    update.wait_said("stopping now");
    update.end().ended(
        130,
        &[
            "interrupted (2)",
            "web-1, web-2",
            "at:    install",
            "uphaul resume",
            "goes back by itself, beginning within",
        ],
    );
    for host in [&first, &second] {
        assert!(!host.installs().contains(&"end v2".to_owned()), "it did not wait for the install");
        assert_eq!(host.running_version().as_deref(), Some("v1"), "the old service goes on");
    }
    assert_eq!(operator.leases(), 0);
    assert_eq!(operator.row().update_status.as_deref(), Some("updating"));
    assert_eq!(operator.row().current_version.as_ref().map(|v| v.as_str()), Some(&*v1));
    operator.run(&["resume"]).ended(0, &["updated (2)"]);
    operator.is_updated(&first, &v1, &v2);
    runs(&second, &v2);
    for host in [&first, &second] {
        assert_eq!(installs_of(host, "v2"), 1, "the job went on, and was found again");
    }
}

fn twice_says_when_hosts_go_back_by_themselves_and_they_do() {
    let (origin, first, v1) = usual();
    let second = HostSpec::new().boot(&origin);
    second.wait_healthy();
    let hosts = [&first, &second];
    let operator = switch::hasty(&hosts);
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(15)));
    let update = operator.spawn(&["update", "web-1", "web-2", "--to", "main"]);
    for host in hosts {
        update.wait_install(host, "v2", 1);
    }
    update.signal("INT");
    update.wait_said("no new host is begun");
    update.signal("INT");
    update.wait_said("stopping now");
    let out = update.end();
    let stopped = Instant::now();
    // The limit of the install (60 s, 120 s for what is kept, 30 s for what is around it), and the 60 s that a job has beyond it.
    let within = Duration::from_secs(270);
    let promise = "else:  the host goes back by itself, beginning within 4 min 30 s from now";
    out.ended(130, &["interrupted (2)", "web-1, web-2", "at:    install", promise]);
    // Nobody comes.
    for host in hosts {
        switch::wait_reverted(host, &v1);
        switch::in_time(host);
    }
    println!("both were back {:?} after the stop", stopped.elapsed());
    assert!(stopped.elapsed() < within);
    assert_eq!(operator.row().update_status.as_deref(), Some("updating"), "nobody was there to write it");
    switch::resumed(&operator, &first, &v1, &v2);
    switch::no_switch(&second);
    runs(&second, &v1);
}
