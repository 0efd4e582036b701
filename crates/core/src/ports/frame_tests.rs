use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
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

/// A PATH on which the given programs stand first.
fn path_with(dir: &Path) -> String {
    format!("{}:{}", dir.display(), std::env::var("PATH").unwrap_or_default())
}

/// A folder with a program.
fn folder_with(name: &str, script: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    program_in(dir.path(), name, script);
    dir
}

fn program_in(dir: &Path, name: &str, script: &str) {
    let path = dir.join(name);
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// Runs a command through a login shell; gives both streams.
fn run(shell: &str, command: &RemoteCommand) -> (Capture, Capture) {
    run_on_path(shell, &std::env::var("PATH").unwrap_or_default(), command)
}

fn run_on_path(shell: &str, path: &str, command: &RemoteCommand) -> (Capture, Capture) {
    let frame = Frame::new(command, 0x1234).unwrap();
    let mut child = Command::new(shell)
        .args(["-c", LOGIN_COMMAND])
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    stdin.write_all(frame.opening()).unwrap();
    let frame_err = frame.capture(command.output_max);
    let (begun, wait_begun) = std::sync::mpsc::channel();
    let read = |mut stream: Box<dyn Read + Send>, mut capture: Capture| {
        let mut buffer = [0; 4096];
        while !capture.over() {
            let n = stream.read(&mut buffer).unwrap();
            if n == 0 {
                break;
            }
            capture.push(&buffer[..n]);
            if capture.stage() != Stage::Waiting {
                // Nobody listens any more once it was heard.
                let _ = begun.send(());
            }
        }
        capture
    };
    let captures = std::thread::scope(|scope| {
        let err = scope.spawn({
            let read = &read;
            move || read(Box::new(stderr), frame_err)
        });
        let write = scope.spawn(move || {
            if wait_begun.recv_timeout(Duration::from_secs(60)).is_ok() {
                let _ = stdin.write_all(&command.stdin);
            }
            stdin
        });
        let out = read(Box::new(stdout), frame.capture(command.output_max));
        let err = err.join().unwrap();
        drop(write.join().unwrap());
        (out, err)
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
fn a_host_whose_sh_is_bash_does_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let Some(bash) = ["/bin/bash", "/usr/bin/bash"].into_iter().find(|path| Path::new(path).exists()) else {
        return;
    };
    std::os::unix::fs::symlink(bash, dir.path().join("sh")).unwrap();
    let path = path_with(dir.path());
    let run = |command: &RemoteCommand| {
        let (out, err) = run_on_path("bash", &path, command);
        (out.stage(), out.into_captured().text(), err.into_captured().text())
    };
    let mut exact = command(&["env", "sh", "-c", "cat; echo $A; exit 3"]);
    exact.stdin = b"in ".to_vec();
    exact.env.insert("A".into(), "it's".into());
    exact.env.insert("UID".into(), "7".into());
    assert_eq!(run(&exact), (Stage::Ended { code: 3, timed_out: false }, "in it's\n".into(), String::new()));
    let signalled = command(&["sh", "-c", "kill -TERM $$"]);
    assert_eq!(run(&signalled), (Stage::Ended { code: 143, timed_out: false }, String::new(), String::new()));
    let mut slow = command(&["sh", "-c", "trap '' TERM; sleep 1000; sleep 1000"]);
    slow.timeout = Duration::from_millis(200);
    assert_eq!(run(&slow), (Stage::Ended { code: 137, timed_out: true }, String::new(), String::new()));
    assert_eq!(run(&command(&["no-such-program"])).0, Stage::Ended { code: 127, timed_out: false });
    let mut lost = command(&["true"]);
    lost.dir = Some("/no/such".into());
    assert_eq!(run(&lost).0, Stage::Ended { code: 126, timed_out: false });
}

#[test]
fn a_head_that_reads_too_much_takes_nothing_of_the_stdin() {
    // As those of busybox and uutils do.
    let head = "#!/bin/sh\ndd bs=1000000 count=1 2>/dev/null | /usr/bin/head -c \"$2\"\n";
    let dir = folder_with("head", head);
    let mut command = command(&["cat"]);
    command.stdin = b"all of it".to_vec();
    let (out, _) = run_on_path("sh", &path_with(dir.path()), &command);
    assert_eq!(out.stage(), Stage::Ended { code: 0, timed_out: false });
    assert_eq!(out.into_captured().text(), "all of it");
}

/// Stand-ins for a login that is not root.
fn as_deploy(sudo: &str) -> tempfile::TempDir {
    let dir = folder_with("id", "#!/bin/sh\ncase $1 in -u) echo 1000 ;; *) echo deploy ;; esac\n");
    program_in(dir.path(), "sudo", sudo);
    dir
}

#[test]
fn who_is_not_root_asks_sudo() {
    let sudo = "#!/bin/sh\n[ \"$1 $2 $3 $4\" = '-n -u app --' ] || exit 99\nshift 4\n\
                echo lecture >&2\nexec env -i PATH=\"$PATH\" \"$@\"\n";
    let dir = as_deploy(sudo);
    let mut command = command(&["sh", "-c", "cat; echo $USER $LOGNAME $A; exit 5"]);
    command.user = Some("app".parse().unwrap());
    command.stdin = b"in ".to_vec();
    command.env.insert("A".into(), "secret's".into());
    let (out, err) = run_on_path("sh", &path_with(dir.path()), &command);
    assert_eq!(out.stage(), Stage::Ended { code: 5, timed_out: false });
    assert_eq!(out.into_captured().text(), "in app app secret's\n");
    assert_eq!(err.noise(), "lecture");
    assert_eq!(err.into_captured().text(), "");
    let outer = String::from_utf8(Frame::new(&command, 1).unwrap().opening).unwrap();
    assert!(outer.contains("secret"), "it goes by stdin");
}

#[test]
fn a_sudo_that_refuses_is_told() {
    let dir = as_deploy("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n");
    let mut command = command(&["true"]);
    command.user = Some("app".parse().unwrap());
    let (out, err) = run_on_path("sh", &path_with(dir.path()), &command);
    assert_eq!(out.stage(), Stage::Refused { code: 1, begun: false });
    assert_eq!(err.noise(), "sudo: a password is required");
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
