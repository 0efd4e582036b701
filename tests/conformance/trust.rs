//! Keys: the host's and the user's.

use std::process::Command;
use std::sync::Arc;

use uphaul_core::host_key::HostKey;
use uphaul_core::ports::{ExecError, ExecErrorKind};
use uphaul_tests::sshd::{Sshd, SshdSpec, program, user};

use crate::bench::{Bench, Host, command};

pub async fn refused(host: &Host, kind: ExecErrorKind) -> ExecError {
    let error = match host.try_connect().await {
        Ok(_) => panic!("it connected"),
        Err(error) => error,
    };
    assert_eq!((error.kind, error.maybe_ran), (kind, false), "{error}");
    error
}

pub async fn accepted(host: &Host) {
    assert_eq!(host.run(&command(&["true"])).await.unwrap().code, 0);
}

pub async fn unknown_host_key(bench: Bench) {
    let mut host = bench.host();
    host.access.known_hosts = host.sshd().known_hosts_of("empty", "");
    let error = refused(&host, ExecErrorKind::HostKey).await;
    let (file, port) = (host.access.known_hosts.display().to_string(), host.sshd().port().to_string());
    for part in [&host.sshd().fingerprint(), &file, "ssh-keyscan", &port, "web1"] {
        assert!(error.detail.contains(part), "{part} in: {error}");
    }
    // Nothing was added behind the user's back.
    assert_eq!(std::fs::read_to_string(&host.access.known_hosts).unwrap(), "\n");
}

pub async fn changed_host_key(bench: Bench) {
    let mut host = bench.host();
    let line = format!("# a comment\n{} {}", host.sshd().name(), host.sshd().host_key("other_host"));
    host.access.known_hosts = host.sshd().known_hosts_of("changed", &line);
    let error = refused(&host, ExecErrorKind::HostKey).await;
    let place = format!("{}:2", host.access.known_hosts.display());
    for part in [&host.sshd().fingerprint(), &place, "ssh-keygen -f", "-R", "has changed"] {
        assert!(error.detail.contains(part), "{part} in: {error}");
    }
}

pub async fn revoked_host_key(bench: Bench) {
    let mut host = bench.host();
    let (name, key) = (host.sshd().name(), host.sshd().host_key("host"));
    host.access.known_hosts =
        host.sshd().known_hosts_of("revoked", &format!("{name} {key}\n@revoked * {key}"));
    let error = refused(&host, ExecErrorKind::HostKey).await;
    assert!(error.detail.contains("revoked"), "{error}");
}

pub async fn hashed_known_hosts(bench: Bench) {
    let host = bench.host();
    let hashed = Command::new(program("ssh-keygen").unwrap())
        .arg("-Hf")
        .arg(&host.access.known_hosts)
        .output()
        .unwrap();
    assert!(hashed.status.success());
    assert!(!std::fs::read_to_string(&host.access.known_hosts).unwrap().contains("127.0.0.1"));
    accepted(&host).await;
}

pub async fn wildcard_known_hosts(bench: Bench) {
    let mut host = bench.host();
    let line = format!("[127.0.*]:{} {}", host.sshd().port(), host.sshd().host_key("host"));
    host.access.known_hosts = host.sshd().known_hosts_of("wildcard", &line);
    accepted(&host).await;
}

pub async fn pinned_host_key(bench: Bench) {
    let mut host = bench.host();
    host.access.known_hosts = host.sshd().known_hosts_of("empty", "");
    host.target.host_key = Some(host.sshd().host_key("host").parse().unwrap());
    accepted(&host).await;
    assert_eq!(std::fs::read_to_string(&host.access.known_hosts).unwrap(), "\n");
}

pub async fn pinned_is_another_host_key(bench: Bench) {
    // known_hosts has the one that is offered, and is not asked.
    let mut host = bench.host();
    let other: HostKey = host.sshd().host_key("other_host").parse().unwrap();
    host.target.host_key = Some(other.clone());
    let error = refused(&host, ExecErrorKind::HostKey).await;
    let fingerprint = host.sshd().fingerprint();
    for part in
        ["web1", "pinned in the record", other.fingerprint(), &fingerprint, "hosts edit", "ssh-keyscan"]
    {
        assert!(error.detail.contains(part), "{part} in: {error}");
    }
}

pub async fn pinned_host_key_that_is_revoked(bench: Bench) {
    let mut host = bench.host();
    let (name, key) = (host.sshd().name(), host.sshd().host_key("host"));
    host.target.host_key = Some(key.parse().unwrap());
    let bare = name.trim_start_matches('[').split(']').next().unwrap().to_owned();
    // By its name, without its port, and by a pattern.
    for name in [name.as_str(), bare.as_str(), "*"] {
        let line = format!("# mine\n@revoked {name} {key}");
        host.access.known_hosts = host.sshd().known_hosts_of("revoked", &line);
        let error = refused(&host, ExecErrorKind::HostKey).await;
        let place = format!("{}:2", host.access.known_hosts.display());
        assert!(error.detail.contains("revoked") && error.detail.contains(&place), "{error}");
    }
    // One that is revoked for another host is still this one's, and so is another key of this host.
    let other = host.sshd().host_key("other_host");
    let lines = format!("@revoked elsewhere.example.com {key}\n@revoked {name} {other}");
    host.access.known_hosts = host.sshd().known_hosts_of("revoked", &lines);
    accepted(&host).await;
}

