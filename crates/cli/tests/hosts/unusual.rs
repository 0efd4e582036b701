//! Hosts, units and edits that are not the usual ones.

use uphaul_tests::lab::{self, HostSpec, Install, Release, Rights, Serve, Unit};

use super::operator::Operator;
use super::proof::{connections_and_commands, runs};
use super::{host_with, usual};

scenarios!(
    no_inodes_are_left,
    the_install_uses_all_inodes_up,
    a_user_without_linger,
    a_unit_of_which_nothing_stays,
    a_unit_that_only_does_something_and_stays_active,
    one_session_at_a_time,
    edits_by_hand_come_back_with_a_rollback,
    the_first_host_cannot_tell_what_a_ref_means
);

const MAIN: [&str; 4] = ["update", "web-1", "--to", "main"];

fn no_inodes_are_left() {
    let (origin, host, v1) = host_with(HostSpec::new().few_inodes(4000), Release::good("v1"));
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2"));
    host.fill_inodes();
    operator.run(&["check", "web-1"]).ended(7, &["0 inodes are free at /srv/app", "make room"]);
    operator.run(&MAIN).ended(7, &["aborted"]);
    operator.because(&["0 inodes are free"]);
    host.free_disk();
    operator.is_aborted(&host, &v1, &v2);
    operator.run(&MAIN).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
}

fn the_install_uses_all_inodes_up() {
    let (origin, host, v1) = host_with(HostSpec::new().few_inodes(4000), Release::good("v1"));
    // What git does not know is the install's to remove.
    let install = "rm -rf node_modules/many; bun install && ! grep -qx label=v2 release || \
                   { mkdir node_modules/many && cd node_modules/many && seq 100000 | xargs touch; }";
    let operator = Operator::of(&[&host]).set("service.install", install);
    let v2 = origin.commit(Release::good("v2"));
    operator.run(&MAIN).ended(3, &["rolled back"]);
    operator.because(&["update/Install: ", "No space left on device"]);
    operator.is_rolled_back(&host, &v1, &v2);
}

fn a_user_without_linger() {
    let origin = lab::Origin::start();
    let v1 = origin.commit(Release::good("v1"));
    let spec = HostSpec::new().user_unit_without_linger().rights(Rights::None);
    let host = spec.boot(&origin);
    let operator = Operator::of(&[&host]).set("service.scope", "user");
    let v2 = origin.commit(Release::good("v2"));
    let fix = "loginctl enable-linger deploy";
    operator.run(&["check", "web-1"]).ended(7, &["deploy has no linger", fix]);
    operator.run(&MAIN).ended(7, &["aborted", fix]);
    operator.because(&["no linger"]);
    assert_eq!(host.head(), v1);
    operator.row_says("aborted", Some(&v1), &v2);
    operator.left_nothing(&host);
    // What the error says helps.
    host.root(fix).ok();
    host.as_user("deploy", "systemctl --user enable --quiet --now app.service").ok();
    host.wait_healthy();
    operator.run(&MAIN).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
}

fn a_unit_of_which_nothing_stays() {
    let origin = lab::Origin::start();
    let v1 = origin.commit(Release::good("v1"));
    let host = HostSpec::new().unit(Unit::Oneshot).boot(&origin);
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2"));
    operator
        .run(&["check", "web-1"])
        .ended(7, &["Type=oneshot without RemainAfterExit", "RemainAfterExit=yes"]);
    operator.run(&MAIN).ended(7, &["aborted", "Type=oneshot"]);
    operator.because(&["Type=oneshot without RemainAfterExit"]);
    assert_eq!(host.head(), v1);
    operator.row_says("aborted", Some(&v1), &v2);
    operator.left_nothing(&host);
}

