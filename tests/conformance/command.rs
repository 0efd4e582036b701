//! What goes to a command and what comes from it.

use uphaul_core::ports::{ExecErrorKind, Output, RemoteCommand};

use crate::acts::ends;
use crate::bench::{Bench, command, mark, sh, until};
use uphaul_tests::sshd::processes_with;

/// Runs it; it must give an output.
async fn output(bench: Bench, command: &RemoteCommand) -> Output {
    bench.host().run(command).await.unwrap_or_else(|error| panic!("{error}"))
}

fn text(output: &Output) -> (String, String) {
    (output.stdout.text(), output.stderr.text())
}

pub async fn exit_codes_are_exact(bench: Bench) {
    let host = bench.host();
    let mut session = host.connect().await;
    for code in [0, 1, 2, 3, 124, 125, 126, 127, 128, 137, 254, 255] {
        let command = sh(&format!("echo out; echo err >&2; exit {code}"));
        let output = session.run(&host.acts(command, ends(code, "out\n", "err\n"))).await.unwrap();
        assert_eq!((output.code, text(&output)), (code, ("out\n".into(), "err\n".into())));
    }
}

pub async fn missing_program_is_127(bench: Bench) {
    let mut command = command(&["uphaul-no-such-program", "x"]);
    // With a folder on the PATH that may not be entered it would be 126, as with any shell.
    command.env.insert("PATH".into(), "/usr/bin:/bin".into());
    let output = output(bench, &command).await;
    assert_eq!(output.code, 127);
    assert!(output.stderr.text().contains("uphaul-no-such-program"), "{}", output.stderr.text());
}

pub async fn not_executable_is_126(bench: Bench) {
    assert_eq!(output(bench, &command(&["/etc/passwd"])).await.code, 126);
}

pub async fn signals_are_128_and_n(bench: Bench) {
    let host = bench.host();
    let mut session = host.connect().await;
    for (signal, number) in [("HUP", 1), ("INT", 2), ("QUIT", 3), ("KILL", 9), ("SEGV", 11), ("TERM", 15)] {
        // Tests that were begun by nohup ignore it, and hand that on.
        if ignored_here() >> (number - 1) & 1 == 1 {
            continue;
        }
        let output = session.run(&sh(&format!("ulimit -c 0; echo out; kill -{signal} $$"))).await.unwrap();
        assert_eq!((output.code, text(&output)), (128 + number, ("out\n".into(), String::new())), "{signal}");
    }
}

pub async fn interrupts_are_not_ignored(bench: Bench) {
    // A shell ignores them for what it begins in the background.
    let output =
        output(bench, &command(&["sed", "-n", "s/^SigIgn:[[:space:]]*//p", "/proc/self/status"])).await;
    let ignored = u64::from_str_radix(output.stdout.text().trim(), 16).unwrap();
    assert_eq!(ignored & 0b110 & !ignored_here(), 0, "INT and QUIT in {ignored:b}");
}

/// The signals that this process ignores, bit 0 for signal 1.
fn ignored_here() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    // Rust itself ignores PIPE here, and resets it for children.
    u64::from_str_radix(mask.trim(), 16).unwrap() & !(1 << 12)
}

pub async fn no_descriptor_leaks(bench: Bench) {
    let output = output(bench, &command(&["ls", "/proc/self/fd"])).await;
    let text = output.stdout.text();
    // 3 is the folder that ls reads; what the tests themselves were given by their parent is not the executor's.
    let given = |fd: &str| {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
        let flags =
            info.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
        flags.is_some_and(|flags| flags & 0o2_000_000 == 0)
    };
    let leaked: Vec<&str> =
        text.lines().filter(|fd| !["0", "1", "2", "3"].contains(fd) && !given(fd)).collect();
    assert!(leaked.is_empty(), "{leaked:?} of {text}");
}

pub async fn stderr_is_separate(bench: Bench) {
    let host = bench.host();
    let command = sh("echo 1; echo 2 >&2; echo 3; echo 4 >&2");
    let output = host.run(&host.acts(command, ends(0, "1\n3\n", "2\n4\n"))).await.unwrap();
    assert_eq!(text(&output), ("1\n3\n".into(), "2\n4\n".into()));
}

