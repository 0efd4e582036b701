//! Who is reached and who logs in: kinds of keys, users, chains of hosts.

use std::fmt::Write as _;

use uphaul_core::ports::{ExecError, ExecErrorKind};
use uphaul_tests::sshd::{Sshd, SshdSpec, processes_with, user};

use crate::bench::{Bench, Host, command, mark, sh, soon, until};

async fn refused(host: &Host, kind: ExecErrorKind) -> ExecError {
    let error = match soon(90, "an error", host.try_connect()).await {
        Ok(_) => panic!("it connected"),
        Err(error) => error,
    };
    assert_eq!((error.kind, error.maybe_ran), (kind, false), "{error}");
    error
}

async fn accepted(host: &Host) {
    assert_eq!(host.run(&command(&["true"])).await.unwrap().code, 0);
}

const KINDS: &[&str] = &["ecdsa", "rsa"];

fn with_all_kinds(bench: Bench) -> Host {
    bench.host_with(&SshdSpec { host_keys: KINDS, ..SshdSpec::default() })
}

/// A known_hosts with one line.
fn knows(host: &mut Host, line: &str) {
    host.access.known_hosts = host.sshd().known_hosts_of("one", line);
}

pub async fn host_keys_of_all_kinds(bench: Bench) {
    let mut host = with_all_kinds(bench);
    for key in ["host", "host_ecdsa", "host_rsa"] {
        // Whichever one is known is the one that is asked for.
        let line = format!("{} {}", host.sshd().name(), host.sshd().host_key(key));
        knows(&mut host, &line);
        accepted(&host).await;
    }
}

pub async fn host_known_by_a_key_of_another_kind(bench: Bench) {
    let mut host = with_all_kinds(bench);
    // An ecdsa key that is not this host's: another one of its keys does not help.
    let other = Sshd::start(&SshdSpec { host_keys: KINDS, ..SshdSpec::default() }).unwrap();
    let line = format!("{} {}", host.sshd().name(), other.host_key("host_ecdsa"));
    knows(&mut host, &line);
    let error = refused(&host, ExecErrorKind::HostKey).await;
    let place = format!("{}:1", host.access.known_hosts.display());
    assert!(error.detail.contains("has changed") && error.detail.contains(&place), "{error}");
}

pub async fn known_by_an_authority_alone(bench: Bench) {
    let mut host = bench.host();
    let line = format!("@cert-authority {} {}", host.sshd().name(), host.sshd().host_key("other_host"));
    knows(&mut host, &line);
    let error = refused(&host, ExecErrorKind::HostKey).await;
    assert!(error.detail.contains(&host.sshd().fingerprint()), "{error}");
}

pub async fn known_without_the_port(bench: Bench) {
    let mut host = bench.host();
    let line = format!("127.0.0.1 {}", host.sshd().host_key("host"));
    knows(&mut host, &line);
    accepted(&host).await;
    let line = format!("127.0.0.1 {}", host.sshd().host_key("other_host"));
    knows(&mut host, &line);
    refused(&host, ExecErrorKind::HostKey).await;
}

pub async fn revoked_key_of_another_host(bench: Bench) {
    let mut host = bench.host();
    let key = host.sshd().host_key("host");
    let line = format!("{} {key}\n@revoked elsewhere.example.com {key}", host.sshd().name());
    knows(&mut host, &line);
    accepted(&host).await;
}

pub async fn user_keys_of_all_kinds(bench: Bench) {
    let mut host = bench.host();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        host.access.identity = vec![host.sshd().identity_of(kind)];
        accepted(&host).await;
    }
}

pub async fn user_certificate(bench: Bench) {
    let mut host = bench.host();
    let key = host.sshd().certified();
    host.access.identity = vec![key.clone()];
    accepted(&host).await;
    std::fs::remove_file(format!("{}-cert.pub", key.display())).unwrap();
    refused(&host, ExecErrorKind::Auth).await;
}

pub async fn login_user_that_is_not_there(bench: Bench) {
    let mut host = bench.host();
    host.target.user = Some("no-such-user".parse().unwrap());
    let error = refused(&host, ExecErrorKind::Auth).await;
    assert!(error.detail.contains("no-such-user"), "{error}");
}

