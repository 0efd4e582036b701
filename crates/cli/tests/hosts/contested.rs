//! Two at once on one host: one of them wins, the other says who holds it.

use uphaul_tests::lab::{Install, Release};

use super::operator::{Going, Operator, installs_of};
use super::usual;

scenarios!(
    from_one_database,
    from_two_databases,
    from_two_databases_at_the_same_moment,
    a_dead_controller_of_another_database_keeps_its_host,
    a_controller_that_was_stopped_and_overtaken,
    a_controller_that_was_stopped_and_wakes_in_the_middle
);

const MAIN: [&str; 4] = ["update", "web-1", "--to", "main"];

/// As whoever holds a host is told to others.
fn who(holder: &Going) -> String {
    format!("(process {})", holder.pid())
}

fn from_one_database() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(10)));
    let first = operator.spawn(&MAIN);
    first.wait_install(&host, "v2", 1);
    operator.run(&MAIN).ended(7, &["aborted", "held by", &who(&first)]);
    operator.run(&["rollback", "web-1", "--to", &v1]).ended(7, &["held by", &who(&first)]);
    assert_eq!(operator.runs().len(), 1, "nothing is written about those that were refused");
    first.end().ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
}

fn from_two_databases() {
    let (origin, host, v1) = usual();
    let (one, other) = (Operator::of(&[&host]), Operator::of(&[&host]));
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(10)));
    let first = one.spawn(&MAIN);
    first.wait_install(&host, "v2", 1);
    other.run(&["check", "web-1"]).ended(7, &["held by", &who(&first)]);
    other.run(&MAIN).ended(7, &["aborted"]);
    other.because(&["held by", &who(&first), "(run "]);
    other.row_says("aborted", Some(&v1), &v2);
    // What it has checked out now may be another version in a moment.
    other.run(&["version", "web-1"]).ended(0, &["held by", &who(&first), "not recorded"]);
    other.row_says("aborted", Some(&v1), &v2);
    first.end().ended(0, &["updated"]);
    one.is_updated(&host, &v1, &v2);

    // The other sees that the host went on without it, and does not go over it.
    other.run(&MAIN).ended(7, &["aborted"]);
    other.because(&["the record says", &v1]);
    other.run(&["version", "web-1"]).ended(0, &["drift", &v2]);
    other.run(&MAIN).ended(0, &["unchanged"]);
    other.is("unchanged", &host, &v2, &v2);
}

fn from_two_databases_at_the_same_moment() {
    let (origin, host, v1) = usual();
    let both = [Operator::of(&[&host]), Operator::of(&[&host])];
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(3)));
    let going: Vec<_> = both.iter().map(|operator| operator.spawn(&MAIN)).collect();
    let mut codes: Vec<_> = going.into_iter().map(|one| one.end().code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(7)]);
    let won = both.iter().find(|operator| operator.run_of(0).record.state.word() == "updated");
    won.expect("one of them has updated it").is_updated(&host, &v1, &v2);
    assert_eq!(installs_of(&host, "v2"), 1);
}

fn a_dead_controller_of_another_database_keeps_its_host() {
    let (origin, host, v1) = usual();
    let (one, other) = (Operator::of(&[&host]), Operator::of(&[&host]));
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(4)));
    let first = one.spawn(&MAIN);
    first.wait_install(&host, "v2", 1);
    let holder = who(&first);
    first.kill();
    other.run(&MAIN).ended(7, &["aborted"]);
    other.because(&["held by", &holder]);
    one.run(&["resume"]).ended(0, &["updated"]);
    one.is_updated(&host, &v1, &v2);
}

fn a_controller_that_was_stopped_and_overtaken() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]).set("limits.lease", "5s");
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(6)));
    let ghost = operator.spawn(&MAIN);
    ghost.wait_install(&host, "v2", 1);
    ghost.stop();
    operator.run(&["resume"]).ended(0, &["updated"]);
    // Its own ssh lives as long as it does, so only what is the host's and the record's is looked at yet.
    super::proof::runs(&host, &v2);
    operator.row_says("updated", Some(&v2), &v2);
    let (log, installs) = (operator.log(), host.installs());
    let invocation = host.unit_property("app.service", "InvocationID");

    ghost.signal("CONT");
    ghost.end().ended(5, &["web-1"]);
    operator.is_updated(&host, &v1, &v2);
    assert_eq!((operator.log(), host.installs()), (log, installs), "it changed nothing");
    assert_eq!(host.unit_property("app.service", "InvocationID"), invocation);
    assert_eq!(operator.runs().len(), 1);
}

fn a_controller_that_was_stopped_and_wakes_in_the_middle() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]).set("limits.lease", "5s");
    let v2 = origin.commit(Release::good("v2").install(Install::Slow(12)));
    let ghost = operator.spawn(&MAIN);
    ghost.wait_install(&host, "v2", 1);
    ghost.stop();
    let resume = operator.spawn(&["resume"]);
    resume.wait("the take-over", || operator.was("update/Install#2"));
    ghost.signal("CONT");
    ghost.end().ended(5, &["web-1"]);
    resume.end().ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    assert_eq!(installs_of(&host, "v2"), 1);
}
