//! What a host costs this machine by each executor over SSH: `cargo bench -p uphaul-tests --bench executors`.
//!
//! Throw-away servers on loopback, [`HOSTS`] of them; on each the commands of one update: [`COMMANDS`] small ones over one
//! connection, and a second connection with one, as Confirm makes it. Counted is the processor time of the client alone:
//! this process, and the processes of ssh that it starts, each in a process of its own that does nothing else. Beside them
//! stands plain `ssh`: the same connections and as many bytes by the program itself. Then the memory of [`SESSIONS`] open
//! sessions of libssh2, and of one that says [`FLOOD_MB`] MB by each. It fails where an aim is not met.

use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use uphaul_core::ports::{RemoteCommand, RemoteExecutor, Target};
use uphaul_exec_libssh2::{Libssh2Config, Libssh2Executor};
use uphaul_exec_openssh::{OpensshConfig, OpensshExecutor};
use uphaul_tests::cost;
use uphaul_tests::sshd::{Sshd, SshdSpec, user};

const HOSTS: usize = 20;
/// Commands of an update over its first connection.
const COMMANDS: usize = 9;
/// What a command carries, in bytes. With what an executor puts around it 42 KB are sent, as by the commands of an update on
/// average where its host has a dead-man's switch.
const CARRIED: usize = 38_000;
const SESSIONS: usize = 300;
/// What a command says, on stdout and stderr together, in millions of bytes.
const FLOOD_MB: u64 = 100;
/// How often all hosts are updated by each. The round that cost least is told: whatever else the machine does only adds.
const ROUNDS: usize = 5;
/// Asked for once: it is a program that says it, and no host is to cost that.
static USER: LazyLock<String> = LazyLock::new(user);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [flag, what, folder, ports] = words.as_slice()
        && flag == "--child"
    {
        let ports: Vec<u16> = ports.split(',').map(|port| port.parse().expect("a port")).collect();
        child(what, folder, &ports);
        return ExitCode::SUCCESS;
    }
    let server = match Sshd::start(&SshdSpec::default()) {
        Ok(server) => server,
        Err(why) => {
            println!("SKIPPED: {why}");
            return ExitCode::SUCCESS;
        }
    };
    let daemons: Vec<_> = (0..HOSTS).map(|_| server.daemon("MaxStartups 1000\nMaxSessions 100\n")).collect();
    let folder = server.identity().parent().expect("a folder").to_path_buf();
    let lines: String =
        daemons.iter().map(|d| format!("[127.0.0.1]:{} {}\n", d.port(), server.host_key("host"))).collect();
    server.file("known_all", &lines);
    let ports: Vec<String> = daemons.iter().map(|daemon| daemon.port().to_string()).collect();
    println!(
        "{HOSTS} hosts, {} commands and 2 connections each; processor time of the client, a host",
        COMMANDS + 1
    );
    let run = |what: &str| measure(what, &folder, &ports.join(","));
    let least = |what: &str| (0..ROUNDS).map(|_| run(what)).fold(f64::INFINITY, f64::min);
    let (plain, openssh, libssh2) = (least("ssh"), least("openssh"), least("libssh2"));
    println!("  openssh is {:.2} times plain ssh (aim: at most 1.2)", openssh / plain);
    println!("  libssh2 needs {libssh2:.1} ms a host (aim: at most 10)");
    let memory = run("memory");
    let flood = run("flood-openssh").max(run("flood-libssh2"));
    if openssh / plain <= 1.2 && libssh2 <= 10.0 && memory <= 80.0 && flood <= 32.0 {
        return ExitCode::SUCCESS;
    }
    println!("an aim is not met");
    ExitCode::FAILURE
}

/// Runs a child, and gives the milliseconds of processor time that it and its children had, a host.
fn measure(what: &str, folder: &std::path::Path, ports: &str) -> f64 {
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child.arg("--child").arg(what).arg(folder).arg(ports).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = child.output().expect("runs");
    assert!(output.status.success(), "{what} failed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let number = lines.next().and_then(|line| line.parse::<f64>().ok()).expect("a number");
    match what.strip_prefix("flood-") {
        Some(by) => println!("{FLOOD_MB} MB of output by {by}: {number:.1} MB (aim: at most 32)"),
        None if what == "memory" => {
            println!("{SESSIONS} sessions of libssh2 at once: {number:.1} MB (aim: at most 80)");
        }
        None => println!("  {what:<8} {number:>7.1} ms, all hosts in {}", lines.next().unwrap_or_default()),
    }
    number
}

fn child(what: &str, folder: &str, ports: &[u16]) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let file = |name: &str| std::path::Path::new(folder).join(name);
    let (identity, known_hosts) = (file("client"), file("known_all"));
    std::fs::write(file("empty_config"), "").expect("a file");
    let executor: Arc<dyn RemoteExecutor> = match what {
        "ssh" | "openssh" | "flood-openssh" => Arc::new(
            OpensshExecutor::new(OpensshConfig {
                config: Some(file("empty_config")),
                identity: vec![identity.clone()],
                known_hosts: Some(known_hosts.clone()),
                program: None,
            })
            .expect("an executor"),
        ),
        _ => Arc::new(
            Libssh2Executor::new(
                Libssh2Config {
                    config: Some(file("empty_config")),
                    identity: vec![identity.clone()],
                    known_hosts: Some(known_hosts.clone()),
                    ..Libssh2Config::default()
                },
                &|_| None,
            )
            .expect("an executor"),
        ),
    };
    if what == "memory" {
        return runtime.block_on(memory(executor, ports));
    }
    if what.starts_with("flood-") {
        return runtime.block_on(flood(&executor, ports[0]));
    }
    // A master of ssh leaves its parent; so it becomes ours, and what it needed is counted when it has ended.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("may have the orphans");
    let began = Instant::now();
    for port in ports {
        match what {
            "ssh" => plain(folder, *port),
            _ => runtime.block_on(update(&executor, *port)),
        }
    }
    let took = began.elapsed();
    while matches!(rustix::process::wait(rustix::process::WaitOptions::empty()), Ok(Some(_))) {}
    let (own, children) = cost::spent_ms();
    println!("{}\n{took:.1?}", (own + children) / ports.len() as f64);
}

