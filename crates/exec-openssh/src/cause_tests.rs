//! What the user reads, for logs as OpenSSH 9.2 writes them.

use std::time::Duration;

use insta::assert_snapshot;

use super::*;

fn of(text: &str) -> String {
    let target = Target {
        name: "web1".parse().unwrap(),
        address: "web1.example.com".into(),
        port: None,
        user: None,
        host_key: None,
        connect_timeout: Duration::from_secs(10),
    };
    let looked = Looked {
        host: "web1.example.com".into(),
        port: "22".into(),
        known_hosts: "/home/me/.ssh/known_hosts".into(),
    };
    let error = told(&Log::of(text), &target, "web1 (web1.example.com)", &looked);
    assert!(!error.maybe_ran);
    format!("{:?}: {}", error.kind, error.detail)
}

const GREETED: &str = "OpenSSH_9.2p1 Debian-2, OpenSSL 3.0.19\r\ndebug1: Connection established.\r\n\
    debug1: Authenticating to web1.example.com:22 as 'deploy'\r\n\
    debug1: Server host key: ssh-ed25519 SHA256:theHostsKey\r\n";
const JUMPED: &str = "debug1: Executing proxy command: exec ssh -W '[web1.example.com]:22' bastion\r\n\
    debug1: Authenticating to bastion.example.com:22 as 'me'\r\n\
    debug1: Server host key: ssh-ed25519 SHA256:theJumpHostsKey\r\n";
const WARNING: &str = "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n\
    Add correct host key in /home/me/.ssh/known_hosts to get rid of this message.\r\n\
    Offending ED25519 key in /home/me/.ssh/known_hosts:7\r\n  remove with:\r\n\
    Host key for web1.example.com has changed and you have requested strict checking.\r\n\
    Host key verification failed.\r\n";
const UNKNOWN: &str = "No ED25519 host key is known for web1.example.com and you have requested strict checking.\r\n\
    Host key verification failed.\r\n";

#[test]
fn unknown_key() {
    assert_snapshot!(of(&format!("{GREETED}{UNKNOWN}")));
}

#[test]
fn changed_key() {
    assert_snapshot!(of(&format!("{GREETED}{WARNING}")));
}

#[test]
fn unknown_key_behind_a_jump_host() {
    assert_snapshot!(of(&format!("{JUMPED}{GREETED}{UNKNOWN}")));
}

#[test]
fn unknown_key_of_the_jump_host() {
    let text = "No ED25519 host key is known for [bastion.example.com]:2222 and you have requested strict checking.\r\n\
        Host key verification failed.\r\nkex_exchange_identification: Connection closed by remote host\r\n\
        Connection closed by UNKNOWN port 65535\r\n";
    assert_snapshot!(of(&format!("{JUMPED}{text}")));
}

#[test]
fn no_key_is_accepted() {
    let text = "debug1: Offering public key: /home/me/.ssh/id_ed25519 ED25519 SHA256:one explicit\r\n\
        debug1: Offering public key: me@laptop RSA SHA256:two agent\r\n\
        deploy@web1.example.com: Permission denied (publickey).\r\n";
    assert_snapshot!(of(&format!("{GREETED}{text}")));
}

#[test]
fn a_second_factor_is_wanted() {
    let text = "debug1: Offering public key: me@laptop RSA SHA256:two agent\r\n\
        debug1: Server accepts key: me@laptop RSA SHA256:two agent\r\n\
        Authenticated using \"publickey\" with partial success.\r\n\
        debug1: Authentications that can continue: password,keyboard-interactive\r\n\
        deploy@web1.example.com: Permission denied (password,keyboard-interactive).\r\n";
    assert_snapshot!(of(&format!("{GREETED}{text}")));
}

#[test]
fn a_key_that_others_may_read() {
    let text = "debug1: Offering public key: /home/me/.ssh/deploy ED25519 SHA256:one explicit\r\n\
        debug1: Server accepts key: /home/me/.ssh/deploy ED25519 SHA256:one explicit\r\n\
        @         WARNING: UNPROTECTED PRIVATE KEY FILE!          @\r\n\
        Permissions 0644 for '/home/me/.ssh/deploy' are too open.\r\n\
        deploy@web1.example.com: Permission denied (publickey).\r\n";
    assert_snapshot!(of(&format!("{GREETED}{text}")));
}

#[test]
fn no_key_is_accepted_by_the_jump_host() {
    let text = "debug1: Offering public key: me@laptop RSA SHA256:two agent\r\n\
        me@bastion.example.com: Permission denied (publickey).\r\n\
        kex_exchange_identification: Connection closed by remote host\r\n";
    assert_snapshot!(of(&format!("{JUMPED}{text}")));
}

#[test]
fn too_many_at_once() {
    assert_snapshot!(of(
        "debug1: Connection established.\r\nkex_exchange_identification: read: Connection reset by peer\r\n\
        Connection reset by 10.0.0.1 port 22\r\n"
    ));
}

#[test]
fn bad_configuration() {
    assert_snapshot!(of("/home/me/.ssh/config: line 3: Bad configuration option: prot\r\n\
        /home/me/.ssh/config: terminating, 1 bad configuration options\r\n"));
}

#[test]
fn a_host_of_old() {
    assert_snapshot!(of(
        "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa\r\n"
    ));
}

#[test]
fn nothing_said() {
    assert_snapshot!(of("debug1: Connecting to web1.example.com\r\n"));
}

#[test]
fn lost_by_silence() {
    let log = Log::of("OpenSSH_9.2p1\r\ndebug1: x\r\nTimeout, server web1.example.com not responding.\r\n");
    assert_snapshot!(lost(&log, "web1 (web1.example.com)", "sh"));
}
