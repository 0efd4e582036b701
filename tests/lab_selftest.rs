//! The lab of real hosts shows that it can do what the scenarios ask of it, with plain ssh and without Uphaul.

#[path = "lab_selftest/faults.rs"]
mod faults;
#[path = "lab_selftest/leftovers.rs"]
mod leftovers;
#[path = "lab_selftest/releases.rs"]
mod releases;

use std::path::Path;
use std::process::Command;

use uphaul_tests::lab::{self, Host, HostSpec, Origin, Ran, Release, Rights, Shell, Unit};

fn served(label: &str) -> Origin {
    let origin = Origin::start();
    origin.commit(Release::good(label));
    origin
}

fn ssh(host: &Host, options: &[&str], command: &str) -> Ran {
    let out = Command::new("ssh")
        .arg("-F")
        .arg(host.ssh_config())
        .args(options)
        .args([host.name(), command])
        .output();
    let out = out.expect("ssh");
    Ran {
        code: out.status.code(),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

#[test]
fn a_host_runs_the_service_and_lets_its_user_in() {
    if lab::skip() {
        return;
    }
    let origin = Origin::start();
    let first = origin.commit(Release::good("v1"));
    let host = HostSpec::new().boot(&origin);
    host.wait_healthy();
    assert_eq!(host.head(), first);
    assert_eq!(host.dirty(), "");
    assert_eq!(host.running_version().as_deref(), Some("v1"));
    assert_eq!(host.installs(), ["start v1", "end v1"]);
    assert_eq!(host.processes("server.ts").len(), 1);
    assert_eq!(host.root("id -un; exit 3").code, Some(3));
    assert_eq!(host.as_user("deploy", "id -un; pwd").ok(), "deploy\n/home/deploy");
    assert_eq!(host.unit_property("app.service", "StartLimitBurst"), "5");
    assert_eq!(host.root("systemctl is-system-running").ok(), "running");

    let ran = host.ssh("echo out; echo err >&2; exit 7");
    assert_eq!((ran.code, ran.stdout.trim(), ran.stderr.trim()), (Some(7), "out", "err"));
    let health = format!("curl -fsS http://{}:3000/health", host.address());
    assert_eq!(host.ssh(&health).ok(), "ok");
    assert!(host.ssh("command -v bun git wget python3 flock systemd-run >/dev/null").success());
}

#[test]
fn keys_right_and_wrong() {
    if lab::skip() {
        return;
    }
    let host = HostSpec::new().sshd("MaxSessions 1").boot_bare();
    let option = |name: &str, path: &Path| format!("{name}={}", path.display());
    let wrong = ssh(&host, &["-o", &option("UserKnownHostsFile", &host.wrong_known_hosts())], "true");
    assert!(
        wrong.code == Some(255) && wrong.stderr.contains("REMOTE HOST IDENTIFICATION HAS CHANGED"),
        "{wrong:?}"
    );
    let unknown = ssh(&host, &["-o", &option("UserKnownHostsFile", &host.empty_known_hosts())], "true");
    assert!(
        unknown.code == Some(255) && unknown.stderr.contains("Host key verification failed"),
        "{unknown:?}"
    );

    // A -F file's own IdentityFile is tried as well, so plain ssh without it.
    let plain = |identity: &Path| {
        let out = Command::new("ssh")
            .args([
                "-F",
                "/dev/null",
                "-o",
                "BatchMode=yes",
                "-o",
                "IdentitiesOnly=yes",
                "-o",
                "IdentityAgent=none",
            ])
            .args(["-o", &option("UserKnownHostsFile", &host.known_hosts()), "-l", "deploy", "-i"])
            .arg(identity)
            .args([host.address(), "true"])
            .output()
            .expect("ssh");
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    assert_eq!(plain(&host.identity()).0, Some(0));
    let (code, said) = plain(&host.wrong_identity());
    assert!(code == Some(255) && said.contains("Permission denied (publickey)"), "{said}");
    assert_eq!(plain(&host.encrypted_identity("gaff")).0, Some(255), "no agent and no passphrase");
    assert!(host.root("sshd -T | grep -qx 'maxsessions 1'").success());
}

#[test]
fn rights_are_what_they_say() {
    if lab::skip() {
        return;
    }
    let origin = served("v1");
    let restart = "sudo -n systemctl restart app.service";
    let reset = "sudo -n systemctl reset-failed app.service";

    let full = HostSpec::new().boot(&origin);
    full.ssh(restart).ok();
    full.ssh("sudo -n systemd-run --quiet --wait --collect true").ok();
    full.ssh("sudo -n journalctl -n 1 -u app.service").ok();
    assert!(!full.ssh("sudo -n cat /etc/shadow").success());
    drop(full);

    let minimal = HostSpec::new().rights(Rights::Minimal).boot(&origin);
    minimal.ssh(restart).ok();
    minimal.ssh(reset).ok();
    assert!(!minimal.ssh("sudo -n systemctl restart ssh.service").success());
    assert!(!minimal.ssh("sudo -n systemd-run true").success());
    drop(minimal);

    let none = HostSpec::new().rights(Rights::None).boot(&origin);
    assert!(!none.ssh(restart).success());
    drop(none);

    let asks = HostSpec::new().rights(Rights::AsksPassword).boot(&origin);
    let ran = asks.ssh(restart);
    assert!(!ran.success() && ran.stderr.contains("a password is required"), "{ran:?}");
}

#[test]
fn login_shells_and_missing_programs() {
    if lab::skip() {
        return;
    }
    for (shell, path, variable) in [
        (Shell::Sh, "/bin/sh", "$0"),
        (Shell::Bash, "/bin/bash", "$BASH_VERSINFO"),
        (Shell::Fish, "/usr/bin/fish", "$FISH_VERSION"),
        (Shell::Tcsh, "/usr/bin/tcsh", "$tcsh"),
    ] {
        let host = HostSpec::new().shell(shell).without_curl().without(&["flock"]).bun_at_home().boot_bare();
        assert!(host.ssh("getent passwd deploy").ok().ends_with(path));
        assert_ne!(host.ssh(&format!("echo {variable}")).ok(), "", "{path}");
        assert!(!host.ssh("curl --version").success());
        assert!(!host.ssh("sh -c 'command -v flock || command -v bun'").success());
        assert!(host.ssh("wget --version").success());
        assert!(host.ssh("/home/deploy/.bun/bin/bun --version").success());
    }
}

#[test]
fn units_of_every_kind() {
    if lab::skip() {
        return;
    }
    let origin = served("v1");

    let host = HostSpec::new().unit(Unit::Notify).boot(&origin);
    assert_eq!(host.unit_property("app.service", "Type"), "notify");
    // `systemctl enable --now` came back only after the service had said that it is ready.
    assert_eq!(host.http("/health").map(|(status, _)| status), Some(200));
    drop(host);

    let host = HostSpec::new().unit(Unit::Socket).boot(&origin);
    assert_eq!(host.unit_property("app.service", "ActiveState"), "inactive");
    assert_eq!(host.running_version().as_deref(), Some("v1"));
    assert_eq!(host.unit_property("app.service", "TriggeredBy"), "app.socket");
    assert_eq!(host.unit_property("app.service", "ActiveState"), "active");
    drop(host);

    let host = HostSpec::new().user_unit().rights(Rights::None).boot(&origin);
    host.wait_healthy();
    // As over ssh, without an environment that was prepared for it: pam makes the user's bus known.
    host.ssh("systemctl --user restart app.service").ok();
    host.wait_healthy();
    assert_eq!(host.unit_property("app.service", "ActiveState"), "active");
    drop(host);

    let host = HostSpec::new().user_unit_without_linger().boot(&origin);
    assert_eq!(host.ssh("loginctl show-user deploy -P Linger").stdout.trim(), "no");
    drop(host);

    let host = HostSpec::new().unit(Unit::OneshotRemains).boot(&origin);
    assert!(host.root("cat /var/lib/app/served").ok().contains("label=v1"));
    assert_eq!(host.unit_property("app.service", "SubState"), "exited");
    drop(host);

    let worker = "[Service]\nUser=deploy\nExecStart=sleep 86403\n\n[Install]\nWantedBy=multi-user.target\n";
    let host = HostSpec::new().unit(Unit::Oneshot).more_unit("worker.service", worker).boot(&origin);
    assert_eq!(host.unit_property("app.service", "ActiveState"), "inactive");
    assert_eq!(host.unit_property("worker.service", "ActiveState"), "active");
}
