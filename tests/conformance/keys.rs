//! Keys in files: RSA by SHA-2, the formats of files, passphrases; and several users of one host.

use std::path::{Path, PathBuf};

use uphaul_core::ports::ExecErrorKind;
use uphaul_tests::sshd::SshdSpec;

use crate::bench::{Bench, Host, sh};
use crate::trust::{accepted, refused};

/// OpenSSH's own, PKCS#1, PKCS#8.
const FORMATS: [&str; 3] = ["RFC4716", "PEM", "PKCS8"];

/// A host that takes RSA signed by SHA-2 alone.
pub fn by_sha2(bench: Bench) -> Host {
    let config = "PubkeyAcceptedAlgorithms rsa-sha2-512,rsa-sha2-256\n".into();
    bench.host_with(&SshdSpec { config, ..SshdSpec::default() })
}

fn public(key: &Path) -> PathBuf {
    PathBuf::from(format!("{}.pub", key.display()))
}

/// A variable that is there anyway, since a test can set none, and what it has.
fn passphrase() -> (String, String) {
    ("PATH".to_owned(), std::env::var("PATH").unwrap())
}

pub async fn rsa_keys_by_sha2(bench: Bench) {
    let mut host = by_sha2(bench);
    for format in FORMATS {
        let key = host.sshd().identity_in("rsa", format, "");
        host.access.identity = vec![key.clone()];
        accepted(&host).await;
        // The file says all.
        std::fs::remove_file(public(&key)).unwrap();
        accepted(&host).await;
    }
}

pub async fn key_files_of_every_format(bench: Bench) {
    let mut host = bench.host();
    for (kind, formats) in [("ecdsa", &FORMATS[..]), ("ed25519", &FORMATS[..1])] {
        for format in formats {
            host.access.identity = vec![host.sshd().identity_in(kind, format, "")];
            accepted(&host).await;
        }
    }
}

pub async fn encrypted_files_of_every_format(bench: Bench) {
    let mut host = bench.host();
    let (variable, text) = passphrase();
    host.access.passphrase_env = Some(variable);
    for kind in ["rsa", "ecdsa"] {
        for format in FORMATS {
            let key = host.sshd().identity_in(kind, format, &text);
            host.access.identity = vec![key.clone()];
            accepted(&host).await;
            std::fs::remove_file(public(&key)).unwrap();
            accepted(&host).await;
        }
    }
}

pub async fn encrypted_key_of_the_config(bench: Bench) {
    let mut host = bench.host();
    let (variable, text) = passphrase();
    host.access.identity = vec![];
    for format in FORMATS {
        let key = host.sshd().identity_in("rsa", format, &text);
        let config = format!("IdentityAgent none\nIdentityFile {}\n", key.display());
        host.access.config = host.sshd().file("config", &config);
        host.access.passphrase_env = Some(variable.clone());
        accepted(&host).await;
        // With nothing that opens it.
        host.access.passphrase_env = None;
        let error = refused(&host, ExecErrorKind::Auth).await;
        let file = key.display().to_string();
        for part in ["it would accept the key", "encrypted", "ssh-add", "passphrase_env", &file] {
            assert!(error.detail.contains(part), "{part} in: {error}");
        }
    }
}

pub async fn encrypted_files_with_a_wrong_passphrase(bench: Bench) {
    let mut host = bench.host();
    let (variable, _) = passphrase();
    for format in FORMATS {
        let key = host.sshd().identity_in("rsa", format, "not that one");
        host.access.identity = vec![key.clone()];
        host.access.passphrase_env = Some(variable.clone());
        let error = refused(&host, ExecErrorKind::Auth).await;
        let told = error.detail.contains("it would accept the key") && error.detail.contains("in PATH");
        assert!(told && error.detail.contains("does not open"), "{error}");
        if format == FORMATS[0] {
            continue;
        }
        // Without its public half nobody knows whether the host would take it: the next key counts.
        std::fs::remove_file(public(&key)).unwrap();
        let error = refused(&host, ExecErrorKind::Auth).await;
        assert!(!error.detail.contains("it would accept the key"), "{error}");
        assert!(error.detail.contains("in PATH does not open"), "{error}");
        host.access.passphrase_env = None;
        let error = refused(&host, ExecErrorKind::Auth).await;
        assert!(error.detail.contains("is encrypted") && error.detail.contains("ssh-add"), "{error}");
        host.access.identity.push(host.sshd().identity());
        accepted(&host).await;
    }
}