pub async fn login_user_without_a_shell(bench: Bench) {
    let mut host = bench.host();
    host.sshd().open_to_all();
    host.target.user = Some("nobody".parse().unwrap());
    let mut session = host.connect().await;
    let error = session.run(&command(&["true"])).await.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Auth, false), "{error}");
}

/// Hosts in a row, the last of them the target `web1`; each is reached through the one before it.
fn row(bench: Bench, jumps: &[&Sshd]) -> Host {
    let mut host = bench.host();
    let mut known = std::fs::read_to_string(&host.access.known_hosts).unwrap();
    let mut text = String::new();
    for (i, jump) in jumps.iter().enumerate() {
        writeln!(known, "{} {}", jump.name(), jump.host_key("host")).unwrap();
        host.access.identity.push(jump.identity());
        writeln!(text, "Host jump{i}\n  HostName 127.0.0.1\n  Port {}", jump.port()).unwrap();
    }
    let names: Vec<String> = (0..jumps.len()).map(|i| format!("jump{i}")).collect();
    writeln!(text, "Host web1\n  HostName 127.0.0.1\n  Port {}", host.sshd().port()).unwrap();
    writeln!(text, "  ProxyJump {}", names.join(",")).unwrap();
    host.access.known_hosts = host.sshd().known_hosts_of("row", &known);
    host.access.config = host.sshd().file("row_config", &text);
    host.target.address = "web1".into();
    host.target.port = None;
    host
}

fn sshd() -> Sshd {
    Sshd::start(&SshdSpec::default()).unwrap()
}

pub async fn chain_of_jump_hosts(bench: Bench) {
    let (first, second) = (sshd(), sshd());
    let host = row(bench, &[&first, &second]);
    let mut session = host.connect().await;
    let command = sh("head -c 3000000 /dev/zero; exit 5");
    let output = session.run(&command).await.unwrap();
    assert_eq!((output.code, output.stdout.bytes.len() as u64 + output.stdout.dropped), (5, 3_000_000));
    session.close().await.unwrap();
    assert_eq!((first.connections(), second.connections(), host.sshd().connections()), (1, 1, 1));
    until("the jump hosts are left", || !first.has_open() && !second.has_open()).await;
}

pub async fn jump_host_that_forwards_nothing(bench: Bench) {
    let spec = SshdSpec { config: "AllowTcpForwarding no\n".into(), ..SshdSpec::default() };
    let jump = Sshd::start(&spec).unwrap();
    let error = refused(&row(bench, &[&jump]), ExecErrorKind::Connect).await;
    assert!(error.detail.contains("web1"), "{error}");
}

pub async fn jump_host_whose_next_is_down(bench: Bench) {
    let jump = sshd();
    let mut host = row(bench, &[&jump]);
    host.leave();
    let text = std::fs::read_to_string(&host.access.config).unwrap();
    let (own, closed) = (host.sshd().port(), host.target.port.take().unwrap());
    host.access.config =
        host.sshd().file("down_config", &text.replace(&format!("Port {own}\n"), &format!("Port {closed}\n")));
    refused(&host, ExecErrorKind::Connect).await;
    until("the jump host is left", || !jump.has_open()).await;
}

pub async fn jump_host_lost_in_the_middle(bench: Bench) {
    let (jump, mark) = (sshd(), mark());
    let host = row(bench, &[&jump]);
    let mut session = host.connect().await;
    let command = sh(&format!("sleep {mark}"));
    let harm = async {
        until("the command runs", || !processes_with(&format!("sleep {mark}")).is_empty()).await;
        jump.cut();
    };
    let (result, ()) =
        soon(60, "the loss is noticed", async { tokio::join!(session.run(&command), harm) }).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Lost, true), "{error}");
    until("the command is ended", || processes_with(&mark).is_empty()).await;
}

pub async fn alias_with_everything(bench: Bench) {
    let mut host = bench.host();
    let part = host.sshd().file(
        "part",
        &format!(
            "Host anything\n  Port 1\nMatch originalhost the-alias user {}\n  Port {}\n",
            user(),
            host.sshd().port()
        ),
    );
    let text = format!(
        "Host the-*\n  HostName 127.0.0.1\n  User {}\n  IdentityFile \"{}\"\n  IdentitiesOnly yes\n  HostKeyAlias the-key\n\
         Include {}\nHost *\n  Port 2\n",
        user(),
        host.access.identity[0].display(),
        part.display()
    );
    host.access.config = host.sshd().file("alias_config", &text);
    host.access.identity.clear();
    let line = format!("the-key {}", host.sshd().host_key("host"));
    knows(&mut host, &line);
    host.target.address = "the-alias".into();
    (host.target.port, host.target.user) = (None, None);
    accepted(&host).await;
}