pub async fn bytes_are_not_changed(bench: Bench) {
    let bytes: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    let octal: String = bytes.iter().map(|byte| format!("\\{byte:03o}")).collect();
    let (host, command) = (bench.host(), sh(&format!("printf '{octal}'; printf '{octal}' >&2")));
    let output = host.run(&host.acts(command, ends(0, bytes.clone(), bytes.clone()))).await.unwrap();
    assert_eq!((output.stdout.bytes, output.stderr.bytes), (bytes.clone(), bytes));
}

pub async fn nothing_printed_is_nothing(bench: Bench) {
    let host = bench.host();
    let command = host.acts(command(&["true"]), ends(0, "", ""));
    assert_eq!(host.run(&command).await.unwrap(), Output::default());
}

pub async fn stdin_is_exact(bench: Bench) {
    let stdin: Vec<u8> = (0..=255).cycle().take(5000).chain(*b"no newline at the end").collect();
    let output = output(bench, &RemoteCommand { stdin: stdin.clone(), ..command(&["cat"]) }).await;
    assert_eq!(output.stdout.bytes, stdin);
}

pub async fn stdin_of_20_mb(bench: Bench) {
    let stdin: Vec<u8> = (0..20_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let command = RemoteCommand { stdin: stdin.clone(), output_max: 30_000_000, ..command(&["cat"]) };
    let output = output(bench, &command).await;
    assert_eq!((output.code, output.stdout.dropped), (0, 0));
    assert!(output.stdout.bytes == stdin, "{} bytes came back", output.stdout.bytes.len());
}

pub async fn stdin_empty_is_at_its_end(bench: Bench) {
    assert_eq!(text(&output(bench, &sh("wc -c; readlink /proc/self/fd/0")).await).0, "0\n/dev/null\n");
}

pub async fn stdin_not_read(bench: Bench) {
    let command = RemoteCommand { stdin: vec![b'x'; 5_000_000], ..sh("exec <&-; echo done") };
    assert_eq!(text(&output(bench, &command).await), ("done\n".into(), String::new()));
}

pub async fn stdin_read_in_part(bench: Bench) {
    let command =
        RemoteCommand { stdin: b"first\nsecond\n".repeat(200_000), ..sh("read -r line; echo $line") };
    assert_eq!(text(&output(bench, &command).await), ("first\n".into(), String::new()));
}

const HOSTILE: [&str; 16] = [
    "",
    " ",
    "'",
    "''\"\"",
    "\\",
    "\\'\\n",
    "a\nb\n",
    "$(touch /tmp/pwned)",
    "`id`",
    "${HOME}",
    "-n",
    "--",
    "*",
    "!! !$ #",
    "~root; exit 9 & | < >",
    "ümläut \u{1F600} \u{202e}\t\r\x1b[31m",
];

pub async fn environment_is_exact(bench: Bench) {
    let mut command = command(&["env", "-0"]);
    for (i, value) in HOSTILE.iter().enumerate() {
        command.env.insert(format!("HOSTILE_{i}"), (*value).to_owned());
    }
    for name in
        ["IFS", "UID", "OPTIND", "RANDOM", "PPID", "LC_ALL", "BASH_ENV", "a.b", "n", "s", "HOME", "SHLVL"]
    {
        command.env.insert(name.into(), format!("{name} is '$x' \\ "));
    }
    let output = output(bench, &command).await;
    let got = output.stdout.text();
    for (name, value) in &command.env {
        assert!(got.split('\0').any(|line| *line == format!("{name}={value}")), "{name} in {got:?}");
    }
    assert_eq!((output.code, output.stderr.text()), (0, String::new()));
}

pub async fn environment_is_added(bench: Bench) {
    let host = bench.host();
    let mut session = host.connect().await;
    let names = |text: String| -> Vec<String> {
        let mut names: Vec<String> =
            text.split('\0').filter_map(|line| Some(line.split_once('=')?.0.into())).collect();
        names.sort();
        names
    };
    let bare = session.run(&command(&["env", "-0"])).await.unwrap().stdout.text();
    assert!(bare.contains("PATH=") && bare.contains("HOME="), "{bare}");
    // Cargo itself sets variables whose values name the project; the frame's own names begin like this.
    assert!(!bare.contains("_uphaul"), "the frame shows in {bare}");
    let mut more = command(&["env", "-0"]);
    more.env.insert("ADDED".into(), "1".into());
    let mut want = names(bare);
    want.push("ADDED".into());
    want.sort();
    assert_eq!(names(session.run(&more).await.unwrap().stdout.text()), want);
}

pub async fn words_are_exact(bench: Bench) {
    let words: Vec<&str> = ["printf", "%s\\0"].into_iter().chain(HOSTILE).collect();
    let output = output(bench, &command(&words)).await;
    let got = output.stdout.text();
    assert_eq!(got.split_terminator('\0').collect::<Vec<_>>(), HOSTILE);
}

pub async fn words_of_every_byte(bench: Bench) {
    let every: String = (1..=0x17f).filter_map(char::from_u32).collect();
    let output = output(bench, &command(&["printf", "%s", &every])).await;
    assert_eq!(output.stdout.text(), every);
}

pub async fn directory_with_blanks(bench: Bench) {
    let dir = tempfile::tempdir().unwrap();
    for name in ["with  blanks", "quote's \"$x`", "new\nline"] {
        let path = dir.path().join(name);
        std::fs::create_dir(&path).unwrap();
        let command = RemoteCommand { dir: Some(path.to_str().unwrap().into()), ..command(&["pwd", "-P"]) };
        let real = std::fs::canonicalize(path).unwrap();
        assert_eq!(output(bench, &command).await.stdout.text(), format!("{}\n", real.display()));
    }
}

pub async fn directory_missing(bench: Bench) {
    let command = RemoteCommand { dir: Some("/no/such dir".into()), ..command(&["true"]) };
    let output = output(bench, &command).await;
    let said = "uphaul: cannot enter the directory /no/such dir\n";
    assert_eq!((output.code, text(&output)), (126, (String::new(), said.into())));
}

pub async fn directory_with_a_dash(bench: Bench) {
    // `cd -` would go back to where it was; a name without a slash might be found by CDPATH.
    let command = RemoteCommand { dir: Some("-".into()), ..command(&["true"]) };
    assert_eq!(output(bench, &command).await.code, 126);
}

pub async fn what_cannot_be_sent_is_local(bench: Bench) {
    let host = bench.host();
    let mut session = host.connect().await;
    let long = "x".repeat(110_000);
    let bad = [command(&[]), command(&["a\0b"]), command(&["true", &long]), command(&["-x"]), command(&[""])];
    for command in bad {
        let error = session.run(&command).await.unwrap_err();
        assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Local, false), "{error}");
    }
}

