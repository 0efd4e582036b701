use std::time::Duration;

use super::*;

fn target() -> Target {
    Target {
        name: "web1".parse().unwrap(),
        address: "10.0.0.1".into(),
        port: None,
        user: None,
        host_key: None,
        connect_timeout: Duration::from_millis(2500),
    }
}

#[test]
fn what_is_decided_stands_above_the_users_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, "").unwrap();
        path
    };
    let config = OpensshConfig {
        config: Some(file("my config")),
        identity: vec![file("key 100%")],
        known_hosts: Some(file("known")),
        program: Some(file("ssh")),
    };
    let text = Settings::new(config).unwrap().text(&target()).replace(dir.path().to_str().unwrap(), "DIR");
    assert!(text.ends_with(
        "UserKnownHostsFile \"DIR/known\"\nIdentityFile \"DIR/key 100%%\"\nIdentitiesOnly yes\nInclude \"DIR/my config\"\n"
    ));
    for line in ["StrictHostKeyChecking yes", "BatchMode yes", "ConnectTimeout 3", "ServerAliveInterval 3"] {
        assert!(text.contains(&format!("\n{line}\n")), "{line}");
    }
}

#[test]
fn without_a_file_both_of_sshs_own_are_read() {
    let program = std::env::current_exe().unwrap();
    let text = Settings::new(OpensshConfig { program: Some(program), ..OpensshConfig::default() }).unwrap();
    assert!(text.text(&target()).ends_with("Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\n"));
}

#[test]
fn what_the_systems_file_includes_is_where_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display().to_string();
    let of = |text: &str| {
        std::fs::write(dir.path().join("ssh_config"), text).unwrap();
        system(dir.path()).replace(&folder, "DIR")
    };
    let quoted = ["Include \"/a b\"\n", "Include '/a/b'\n", "Include a\\ b\n"];
    let absolute = ["", "Port 1\n", "# Include more\n", "Include /a/*.conf\n", "Include ~/x\n"];
    for plain in quoted.iter().chain(&absolute) {
        assert_eq!(of(plain), "Include DIR/ssh_config\n", "{plain}");
    }
    let text = "Host a\n  include = more.conf /b d/*.conf # of mine\nInclude ~/x\nHost *\n  Port 2\n";
    let anew = "Host a\ninclude DIR/more.conf /b DIR/d/*.conf\nInclude ~/x\nHost *\n  Port 2\n";
    assert_eq!(of(text), anew);
    assert_eq!(system(&dir.path().join("none")), format!("Include {folder}/none/ssh_config\n"));
}

#[test]
fn paths_that_cannot_be_used_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |config: OpensshConfig, what: &str| {
        let error = Settings::new(OpensshConfig { program: Some("/bin/sh".into()), ..config }).unwrap_err();
        assert!(error.detail.contains(what), "{}", error.detail);
    };
    let none = || OpensshConfig::default();
    refused(OpensshConfig { config: Some(dir.path().join("none")), ..none() }, "the ssh_config ");
    refused(OpensshConfig { identity: vec![dir.path().join("none")], ..none() }, "the identity ");
    refused(OpensshConfig { identity: vec!["/a\"b".into()], ..none() }, "cannot express");
    let star = dir.path().join("a*");
    std::fs::write(&star, "").unwrap();
    refused(OpensshConfig { config: Some(star), ..none() }, "cannot be included");
}
