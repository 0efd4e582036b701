//! Servers and networks that are slow, strict, full or broken.

use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use uphaul_core::ports::{ExecError, ExecErrorKind, RemoteCommand};
use uphaul_tests::relay::{Manner, Relay};
use uphaul_tests::sshd::{SshdSpec, processes_with};

use crate::bench::{Bench, Host, Need, channels_end, command, mark, sh, soon, until};

/// The host, reached through a network of its own.
fn through(host: &mut Host, manner: Manner) -> Relay {
    let relay = Relay::start(host.sshd().port(), manner);
    let line = format!("[127.0.0.1]:{} {}", relay.port(), host.sshd().host_key("host"));
    host.access.known_hosts = host.sshd().known_hosts_of("relay", &line);
    host.target.port = Some(relay.port());
    relay
}

fn with_config(bench: Bench, config: &str) -> Host {
    bench.host_with(&SshdSpec { config: config.to_owned(), ..SshdSpec::default() })
}

async fn no_connection(host: &Host, seconds: u64) -> ExecError {
    let error = match soon(seconds, "an error", host.try_connect()).await {
        Ok(_) => panic!("it connected"),
        Err(error) => error,
    };
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Connect, false), "{error}");
    assert!(error.detail.contains("web1"), "{error}");
    error
}

pub async fn slow_network(bench: Bench) {
    let mut host = bench.host();
    let _relay =
        through(&mut host, Manner { piece: Some(700), pause: Duration::from_millis(2), ..Manner::default() });
    let stdin: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
    let output = host.run(&RemoteCommand { stdin: stdin.clone(), ..command(&["cat"]) }).await.unwrap();
    assert!(output.code == 0 && output.stdout.bytes == stdin, "{} bytes came", output.stdout.bytes.len());
}

pub async fn text_before_the_version(bench: Bench) {
    let mut host = bench.host();
    let line = format!("{}\r\n", "#".repeat(126));
    let before = line.repeat(512).into_bytes();
    assert_eq!(before.len(), 64 * 1024);
    let _relay = through(&mut host, Manner { before, ..Manner::default() });
    assert_eq!(host.run(&sh("exit 7")).await.unwrap().code, 7);
}

/// One that greets who logs in with so many bytes.
fn with_banner(bench: Bench, bytes: usize) -> (Host, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("banner");
    let line = "All that you do here is written down.\n";
    std::fs::write(&file, line.repeat(bytes.div_ceil(line.len()))).unwrap();
    (with_config(bench, &format!("Banner {}\n", file.display())), dir)
}

pub async fn banner_of_32_kib(bench: Bench) {
    banner_of(bench, 32_000).await;
}

pub async fn banner_of_64_kib(bench: Bench) {
    banner_of(bench, 64 * 1024 - 100).await;
}

pub async fn banner_that_is_long_is_taken_or_told(bench: Bench) {
    let (host, _dir) = with_banner(bench, 64 * 1024 - 100);
    let reads_it = bench.backend.can(Need::LongBanner).is_ok();
    // Long before `timeouts.connect`, which is a minute here.
    match soon(30, "an end", host.try_connect()).await {
        Ok(mut session) => {
            assert!(reads_it, "it takes what its line in the table says it does not");
            assert_eq!(session.run(&sh("exit 3")).await.unwrap().code, 3);
        }
        Err(error) => {
            assert!(!reads_it, "{error}");
            assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Connect, false), "{error}");
            assert!(error.detail.contains("Banner") && error.detail.contains("openssh"), "{error}");
        }
    }
}

async fn banner_of(bench: Bench, bytes: usize) {
    let (host, _dir) = with_banner(bench, bytes);
    let output = host.run(&sh("echo out; echo err >&2")).await.unwrap();
    assert_eq!((output.stdout.text(), output.stderr.text()), ("out\n".into(), "err\n".into()));
}

pub async fn dead_network_in_the_middle(bench: Bench) {
    let (mut host, mark) = (bench.host(), mark());
    let relay = through(&mut host, Manner::default());
    let mut session = host.connect().await;
    let command = sh(&format!("echo begun; sleep {mark}"));
    let harm = async {
        until("the command runs", || !processes_with(&format!("sleep {mark}")).is_empty()).await;
        relay.go_silent();
    };
    let (result, ()) =
        soon(60, "the loss is noticed", async { tokio::join!(session.run(&command), harm) }).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Lost, true), "{error}");
    drop(session);
    drop(relay);
    until("the command is ended", || processes_with(&mark).is_empty()).await;
}

pub async fn network_that_dies_between_commands(bench: Bench) {
    let mut host = bench.host();
    let relay = through(&mut host, Manner::default());
    let mut session = host.connect().await;
    assert_eq!(session.run(&command(&["true"])).await.unwrap().code, 0);
    relay.go_silent();
    let error = soon(30, "the loss is noticed", session.run(&command(&["true"]))).await.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Lost, false), "{error}");
}

