//! How a command comes to its end, and what is left of it.

use std::time::Duration;

use uphaul_core::ports::{ExecErrorKind, RemoteCommand};
use uphaul_exec_mock::What;
use uphaul_tests::sshd::{processes_with, signal};

use crate::acts::ends;
use crate::bench::{Bench, Need, mark, sh, soon, until};

/// A script of three processes in one group.
fn three(mark: &str) -> String {
    format!("sleep {mark} & sh -c 'sleep {mark}; :' & echo begun; wait")
}

/// One that does not end at TERM.
fn stubborn(mark: &str) -> String {
    format!("trap '' TERM; sleep {mark} & echo begun; while :; do sleep {mark}; done")
}

async fn gone(mark: &str) {
    until("the processes on the host are gone", || processes_with(mark).is_empty()).await;
}

pub async fn timeout_ends_the_group(bench: Bench) {
    let mark = mark();
    let command = RemoteCommand { timeout: Duration::from_millis(500), ..sh(&three(&mark)) };
    let error = soon(30, "a timeout", bench.host().run(&command)).await.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Timeout, true), "{error}");
    assert!(
        error.detail.contains("longer than its 0.5 s") && error.detail.ends_with("last words: begun"),
        "{error}"
    );
    gone(&mark).await;
}

pub async fn timeout_ends_the_stubborn(bench: Bench) {
    let mark = mark();
    let command = RemoteCommand { timeout: Duration::from_millis(500), ..sh(&stubborn(&mark)) };
    let error = soon(30, "a timeout", bench.host().run(&command)).await.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Timeout, true), "{error}");
    gone(&mark).await;
}

pub async fn timeout_of_a_command_that_reads(bench: Bench) {
    let mark = mark();
    // More stdin than a pipe holds, and nobody reads it.
    let command = RemoteCommand {
        timeout: Duration::from_millis(500),
        stdin: vec![b'x'; 1_000_000],
        ..sh(&format!("sleep {mark}"))
    };
    let error = soon(30, "a timeout", bench.host().run(&command)).await.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Timeout, true), "{error}");
    gone(&mark).await;
}

pub async fn exit_124_is_no_timeout(bench: Bench) {
    let host = bench.host();
    let command = host.acts(sh("exit 124"), ends(124, "", ""));
    assert_eq!(host.run(&command).await.unwrap().code, 124);
}

/// Runs the script, drops the future once the command is there, and waits until it is gone.
async fn cancel(bench: Bench, mark: &str, command: RemoteCommand) {
    let host = bench.host();
    let mut session = host.connect().await;
    tokio::select! {
        result = session.run(&command) => panic!("it ended by itself: {result:?}"),
        () = until("the command runs", || !processes_with(&format!("sleep {mark}")).is_empty()) => {}
    }
    gone(mark).await;
    let output = soon(60, "the next command", session.run(&sh("echo next"))).await.unwrap();
    assert_eq!(output.stdout.text(), "next\n");
}

pub async fn cancel_ends_the_group(bench: Bench) {
    let mark = mark();
    cancel(bench, &mark, sh(&three(&mark))).await;
}

pub async fn cancel_ends_the_stubborn(bench: Bench) {
    let mark = mark();
    cancel(bench, &mark, sh(&stubborn(&mark))).await;
}

pub async fn cancel_while_stdin_goes_in(bench: Bench) {
    let mark = mark();
    let script = format!("sleep {mark} & cat >/dev/null; wait");
    cancel(bench, &mark, RemoteCommand { stdin: vec![b'x'; 3_000_000], ..sh(&script) }).await;
}

pub async fn cancelled_session_goes_on(bench: Bench) {
    let host = bench.host();
    let mut session = host.connect().await;
    for _ in 0..5 {
        // Wherever it is cut: before it is sent, while it begins, while it runs.
        for polls in [1, 2, 3, 5, 8, 13] {
            let command = host.acts(sh("echo x; sleep 30"), What::Slow(Duration::from_secs(30)));
            let mut run = session.run(&command);
            for _ in 0..polls {
                let _ = futures_poll(&mut run);
                tokio::task::yield_now().await;
            }
        }
        let next = host.acts(sh("echo next"), ends(0, "next\n", ""));
        let output = soon(60, "the next command", session.run(&next)).await.unwrap();
        assert_eq!(output.stdout.text(), "next\n");
    }
    session.close().await.unwrap();
}