fn a_unit_that_only_does_something_and_stays_active() {
    let origin = lab::Origin::start();
    origin.commit(Release::good("v1"));
    let host = HostSpec::new().unit(Unit::OneshotRemains).boot(&origin);
    let served = || host.root("sed -n 's/^label=//p' /var/lib/app/served").ok();
    assert_eq!(served(), "v1");
    // It listens to nothing: what it has done is what is looked at.
    let health = "cmp release /var/lib/app/served";
    let operator =
        Operator::who_knows_nothing_of(&[&host]).without_http().set("service.health.command", health);
    let v2 = origin.commit(Release::good("v2"));
    operator.run(&MAIN).ended(0, &["updated"]);
    assert_eq!((host.head(), served()), (v2.clone(), "v2".to_owned()));
    operator.row_says("updated", Some(&v2), &v2);
    operator.left_nothing(&host);
    // One that fails to start takes the host back.
    let v3 = origin.commit(Release::good("v3"));
    let start = r#"[Service]\nExecStart=\nExecStart=sh -c "! grep -qx label=v3 release && cp release /var/lib/app/served"\n"#;
    let folder = "/etc/systemd/system/app.service.d";
    host.root(&format!("mkdir {folder} && printf '{start}' >{folder}/start.conf")).ok();
    host.root("systemctl daemon-reload").ok();
    operator.run(&MAIN).ended(3, &["rolled back"]);
    operator.because(&["update/Restart: ", "systemctl restart app.service"]);
    assert_eq!(host.head(), v2);
    assert_eq!(served(), "v2");
    operator.row_says("rolled_back", Some(&v2), &v3);
    operator.left_nothing(&host);
}

fn one_session_at_a_time() {
    let spec = HostSpec::new().sshd("LogLevel VERBOSE").sshd("MaxSessions 1");
    let (origin, host, v1) = host_with(spec, Release::good("v1"));
    let operator = Operator::of(&[&host]).set("service.deadman.enabled", "false");
    let v2 = origin.commit(Release::good("v2"));
    operator.run(&MAIN).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    assert_eq!(connections_and_commands(&host).0, 1, "one connection, one session after the other");
    let v3 = origin.commit(Release::good("v3").serve(Serve::ExitsAtOnce));
    operator.run(&MAIN).ended(3, &["rolled back"]);
    operator.is_rolled_back(&host, &v2, &v3);
}

fn edits_by_hand_come_back_with_a_rollback() {
    for dirty in ["stash", "discard"] {
        let (origin, host, v1) = usual();
        let operator = Operator::of(&[&host]).set("service.dirty", dirty);
        host.as_user(
            "deploy",
            "cd /srv/app && echo '// by hand' >>server.ts && echo new >added && git add added",
        )
        .ok();
        let before = host.root("cd /srv/app && cat server.ts added").ok();
        let v2 = origin.commit(Release::good("v2").install(Install::Fails));
        operator.run(&MAIN).ended(3, &["changed by hand", "server.ts", "rolled back"]);
        assert_eq!(host.head(), v1);
        assert_eq!(
            host.root("cd /srv/app && cat server.ts added").ok(),
            before,
            "{dirty}: the edits are back"
        );
        assert_eq!(host.running_version().as_deref(), Some("v1"));
        operator.row_says("rolled_back", Some(&v1), &v2);
        operator.left_nothing(&host);
        // A good version goes over them, and they are kept.
        let v3 = origin.commit(Release::good("v3"));
        operator.run(&MAIN).ended(0, &["updated"]);
        operator.is_updated(&host, &v1, &v3);
        let refs = host
            .as_user("deploy", "cd /srv/app && git for-each-ref --format='%(refname)' refs/uphaul/edits")
            .ok();
        let kept = refs.lines().any(|edits| {
            let show = format!("cd /srv/app && git show {edits}:server.ts {edits}:added");
            host.as_user("deploy", &show).ok() == before
        });
        assert!(kept, "{dirty}: {refs}");
    }
}

fn the_first_host_cannot_tell_what_a_ref_means() {
    let (origin, first, v1) = usual();
    let second = HostSpec::new().boot(&origin);
    second.wait_healthy();
    let operator = Operator::of(&[&first, &second]);
    let v2 = origin.commit(Release::good("v2"));
    let gone = format!("git -C /srv/app remote set-url origin git://{}/gone.git", origin.address());
    first.as_user("deploy", &gone).ok();
    operator.run(&["update", "web-1", "web-2", "--to", "main"]).ended(7, &["aborted", "gone.git", "updated"]);
    assert_eq!(operator.run_of(1).record.state.word(), "updated");
    runs(&second, &v2);
    operator.is_aborted(&first, &v1, &v2);
}