pub async fn the_most_that_can_be_sent_arrives(bench: Bench) {
    // Also where each byte must be quoted.
    let most = "'".repeat(100_000);
    let output = output(bench, &command(&["printf", "%s", &most])).await;
    assert_eq!((output.code, output.stdout.text() == most), (0, true));
}

pub async fn another_user(bench: Bench) {
    let user = Some("nobody".parse().unwrap());
    let command = RemoteCommand {
        user,
        stdin: b"in".to_vec(),
        env: [("A".to_owned(), "it's".to_owned())].into(),
        ..sh("id -un; pwd; echo $HOME $USER $A; cat; exit 9")
    };
    let output = output(bench, &command).await;
    let home = std::fs::read_to_string("/etc/passwd").unwrap();
    let home = home.lines().find_map(|l| l.strip_prefix("nobody:")?.split(':').nth(4)).unwrap().to_owned();
    let cwd = if std::path::Path::new(&home).is_dir() { &home } else { "/" };
    assert_eq!(
        (output.code, text(&output)),
        (9, (format!("nobody\n{cwd}\n{home} nobody it's\nin"), String::new()))
    );
}

pub async fn another_user_has_the_limits(bench: Bench) {
    let mark = mark();
    let command = RemoteCommand {
        user: Some("nobody".parse().unwrap()),
        timeout: std::time::Duration::from_millis(500),
        ..sh(&format!("trap '' TERM; sleep {mark} & while :; do sleep {mark}; done"))
    };
    let error = bench.host().run(&command).await.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Timeout, true), "{error}");
    until("the processes are gone", || processes_with(&mark).is_empty()).await;
}

pub async fn unknown_user_is_auth(bench: Bench) {
    let command = RemoteCommand { user: Some("no-such-user".parse().unwrap()), ..command(&["true"]) };
    let error = bench.host().run(&command).await.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Auth, false), "{error}");
    assert!(error.detail.contains("as no-such-user"), "{error}");
}

pub async fn the_same_user_needs_no_right(bench: Bench) {
    let user = Some(uphaul_tests::sshd::user().parse().unwrap());
    let command = RemoteCommand { user, stdin: b"in".to_vec(), ..sh("cat; exit 4") };
    let output = output(bench, &command).await;
    assert_eq!((output.code, text(&output)), (4, ("in".into(), String::new())));
}
