//! What `uphaul --version --verbose` says of the build: commit, compiler, target, features, and the versions of the libraries
//! that decide how hosts are reached and where the record is: crates as the lock file has them, C libraries as they were linked.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// Libraries whose version matters to whoever looks for a cause.
const LIBRARIES: [&str; 6] = ["openssh", "ssh2", "libssh2-sys", "sqlx", "libsqlite3-sys", "tokio"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=UPHAUL_COMMIT");
    let target_features = variable("CARGO_CFG_TARGET_FEATURE");
    let is_static = target_features.split(',').any(|one| one == "crt-static");
    set("UPHAUL_COMMIT", &commit());
    set("UPHAUL_TARGET_TRIPLE", &variable("TARGET"));
    set("UPHAUL_PROFILE_BUILT", &variable("PROFILE"));
    set("UPHAUL_LINKING", if is_static { "static" } else { "dynamic" });
    set("UPHAUL_TARGET_FEATURES", &target_features);
    set("UPHAUL_CARGO_FEATURES", &cargo_features().join(","));
    set("UPHAUL_RUSTC", &said(&variable("RUSTC"), &["--version"]).unwrap_or_default());
    set("UPHAUL_LIBRARIES", &libraries().join(" "));
    set("UPHAUL_C_LIBRARIES", &c_libraries(is_static).join(", "));
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

/// Those of this crate that are switched on, as cargo tells build scripts.
fn cargo_features() -> Vec<String> {
    let name = |(key, _): (OsString, _)| {
        Some(key.to_str()?.strip_prefix("CARGO_FEATURE_")?.to_lowercase().replace('_', "-"))
    };
    let mut names: Vec<String> = std::env::vars_os().filter_map(name).collect();
    names.sort();
    names
}

/// `NAME VERSION` of the C libraries, from the build scripts of the crates that have found or built them: the lock file knows
/// neither what a crate brings along, nor what it was given in the place of that. packaging/bom.py reads these.
fn c_libraries(is_static: bool) -> Vec<String> {
    let header = |folder: &str, file: &str, key: &str| {
        let text = std::fs::read_to_string(Path::new(&variable(folder)).join(file)).unwrap_or_default();
        let found = text.lines().find_map(|line| line.strip_prefix("#define ")?.strip_prefix(key));
        found.map_or_else(|| UNKNOWN.to_owned(), |rest| rest.trim().trim_matches('"').to_owned())
    };
    let mut found = vec![
        format!("libssh2 {}", header("DEP_SSH2_INCLUDE", "libssh2.h", "LIBSSH2_VERSION ")),
        openssl(),
        format!("zlib {}", header("DEP_Z_INCLUDE", "zlib.h", "ZLIB_VERSION ")),
        format!("SQLite {}", header("DEP_SQLITE3_INCLUDE", "sqlite3.h", "SQLITE_VERSION ")),
    ];
    // A dynamic one is that of the machine it runs on.
    if is_static && variable("CARGO_CFG_TARGET_ENV") == "gnu" {
        found.push(glibc());
    }
    found
}

/// By the headers of the compiler that links: its libc.a lies beside them, also where it is one for another machine.
fn glibc() -> String {
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let linker = Some(variable("RUSTC_LINKER")).filter(|named| !named.is_empty());
    let compiler = linker.as_deref().unwrap_or("cc"); // as rustc has it
    let macros = said(compiler, &["-E", "-dM", "-include", "features.h", "-x", "c", "/dev/null"]);
    let macros = macros.unwrap_or_default();
    let value =
        |name: &str| macros.lines().find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name));
    match (value("__GLIBC__ "), value("__GLIBC_MINOR__ ")) {
        (Some(major), Some(minor)) => format!("glibc {major}.{minor}"),
        _ => format!("glibc {UNKNOWN}"),
    }
}

const UNKNOWN: &str = "of unknown version";

/// Its number is 0xMNN00PP0 since version 3. Whether openssl-src has made it is told too: else it is the system's, or Nix's.
fn openssl() -> String {
    let made =
        if variable("DEP_OPENSSL_VENDORED").is_empty() { "not of openssl-src" } else { "of openssl-src" };
    let version = match u32::from_str_radix(&variable("DEP_OPENSSL_VERSION_NUMBER"), 16) {
        Ok(n) if n >> 28 >= 3 => format!("{}.{}.{}", n >> 28, (n >> 20) & 0xff, (n >> 4) & 0xff),
        Ok(n) => format!("{}.{}.{}", n >> 28, (n >> 20) & 0xff, (n >> 12) & 0xff),
        Err(_) => UNKNOWN.to_owned(),
    };
    format!("OpenSSL {version} ({made})")
}