/// Polls once.
fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
    let waker = std::task::Waker::noop();
    std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(waker)).is_ready()
}

pub async fn child_in_the_background_does_not_hang(bench: Bench) {
    let mark = mark();
    let script = format!("sleep {mark} & echo begun");
    let output = soon(60, "the end", bench.host().run(&sh(&script))).await.unwrap();
    assert_eq!((output.code, output.stdout.text()), (0, "begun\n".into()));
    gone(&mark).await;
}

pub async fn daemon_with_the_output_does_not_hang(bench: Bench) {
    let mark = mark();
    // Its line begins with the word once setsid has become it. The script's own has it too, and so has setsid's before.
    let script =
        format!("setsid sleep {mark} & echo begun; while ! pgrep -f '^sleep {mark}' >/dev/null; do :; done");
    let host = bench.host();
    let output = soon(60, "the end", host.run(&sh(&script))).await.unwrap();
    assert_eq!((output.code, output.stdout.text()), (0, "begun\n".into()));
    // One that left the group is its own master, and lives.
    let left = processes_with(&format!("sleep {mark}"));
    assert_eq!(left.len(), 1);
    signal(left[0], "KILL");
}

pub async fn rest_of_the_group_is_ended(bench: Bench) {
    let mark = mark();
    let script = format!("sh -c 'trap \"\" TERM HUP; sleep {mark}; sleep {mark}' >/dev/null 2>&1 & exit 3");
    let output = bench.host().run(&sh(&script)).await.unwrap();
    assert_eq!(output.code, 3);
    gone(&mark).await;
}

pub async fn after_a_failure_the_session_goes_on(bench: Bench) {
    let host = bench.host();
    let mut session = host.connect().await;
    let fails = host.acts(sh("exit 1"), ends(1, "", ""));
    assert_eq!(session.run(&fails).await.unwrap().code, 1);
    let slow = RemoteCommand { timeout: Duration::from_millis(100), ..sh("sleep 1000") };
    let slow = host.acts(slow, What::Silent);
    assert_eq!(session.run(&slow).await.unwrap_err().kind, ExecErrorKind::Timeout);
    let killed = host.acts(sh("kill -9 $$"), ends(137, "", ""));
    assert_eq!(session.run(&killed).await.unwrap().code, 137);
    let on = host.acts(sh("echo on"), ends(0, "on\n", ""));
    assert_eq!(session.run(&on).await.unwrap().stdout.text(), "on\n");
    session.close().await.unwrap();
}

pub async fn many_commands_one_session(bench: Bench) {
    let host = bench.host();
    let mut session = host.connect().await;
    for i in 0..60 {
        let command = host.acts(sh(&format!("echo {i}; exit {i}")), ends(i, format!("{i}\n"), ""));
        let output = session.run(&command).await.unwrap();
        assert_eq!((output.code, output.stdout.text()), (i, format!("{i}\n")));
    }
    session.close().await.unwrap();
    let held = bench.backend.can(Need::Held).is_ok();
    assert!(!held || host.sshd().connections() == 1);
}

pub async fn many_sessions_at_once(bench: Bench) {
    let host = bench.host();
    let executor = host.executor();
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..20 {
        let (executor, target) = (std::sync::Arc::clone(&executor), host.target.clone());
        tasks.spawn(async move {
            let mut session = executor.connect(&target).await.unwrap();
            for n in 0..3 {
                let output = session.run(&sh(&format!("echo {i} {n}; exit {i}"))).await.unwrap();
                assert_eq!((output.code, output.stdout.text()), (i, format!("{i} {n}\n")));
            }
            session.close().await.unwrap();
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}
