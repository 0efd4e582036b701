//! What `uphaul --version --verbose` says of the build: commit, compiler, target, and the versions of the libraries that
//! decide how hosts are reached and where the record is.

use std::path::Path;
use std::process::Command;

/// Libraries whose version matters to whoever looks for a cause.
const LIBRARIES: [&str; 7] =
    ["openssh", "ssh2", "libssh2-sys", "openssl-src", "sqlx", "libsqlite3-sys", "tokio"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=UPHAUL_COMMIT");
    set("UPHAUL_COMMIT", &commit());
    set("UPHAUL_TARGET_TRIPLE", &variable("TARGET"));
    set("UPHAUL_PROFILE_BUILT", &variable("PROFILE"));
    let linking = if variable("CARGO_CFG_TARGET_FEATURE").split(',').any(|one| one == "crt-static") {
        "static"
    } else {
        "dynamic"
    };
    set("UPHAUL_LINKING", linking);
    set("UPHAUL_RUSTC", &said(&variable("RUSTC"), &["--version"]).unwrap_or_default());
    set("UPHAUL_LIBRARIES", &libraries().join(" "));
}

fn set(name: &str, value: &str) {
    println!("cargo::rustc-env={name}={value}");
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// From the one who builds a package, else from git where the build is for use. A build for development is begun again
/// and again, and a new commit would make each one link anew.
fn commit() -> String {
    let given = variable("UPHAUL_COMMIT");
    if !given.is_empty() {
        return given;
    }
    if variable("PROFILE") != "release" {
        return String::new();
    }
    let git = |args: &[&str]| said("git", args);
    if let Some(head) = git(&["rev-parse", "--git-path", "HEAD"]) {
        println!("cargo::rerun-if-changed={head}");
    }
    let branch =
        git(&["symbolic-ref", "-q", "HEAD"]).and_then(|name| git(&["rev-parse", "--git-path", &name]));
    if let Some(branch) = branch.filter(|path| Path::new(path).exists()) {
        println!("cargo::rerun-if-changed={branch}");
    }
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return String::new() };
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|text| !text.is_empty());
    if dirty { format!("{commit} with changes") } else { commit }
}

fn said(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// `NAME-VERSION` of those that the lock file has.
fn libraries() -> Vec<String> {
    let lock = Path::new("../../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let Ok(text) = std::fs::read_to_string(lock) else { return Vec::new() };
    let quoted = |line: &str, key: &str| {
        line.strip_prefix(key).map(|rest| rest.trim_matches([' ', '=', '"']).to_owned())
    };
    let mut found = Vec::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(named) = quoted(line, "name") {
            name = named;
        } else if let Some(version) = quoted(line, "version").filter(|_| LIBRARIES.contains(&name.as_str())) {
            found.push(format!("{name}-{version}"));
        }
    }
    found
}