pub async fn second_factor_is_told(bench: Bench) {
    let config = "Match User *\nPasswordAuthentication yes\nPermitRootLogin yes\nAuthenticationMethods publickey,password\n";
    let host = bench.host_with(&SshdSpec { config: config.into(), ..SshdSpec::default() });
    let error = refused(&host, ExecErrorKind::Auth).await;
    for part in ["it accepted ", "wants password as well", "AuthenticationMethods"] {
        assert!(error.detail.contains(part), "{part} in: {error}");
    }
}

pub async fn two_keys_are_wanted(bench: Bench) {
    // A question in between would be one try too many.
    let config = "MaxAuthTries 1\nAuthenticationMethods publickey,publickey\n";
    let mut host = bench.host_with(&SshdSpec { config: config.into(), ..SshdSpec::default() });
    host.access.identity = vec![host.sshd().identity(), host.sshd().identity_in("ecdsa", FORMATS[0], "")];
    accepted(&host).await;
}

pub async fn key_that_others_may_read(bench: Bench) {
    use std::os::unix::fs::PermissionsExt as _;
    let mut host = bench.host();
    for format in FORMATS {
        let key = host.sshd().identity_in("rsa", format, "");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        host.access.identity = vec![key.clone()];
        let error = refused(&host, ExecErrorKind::Auth).await;
        let advice = format!("`chmod 600 {}`", key.display());
        assert!(error.detail.contains(&advice), "{error}");
    }
}

pub async fn keys_that_the_config_does_not_allow(bench: Bench) {
    let mut host = bench.host();
    let with = |host: &mut Host, lines: &str| host.access.config = host.sshd().file("config", lines);
    for (kind, fine, not) in [
        (
            "rsa",
            "PubkeyAcceptedAlgorithms ssh-ed25519,rsa-sha2-*\nRequiredRSASize 2048\n",
            "RequiredRSASize 8192\n",
        ),
        ("ecdsa", "PubkeyAcceptedAlgorithms -ssh-ed25519*\n", "PubkeyAcceptedAlgorithms -ecdsa-*\n"),
        ("ed25519", "PubkeyAcceptedAlgorithms ssh-ed25519\n", "PubkeyAcceptedAlgorithms rsa-sha2-512\n"),
    ] {
        host.access.identity = vec![host.sshd().identity_in(kind, FORMATS[0], "")];
        with(&mut host, fine);
        accepted(&host).await;
        with(&mut host, not);
        refused(&host, ExecErrorKind::Auth).await;
    }
}

pub async fn two_users_of_one_host(bench: Bench) {
    const USERS: [&str; 2] = ["uphaul-one", "uphaul-two"];
    let mut host = bench.host_with(&SshdSpec { users: &USERS, ..SshdSpec::default() });
    host.sshd().open_to_all();
    let own = USERS.map(|user| host.sshd().identity_for(user));
    let as_user = |host: &mut Host, user: &str| host.target.user = Some(user.parse().unwrap());
    // Both keys are offered to both, and both sessions are open at once.
    host.access.identity = own.to_vec();
    let executor = host.executor();
    let mut sessions = Vec::new();
    for user in USERS {
        as_user(&mut host, user);
        sessions.push(executor.connect(&host.target).await.unwrap());
    }
    for (session, user) in sessions.iter_mut().zip(USERS) {
        let output = session.run(&sh("id -un")).await.unwrap();
        assert_eq!((output.code, output.stdout.text()), (0, format!("{user}\n")));
    }
    // A key opens its own user alone.
    host.access.identity = vec![own[0].clone()];
    accepted_as(&mut host, USERS[0]).await;
    as_user(&mut host, USERS[1]);
    let error = refused(&host, ExecErrorKind::Auth).await;
    assert!(error.detail.contains(USERS[1]), "{error}");
}

async fn accepted_as(host: &mut Host, user: &str) {
    host.target.user = Some(user.parse().unwrap());
    accepted(host).await;
}
