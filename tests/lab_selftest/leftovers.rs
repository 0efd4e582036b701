//! Whatever happens to a test, nothing of its hosts stays behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use uphaul_tests::lab::{self, HostSpec, Origin, wait_until};

use super::served;

const LONG: Duration = Duration::from_secs(60);

/// Everything of a host or an origin that is still there.
fn left(name: &str, address: &str, dir: &Path) -> Vec<String> {
    let mut left = Vec::new();
    if dir.exists() {
        left.push(format!("folder {}", dir.display()));
    }
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let place = format!("{}/", dir.display());
    left.extend(read("/proc/mounts").lines().filter(|l| l.contains(&place)).map(|l| format!("mount {l}")));
    for line in read("/proc/mounts").lines().filter(|l| l.contains(" cgroup")) {
        let group = Path::new(line.split_whitespace().nth(1).unwrap_or_default()).join(name);
        if group.exists() {
            left.push(format!("control group {}", group.display()));
        }
    }
    let rules = Command::new("iptables").args(["-w", "60", "-S"]).output().expect("iptables");
    let address = format!(" {address}/32 ");
    left.extend(
        String::from_utf8_lossy(&rules.stdout).lines().filter(|l| l.contains(&address)).map(str::to_owned),
    );
    for process in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.split_whitespace().any(|word| word == name || word.contains(&place)) {
            left.push(format!("process {} {command}", process.file_name().to_string_lossy()));
        }
    }
    left
}

fn state(dir: &Path) -> std::path::PathBuf {
    dir.parent().and_then(Path::parent).expect("two levels up").to_path_buf()
}

#[test]
fn a_dropped_host_leaves_nothing() {
    if lab::skip() {
        return;
    }
    let origin = served("v1");
    let host = HostSpec::new().small_disk(32).boot(&origin);
    host.wait_healthy();
    host.cut();
    origin.cut();
    let (name, address, dir) = (host.name().to_owned(), host.address().to_owned(), state(&host.identity()));
    assert!(left(&name, &address, &dir).len() > 5, "the test sees what is there");
    drop(host);
    assert_eq!(left(&name, &address, &dir), Vec::<String>::new());

    let (address, dir) = (origin.address().to_owned(), state(&origin.path()));
    let name = format!("uphaul-lab-{}", dir.file_name().expect("a number").to_string_lossy());
    assert!(left(&name, &address, &dir).len() > 2, "the test sees what is there");
    drop(origin);
    assert_eq!(left(&name, &address, &dir), Vec::<String>::new());
}

#[test]
fn a_panicking_test_leaves_nothing() {
    if lab::skip() {
        return;
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let panicked = std::thread::spawn(move || {
        let host = HostSpec::new().boot_bare();
        sender
            .send((host.name().to_owned(), host.address().to_owned(), state(&host.identity())))
            .expect("send");
        panic!("on purpose");
    })
    .join();
    assert!(panicked.is_err());
    let (name, address, dir) = receiver.recv().expect("a host");
    assert_eq!(left(&name, &address, &dir), Vec::<String>::new());
}

/// Not a test: the process that the next test kills.
#[test]
#[ignore = "the victim of a_killed_test_process_leaves_nothing"]
fn victim() {
    let origin = Origin::start();
    let host = HostSpec::new().boot_bare();
    host.cut();
    for (address, path) in
        [(host.address(), state(&host.identity())), (origin.address(), state(&origin.path()))]
    {
        println!("\nhere {address} {}", path.display());
    }
    loop {
        std::thread::park();
    }
}

#[test]
fn a_killed_test_process_leaves_nothing() {
    if lab::skip() {
        return;
    }
    let mut victim = Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "--nocapture", "leftovers::victim"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the victim");
    let lines = BufReader::new(victim.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let here: Vec<String> = lines.filter(|l| l.starts_with("here ")).take(2).collect();
    victim.kill().expect("kill");
    victim.wait().expect("wait");
    assert_eq!(here.len(), 2);
    for line in here {
        let words: Vec<&str> = line.split(' ').collect();
        let (address, dir) = (words[1], Path::new(words[2]));
        let name = format!("uphaul-lab-{}", dir.file_name().expect("a number").to_string_lossy());
        wait_until("the killed test's host goes", LONG, || {
            left(&name, address, dir).is_empty().then_some(())
        });
    }
}

#[test]
fn a_killed_supervisor_leaves_nothing() {
    if lab::skip() {
        return;
    }
    let origin = served("v1");
    let host = HostSpec::new().boot(&origin);
    host.wait_healthy();
    host.cut();
    let (name, address, dir) = (host.name().to_owned(), host.address().to_owned(), state(&host.identity()));
    host.kill_supervisor();
    assert!(left(&name, &address, &dir).len() > 3, "the test sees what is there");
    drop(host);
    assert_eq!(left(&name, &address, &dir), Vec::<String>::new());
}

#[test]
fn eight_hosts_at_once() {
    if lab::skip() {
        return;
    }
    let origin = served("v1");
    std::thread::scope(|scope| {
        let hosts: Vec<_> = (0..8).map(|_| scope.spawn(|| HostSpec::new().boot(&origin))).collect();
        let hosts: Vec<_> = hosts.into_iter().map(|h| h.join().expect("a host")).collect();
        for host in &hosts {
            host.wait_healthy();
        }
        // A restart on one host is nothing to the others.
        let before: Vec<String> = hosts.iter().map(|h| h.unit_property("app.service", "MainPID")).collect();
        hosts[0].ssh("sudo -n systemctl restart app.service").ok();
        for (host, before) in hosts.iter().zip(before).skip(1) {
            assert_eq!(host.unit_property("app.service", "MainPID"), before);
        }
        hosts[0].wait_healthy();
        let mut addresses: Vec<&str> = hosts.iter().map(|h| h.address()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 8);
    });
}