async fn update(executor: &Arc<dyn RemoteExecutor>, port: u16) {
    for commands in [COMMANDS, 1] {
        let mut session = executor.connect(&target(port)).await.expect("connects");
        for _ in 0..commands {
            assert_eq!(session.run(&command()).await.expect("runs").code, 0);
        }
        session.close().await.expect("closes");
    }
}

/// The same by the program: a master, commands over it, its end.
fn plain(folder: &str, port: u16) {
    let carried = format!("{folder}/carried");
    std::fs::write(&carried, "x".repeat(CARRIED)).expect("a file");
    for commands in [COMMANDS, 1] {
        let socket = format!("{folder}/plain");
        let ssh = |stdin: Stdio, args: &[&str]| {
            let mut ssh = Command::new("ssh");
            ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o"])
                .arg(format!("UserKnownHostsFile={folder}/known_all"));
            ssh.arg("-i")
                .arg(format!("{folder}/client"))
                .arg("-S")
                .arg(&socket)
                .args(["-p", &port.to_string()]);
            let status = ssh.args(args).stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null()).status();
            assert!(status.expect("ssh runs").success(), "ssh {args:?}");
        };
        ssh(Stdio::null(), &["-M", "-f", "-N", "-o", "ControlPersist=10", "127.0.0.1"]);
        for _ in 0..commands {
            let carried = std::fs::File::open(&carried).expect("a file");
            ssh(carried.into(), &["127.0.0.1", "cat >/dev/null"]);
        }
        ssh(Stdio::null(), &["-O", "exit", "127.0.0.1"]);
        while std::path::Path::new(&socket).exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

async fn memory(executor: Arc<dyn RemoteExecutor>, ports: &[u16]) {
    let mut sessions = Vec::new();
    for i in 0..SESSIONS.div_ceil(20) {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..20.min(SESSIONS - i * 20) {
            let (executor, target) = (Arc::clone(&executor), target(ports[n % ports.len()]));
            tasks.spawn(async move { executor.connect(&target).await.expect("connects") });
        }
        sessions.extend(tasks.join_all().await);
    }
    // All at work at the same time.
    let mut running = tokio::task::JoinSet::new();
    for mut session in sessions {
        running.spawn(async move {
            assert_eq!(session.run(&command()).await.expect("runs").code, 0);
            session
        });
    }
    let sessions = running.join_all().await;
    println!("{}", peak_mb());
    for session in sessions {
        session.close().await.expect("closes");
    }
}

/// Both streams at once; of each the end is kept, and the rest is counted.
async fn flood(executor: &Arc<dyn RemoteExecutor>, port: u16) {
    let half = FLOOD_MB / 2;
    let script = format!(
        "{{ head -c {half}000000 /dev/zero; echo the end; }} >&2 & head -c {half}000000 /dev/zero; echo the end; wait"
    );
    let said = RemoteCommand { argv: vec!["sh".into(), "-c".into(), script], ..command() };
    let mut session = executor.connect(&target(port)).await.expect("connects");
    let output = session.run(&said).await.expect("runs");
    for captured in [&output.stdout, &output.stderr] {
        assert!(captured.bytes.ends_with(b"the end\n"), "the tail is kept");
        assert_eq!(captured.bytes.len() as u64 + captured.dropped, half * 1_000_000 + 8);
    }
    println!("{}", peak_mb());
    session.close().await.expect("closes");
}

fn peak_mb() -> f64 {
    cost::peak("self") as f64 / 1e6
}

fn command() -> RemoteCommand {
    RemoteCommand {
        argv: vec!["true".into()],
        dir: None,
        env: [("CARRIED".to_owned(), "x".repeat(CARRIED))].into(),
        stdin: Vec::new(),
        timeout: Duration::from_secs(60),
        user: None,
        output_max: 65536,
    }
}

fn target(port: u16) -> Target {
    Target {
        name: "bench".parse().expect("a name"),
        address: "127.0.0.1".into(),
        port: Some(port),
        user: Some(USER.parse().expect("a user")),
        host_key: None,
        connect_timeout: Duration::from_secs(60),
    }
}
