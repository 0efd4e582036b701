use uphaul_core::ports::Target;

use super::*;
use crate::route::tests::{routed, target};
use crate::{Libssh2Config, NewKeys};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
/// Another one: of an authority, or of a host.
const OTHER: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";
const NAMED: &str = "[web1]:2222";

fn there() -> Target {
    Target { port: Some(2222), ..target("web1") }
}

/// What becomes of the key, with `accept-new`; and what stands in the file then.
fn shown(known_hosts: &str, config: &str) -> (Result<(), String>, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    std::fs::write(&file, known_hosts).unwrap();
    let own = Libssh2Config {
        known_hosts: Some(file.clone()),
        host_key: NewKeys::AcceptNew,
        ..Libssh2Config::default()
    };
    let config = format!("GlobalKnownHostsFile none\n{config}");
    let hops = routed(&config, &there(), own).unwrap();
    let key = PublicKey::from_openssh(KEY).unwrap().to_bytes().unwrap();
    let known = Known::read(&hops[0]).unwrap();
    let checked = known.check(&hops[0], &key).map_err(|error| error.detail);
    (checked, std::fs::read_to_string(&file).unwrap())
}

#[test]
fn a_new_key_is_added_but_where_the_config_is_strict() {
    let (checked, file) = shown("", "");
    assert_eq!((checked, file), (Ok(()), format!("{NAMED} {KEY}\n")));
    let (checked, file) = shown("", "StrictHostKeyChecking yes\n");
    let why = checked.unwrap_err();
    assert!(why.contains("is not known") && why.contains("StrictHostKeyChecking is yes"), "{why}");
    assert_eq!(file, "");
}

#[test]
fn no_key_is_added_to_the_systems_own_file() {
    let dir = tempfile::tempdir().unwrap();
    let global = dir.path().join("ssh_known_hosts");
    std::fs::write(&global, "").unwrap();
    let own = Libssh2Config { host_key: NewKeys::AcceptNew, ..Libssh2Config::default() };
    let config = format!("UserKnownHostsFile none\nGlobalKnownHostsFile {}\n", global.display());
    let hops = routed(&config, &there(), own).unwrap();
    let key = PublicKey::from_openssh(KEY).unwrap().to_bytes().unwrap();
    let why = Known::read(&hops[0]).unwrap().check(&hops[0], &key).unwrap_err().detail;
    for part in ["cannot be added", "SHA256:", "executor.libssh2.known_hosts", "UserKnownHostsFile is none"] {
        assert!(why.contains(part), "{part} in: {why}");
    }
    assert!(!why.contains(&global.display().to_string()), "{why}");
    assert_eq!(std::fs::read_to_string(&global).unwrap(), "");
    // One that is there counts.
    std::fs::write(&global, format!("{NAMED} {KEY}\n")).unwrap();
    Known::read(&hops[0]).unwrap().check(&hops[0], &key).unwrap();
}

#[test]
fn a_host_key_of_rsa_needs_its_bits() {
    // 512 bits: a number of 64 bytes.
    let text = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let key = [text(b"ssh-rsa"), text(&[1, 0, 1]), text(&[0x7f; 64])].concat();
    let hops = routed("", &there(), Libssh2Config::default()).unwrap();
    let why = Known::read(&hops[0]).unwrap().check(&hops[0], &key).unwrap_err().detail;
    assert!(why.contains("an RSA key of 511 bits is too small: 1024 is the least"), "{why}");
}

#[test]
fn accept_new_adds_no_key_of_a_host_with_a_mark_that_is_not_honoured() {
    for name in [NAMED, "web1", "*", "web*,elsewhere", "[*]:2222"] {
        let lines = format!("# mine\n@revoked {name} {KEY}\n");
        let (checked, file) = shown(&lines, "");
        let why = checked.unwrap_err();
        assert!(why.contains("marked as revoked") && why.contains("known_hosts:2"), "{name}: {why}");
        assert_eq!(file, lines, "{name}");

        let lines = format!("# mine\n\n@cert-authority {name} {OTHER}\n");
        for config in ["", "StrictHostKeyChecking yes\n"] {
            let (checked, file) = shown(&lines, config);
            let why = checked.unwrap_err();
            for part in
                ["known_hosts:3", "certificate authority", "executor.backend = \"openssh\"", "SHA256:"]
            {
                assert!(why.contains(part), "{name}: {part} in: {why}");
            }
            assert_eq!(file, lines, "{name}");
        }
    }
    // A mark that cannot be read might be meant for the key.
    let (checked, file) = shown("@revoked web1 ssh-new AAAA\n", "");
    assert!(checked.unwrap_err().contains("cannot be read"));
    assert_eq!(file, "@revoked web1 ssh-new AAAA\n");
}

#[test]
fn marks_for_others_are_no_reason_to_refuse() {
    for lines in [
        format!("@revoked web2 {KEY}\n"),
        format!("@revoked web1 {OTHER}\n"),
        format!("@cert-authority [web1]:2223,web2 {OTHER}\n"),
        format!("@cert-authority *,!{NAMED},!web1 {OTHER}\n"),
    ] {
        let (checked, file) = shown(&lines, "");
        assert_eq!((checked, file), (Ok(()), format!("{lines}{NAMED} {KEY}\n")));
    }
    // One that is known by its key besides is that host.
    let lines = format!("@cert-authority web1 {OTHER}\nweb1 {KEY}\n");
    assert_eq!(shown(&lines, ""), (Ok(()), lines));
}

#[test]
fn an_authority_for_the_alias_counts_and_one_for_the_name_behind_it_does_not() {
    let config = "HostKeyAlias the-key\n";
    let lines = format!("@cert-authority the-key {OTHER}\n");
    assert!(shown(&lines, config).0.unwrap_err().contains("certificate authority"));
    let lines = format!("@cert-authority web1 {OTHER}\n");
    assert_eq!(shown(&lines, config), (Ok(()), format!("{lines}the-key {KEY}\n")));
}
