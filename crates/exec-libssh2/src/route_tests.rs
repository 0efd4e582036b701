use std::time::Duration;

use super::*;
use crate::{Libssh2Config, NewKeys};

pub(crate) fn target(address: &str) -> Target {
    Target {
        name: "web1".parse().unwrap(),
        address: address.into(),
        port: None,
        user: None,
        host_key: None,
        connect_timeout: Duration::from_secs(1),
    }
}

/// The way to a target by that ssh_config.
pub(crate) fn routed(text: &str, target: &Target, mut config: Libssh2Config) -> Result<Vec<Hop>, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    std::fs::write(&file, text).unwrap();
    config.config = Some(file);
    let settings = Settings::new(config, &|_| None).unwrap();
    route(&settings, target).map_err(|error| error.detail)
}

fn hops(text: &str, target: &Target) -> Result<Vec<String>, String> {
    let hops = routed(text, target, Libssh2Config::default())?;
    Ok(hops.into_iter().map(|hop| format!("{}@{}:{}", hop.user, hop.host, hop.port)).collect())
}

#[test]
fn a_chain_of_jump_hosts_is_walked_from_its_outermost() {
    let text = "Host web1\n  HostName 10.0.0.1\n  User deploy\n  ProxyJump a@first:2201,second\n\
                Host first\n  HostName 192.0.2.1\n  User not-this\nHost second\n  HostName 192.0.2.2\n  User b\n  Port 2202\n  ProxyJump none\n";
    assert_eq!(
        hops(text, &target("web1")).unwrap(),
        ["a@192.0.2.1:2201", "b@192.0.2.2:2202", "deploy@10.0.0.1:22"]
    );
}

#[test]
fn a_jump_host_may_have_one_of_its_own() {
    let text = "User u\nHost web1\n  ProxyJump second\nHost second\n  ProxyJump ssh://x@[::1]:2222\n";
    assert_eq!(hops(text, &target("web1")).unwrap(), ["x@::1:2222", "u@second:22", "u@web1:22"]);
}

#[test]
fn a_circle_is_told() {
    let why = hops("Host *\n  ProxyJump bastion\n", &target("web1")).unwrap_err();
    assert!(why.contains("circle"), "{why}");
    let why = hops("ProxyJump a@:22\n", &target("web1")).unwrap_err();
    assert!(why.contains("[USER@]HOST[:PORT]"), "{why}");
}

#[test]
fn the_record_counts_before_the_files() {
    let mut target = target("web1");
    target.port = Some(2222);
    target.user = Some("deploy".parse().unwrap());
    assert_eq!(hops("Port 1\nUser x\nHostName Example.COM\n", &target).unwrap(), ["deploy@example.com:2222"]);
}

#[test]
fn lists_of_algorithms_are_those_of_openssh() {
    let own = ["a", "b", "c"].map(ToOwned::to_owned);
    let can = ["a", "b", "c", "d"];
    for (said, list) in [
        (None, "a b c"),
        (Some("c,x,a"), "c a"),
        (Some("+d,a"), "a b c d"),
        (Some("-b,x*"), "a c"),
        (Some("^d,c"), "d c a b"),
        (Some("x"), ""),
    ] {
        assert_eq!(chosen(said, &own, &can).join(" "), list, "{said:?}");
    }
}

#[test]
fn strict_in_the_config_counts_before_accept_new() {
    for (text, accept_new) in [
        ("", true),
        ("StrictHostKeyChecking yes", false),
        ("StrictHostKeyChecking ask", true),
        ("StrictHostKeyChecking no", true),
        ("StrictHostKeyChecking accept-new\nStrictHostKeyChecking yes", true),
        ("Host other\nStrictHostKeyChecking yes", true),
    ] {
        let config = Libssh2Config { host_key: NewKeys::AcceptNew, ..Libssh2Config::default() };
        let hops = routed(text, &target("web1"), config).unwrap();
        assert_eq!(hops[0].accept_new, accept_new, "{text}");
    }
    // And none of them opens what is strict.
    for value in ["no", "off", "accept-new", "ask"] {
        let text = format!("StrictHostKeyChecking {value}");
        assert!(!routed(&text, &target("web1"), Libssh2Config::default()).unwrap()[0].accept_new, "{value}");
    }
}
