//! What stops an update before it touches the host.

use std::fs;

use uphaul_tests::lab::{HostSpec, Release, Rights};

use super::operator::Operator;
use super::proof::{connections_and_commands, runs};
use super::{host_with, usual};

scenarios!(
    a_changed_file,
    an_untracked_file_in_the_way,
    an_unknown_ref,
    a_host_that_is_down,
    a_wrong_host_key,
    a_wrong_user_key,
    no_right_to_restart,
    a_full_disk,
    a_lock_of_git_that_somebody_left
);

fn a_changed_file() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2"));
    host.as_user("deploy", "echo '// mended by hand' >>/srv/app/server.ts").ok();
    let told = ["changed by hand", "server.ts", "service.dirty"];
    operator.run(&["check", "web-1"]).ended(7, &told);
    operator.run(&["update", "web-1", "--to", "main"]).ended(7, &["aborted"]);
    operator.because(&["changed by hand", "server.ts"]);
    assert_eq!(host.dirty(), "M server.ts", "it is still there");
    assert_eq!(host.head(), v1);
    operator.row_says("aborted", Some(&v1), &v2);
    operator.left_nothing(&host);

    // With the policy `stash` the update goes on, and the edit is kept.
    let operator = operator.set("service.dirty", "stash");
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    let kept = host.as_user("deploy", "git -C /srv/app stash show -p stash@{0}").ok();
    assert!(kept.contains("mended by hand"), "{kept}");
}

fn an_untracked_file_in_the_way() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2").file("notes/today.txt", "of the release\n"));
    host.as_user("deploy", "mkdir /srv/app/notes && echo mine >/srv/app/notes/today.txt").ok();
    operator.run(&["update", "web-1", "--to", "main"]).ended(7, &["aborted"]);
    operator.because(&["update/Fetch: ", "in the way", "notes/today.txt"]);
    operator.is_aborted(&host, &v1, &v2);
    assert_eq!(host.root("cat /srv/app/notes/today.txt").ok(), "mine");
    host.root("rm -r /srv/app/notes").ok();
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
}

fn an_unknown_ref() {
    let (_origin, host, v1) = usual();
    let operator = Operator::of(&[&host]);
    operator.run(&["update", "web-1", "--to", "nowhere"]).ended(2, &["no branch and no tag nowhere"]);
    let gone = "0123456789abcdef0123456789abcdef01234567";
    operator.run(&["update", "web-1", "--to", gone]).ended(2, &["no commit that begins with", gone]);
    operator.run(&["update", "web-1", "--to", "0123456"]).ended(2, &["no commit that begins with 0123456"]);
    assert!(operator.runs().is_empty());
    runs(&host, &v1);
    operator.left_nothing(&host);
}

fn a_host_that_is_down() {
    let (origin, mut host, v1) = usual();
    let second = HostSpec::new().boot(&origin);
    second.wait_healthy();
    let operator = Operator::of(&[&host, &second]).set("timeouts.connect", "20s");
    let v2 = origin.commit(Release::good("v2"));
    host.stop();
    operator.run(&["update", "web-1", "--to", "main"]).ended(5, &["web-1", "could be reached"]);
    // The others do not suffer.
    operator.run(&["update", "web-1", "web-2", "--to", "main"]).ended(5, &["unreachable", "updated"]);
    assert_eq!(operator.run_of(1).record.state.word(), "updated");
    runs(&second, &v2);
    assert_eq!(operator.row().current_version.as_ref().map(|v| v.as_str()), Some(&*v1));
    host.start();
    host.wait_healthy();
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
}

fn a_wrong_host_key() {
    let (origin, host, v1) = usual();
    let v2 = origin.commit(Release::good("v2"));
    for known in [host.wrong_known_hosts(), host.empty_known_hosts()] {
        let operator = Operator::of(&[&host]).set_ssh("known_hosts", known);
        operator.run(&["check", "web-1"]).ended(7, &["key", "SHA256:", "known_hosts"]);
        for to in ["main", &v2] {
            let out = operator.run(&["update", "web-1", "--to", to]);
            assert!(matches!(out.code, Some(5 | 7)), "{out}");
            out.ended(out.code.unwrap(), &["SHA256:", "nothing was changed"]);
        }
        runs(&host, &v1);
        operator.left_nothing(&host);
    }
    assert_eq!(connections_and_commands(&host).0, 0, "nobody was let in");
}

fn a_wrong_user_key() {
    let (origin, host, v1) = usual();
    origin.commit(Release::good("v2"));
    let operator = Operator::of(&[&host]).set_ssh("identity", host.wrong_identity());
    fs::write(operator.path("ssh_config"), "User deploy\nIdentityAgent none\n").unwrap();
    operator.run(&["check", "web-1"]).ended(7, &["does not let us log in"]);
    let out = operator.run(&["update", "web-1", "--to", "main"]);
    assert!(matches!(out.code, Some(5 | 7)), "{out}");
    out.ended(out.code.unwrap(), &["does not let us log in", "nothing was changed"]);
    runs(&host, &v1);
    operator.left_nothing(&host);
}

fn no_right_to_restart() {
    let other = "deploy ALL=(root) NOPASSWD: /usr/bin/true\n";
    let with_other = |spec: HostSpec| spec.file("/etc/sudoers.d/other", 0o440, other);
    let (none, asks) = (Rights::None, Rights::AsksPassword);
    for (spec, why) in [
        (HostSpec::new().rights(none), "sudo asks for a password even to list what it allows"),
        (with_other(HostSpec::new().rights(none)), "sudo does not allow it"),
        (HostSpec::new().rights(asks), "sudo asks for a password even to list what it allows"),
        (with_other(HostSpec::new().rights(asks)), "sudo would ask for a password"),
    ] {
        let (origin, host, v1) = host_with(spec, Release::good("v1"));
        let operator = Operator::of(&[&host]);
        let v2 = origin.commit(Release::good("v2"));
        let line = "deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart app.service, \
                    /usr/bin/systemctl reset-failed app.service";
        operator.run(&["check", "web-1"]).ended(7, &[why, line]);
        operator.run(&["update", "web-1", "--to", "main"]).ended(7, &["aborted"]);
        operator.because(&[why]);
        operator.is_aborted(&host, &v1, &v2);
        // What the error says helps.
        host.root(&format!("echo '{line}' >/etc/sudoers.d/uphaul && chmod 440 /etc/sudoers.d/uphaul")).ok();
        host.root("visudo -c").ok();
        operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
        operator.is_updated(&host, &v1, &v2);
    }
}

fn a_full_disk() {
    let (origin, host, v1) = host_with(HostSpec::new().small_disk(160), Release::good("v1"));
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2"));
    host.fill_disk();
    operator.run(&["check", "web-1"]).ended(7, &["0 MiB are free"]);
    operator.run(&["update", "web-1", "--to", "main"]).ended(7, &["aborted"]);
    operator.because(&["0 MiB are free"]);
    host.free_disk();
    operator.is_aborted(&host, &v1, &v2);
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
}

fn a_lock_of_git_that_somebody_left() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2"));
    host.as_user("deploy", "touch -d '2020-02-03 04:05:06' /srv/app/.git/index.lock").ok();
    operator.run(&["update", "web-1", "--to", "main"]).ended(7, &["aborted"]);
    operator.because(&["/srv/app/.git/index.lock, last touched 2020-02-03 04:05:06"]);
    operator.is_aborted(&host, &v1, &v2);
    host.root("rm /srv/app/.git/index.lock").ok();
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
}
