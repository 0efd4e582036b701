//! The scripts of the core itself: what the driver sends, and what every executor has to carry, a simulated one too.

use std::time::{Duration, Instant};

use uphaul_core::ids::{Attempt, Revision, RunId, Seq};
use uphaul_core::machine::{Action, Command, PrepareStep, Step};
use uphaul_core::ports::{ExecErrorKind, RemoteCommand};
use uphaul_core::script::{self, Answer, Context};
use uphaul_exec_mock::{Door, What};
use uphaul_tests::rig::plan_of;

use crate::bench::{Bench, Host, sh, soon};

/// What is sent before anything else: a look at the host, which changes nothing.
pub fn look() -> RemoteCommand {
    let (v1, v2): (Revision, Revision) = ("1".repeat(40).parse().unwrap(), "2".repeat(40).parse().unwrap());
    let command = Command {
        step: Step::Prepare(PrepareStep::Preflight),
        attempt: Attempt::FIRST,
        action: Action::Preflight,
    };
    let run = RunId::from_bits(1);
    let context = Context {
        run: &run,
        seq: Seq(1),
        fence: None,
        owner: "the conformance suite",
        settled: &[],
        knows_reverted: false,
    };
    script::lower(&plan_of(&v1, &v2), &command, &context)
}

pub async fn a_script_is_answered(bench: Bench) {
    let output = bench.host().run(&look()).await.unwrap();
    let text = output.stdout.text();
    assert!(Answer::of(&output).is_ok() && text.lines().any(|line| line.starts_with("user=")), "{text}");
}

pub async fn scripts_one_after_the_other(bench: Bench) {
    let host = bench.host();
    let mut session = host.connect().await;
    for _ in 0..3 {
        Answer::of(&session.run(&look()).await.unwrap()).unwrap();
    }
    session.close().await.unwrap();
}

pub async fn what_a_script_says_is_cut_and_counted(bench: Bench) {
    let host = bench.host();
    let all = host.run(&look()).await.unwrap().stdout;
    assert!(all.bytes.len() > 20 && all.dropped == 0);
    let cut = host.run(&RemoteCommand { output_max: 10, ..look() }).await.unwrap().stdout;
    assert!(cut.bytes.len() == 10 && cut.dropped > 0, "{cut:?}");
}

pub async fn scripts_over_many_sessions(bench: Bench) {
    let host = bench.host();
    let executor = host.executor();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (executor, target) = (std::sync::Arc::clone(&executor), host.target.clone());
        tasks.spawn(async move {
            let mut session = executor.connect(&target).await.unwrap();
            Answer::of(&session.run(&look()).await.unwrap()).unwrap();
            session.close().await.unwrap();
        });
    }
    tasks.join_all().await;
}

pub async fn a_host_that_is_not_there(bench: Bench) {
    let mut host = bench.host();
    host.leave();
    let error = host.try_connect().await.err().expect("no connection");
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Connect, false), "{error}");
}

async fn refused(host: &Host, kind: ExecErrorKind) {
    let error = host.try_connect().await.err().expect("no connection");
    assert_eq!((error.kind, error.maybe_ran), (kind, false), "{error}");
    assert!(error.detail.contains("web1"), "{error}");
}

pub async fn a_host_that_does_not_let_us_in(bench: Bench) {
    let mut host = bench.host();
    if host.is_simulated() {
        host.door(Door::Auth);
    } else {
        host.access.identity = vec![host.sshd().stranger()];
    }
    refused(&host, ExecErrorKind::Auth).await;
}

pub async fn a_host_that_shows_another_key(bench: Bench) {
    let mut host = bench.host();
    if host.is_simulated() {
        host.door(Door::HostKey);
    } else {
        let line = format!("{} {}", host.sshd().name(), host.sshd().host_key("other_host"));
        host.access.known_hosts = host.sshd().known_hosts_of("other", &line);
    }
    refused(&host, ExecErrorKind::HostKey).await;
}

pub async fn a_command_that_takes_too_long(bench: Bench) {
    let host = bench.host();
    let mut session = host.connect().await;
    let slow = RemoteCommand { timeout: Duration::from_millis(300), ..sh("sleep 1000") };
    let slow = host.acts(slow, What::Silent);
    let begun = Instant::now();
    let error = soon(60, "a timeout", session.run(&slow)).await.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Timeout, true), "{error}");
    assert!(begun.elapsed() >= Duration::from_millis(300), "after {:?}: {error}", begun.elapsed());
    // The connection is there still.
    Answer::of(&session.run(&look()).await.unwrap()).unwrap();
}

pub async fn after_the_loss_nothing_runs(bench: Bench) {
    let host = bench.host();
    let mut session = host.connect().await;
    Answer::of(&session.run(&look()).await.unwrap()).unwrap();
    host.cut();
    for _ in 0..2 {
        let error = soon(60, "the loss", session.run(&look())).await.unwrap_err();
        assert_eq!(error.kind, ExecErrorKind::Lost, "{error}");
    }
    let error = session.run(&look()).await.unwrap_err();
    assert!(!error.maybe_ran && error.detail.contains("web1"), "{error}");
    soon(30, "close", session.close()).await.unwrap();
    // A new one works.
    Answer::of(&host.run(&look()).await.unwrap()).unwrap();
}
