//! Connections that do not come about, are lost, or must not stay.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpListener;
use uphaul_core::ports::{ExecErrorKind, Target};
use uphaul_exec_mock::{Cut, What};
use uphaul_tests::sshd::processes_with;

use crate::bench::{Bench, Host, command, mark, sh, soon, until};
use crate::child::hold_words;
use crate::scripted::look;

/// Until the server sees no connection, and no process of a client is left.
async fn ended(host: &Host) {
    if host.sshd.is_none() {
        return;
    }
    until("the server sees the end of the connection", || !host.sshd().has_open()).await;
    let port = format!("-p {}", host.sshd().port());
    until("no process of a client is left", || processes_with(&port).is_empty()).await;
}

pub async fn close_ends_the_connection(bench: Bench) {
    let host = bench.host();
    let mut session = host.connect().await;
    session.run(&command(&["true"])).await.unwrap();
    soon(30, "close", session.close()).await.unwrap();
    ended(&host).await;
}

pub async fn drop_ends_the_connection(bench: Bench) {
    let host = bench.host();
    let session = host.connect().await;
    drop(session);
    ended(&host).await;
}

pub async fn one_connection_a_session(bench: Bench) {
    let host = bench.host();
    let mut session = host.connect().await;
    for _ in 0..5 {
        session.run(&command(&["true"])).await.unwrap();
    }
    session.close().await.unwrap();
    assert_eq!(host.sshd().connections(), 1);
}

pub async fn killed_uphaul_leaves_nothing(bench: Bench) {
    let (host, mark) = (bench.host(), mark());
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(hold_words(&host, bench.backend, &mark)).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = child.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("connected"));
    // (The words of the child itself have the mark too.)
    until("the command runs", || !processes_with(&format!("sleep {mark}")).is_empty()).await;
    child.kill().await.unwrap();
    until("the command is ended", || processes_with(&format!("sleep {mark}")).is_empty()).await;
    ended(&host).await;
}

pub async fn an_idle_session_stays(bench: Bench) {
    let host = bench.host();
    let mut session = host.connect().await;
    session.run(&command(&["true"])).await.unwrap();
    // Longer than an abandoned connection is kept.
    tokio::time::sleep(Duration::from_secs(14)).await;
    session.run(&command(&["true"])).await.unwrap();
    assert_eq!(host.sshd().connections(), 1);
}

/// Runs a command that does not end, harms the connection once it runs, and gives the error.
async fn harmed(host: &Host, mark: &str, harm: impl FnOnce()) -> uphaul_core::ports::ExecError {
    let mut session = host.connect().await;
    let command = host.acts(sh(&format!("echo begun; sleep {mark}")), What::Lose(Cut::GoesOn));
    if host.is_simulated() {
        let error = session.run(&command).await.unwrap_err();
        // What is lost does not come back, also where the host is there.
        assert_eq!(session.run(&look()).await.unwrap_err().kind, ExecErrorKind::Lost);
        return error;
    }
    let run = session.run(&command);
    let harm = async {
        until("the command runs", || !processes_with(&format!("sleep {mark}")).is_empty()).await;
        harm();
    };
    let (result, ()) = soon(90, "the loss is noticed", async { tokio::join!(run, harm) }).await;
    result.unwrap_err()
}

pub async fn cut_in_the_middle_is_lost(bench: Bench) {
    let (host, mark) = (bench.host(), mark());
    let error = harmed(&host, &mark, || host.sshd().cut()).await;
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Lost, true), "{error}");
    assert!(error.detail.contains("web1"), "{error}");
}

pub async fn lost_command_is_ended(bench: Bench) {
    let (host, mark) = (bench.host(), mark());
    harmed(&host, &mark, || host.sshd().cut()).await;
    until("the command is ended", || processes_with(&mark).is_empty()).await;
}

pub async fn frozen_in_the_middle_is_lost(bench: Bench) {
    let (host, mark) = (bench.host(), mark());
    let mut frozen_at = None;
    let error = harmed(&host, &mark, || {
        host.sshd().freeze();
        frozen_at = Some(std::time::Instant::now());
    })
    .await;
    let took = frozen_at.unwrap().elapsed();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Lost, true), "{error}");
    // Bounds what the executor promises (9 s), with room for a small machine.
    assert!(took < Duration::from_secs(20), "noticed after {took:?}");
}

pub async fn frozen_before_the_command_is_lost(bench: Bench) {
    let host = bench.host();
    let mut session = host.connect().await;
    session.run(&command(&["true"])).await.unwrap();
    host.sshd().freeze();
    let error = soon(30, "the loss is noticed", session.run(&command(&["true"]))).await.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Lost, false), "{error}");
}

async fn refused(host: &Host, change: impl FnOnce(&mut Target)) -> uphaul_core::ports::ExecError {
    let mut target = host.target.clone();
    change(&mut target);
    match soon(90, "an error", host.executor().connect(&target)).await {
        Ok(_) => panic!("it connected"),
        Err(error) => error,
    }
}

pub async fn closed_port(bench: Bench) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refused(&bench.host(), |target| target.port = Some(port)).await;
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Connect, false), "{error}");
    assert!(error.detail.contains("refused") && error.detail.contains("web1"), "{error}");
}

pub async fn silent_port(bench: Bench) {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let host = bench.host();
    let error = refused(&host, |target| {
        target.port = Some(port);
        target.connect_timeout = Duration::from_secs(2);
    });
    let error = soon(20, "the connect timeout", error).await;
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Connect, false), "{error}");
}

pub async fn unknown_name(bench: Bench) {
    let error = refused(&bench.host(), |target| target.address = "no-such-host.invalid".into()).await;
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Connect, false), "{error}");
    assert!(error.detail.contains("no-such-host.invalid"), "{error}");
}

pub async fn address_that_is_an_option(bench: Bench) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ran");
    let option = format!("-oProxyCommand=touch {}", file.display());
    let error = refused(&bench.host(), |target| target.address = option).await;
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Local, false), "{error}");
    assert!(!file.exists());
}

pub async fn cancelled_connect_leaves_nothing(bench: Bench) {
    let (host, silent) = (bench.host(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = silent.local_addr().unwrap().port();
    let target = Target { port: Some(port), ..host.target.clone() };
    let executor = host.executor();
    let mut stream = tokio::select! {
        _ = executor.connect(&target) => panic!("it connected"),
        accepted = silent.accept() => accepted.unwrap().0,
    };
    let mut greeting = Vec::new();
    // The other side is gone when this comes to its end (or is reset).
    let _ = soon(30, "the client is gone", stream.read_to_end(&mut greeting)).await;
    until("its process is gone", || processes_with(&format!("-p {port}")).is_empty()).await;
    // Cancelled at any point of a good connection, none stays either.
    for polls in 0..40 {
        let mut connect = executor.connect(&host.target);
        for _ in 0..polls {
            tokio::select! { biased; _ = &mut connect => break, () = tokio::time::sleep(Duration::from_millis(5)) => {} }
        }
        drop(connect);
    }
    ended(&host).await;
}