pub async fn wrong_user_key(bench: Bench) {
    let mut host = bench.host();
    host.access.identity = vec![host.sshd().stranger()];
    let error = refused(&host, ExecErrorKind::Auth).await;
    for part in ["web1", &user(), "stranger", "authorized_keys"] {
        assert!(error.detail.contains(part), "{part} in: {error}");
    }
}

pub async fn no_user_key(bench: Bench) {
    let mut host = bench.host();
    host.access.identity.clear();
    host.access.config = host.sshd().file("no_key", "IdentityFile none\nIdentityAgent none\n");
    let error = refused(&host, ExecErrorKind::Auth).await;
    assert!(error.detail.contains("no key to offer"), "{error}");
}

pub async fn encrypted_user_key(bench: Bench) {
    let mut host = bench.host();
    host.access.identity = vec![host.sshd().encrypted()];
    let error = refused(&host, ExecErrorKind::Auth).await;
    assert!(error.detail.contains("ssh-add") && error.detail.contains("encrypted"), "{error}");
}

pub async fn many_keys_before_the_right_one(bench: Bench) {
    let mut host = bench.host();
    host.access.identity.insert(0, host.sshd().stranger());
    accepted(&host).await;
}

/// A host behind another one.
fn behind(bench: Bench, jump: &Sshd) -> Host {
    let mut host = bench.host();
    let known = std::fs::read_to_string(&host.access.known_hosts).unwrap();
    let both = format!("{known}{} {}", jump.name(), jump.host_key("host"));
    host.access.known_hosts = host.sshd().known_hosts_of("both", &both);
    host.access.identity.push(jump.identity());
    let text = format!(
        "Host bastion\n  HostName 127.0.0.1\n  Port {}\nHost web1\n  HostName 127.0.0.1\n  Port {}\n  ProxyJump bastion\n",
        jump.port(),
        host.sshd().port()
    );
    host.access.config = host.sshd().file("jump_config", &text);
    host.target.address = "web1".into();
    host.target.port = None;
    host
}

pub async fn jump_host(bench: Bench) {
    let jump = Sshd::start(&SshdSpec::default()).unwrap();
    let host = behind(bench, &jump);
    accepted(&host).await;
    assert_eq!((jump.connections(), host.sshd().connections()), (1, 1));
    crate::bench::until("the jump host is left", || !jump.has_open()).await;
}

pub async fn pinned_key_is_not_the_jump_hosts(bench: Bench) {
    let jump = Sshd::start(&SshdSpec::default()).unwrap();
    let mut host = behind(bench, &jump);
    // The pinned one is not in known_hosts, and that of the jump host is.
    host.access.known_hosts = jump.known_hosts();
    host.target.host_key = Some(host.sshd().host_key("host").parse().unwrap());
    accepted(&host).await;
    host.access.known_hosts = host.sshd().known_hosts_of("empty", "");
    let error = refused(&host, ExecErrorKind::HostKey).await;
    assert!(error.detail.contains(&jump.fingerprint()), "{error}");
}

pub async fn jump_host_with_an_unknown_key(bench: Bench) {
    let jump = Sshd::start(&SshdSpec::default()).unwrap();
    let mut host = behind(bench, &jump);
    host.access.known_hosts = host.sshd().known_hosts();
    let error = refused(&host, ExecErrorKind::HostKey).await;
    assert!(error.detail.contains(&jump.name()) && error.detail.contains(&jump.fingerprint()), "{error}");
    assert_eq!(host.sshd().connections(), 0);
}

pub async fn config_cannot_weaken_trust(bench: Bench) {
    let mut host = bench.host();
    host.access.known_hosts = host.sshd().known_hosts_of("empty", "");
    let weak = "StrictHostKeyChecking no\nNoHostAuthenticationForLocalhost yes\nUpdateHostKeys yes\nBatchMode no\n\
                RemoteCommand echo hi\nRequestTTY force\nLocalForward 127.0.0.1:1 127.0.0.1:2\nExitOnForwardFailure yes\n\
                ServerAliveInterval 0\nControlMaster auto\nControlPath none\nControlPersist yes\n";
    host.access.config = host.sshd().file("weak", weak);
    refused(&host, ExecErrorKind::HostKey).await;
    // What else stands there does no harm to a session.
    host.access.known_hosts = host.sshd().known_hosts();
    let executor = host.executor();
    let (mut one, mut two) = (
        executor.connect(&host.target).await.unwrap(),
        Arc::clone(&executor).connect(&host.target).await.unwrap(),
    );
    assert_eq!(one.run(&command(&["true"])).await.unwrap().code, 0);
    assert_eq!(two.run(&command(&["true"])).await.unwrap().code, 0);
}
