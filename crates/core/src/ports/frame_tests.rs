use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use super::*;

fn command(argv: &[&str]) -> RemoteCommand {
    RemoteCommand {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        dir: None,
        env: BTreeMap::new(),
        stdin: Vec::new(),
        timeout: Duration::from_secs(20),
        user: None,
        output_max: 1 << 20,
    }
}

/// Runs a command through a login shell; gives both streams.
fn run(shell: &str, command: &RemoteCommand) -> (Capture, Capture) {
    let frame = Frame::new(command, 0x1234).unwrap();
    let mut child = Command::new(shell)
        .args(["-c", LOGIN_COMMAND])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    stdin.write_all(frame.opening()).unwrap();
    let read = |mut stream: Box<dyn Read + Send>, mut capture: Capture| {
        let mut buffer = [0; 4096];
        while !capture.over() {
            let n = stream.read(&mut buffer).unwrap();
            if n == 0 {
                break;
            }
            capture.push(&buffer[..n]);
        }
        capture
    };
    let captures = std::thread::scope(|scope| {
        let err = scope.spawn(|| read(Box::new(stderr), frame.capture(command.output_max)));
        // (coreutils' head reads exactly; the stream executors wait for `begin`.)
        let write = scope.spawn(|| {
            let _ = stdin.write_all(&command.stdin);
            stdin
        });
        let out = read(Box::new(stdout), frame.capture(command.output_max));
        drop(write.join().unwrap());
        (out, err.join().unwrap())
    });
    child.wait().unwrap();
    captures
}

fn shells() -> Vec<&'static str> {
    let there = |shell: &&str| Command::new(shell).args(["-c", "exit 0"]).status().is_ok_and(|s| s.success());
    ["dash", "bash", "fish", "csh"].into_iter().filter(there).collect()
}

#[test]
fn every_login_shell_runs_it() {
    assert!(!shells().is_empty());
    for shell in shells() {
        let mut command = command(&["sh", "-c", "cat; echo problem >&2; exit 3"]);
        command.stdin = b"in\xff\0put".to_vec();
        let (out, err) = run(shell, &command);
        assert_eq!(out.stage(), Stage::Ended { code: 3, timed_out: false }, "{shell}");
        assert_eq!(out.into_captured().bytes, b"in\xff\0put", "{shell}");
        assert_eq!(err.into_captured().bytes, b"problem\n", "{shell}");
    }
}

#[test]
fn the_time_limit_is_kept_by_the_host() {
    let mut command = command(&["sh", "-c", "echo begun; sleep 1000"]);
    command.timeout = Duration::from_millis(200);
    let (out, _) = run("sh", &command);
    assert_eq!(out.stage(), Stage::Ended { code: 143, timed_out: true });
    assert_eq!(out.into_captured().bytes, b"begun\n");
}

#[test]
fn who_exits_with_124_was_not_out_of_time() {
    let (out, _) = run("sh", &command(&["sh", "-c", "exit 124"]));
    assert_eq!(out.stage(), Stage::Ended { code: 124, timed_out: false });
}

#[test]
fn names_that_a_shell_owns_arrive() {
    let mut command = command(&["env", "-0"]);
    let names =
        ["UID", "OPTIND", "IFS", "RANDOM", "a.b", "N", "sh", "tool", "LC_ALL", "HOME", "1", "_", "SHLVL"];
    for name in names {
        command.env.insert(name.into(), format!("{name} ' \" $x `y` \\ \n z"));
    }
    for shell in shells() {
        let (out, err) = run(shell, &command);
        let text = out.into_captured().text();
        for (name, value) in &command.env {
            assert!(
                text.split('\0').any(|line| *line == format!("{name}={value}")),
                "{shell} {name} in {text:?}"
            );
        }
        assert_eq!(err.into_captured().text(), "", "{shell}");
    }
}

#[test]
fn another_path_does_not_hinder_the_script() {
    let mut command = command(&["/usr/bin/env", "-0"]);
    command.env.insert("PATH".into(), "/nowhere".into());
    command.env.insert("LANG".into(), "C".into());
    let (out, _) = run("sh", &command);
    assert_eq!(out.stage(), Stage::Ended { code: 0, timed_out: false });
    assert!(out.into_captured().text().contains("PATH=/nowhere\0"));
}

#[test]
fn a_mark_is_found_however_the_stream_is_cut() {
    let frame = Frame::new(&command(&["true"]), 7).unwrap();
    let mark = String::from_utf8(frame.capture(0).mark).unwrap();
    let half = &mark[..mark.len() - 1];
    let stream = format!("noise {half}\n{mark} begin\nout {half}{half}put{mark} end 9 0\nafter");
    for size in 1..stream.len() {
        let mut capture = frame.capture(1000);
        for piece in stream.as_bytes().chunks(size) {
            capture.push(piece);
        }
        assert_eq!(capture.stage(), Stage::Ended { code: 9, timed_out: false }, "in pieces of {size}");
        assert_eq!(capture.noise(), format!("noise {half}"));
        assert_eq!(capture.into_captured().text(), format!("out {half}{half}put"));
    }
}

#[test]
fn a_flood_is_held_in_bounded_memory_and_counted() {
    let frame = Frame::new(&command(&["true"]), 7).unwrap();
    let mut capture = frame.capture(1000);
    let mark = String::from_utf8(capture.mark.clone()).unwrap();
    capture.push(format!("{mark} begin\n").as_bytes());
    let piece = vec![b'u'; 65536];
    for _ in 0..100 {
        capture.push(&piece);
        assert!(capture.kept.bytes.capacity() + capture.pending.capacity() < 400_000);
    }
    capture.push(format!("last{mark} end 0 0\n").as_bytes());
    let captured = capture.into_captured();
    assert_eq!((captured.bytes.len(), captured.dropped), (1000, 65536 * 100 + 4 - 1000));
    assert!(captured.bytes.ends_with(b"uulast"));
}

#[test]
fn what_cannot_be_sent_is_refused_before() {
    let refused = |change: fn(&mut RemoteCommand), why: &str| {
        let mut command = command(&["true"]);
        change(&mut command);
        let error = Frame::new(&command, 1).unwrap_err();
        assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Local, false));
        assert!(error.detail.contains(why), "{}", error.detail);
    };
    refused(|c| c.argv.clear(), "has no program");
    refused(|c| c.argv[0] = "-x".into(), "is not the name of a program");
    refused(|c| c.argv.push("a\0b".into()), "has a NUL");
    refused(|c| c.dir = Some("a\0b".into()), "has a NUL");
    refused(|c| c.dir = Some(String::new()), "is an empty name");
    refused(|c| drop(c.env.insert("A".into(), "\0".into())), "has a NUL");
    refused(|c| drop(c.env.insert("A=B".into(), String::new())), "is not a name");
    refused(|c| c.argv.push("x".repeat(COMMAND_MAX)), "bytes; 102400 can be sent");
}
