use super::*;
use crate::Libssh2Config;
use crate::route::tests::target;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

/// What is found of two hosts, with paths in the folder as `DIR`.
fn found(known_hosts: &str, config: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let text = format!("GlobalKnownHostsFile none\nIdentityAgent none\n{config}");
    let text = text.replace("DIR", dir.path().to_str().unwrap());
    std::fs::write(path("config"), text).unwrap();
    std::fs::write(path("known_hosts"), known_hosts).unwrap();
    std::fs::write(path("broken"), "?").unwrap();
    std::fs::write(path("public"), KEY).unwrap();
    let config = Libssh2Config {
        config: Some(path("config")),
        known_hosts: Some(path("known_hosts")),
        ..Libssh2Config::default()
    };
    let settings = Settings::new(config, &|_| None).unwrap();
    let targets = ["web1", "web2"].map(|name| Target { name: name.parse().unwrap(), ..target(name) });
    let words = |remark: Remark| {
        let hosts: Vec<String> = remark.hosts.iter().map(ToString::to_string).collect();
        let what = remark.what.replace(dir.path().to_str().unwrap(), "DIR");
        format!("{} {}: {what}", hosts.join(","), if remark.grave { "!" } else { "?" })
    };
    Survey::of(&settings, &targets).into_iter().map(words).collect()
}

#[test]
fn what_stands_in_the_way_is_told_once_for_all_hosts() {
    let known = format!("web1,web2 {KEY}\n");
    let config = "IdentityFile DIR/gone\nIdentityFile DIR/broken\nIdentityFile DIR/public\n";
    assert_eq!(
        found(&known, config),
        [
            "web1,web2 ?: the key DIR/gone does not exist",
            "web1,web2 ?: DIR/broken is no key to log in with",
            "web1,web2 ?: of the key DIR/public there is only the public half, and no agent has the other",
            "web1,web2 ?: no key to log in with was found: name one in executor.libssh2.identity or in the ssh_config, \
             or `ssh-add` it",
        ]
    );
}

#[test]
fn what_the_config_allows_decides_about_keys_and_certificates() {
    let made = tempfile::tempdir().unwrap();
    let path = |name: &str| made.path().join(name);
    let keygen = |args: &[&str]| {
        let mut keygen = std::process::Command::new("ssh-keygen");
        keygen.args(["-q"]).args(args).current_dir(&made).status().is_ok_and(|status| status.success())
    };
    if !keygen(&["-t", "ed25519", "-N", "", "-f", "ca"]) {
        return println!("SKIPPED: there is no ssh-keygen");
    }
    assert!(keygen(&["-t", "ecdsa", "-m", "PEM", "-N", "", "-f", "id"]));
    let known = format!("web1,web2 {KEY}\n");
    let with = |line: &str| found(&known, &format!("IdentityFile {}\n{line}\n", path("id").display()));
    assert!(with("PubkeyAcceptedAlgorithms ecdsa-*").is_empty());
    let certificates_alone = "PubkeyAcceptedAlgorithms *-cert-v01@openssh.com";
    let told = with(certificates_alone);
    assert!(told[0].ends_with("does not allow ecdsa-sha2-nistp256") && told.len() == 2, "{told:?}");
    assert!(keygen(&["-s", "ca", "-I", "me", "id.pub"]));
    assert!(with(certificates_alone).is_empty());
    // Who may read it counts first: nothing else can be done about it.
    std::fs::remove_file(path("id.pub")).unwrap();
    assert!(with("RequiredRSASize 2048")[0].contains("its kind cannot be told"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(path("id"), mode).unwrap();
    assert!(with("RequiredRSASize 2048")[0].contains("`chmod 600 "));
}

#[test]
fn what_cannot_be_done_is_grave_and_each_jump_host_is_looked_at() {
    let all = found("", "Host web2\nProxyCommand nc %h %p\nHost web1\nProxyJump bastion\n");
    let grave: Vec<_> = all.iter().filter(|told| told.contains(" !: ")).collect();
    assert_eq!(grave.len(), 1);
    assert!(
        grave[0].starts_with("web2 !: DIR/config:4: ") && grave[0].contains("ProxyCommand"),
        "{}",
        grave[0]
    );
    assert!(all.iter().any(|told| told.starts_with("web1 ?: no key of bastion is known")), "{all:?}");
    assert!(all.iter().any(|told| told.starts_with("web1 ?: no key of web1 is known")), "{all:?}");
    let all = found(&format!("@cert-authority web* {KEY}\n"), "");
    assert!(all[0].starts_with("web1 !: ") && all[0].contains("DIR/known_hosts:1"), "{all:?}");
    assert!(all[0].contains("executor.backend = \"openssh\""), "{all:?}");
}
