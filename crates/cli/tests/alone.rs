//! The static binary in an empty root: nothing is there but /proc (no /dev), the binary, its configuration, a key, known_hosts,
//! /etc/hosts and /etc/resolv.conf, and a folder for the record. From there it updates a real host by libssh2: by its
//! address, by a name that only /etc/hosts has, and by one that only a name server knows.
//!
//! `UPHAUL_STATIC=BINARY cargo test -p uphaul --test alone`, as root; `.ci/run static` does that. It is no part of
//! `cargo test`, which makes no static binary.
//!
//! A binary for another kind of machine runs behind the emulator that UPHAUL_STATIC_EMULATOR names, one static file (Debian:
//! qemu-aarch64-static of the package qemu-user-static), which is copied into the root too.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on says so by a panic, and says how far it came"
)]

#[path = "alone/names.rs"]
mod names;
#[path = "alone/root.rs"]
mod root;

use std::path::Path;

use uphaul_tests::lab::{self, Host, HostSpec, Origin, Release};

use crate::names::NameServer;
use crate::root::Root;

/// What /etc/hosts alone has, what the name server alone has, and what nobody has.
const IN_FILE: &str = "app.in-a-file.test";
const IN_DNS: &str = "app.in-dns.test";
const NOWHERE: &str = "app.nowhere.test";

/// As many systems have it: modules of the C library that are not there in an empty root, before and between its own.
const NSSWITCH: &str = "hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns\n";

fn main() {
    let binary = std::env::var_os("UPHAUL_STATIC").expect("UPHAUL_STATIC names the static binary");
    let emulator = std::env::var_os("UPHAUL_STATIC_EMULATOR");
    if lab::skip() {
        return;
    }
    let origin = Origin::start();
    let v1 = origin.commit(Release::good("v1"));
    let host = HostSpec::new().boot(&origin);
    host.wait_healthy();
    let server = NameServer::start(IN_DNS, host.address().parse().unwrap());
    let root = Root::new(binary.as_ref(), emulator.as_deref().map(Path::new), &host);
    root.file("known_hosts", &root::known_hosts(&host, &[host.address(), IN_FILE, IN_DNS, NOWHERE]));
    root.file("etc/hosts", &format!("{} {IN_FILE}\n", host.address()));
    root.file("etc/resolv.conf", &format!("nameserver {}\n", server.address()));

    root.run(&["--version"]).ended(0, &[env!("CARGO_PKG_VERSION")]);
    root.run(&["--version", "--verbose"]).ended(0, &["static, release profile", "crt-static"]);
    println!("ok: it says what it is");
    let mut now = v1;
    for (name, address, label) in
        [("by-address", host.address(), "v2"), ("by-file", IN_FILE, "v3"), ("by-dns", IN_DNS, "v4")]
    {
        now = updated(&root, &host, &origin, (name, address, label), &now);
        println!("ok: a whole update {name} ({address})");
    }
    assert!(server.was_asked(IN_DNS), "the name server was not asked for {IN_DNS}");
    assert!(!server.was_asked(IN_FILE), "the name server was asked for what /etc/hosts has");

    root.file("etc/nsswitch.conf", NSSWITCH);
    for name in ["by-file", "by-dns"] {
        root.run(&["version", name]).ended(0, &[&now[..7]]);
    }
    println!("ok: modules for names that nsswitch.conf wants and that are not there");

    root.run(&["hosts", "add", "nobody", NOWHERE]).ended(0, &[]);
    root.run(&["version", "nobody"]).ended(5, &[NOWHERE, "cannot be looked up"]);
    assert!(server.was_asked(NOWHERE), "the name server was not asked for {NOWHERE}");
    println!("ok: a name that nobody knows");
    root.run(&["check", "by-dns", "--executor", "openssh"]).ended(5, &["there is no `ssh` on the PATH"]);
    println!("ok: without ssh, the executor openssh says what it misses");
}

/// Takes the host to a new release, by this name, and gives the commit.
fn updated(
    root: &Root,
    host: &Host,
    origin: &Origin,
    (name, address, label): (&str, &str, &str),
    from: &str,
) -> String {
    let to = origin.commit(Release::good(label));
    root.run(&["hosts", "add", name, address, "--user", "deploy"]).ended(0, &[]);
    root.run(&["check", name]).ended(0, &[name]);
    root.run(&["version", name]).ended(0, &[&from[..7]]);
    root.run(&["update", name, "--to", "main"]).ended(0, &[&to, "updated"]);
    assert_eq!(host.head(), to);
    assert_eq!(host.running_version().as_deref(), Some(label));
    to
}
