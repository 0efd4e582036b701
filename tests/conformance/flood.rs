//! Output without end.

use std::process::Stdio;

use tokio::process::Command;
use uphaul_tests::cost::peak;

use crate::acts::ends;
use crate::bench::{Backend, Bench, sh};

const MB: u64 = 1_000_000;

pub async fn output_is_cut_and_counted(bench: Bench) {
    let mut command = sh("seq 1 100000; printf last; seq 1 10 >&2");
    command.output_max = 1000;
    let host = bench.host();
    let lines = |last: u32| (1..=last).map(|i| format!("{i}\n")).collect::<String>();
    let all = lines(100_000) + "last";
    let output = host.run(&host.acts(command, ends(0, all.clone(), lines(10)))).await.unwrap();
    assert_eq!(output.stdout.text(), all[all.len() - 1000..]);
    assert_eq!(output.stdout.dropped, all.len() as u64 - 1000);
    assert_eq!((output.stderr.bytes.len(), output.stderr.dropped), (21, 0));
}

pub async fn flood_of_stdout(bench: Bench) {
    flood(bench.backend, "out").await;
}

pub async fn flood_of_stderr(bench: Bench) {
    flood(bench.backend, "err").await;
}

pub async fn flood_of_both(bench: Bench) {
    flood(bench.backend, "both").await;
}

/// In a process of its own, whose memory can be told.
async fn flood(backend: &Backend, which: &str) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--child", "flood", backend.name, which]).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = child.kill_on_drop(true).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let (grown, peak) = text.trim().split_once(' ').unwrap();
    let number = |text: &str| text.parse::<u64>().unwrap();
    assert!(number(grown) < 8 * MB, "100 MB of output took {grown} bytes of memory");
    // Of the whole process, tests and all.
    assert!(number(peak) < 32 * MB, "the process had {peak} bytes of memory");
}

/// The process: 100 MB go by; prints by how much its memory has grown at most.
pub async fn child(bench: Bench, which: &str) {
    let host = bench.host();
    let mut session = host.connect().await;
    // What is used for the first time is not growth.
    session.run(&sh("seq 1 1000; seq 1 1000 >&2")).await.unwrap();
    let before = peak("self");
    let megabytes = if which == "both" { 50 } else { 100 };
    let out = format!("head -c {megabytes}000000 /dev/zero");
    let script = match which {
        "out" => out,
        "err" => format!("{out} >&2"),
        _ => format!("{out} & {out} >&2; wait"),
    };
    let mut command = sh(&script);
    command.output_max = 65536;
    let output = session.run(&command).await.unwrap();
    assert!([&output.stdout, &output.stderr].iter().all(|captured| captured.bytes.len() <= 65536));
    let total = |captured: &uphaul_core::ports::Captured| captured.bytes.len() as u64 + captured.dropped;
    assert_eq!(total(&output.stdout) + total(&output.stderr), 100 * MB);
    session.close().await.unwrap();
    println!("{} {}", peak("self") - before, peak("self"));
}
