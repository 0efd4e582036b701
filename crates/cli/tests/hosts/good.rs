//! Updates that go well.

use uphaul_tests::lab::{HostSpec, Release, Rights, Serve, Shell, Unit};

use super::operator::Operator;
use super::proof::{connections_and_commands, runs};
use super::{host_with, usual};

scenarios!(
    an_update_and_the_way_back_by_hand,
    only_with_minimal_rights,
    without_curl,
    a_unit_of_the_user,
    a_login_shell_that_is_not_of_the_bourne_family,
    a_service_that_says_when_it_is_ready,
    a_service_that_its_socket_starts,
    a_service_that_is_slow_to_stop,
    two_hosts_of_which_one_is_ill
);

fn an_update_and_the_way_back_by_hand() {
    let (origin, host, v1) = host_with(HostSpec::new().sshd("LogLevel VERBOSE"), Release::good("v1"));
    let operator = Operator::who_knows_nothing_of(&[&host]);
    let v2 = origin.commit(Release::good("v2"));
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["main is", &v2, "web-1", "updated"]);
    operator.is_updated(&host, &v1, &v2);
    assert_eq!(host.installs(), ["start v1", "end v1", "start v2", "end v2"]);
    let (connections, commands) = connections_and_commands(&host);
    println!(
        "a good update: {connections} connections, {commands} commands (one of them to resolve the branch)"
    );
    // The second proves that the host can still be reached, before its switch is disarmed.
    assert!(connections == 2 && commands <= 12, "{connections} connections, {commands} commands");

    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["unchanged"]);
    operator.is("unchanged", &host, &v2, &v2);

    // Files that were only touched are not changed.
    host.as_user("deploy", "touch /srv/app/server.ts /srv/app/release").ok();
    let before = connections_and_commands(&host);
    operator.run(&["rollback", "web-1"]).ended(0, &["web-1", &v1[..7]]);
    operator.is_updated(&host, &v2, &v1);
    let (connections, commands) = connections_and_commands(&host);
    let (connections, commands) = (connections - before.0, commands - before.1);
    println!("a run: {connections} connections, {commands} commands");
    assert_eq!(connections, 2, "a run makes one connection, and one to disarm its switch");
    assert!(commands <= 12, "{commands} commands");
}

fn only_with_minimal_rights() {
    let (origin, host, v1) = host_with(HostSpec::new().rights(Rights::Minimal), Release::good("v1"));
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2"));
    operator.run(&["check", "web-1"]).ended(0, &["no right to systemd-run"]);
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    let v3 = origin.commit(Release::good("v3").serve(Serve::ExitsAtOnce));
    operator.run(&["update", "web-1", "--to", "main"]).ended(3, &["rolled back"]);
    operator.is_rolled_back(&host, &v2, &v3);
}

fn without_curl() {
    for without in [&["curl"][..], &["curl", "wget"], &["curl", "wget", "bash"]] {
        let spec = HostSpec::new().without(without).shell(Shell::Sh);
        let (origin, host, v1) = host_with(spec, Release::good("v1"));
        let operator = Operator::of(&[&host]).set("timeouts.verify", "8s");
        let v2 = origin.commit(Release::good("v2"));
        operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
        operator.is_updated(&host, &v1, &v2);
        let v3 = origin.commit(Release::good("v3").serve(Serve::Sick));
        operator.run(&["update", "web-1", "--to", "main"]).ended(3, &["rolled back"]);
        operator.is_rolled_back(&host, &v2, &v3);
    }
}

fn a_unit_of_the_user() {
    let spec = HostSpec::new().user_unit().rights(Rights::None);
    let (origin, host, v1) = host_with(spec, Release::good("v1"));
    let operator = Operator::of(&[&host]).set("service.scope", "user");
    let v2 = origin.commit(Release::good("v2"));
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    let v3 = origin.commit(Release::good("v3").serve(Serve::ExitsAtOnce));
    operator.run(&["update", "web-1", "--to", "main"]).ended(3, &["rolled back"]);
    operator.is_rolled_back(&host, &v2, &v3);
}

fn a_login_shell_that_is_not_of_the_bourne_family() {
    for shell in [Shell::Fish, Shell::Tcsh] {
        let (origin, host, v1) = host_with(HostSpec::new().shell(shell), Release::good("v1"));
        let operator = Operator::of(&[&host]);
        let v2 = origin.commit(Release::good("v2"));
        operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
        operator.is_updated(&host, &v1, &v2);
    }
}

fn a_service_that_says_when_it_is_ready() {
    let (origin, host, v1) = host_with(HostSpec::new().unit(Unit::Notify), Release::good("v1"));
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2"));
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    host.root("mkdir -p /etc/systemd/system/app.service.d").ok();
    host.root("printf '[Service]\\nTimeoutStartSec=4\\n' >/etc/systemd/system/app.service.d/t.conf").ok();
    host.root("systemctl daemon-reload").ok();
    let v3 = origin.commit(Release::good("v3").serve(Serve::NeverReady));
    operator.run(&["update", "web-1", "--to", "main"]).ended(3, &["rolled back"]);
    operator.is_rolled_back(&host, &v2, &v3);
    operator.because(&["update/Restart: ", "systemctl restart app.service"]);
}

fn a_service_that_its_socket_starts() {
    let (origin, host, v1) = host_with(HostSpec::new().unit(Unit::Socket), Release::good("v1"));
    // Nobody has asked it for anything yet, so it does not run, and is well.
    assert_eq!(host.unit_property("app.service", "ActiveState"), "inactive");
    let operator = Operator::who_knows_nothing_of(&[&host]).set("timeouts.verify", "8s");
    let v2 = origin.commit(Release::good("v2"));
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    let v3 = origin.commit(Release::good("v3").serve(Serve::Sick));
    operator.run(&["update", "web-1", "--to", "main"]).ended(3, &["rolled back"]);
    operator.is_rolled_back(&host, &v2, &v3);
}

fn a_service_that_is_slow_to_stop() {
    let (origin, host, v1) = host_with(HostSpec::new(), Release::good("v1").serve(Serve::SlowStop(40)));
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2"));
    let began = std::time::Instant::now();
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    assert!(began.elapsed().as_secs() >= 40, "it was not given its time");
    operator.is_updated(&host, &v1, &v2);
}

fn two_hosts_of_which_one_is_ill() {
    let (origin, first, v1) = usual();
    let second = HostSpec::new().file("/etc/ill", 0o644, "yes").boot(&origin);
    second.wait_healthy();
    let ill =
        "! grep -qx label=v2 release || ! test -e /etc/ill || { echo 'the moon is wrong' >&2; exit 9; }";
    let operator = Operator::of(&[&first, &second]).set("service.before_restart", ill);
    let v2 = origin.commit(Release::good("v2"));
    operator.run(&["update", "web-1", "web-2", "--to", "main"]).ended(3, &["updated", "rolled back"]);
    operator.is_updated(&first, &v1, &v2);
    runs(&second, &v1);
    assert_eq!(operator.row_of(1).update_status.as_deref(), Some("rolled_back"));
    operator.left_nothing(&second);
}
