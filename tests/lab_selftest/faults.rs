//! What a test can do to a host.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use uphaul_tests::lab::{self, Host, HostSpec, wait_until};

use super::{served, ssh};

const LONG: Duration = Duration::from_secs(60);

fn ssh_that_waits(host: &Host) -> Child {
    let mut command = Command::new("ssh");
    command.arg("-F").arg(host.ssh_config()).args([host.name(), "touch /tmp/there; exec sleep 86404"]);
    let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("ssh");
    host.wait_file("/tmp/there", LONG);
    child
}

#[test]
fn cut_off_and_healed() {
    if lab::skip() {
        return;
    }
    let origin = served("v1");
    let host = HostSpec::new().boot(&origin);
    host.wait_healthy();

    let mut waiting = ssh_that_waits(&host);
    host.cut();
    let refused = ssh(&host, &["-o", "ConnectTimeout=2"], "true");
    assert!(refused.code == Some(255) && refused.stderr.contains("timed out"), "{refused:?}");
    assert!(waiting.try_wait().expect("wait").is_none(), "what is connected hangs, it does not end");
    assert_eq!(host.running_version().as_deref(), Some("v1"), "the host itself goes on");
    assert_eq!(host.processes("sleep 86404").len(), 1);
    host.heal();
    host.ssh("true").ok();
    assert!(waiting.try_wait().expect("wait").is_none(), "and lives on when it is healed");

    assert!(host.kill_sshd_sessions() > 0);
    assert_eq!(waiting.wait().expect("wait").code(), Some(255));
    assert_eq!(host.kill_sshd_sessions(), 0);
    host.ssh("true").ok();
}

#[test]
fn reboots_and_goes_off() {
    if lab::skip() {
        return;
    }
    let origin = served("v1");
    let mut host = HostSpec::new().boot(&origin);
    let boot_id = |host: &Host| host.ssh("cat /proc/sys/kernel/random/boot_id").ok();
    host.wait_healthy();
    let first = boot_id(&host);
    host.root("echo kept >/srv/app/untracked").ok();

    host.reboot();
    host.wait_healthy();
    let second = boot_id(&host);
    assert_ne!(first, second);

    host.cut_power();
    assert_eq!(host.root("true").code, None);
    assert_eq!(host.http("/health"), None);
    assert!(ssh(&host, &[], "true").stderr.contains("Connection refused"));
    host.start();
    host.wait_healthy();

    host.stop();
    host.start();
    host.wait_healthy();
    assert_ne!(second, boot_id(&host));
    assert_eq!(host.root("cat /srv/app/untracked").ok(), "kept");
}

#[test]
fn full_disk_and_no_inodes() {
    if lab::skip() {
        return;
    }
    let origin = served("v1");
    let host = HostSpec::new().small_disk(32).boot(&origin);
    host.wait_healthy();
    host.fill_disk();
    let ran = host.ssh("echo text >/srv/app/more");
    assert!(!ran.success() && ran.stderr.contains("No space left on device"), "{ran:?}");
    host.free_disk();
    host.ssh("echo text >/srv/app/more").ok();
    drop(host);

    let host = HostSpec::new().few_inodes(1000).boot(&origin);
    host.fill_inodes();
    let ran = host.ssh("echo text >/srv/app/more");
    assert!(!ran.success() && ran.stderr.contains("No space left on device"), "{ran:?}");
    host.free_disk();
    host.ssh("echo text >/srv/app/more").ok();
}

#[test]
fn an_origin_that_is_cut_or_down() {
    if lab::skip() {
        return;
    }
    let mut origin = served("v1");
    let host = HostSpec::new().boot(&origin);
    let fetch = "git -C /srv/app fetch --quiet origin";
    host.ssh(fetch).ok();
    origin.stop();
    let ran = host.ssh(fetch);
    assert!(!ran.success() && ran.stderr.contains("Connection refused"), "{ran:?}");
    origin.start_again();
    host.ssh(fetch).ok();
    origin.cut();
    assert_eq!(host.ssh(&format!("timeout 2 {fetch}")).code, Some(124), "it hangs");
    host.ssh("true").ok();
    origin.heal();
    host.ssh(fetch).ok();
}

#[test]
fn a_checkout_that_can_be_met_halfway() {
    if lab::skip() {
        return;
    }
    let origin = served("v1");
    let host = HostSpec::new().boot(&origin);
    let target = origin.commit(lab::Release::good("v2").slow_files(100).many_files(1000));
    host.slow_checkout(Duration::from_millis(500));
    host.as_user("deploy", "git -C /srv/app fetch --quiet origin").ok();
    let mut checkout = Command::new("ssh");
    checkout
        .arg("-F")
        .arg(host.ssh_config())
        .args([host.name(), &format!("git -C /srv/app checkout -q {target}")]);
    let mut checkout = checkout.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("ssh");
    host.wait_file("/var/lib/app/checking-out", LONG);
    let git: Vec<String> = host.processes("git -C /srv/app").iter().map(|(pid, _)| pid.to_string()).collect();
    assert!(!git.is_empty());
    host.root(&format!("kill -KILL {}", git.join(" ")));
    assert!(!checkout.wait().expect("wait").success());
    assert!(host.path("/srv/app/.git/index.lock").exists(), "git left its lock");
    assert_ne!(host.head(), target);
    // The files that were written before it was killed are there, and are not the index's.
    wait_until("a half tree", LONG, || host.path("/srv/app/big").exists().then_some(()));
}