pub async fn known_hosts_of_the_config(bench: Bench) {
    // The setting of Uphaul stands before that of the file; the global one stays.
    let mut host = bench.host();
    let (own, empty) = (host.sshd().known_hosts(), host.sshd().known_hosts_of("empty", ""));
    let text = format!("UserKnownHostsFile {}\nGlobalKnownHostsFile {}\n", own.display(), empty.display());
    host.access.config = host.sshd().file("known_config", &text);
    host.access.known_hosts = empty.clone();
    refused(&host, ExecErrorKind::HostKey).await;
    let text = format!("GlobalKnownHostsFile {} {}\n", empty.display(), own.display());
    host.access.config = host.sshd().file("known_config", &text);
    accepted(&host).await;
}

pub async fn new_host_keys_are_added(bench: Bench) {
    let mut host = bench.host();
    knows(&mut host, "");
    host.access.accept_new = true;
    accepted(&host).await;
    let text = std::fs::read_to_string(&host.access.known_hosts).unwrap();
    assert_eq!(text.trim(), format!("{} {}", host.sshd().name(), host.sshd().host_key("host")));
    // Known from here on.
    host.access.accept_new = false;
    accepted(&host).await;
}

pub async fn changed_host_keys_are_not_added(bench: Bench) {
    let mut host = bench.host();
    let line = format!("{} {}", host.sshd().name(), host.sshd().host_key("other_host"));
    knows(&mut host, &line);
    host.access.accept_new = true;
    refused(&host, ExecErrorKind::HostKey).await;
    assert_eq!(std::fs::read_to_string(&host.access.known_hosts).unwrap().trim(), line);
}

pub async fn marked_host_keys_are_not_added(bench: Bench) {
    let mut host = bench.host();
    host.access.accept_new = true;
    let (name, own, other) =
        (host.sshd().name(), host.sshd().host_key("host"), host.sshd().host_key("other_host"));
    // Also by the name without the port.
    for name in [name.as_str(), "127.0.0.1"] {
        for (line, told) in [
            (format!("@revoked {name} {own}"), "revoked"),
            (format!("@cert-authority {name} {other}"), "executor.backend = \"openssh\""),
        ] {
            knows(&mut host, &line);
            let error = refused(&host, ExecErrorKind::HostKey).await;
            let place = format!("{}:1", host.access.known_hosts.display());
            assert!(error.detail.contains(told) && error.detail.contains(&place), "{error}");
            assert_eq!(std::fs::read_to_string(&host.access.known_hosts).unwrap().trim(), line);
        }
    }
}

pub async fn key_opened_by_a_passphrase(bench: Bench) {
    let mut host = bench.host();
    // A variable that is there anyway, since a test can set none.
    host.access.identity = vec![host.sshd().encrypted_by(&std::env::var("PATH").unwrap())];
    host.access.passphrase_env = Some("PATH".into());
    accepted(&host).await;
}

pub async fn key_with_a_wrong_passphrase(bench: Bench) {
    let mut host = bench.host();
    host.access.identity = vec![host.sshd().encrypted()];
    host.access.passphrase_env = Some("PATH".into());
    let error = refused(&host, ExecErrorKind::Auth).await;
    assert!(error.detail.contains("PATH") && error.detail.contains("passphrase is wrong"), "{error}");
}

pub async fn agent_that_never_answers(bench: Bench) {
    let mut host = bench.host();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agent");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    host.access.config = host.sshd().file("agent_config", &format!("IdentityAgent {}\n", socket.display()));
    // The key in the file is the right one.
    soon(60, "the log-in", accepted(&host)).await;
    // Where it is not, the agent is told of.
    host.access.identity = vec![host.sshd().stranger()];
    let error = refused(&host, ExecErrorKind::Auth).await;
    let agent = format!("the agent at {} is not used: it did not answer within", socket.display());
    assert!(error.detail.contains(&agent), "{error}");
}
