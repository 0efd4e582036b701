//! Ctrl-C, once and twice.

use uphaul_tests::lab::{HostSpec, Install, Release};

use super::operator::{Operator, installs_of};
use super::proof::runs;
use super::usual;

scenarios!(
    once_brings_those_begun_to_their_end_and_begins_no_other,
    twice_stops_now_and_says_which_hosts_are_in_the_middle
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
    update.end().ended(130, &["interrupted (2)", "web-1, web-2", "at:    install", "uphaul resume"]);
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
