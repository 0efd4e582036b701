//! Keys and certificates of an agent.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use uphaul_core::ports::ExecErrorKind;
use uphaul_tests::sshd::program;

use crate::bench::{Bench, Host, until};
use crate::trust::{accepted, refused};

/// An agent that ends with the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An agent with a key and, if that lies beside it, its certificate. The ssh_config names it, and has more lines.
async fn with_agent(host: &mut Host, dir: &tempfile::TempDir, key: &Path, config: &str) -> Agent {
    let socket = dir.path().join("agent");
    let mut agent = Command::new(program("ssh-agent").unwrap());
    let agent = Agent(agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap());
    // The socket has its name a moment before anybody listens at it.
    let listens = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
    until("the agent listens", listens).await;
    let mut add = Command::new(program("ssh-add").unwrap());
    let ask = host.sshd().file("askpass", "#!/bin/sh\necho a passphrase\n");
    std::fs::set_permissions(&ask, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    add.arg(key).env("SSH_AUTH_SOCK", &socket).env("SSH_ASKPASS", ask).env("SSH_ASKPASS_REQUIRE", "force");
    assert!(add.stderr(Stdio::null()).stdin(Stdio::null()).status().unwrap().success());
    let text = format!("IdentityAgent {}\n{config}", socket.display());
    host.access.config = host.sshd().file("agent_config", &text);
    agent
}

pub async fn key_of_the_agent(bench: Bench) {
    let mut host = bench.host();
    let dir = tempfile::tempdir().unwrap();
    // Encrypted on disk, open in the agent.
    let key = host.sshd().encrypted();
    let _agent = with_agent(&mut host, &dir, &key, "").await;
    host.access.identity = vec![];
    accepted(&host).await;
    // Also when it is named, and the agent has it.
    host.access.identity = vec![key];
    accepted(&host).await;
}

pub async fn rsa_key_of_the_agent(bench: Bench) {
    let mut host = crate::keys::by_sha2(bench);
    let dir = tempfile::tempdir().unwrap();
    let key = host.sshd().identity_of("rsa");
    let _agent = with_agent(&mut host, &dir, &key, "").await;
    // Named by its public half, the other is in the agent alone.
    std::fs::remove_file(&key).unwrap();
    host.access.identity = vec![key];
    accepted(&host).await;
}

pub async fn certificate_of_the_agent(bench: Bench) {
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let mut host = bench.host();
        let dir = tempfile::tempdir().unwrap();
        let key = host.sshd().certified_of(kind);
        let _agent = with_agent(&mut host, &dir, &key, "").await;
        host.access.identity = vec![];
        accepted(&host).await;
        // Another key is named: that alone is offered, and no certificate that nobody named.
        host.access.identity = vec![host.sshd().stranger()];
        refused(&host, ExecErrorKind::Auth).await;
        host.access.identity = vec![key];
        accepted(&host).await;
    }
}

pub async fn certificate_whose_key_is_in_the_agent(bench: Bench) {
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let mut host = bench.host();
        let dir = tempfile::tempdir().unwrap();
        let key = host.sshd().certified_of(kind);
        let (beside, apart) = (format!("{}-cert.pub", key.display()), dir.path().join("apart.pub"));
        std::fs::rename(&beside, &apart).unwrap();
        // Nothing but the key is in the agent now.
        let named = format!("CertificateFile {}\n", apart.display());
        let _agent = with_agent(&mut host, &dir, &key, &named).await;
        host.access.identity = vec![key.clone()];
        accepted(&host).await;
        // There alone.
        std::fs::remove_file(&key).unwrap();
        accepted(&host).await;
        // Nothing of the key on disk.
        host.access.identity = vec![];
        accepted(&host).await;
        // Beside where the private half would be.
        host.access.config = host
            .sshd()
            .file("agent_config", &format!("IdentityAgent {}\n", dir.path().join("agent").display()));
        refused(&host, ExecErrorKind::Auth).await;
        std::fs::rename(&apart, &beside).unwrap();
        host.access.identity = vec![key];
        accepted(&host).await;
    }
}