pub async fn connection_reset_in_a_flood(bench: Bench) {
    let mut host = bench.host();
    let relay = through(&mut host, Manner::default());
    let mut session = host.connect().await;
    let mark = mark();
    let script = format!("echo {mark} >/dev/null; while :; do seq 1 1000; done");
    let command = sh(&script);
    let harm = async {
        until("the command runs", || !processes_with(&mark).is_empty()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        relay.cut();
    };
    let (result, ()) =
        soon(60, "the loss is noticed", async { tokio::join!(session.run(&command), harm) }).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Lost, true), "{error}");
    until("the command is ended", || processes_with(&mark).is_empty()).await;
}

pub async fn network_that_dies_in_the_log_in(bench: Bench) {
    let mut host = bench.host();
    let relay =
        through(&mut host, Manner { piece: Some(64), pause: Duration::from_millis(1), before: Vec::new() });
    host.target.connect_timeout = Duration::from_secs(3);
    let executor = host.executor();
    let harm = async {
        until("the server is there", || host.sshd().connections() > 0).await;
        relay.go_silent();
    };
    let (result, ()) =
        soon(30, "the limit", async { tokio::join!(executor.connect(&host.target), harm) }).await;
    let error = result.err().expect("no connection");
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Connect, false), "{error}");
}

pub async fn closed_before_the_greeting(bench: Bench) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut host = bench.host();
    host.target.port = Some(listener.local_addr().unwrap().port());
    let closer = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let error = no_connection(&host, 60).await;
    closer.join().unwrap();
    assert!(error.detail.contains("MaxStartups"), "{error}");
}

pub async fn something_that_is_no_ssh(bench: Bench) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut host = bench.host();
    host.target.port = Some(listener.local_addr().unwrap().port());
    let web = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.0 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0; 256]);
    });
    no_connection(&host, 60).await;
    web.join().unwrap();
}

pub async fn too_many_log_ins_at_once(bench: Bench) {
    let mut host = bench.host();
    let daemon = host.sshd().daemon("MaxStartups 3\n");
    let line = format!("[127.0.0.1]:{} {}", daemon.port(), host.sshd().host_key("host"));
    host.access.known_hosts = host.sshd().known_hosts_of("daemon", &line);
    host.target.port = Some(daemon.port());
    // Three that have been greeted and say nothing.
    let mut waiting: Vec<TcpStream> = Vec::new();
    until("three are greeted", || {
        let mut stream = TcpStream::connect(("127.0.0.1", daemon.port())).unwrap();
        let mut start = [0; 4];
        // Whoever looked for the server before may count still, and this one be sent away.
        if stream.read_exact(&mut start).is_ok() && &start == b"SSH-" {
            waiting.push(stream);
        }
        waiting.len() == 3
    })
    .await;
    let error = no_connection(&host, 60).await;
    assert!(error.detail.contains("MaxStartups"), "{error}");
    drop(waiting);
    // It learns of that by itself.
    let executor = host.executor();
    for _ in 0..600 {
        if let Ok(session) = executor.connect(&host.target).await {
            return session.close().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server never let us in again");
}

pub async fn two_sessions_at_most(bench: Bench) {
    sessions_at_most(bench, 2).await;
}

pub async fn one_session_at_most(bench: Bench) {
    sessions_at_most(bench, 1).await;
}

/// Commands one after the other, also after ones that were cancelled or took too long.
async fn sessions_at_most(bench: Bench, max: usize) {
    let host = with_config(bench, &format!("MaxSessions {max}\n"));
    let mut session = host.connect().await;
    for i in 0..10 {
        assert_eq!(session.run(&sh(&format!("exit {i}"))).await.unwrap().code, i);
    }
    let slow = RemoteCommand { timeout: Duration::from_millis(200), ..sh("sleep 1000") };
    assert_eq!(session.run(&slow).await.unwrap_err().kind, ExecErrorKind::Timeout);
    assert_eq!(session.run(&sh("exit 3")).await.unwrap().code, 3);
    session.close().await.unwrap();
    assert_eq!(host.sshd().connections(), 1);
}

pub async fn channels_that_time_out(bench: Bench) {
    let host = with_config(bench, &channels_end().config);
    let mut session = host.connect().await;
    for i in 0..3 {
        assert_eq!(session.run(&sh(&format!("exit {i}"))).await.unwrap().code, i);
        // Longer than a channel may be silent there.
        tokio::time::sleep(Duration::from_millis(2500)).await;
    }
    session.close().await.unwrap();
    assert_eq!(host.sshd().connections(), 1);
}

pub async fn no_session_at_all(bench: Bench) {
    let host = with_config(bench, "MaxSessions 0\n");
    let mut session = host.connect().await;
    for _ in 0..2 {
        let error = soon(60, "an error", session.run(&command(&["true"]))).await.unwrap_err();
        assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Connect, false), "{error}");
        assert!(error.detail.contains("MaxSessions"), "{error}");
    }
    session.close().await.unwrap();
}

pub async fn forty_sessions_at_once(bench: Bench) {
    let host = bench.host();
    let executor = host.executor();
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (executor, target) = (Arc::clone(&executor), host.target.clone());
            tasks.spawn(async move { executor.connect(&target).await.unwrap() });
        }
        sessions.extend(tasks.join_all().await);
    }
    for (i, session) in sessions.iter_mut().enumerate() {
        assert_eq!(session.run(&sh(&format!("exit {i}"))).await.unwrap().code, i as i32);
    }
    for session in sessions {
        session.close().await.unwrap();
    }
}
