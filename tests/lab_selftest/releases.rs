//! What a commit can do wrong, seen on one host that goes from one to the next by hand.

use std::time::Duration;

use uphaul_tests::lab::{self, Host, HostSpec, Install, Origin, Ran, Release, Serve, Unit, wait_until};

use super::served;

const LONG: Duration = Duration::from_secs(60);

fn check_out(host: &Host, commit: &str) {
    let git = "git -C /srv/app";
    host.as_user("deploy", &format!("{git} fetch -q origin && {git} checkout -q --force --detach {commit}"))
        .ok();
    assert_eq!(host.head(), commit);
}

fn install(host: &Host, limit: &str) -> Ran {
    host.as_user("deploy", &format!("cd /srv/app && timeout -k 1 {limit} bun install"))
}

fn release(host: &Host, origin: &Origin, release: Release) {
    check_out(host, &origin.commit(release));
    install(host, "60").ok();
    host.root("systemctl reset-failed app.service; systemctl restart app.service").ok();
}

fn wait_for<T: PartialEq + std::fmt::Debug>(what: T, mut probe: impl FnMut() -> T) {
    wait_until(&format!("{what:?}"), LONG, || (probe() == what).then_some(()));
}

#[test]
fn services_good_and_bad() {
    if lab::skip() {
        return;
    }
    let origin = served("v1");
    let host = HostSpec::new().boot(&origin);
    let state = || host.unit_property("app.service", "ActiveState");
    let status = || host.http("/health").map(|(status, _)| status);

    release(&host, &origin, Release::good("v2"));
    wait_for(Some(200), status);
    assert_eq!(host.running_version().as_deref(), Some("v2"));

    // The code of one commit with the dependencies of another is seen.
    check_out(&host, &origin.commit(Release::good("v3")));
    host.root("systemctl restart app.service").ok();
    wait_for(Some(500), status);

    release(&host, &origin, Release::good("exits").serve(Serve::ExitsAtOnce));
    wait_for("failed".to_owned(), state);

    release(&host, &origin, Release::good("deaf").serve(Serve::Deaf));
    wait_for(1, || host.processes("server.ts").len());
    assert_eq!((state().as_str(), status()), ("active", None));

    release(&host, &origin, Release::good("sick").serve(Serve::Sick));
    wait_for(Some(500), status);

    release(&host, &origin, Release::good("turns").serve(Serve::SickAfter(2)));
    wait_for(Some(200), status);
    wait_for(Some(500), status);

    release(&host, &origin, Release::good("dies").serve(Serve::DiesAfter(2)));
    wait_for(Some(200), status);
    wait_for("failed".to_owned(), state);

    release(&host, &origin, Release::good("slow").serve(Serve::SlowStop(4)));
    wait_for(Some(200), status);
    let began = std::time::Instant::now();
    release(&host, &origin, Release::good("v4"));
    assert!(began.elapsed() > Duration::from_secs(4));
    wait_for(Some(200), status);
}

#[test]
fn services_under_other_units() {
    if lab::skip() {
        return;
    }
    let origin = served("v1");
    let host = HostSpec::new().unit(Unit::RestartAlways).boot(&origin);
    release(&host, &origin, Release::good("exits").serve(Serve::ExitsAtOnce));
    // Between two tries it is "activating"; systemd gives up at the fifth.
    wait_for("failed".to_owned(), || host.unit_property("app.service", "ActiveState"));
    assert!(!host.root("systemctl restart app.service").success(), "a crash loop blocks a restart");
    release(&host, &origin, Release::good("v2"));
    host.wait_healthy();
    drop(host);

    let host = HostSpec::new().unit(Unit::Notify).boot(&origin);
    check_out(&host, &origin.commit(Release::good("never").serve(Serve::NeverReady)));
    install(&host, "60").ok();
    host.root("systemctl restart --no-block app.service").ok();
    wait_for(Some("never".to_owned()), || host.running_version());
    assert_eq!(host.unit_property("app.service", "ActiveState"), "activating");
}

#[test]
fn installs_good_and_bad() {
    if lab::skip() {
        return;
    }
    let origin = served("v1");
    let host = HostSpec::new().small_disk(32).boot(&origin);
    let go = |label: &str, how: Install| check_out(&host, &origin.commit(Release::good(label).install(how)));

    go("fails", Install::Fails);
    let ran = install(&host, "60");
    assert!(!ran.success() && ran.stderr.contains("no package of this name"), "{ran:?}");

    go("hangs", Install::Hangs);
    assert_eq!(install(&host, "2").code, Some(124));

    go("setsid", Install::HangsSetsid);
    assert_eq!(install(&host, "2").code, Some(124));
    // `timeout` leaves such a child alive: just what a test wants to see.
    let escaped = host.processes(Install::HANGS_SETSID);
    assert!(!escaped.is_empty());
    for pid in host.processes("sleep 8640").iter().map(|(pid, _)| pid) {
        host.root(&format!("kill -KILL {pid}"));
    }

    go("slow", Install::Slow(1));
    install(&host, "60").ok();
    assert_eq!(
        host.installs(),
        ["start v1", "end v1", "start fails", "start hangs", "start setsid", "start slow", "end slow"]
    );

    go("rewrites", Install::RewritesLockfile);
    for _ in 0..2 {
        install(&host, "60").ok();
        assert_eq!(host.dirty(), "M bun.lock");
        host.as_user("deploy", "git -C /srv/app checkout -q -- bun.lock").ok();
    }

    go("writes", Install::Writes(64 << 20));
    let ran = install(&host, "60");
    assert!(!ran.success() && ran.stderr.contains("No space left on device"), "{ran:?}");
}

#[test]
fn refs_of_every_kind() {
    if lab::skip() {
        return;
    }
    let origin = Origin::start();
    let first = origin.commit(Release::good("v1"));
    let host = HostSpec::new().shallow().boot(&origin);
    assert!(host.path("/srv/app/.git/shallow").exists());

    let second = origin.commit(Release::good("v2").file("notes.txt", "text"));
    let side = origin.commit_on("side", Release::good("side"));
    let tag = origin.annotated_tag("v2.0", &second);
    origin.tag("light", &second);
    origin.branch("main", &first);
    origin.branch("empty/nested", &first);
    let seen = host.as_user("deploy", "git -C /srv/app ls-remote origin").ok();
    for (name, commit) in [
        ("refs/heads/main", &first),
        ("refs/heads/empty/nested", &first),
        ("refs/heads/side", &side),
        ("refs/tags/light", &second),
        ("refs/tags/v2.0", &tag),
        ("refs/tags/v2.0^{}", &second),
    ] {
        assert!(
            seen.contains(&format!("{commit}\t{name}\n")) || seen.ends_with(&format!("{commit}\t{name}")),
            "{seen}"
        );
    }
    assert_ne!(tag, second);

    let sub = origin.submodule_commit("sail");
    let third = origin.commit(Release::good("v3").submodule(&sub));
    let git = "git -C /srv/app";
    host.as_user("deploy", &format!("{git} fetch -q origin main && {git} checkout -q --force {third}")).ok();
    host.as_user("deploy", &format!("{git} submodule --quiet update --init")).ok();
    assert_eq!(host.as_user("deploy", "cat /srv/app/vendor/sub/sub.txt").ok(), "sail");
    let fourth = origin.commit(Release::good("v4"));
    assert!(!origin.git(&["ls-tree", "-r", &fourth]).ok().contains("vendor/sub"));
}
