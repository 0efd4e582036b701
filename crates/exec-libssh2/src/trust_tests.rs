use uphaul_core::ports::Target;

use super::*;
use crate::route::tests::{routed, target};
use crate::{Libssh2Config, NewKeys};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
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
