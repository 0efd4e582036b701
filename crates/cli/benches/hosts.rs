//! What an update of [`HOSTS`] real hosts costs this machine, by each executor over SSH:
//! `cargo bench -p uphaul --bench hosts`. Counted is the processor time of the real binary and of all processes of ssh that it
//! starts; the hosts run here as well, and count for themselves. It needs root, as all real hosts do.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and one that cannot go on says so by a panic"
)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::{WaitOptions, getpid, set_child_subreaper, wait};
use uphaul_tests::cost;
use uphaul_tests::lab::{self, Host, HostSpec, Origin, Release};

const HOSTS: usize = 20;
/// How many versions each executor updates all hosts to.
const ROUNDS: usize = 3;

/// That of the scenarios on real hosts.
const CONFIG: &str = include_str!("../tests/hosts/uphaul.toml");
/// For the times of those, all at once are too many here.
const TIMES: [(&str, &str); 3] = [
    ("UPHAUL_TIMEOUTS__CONNECT", "60s"),
    ("UPHAUL_TIMEOUTS__INSTALL", "300s"),
    ("UPHAUL_TIMEOUTS__VERIFY", "120s"),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, folder, args @ ..] = words.as_slice()
        && flag == "--child"
    {
        return child(Path::new(folder), args);
    }
    if lab::skip() {
        return;
    }
    let origin = Origin::start();
    origin.commit(Release::good("v1"));
    let hosts: Vec<Host> = (0..HOSTS).map(|_| HostSpec::new().boot(&origin)).collect();
    let dir = tempfile::tempdir().expect("a folder");
    let all = |part: fn(&Host) -> std::path::PathBuf| -> String {
        hosts.iter().map(|host| std::fs::read_to_string(part(host)).expect("a file") + "\n").collect()
    };
    for (name, text) in [
        ("ssh_config", all(Host::ssh_config)),
        ("known_hosts", all(Host::known_hosts)),
        ("uphaul.toml", CONFIG.replace("BACKEND", "openssh")),
    ] {
        std::fs::write(dir.path().join(name), text).expect("a file");
    }
    for (i, host) in hosts.iter().enumerate() {
        spent(dir.path(), &["hosts", "add", &format!("web-{}", i + 1), host.address()]);
    }
    println!("an update of {HOSTS} real hosts; processor time of uphaul and its processes, a host");
    for backend in ["openssh", "libssh2"] {
        for round in 1..=ROUNDS {
            let commit = origin.commit(Release::good(&format!("{backend}-{round}")));
            let began = Instant::now();
            let ms = spent(dir.path(), &["update", "@all", "--to", &commit, "--executor", backend, "--yes"]);
            println!("  {backend} {:.1} ms, all hosts in {:.1?}", ms / HOSTS as f64, began.elapsed());
        }
    }
}

/// Runs uphaul to its end, and gives the milliseconds of processor time that it and its processes had.
fn spent(dir: &Path, args: &[&str]) -> f64 {
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child.arg("--child").arg(dir).args(args).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = child.output().expect("runs");
    assert!(output.status.success(), "{args:?} failed");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

/// A process that has no other children than uphaul and what that starts: those that leave it become ours, such as a master
/// of ssh, and what they needed is counted when they have ended.
fn child(dir: &Path, args: &[String]) {
    set_child_subreaper(Some(getpid())).expect("may have the orphans");
    let mut uphaul = Command::new(env!("CARGO_BIN_EXE_uphaul"));
    uphaul.args(args).current_dir(dir).env("HOME", dir).envs(TIMES).stdin(Stdio::null());
    let output = uphaul.output().expect("uphaul runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    while matches!(wait(WaitOptions::empty()), Ok(Some(_))) {}
    println!("{}", cost::spent_ms().1);
}
