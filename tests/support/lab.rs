//! Real hosts for the tests: systemd-nspawn containers with their own systemd, sshd, users, journal and reboot, each on
//! its own loopback address, and an origin that they fetch from. See `tests/lab/`.
//!
//! A test that needs them begins with `if lab::skip() { return; }`.
//!
//! Everything here panics with a reason when it does not work: it is for tests alone.

mod access;
mod host;
mod origin;
mod release;
mod shell;
mod slot;
mod spec;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub use host::Host;
pub use origin::Origin;
pub use release::{Install, Release, Serve};
pub use shell::{Ran, wait_until};
pub use spec::{HostSpec, Rights, Shell, Unit};

/// Where the lab's scripts and the service that its hosts run are.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("lab")
}

/// Why no real host can be booted here, or None if they can. The first call may build the hosts' file system.
pub fn unavailable() -> Option<String> {
    ready().as_ref().err().cloned()
}

/// Whether the test must be left out, which it then says. With CI=true nothing may be left out.
///
/// # Panics
/// With CI=true, where no host can be booted.
pub fn skip() -> bool {
    let Some(reason) = unavailable() else { return false };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must be able to boot real hosts: {reason}");
    println!("SKIPPED: {reason}");
    true
}

/// The file system that every host starts from.
fn base() -> &'static Path {
    match ready() {
        Ok(base) => base,
        Err(reason) => panic!("no real host can be booted: {reason}"),
    }
}

fn ready() -> &'static Result<PathBuf, String> {
    static READY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    READY.get_or_init(|| {
        let root = std::fs::read_to_string("/proc/self/status").is_ok_and(|s| {
            s.lines().any(|l| l.starts_with("Uid:") && l.split_whitespace().nth(2) == Some("0"))
        });
        if !root {
            return Err("real hosts need root".into());
        }
        for tool in [
            "systemd-nspawn",
            "mmdebstrap",
            "iptables",
            "ssh",
            "ssh-keygen",
            "git",
            "nsenter",
            "setpriv",
            "npm",
        ] {
            if shell::find(tool).is_none() {
                return Err(format!("real hosts need {tool}: run tests/lab/setup.sh once"));
            }
        }
        if std::fs::read_to_string("/proc/mounts").map_or(true, |m| !m.contains(" cgroup")) {
            return Err("real hosts need control groups (/sys/fs/cgroup)".into());
        }
        let rules = shell::run(Command::new("iptables").args(["-w", "60", "-S"]));
        if rules.code != Some(0) {
            return Err(format!("real hosts need a working iptables: {}", rules.stderr.trim()));
        }
        let built = shell::run(Command::new("sh").arg(scripts().join("base.sh")));
        if built.code != Some(0) {
            let said: Vec<&str> = built.stderr.lines().rev().take(5).collect();
            return Err(format!(
                "tests/lab/base.sh failed: {}",
                said.into_iter().rev().collect::<Vec<_>>().join("; ")
            ));
        }
        // The default, 128, is used up by about 20 hosts. Where it cannot be raised, a few still run.
        raise("/proc/sys/fs/inotify/max_user_instances", 8192);
        // All hosts share the machine's process ids: with few of them, one is somebody else's soon after its end.
        raise("/proc/sys/kernel/pid_max", 4_194_304);
        slot::sweep();
        Ok(PathBuf::from(built.stdout.trim()))
    })
}

/// Raises a limit of the kernel, where it is lower and where that is allowed.
fn raise(limit: &str, to: u32) {
    let now = std::fs::read_to_string(limit).ok().and_then(|n| n.trim().parse::<u32>().ok());
    if now.is_some_and(|n| n < to) {
        let _ = std::fs::write(limit, to.to_string());
    }
}
