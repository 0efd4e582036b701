//! No decision on a host reads its wall clock. Shown in two ways: every script that can be sent is read for what tells the
//! time of day or compares times of files, and a run goes the same way on a host whose `date` and whose files lie.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use uphaul_core::ports::frame::{Frame, LOGIN_COMMAND};

use super::*;

/// What is accepted, and why: the line as it stands in a script, and the reason.
const ACCEPTED: &[(&str, &str)] = &[
    (
        r#"say index_lock "$G/index.lock, last touched $(stat -c %y -- "$G/index.lock" 2>/dev/null | cut -c 1-19)""#,
        "a text for the person who looks at the lock; whether it may go is decided by `began` of the run",
    ),
    ("\"EPOCHREALTIME\",", NAME),
    ("\"EPOCHSECONDS\",", NAME),
    ("\"SECONDS\",", NAME),
];
const NAME: &str = "a name in the list of variables that no shell is asked to set (frame.rs); none reads it";

/// For each thing that tells the time of day, or compares times of files, one line that does.
const MUTATIONS: &[&str] = &[
    r#"now=$(date +%s)"#,
    r#"now=$(/bin/date -u)"#,
    r#"if [ "$lock" -nt "$kept/began" ]; then rm -f "$lock"; fi"#,
    r#"test "$a" -ot "$b""#,
    r#"[ -N "$lock" ] || exit 0"#,
    r#"now=$EPOCHSECONDS"#,
    r#"now=${EPOCHREALTIME%.*}"#,
    r#"took=$SECONDS"#,
    r#"printf -v now '%(%s)T' -1"#,
    r#"at=$(stat -c %Y "$lock")"#,
    r#"at=$(stat --format='%n %x' "$lock")"#,
    r#"find "$S" -mmin +5 -delete"#,
    r#"find "$S" -newermt yesterday"#,
    r#"find "$S" -ctime 1"#,
    r#"find "$S" -used 3"#,
    r#"first=$(ls -t "$S/jobs" | head -n 1)"#,
    r#"first=$(ls --sort=time "$S/jobs")"#,
    r#"cp -u "$a" "$b""#,
    r#"cp -a --update "$a" "$b""#,
    r#"journalctl -u "$unit" --since "$began""#,
    r#"g log --until=yesterday"#,
    r#"g log -1 --format=%ct"#,
    r#"g log -1 --format='%H %cd'"#,
    r#"field "$unit" ActiveEnterTimestamp"#,
    r#"awk 'BEGIN { print systime() }'"#,
    r#"python3 -c 'import time; print(time.time())'"#,
    r#"python3 -c 'import datetime'"#,
    r#"sed -n 's/^btime //p' /proc/stat"#,
    r#"perl -e 'print time'"#,
    r#"printf 'OnCalendar=daily\n'"#,
    r#"hwclock --get"#,
    r#"timedatectl show"#,
];

/// What in a line tells the time of day, or compares times of files.
fn clocks(line: &str) -> Vec<&str> {
    let parts = |c: char| !(c.is_ascii_alphanumeric() || "-_./%+".contains(c));
    let words: Vec<&str> = line.split(parts).filter(|word| !word.is_empty()).collect();
    let program = |word: &str, names: &[&str]| names.contains(&word.rsplit('/').next().unwrap_or(word));
    let has = |names: &[&str]| words.iter().any(|word| program(word, names));
    let stat = has(&["stat"]);
    let (ls, cp, log) = (has(&["ls"]), has(&["cp", "mv", "rsync", "install"]), line.contains("format"));
    let field = |word: &str, letters: &str| {
        word.split('%').skip(1).any(|rest| rest.starts_with(|letter| letters.contains(letter)))
    };
    let short =
        |word: &str, letter: char| word.starts_with('-') && !word.starts_with("--") && word.contains(letter);
    let tells = |word: &&&str| {
        let word: &str = word;
        let names = ["date", "gdate", "hwclock", "timedatectl", "perl", "systime", "strftime", "mktime"];
        let tests = ["-nt", "-ot", "-used", "SECONDS", "btime"];
        let found = ["-newer", "-anewer", "-cnewer", "-mmin", "-amin", "-cmin", "-mtime", "-atime", "-ctime"];
        let limits = ["--since", "--until", "--after", "--before", "--update", "time.time", "OnCalendar"];
        program(word, &names)
            || tests.contains(&word)
            || word.starts_with("EPOCH")
            || found.iter().chain(&limits).any(|start| word.starts_with(start))
            || word.contains("datetime")
            || word.ends_with("Timestamp")
            || (word == "T" && line.contains("%("))
            || (word == "-N" && (line.contains("[ -N") || line.contains("test -N")))
            || (stat && !words.contains(&"-f") && field(word, "xyzwXYZW"))
            || (log && (word.contains("%c") || word.contains("%a")) && !word.contains("%an"))
            || (ls && (short(word, 't') || word.starts_with("--sort")))
            || (cp && short(word, 'u'))
    };
    words.iter().filter(tells).copied().collect()
}

/// The lines of a script that tell the time and are not accepted. A line that only says something to its reader is none.
fn forbidden<'a>(script: &'a str, used: &mut [bool]) -> Vec<&'a str> {
    let code = script.lines().map(str::trim).filter(|line| !line.starts_with(['#', '/']));
    let telling = code.filter(|line| !clocks(line).is_empty());
    telling
        .filter(|line| match ACCEPTED.iter().position(|(accepted, _)| accepted == line) {
            Some(at) => {
                used[at] = true;
                false
            }
            None => true,
        })
        .collect()
}

/// All files below a folder with this ending, but for tests.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let ends = |path: &PathBuf| path.to_str().is_some_and(|name| name.ends_with(ending));
    let test = |path: &PathBuf| path.to_str().is_some_and(|name| name.ends_with("tests.rs"));
    let here = files.into_iter().filter(|path| ends(path) && !test(path));
    here.chain(dirs.iter().flat_map(|dir| self::files(dir, ending))).collect()
}

/// Everything that can be sent: each script file, each file of Rust that makes or sends one, and each command as it is
/// put together, in its frame.
fn scripts() -> Vec<(String, String)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut all: Vec<PathBuf> = files(&crates, ".sh");
    let makers = ["core/src", "exec-command/src", "exec-libssh2/src", "exec-local/src", "exec-openssh/src"];
    all.extend(makers.iter().flat_map(|dir| files(&crates.join(dir), ".rs")));
    let read = |path: PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).unwrap());
    let mut all: Vec<(String, String)> = all.into_iter().map(read).collect();
    all.push(("LOGIN_COMMAND".into(), LOGIN_COMMAND.into()));
    for command in commands() {
        let frame = Frame::new(&command, 1).unwrap();
        all.push((command.env["U_ACTION"].clone(), String::from_utf8(frame.opening().to_vec()).unwrap()));
    }
    all
}

/// One of each command there is.
fn commands() -> Vec<RemoteCommand> {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.deadman = Some(uphaul_core::plan::Deadman { window_s: 300 });
    hand.plan.service.user = Some("deploy".parse().unwrap());
    let context = hand.context();
    let steps = [(Step::Prepare(PrepareStep::Record), Action::Record)]
        .into_iter()
        .chain(script::steps_of_update(&hand.plan))
        .chain(script::steps_of_rollback(&hand.plan.target));
    let mut all: Vec<RemoteCommand> = steps
        .map(|(step, action)| {
            script::lower(&hand.plan, &Command { step, attempt: Attempt::FIRST, action }, &context)
        })
        .collect();
    all.push(script::preflight(&hand.plan, &context));
    all.push(script::resolve(&hand.plan, &context, &"main".parse().unwrap()));
    all.push(script::fix(&hand.plan, &context));
    all.push(script::release(&hand.plan, &context));
    all.push(script::evidence(&hand.plan, &context, Step::Update(UpdateStep::Verify)));
    all
}

#[test]
fn no_script_reads_the_wall_clock() {
    let all = scripts();
    let mut used = vec![false; ACCEPTED.len()];
    let mut told = Vec::new();
    for (name, text) in &all {
        told.extend(forbidden(text, &mut used).into_iter().map(|line| format!("{name}: {line}")));
    }
    assert_eq!(told, Vec::<String>::new(), "these read the wall clock: boot id and /proc/uptime do not lie");
    let unused: Vec<_> = ACCEPTED.iter().zip(used).filter(|(_, used)| !used).collect();
    assert!(unused.is_empty(), "accepted, and not there any more: {unused:?}");
    for needed in
        ["runner.sh", "switch.sh", "frame.sh", "checkout.sh", "LOGIN_COMMAND", "preflight", "arm", "evidence"]
    {
        assert!(all.iter().any(|(name, _)| name.ends_with(needed)), "{needed} was not looked at");
    }
}

#[test]
fn a_script_that_reads_the_wall_clock_is_found() {
    let none = &mut vec![false; ACCEPTED.len()];
    for mutation in MUTATIONS {
        for command in commands() {
            let body = command.env.get("U_BODY").unwrap_or(&command.argv[2]).clone();
            let found = format!("{body}\n{mutation}\n");
            assert_eq!(forbidden(&found, none), [*mutation], "in {}", command.env["U_ACTION"]);
        }
    }
}

/// A host whose `date` does this, and whose files are all of that time.
struct Liar {
    date: &'static str,
    files: Option<SystemTime>,
}

fn liars() -> [Liar; 3] {
    let at = |s| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(s));
    [
        Liar { date: "exec /bin/date \"$@\"", files: None },
        Liar { date: "echo 'date: no clock here' >&2; exit 1", files: at(1) },
        Liar { date: "echo 4102444800", files: at(4_102_444_800) },
    ]
}

/// Gives a file, or all files below a folder, a time of its own.
fn set_times(path: &Path, time: SystemTime) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            set_times(&entry.unwrap().path(), time);
        }
    } else if let Ok(file) = File::options().write(true).open(path) {
        file.set_modified(time).unwrap();
    }
}

/// An update that is cut off in its checkout and leaves the lock of a git that died, and its way back; then one that finds
/// a lock which was there before. What was told, what the host runs, and which locks are there still.
fn story(liar: &Liar, change: &dyn Fn(&mut RemoteCommand)) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let rig = Rig::new();
    let bin = rig.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::write(bin.join("date"), format!("#!/bin/sh\n{}\n", liar.date)).unwrap();
    std::fs::set_permissions(bin.join("date"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), rig.login()["PATH"]);
    let lock = rig.checkout().join(".git/index.lock");
    let lie = || {
        if let Some(time) = liar.files {
            set_times(&rig.checkout().join(".git/uphaul"), time);
            // The lock is the newest of all where the files are old, and the oldest where they are new.
            set_times(&lock, if time < SystemTime::now() { time } else { SystemTime::UNIX_EPOCH });
        }
    };
    let mut told = Vec::new();
    let mut send = |hand: &mut Hand<'_>, step: Step, action: Action| {
        lie();
        let command = Command { step, attempt: Attempt::FIRST, action };
        let mut words = script::lower(&hand.plan, &command, &hand.context());
        words.env.insert("PATH".into(), path.clone());
        change(&mut words);
        let answer = run(&rig, &words);
        hand.fence = answer.fence().or(hand.fence);
        told.push(match answer.input(&command) {
            Input::Failed(Reason::NotProved { found, .. }) => {
                found.replace(&rig.path().display().to_string(), "")
            }
            input => format!("{input:?}").replace(rig.revision("v1").as_str(), "V1"),
        });
    };
    let (v1, v2) = (rig.revision("v1"), rig.revision("v2"));
    let mut first = Hand::new(&rig, "v2", 1);
    send(&mut first, Step::Prepare(PrepareStep::Record), Action::Record);
    send(&mut first, Step::Update(UpdateStep::Fetch), Action::Fetch(v2.clone()));
    send(&mut first, Step::Update(UpdateStep::Checkout), Action::Checkout(v2.clone()));
    std::fs::write(&lock, "").unwrap();
    send(&mut first, Step::Rollback(RollbackStep::Checkout), Action::Checkout(v1.clone()));
    let gone = !lock.exists();
    send(&mut first, Step::Rollback(RollbackStep::Install), Action::Install);
    send(&mut first, Step::Rollback(RollbackStep::Restart), Action::Restart);
    send(&mut first, Step::Rollback(RollbackStep::Verify), Action::Verify(v1));
    run(&rig, &script::release(&first.plan, &first.context()));
    let mut second = Hand::new(&rig, "v2", 2);
    send(&mut second, Step::Prepare(PrepareStep::Record), Action::Record);
    send(&mut second, Step::Update(UpdateStep::Fetch), Action::Fetch(v2.clone()));
    std::fs::write(&lock, "").unwrap();
    send(&mut second, Step::Update(UpdateStep::Checkout), Action::Checkout(v2));
    told.push(format!("{}, gone {gone}, kept {}", rig.versions(), lock.exists()));
    told
}

#[test]
fn a_host_whose_clock_and_files_lie_is_led_the_same_way() {
    let [honest, liars @ ..] = liars();
    let told = story(&honest, &|_| ());
    assert_eq!(told.last().unwrap(), "v1/v1/v1, gone true, kept true", "{told:#?}");
    for liar in liars {
        assert_eq!(story(&liar, &|_| ()), told, "date: {}", liar.date);
    }
}

#[test]
fn a_script_that_believes_its_host_would_be_led_astray() {
    // As it was once: by the times of files.
    let by_files = |words: &mut RemoteCommand| {
        if let Some(body) = words.env.get_mut("U_BODY") {
            *body =
                body.replace("[ -e \"$kept/began\" ] || fail", "[ \"$lock\" -nt \"$kept/began\" ] || fail");
        }
    };
    // And by the clock: the lock of the host, asked for an hour after 2020.
    let by_date = |words: &mut RemoteCommand| {
        words.argv[2] =
            words.argv[2].replace("ttl=$((", "[ \"$(date +%s)\" -gt 1577836800 ] || exit 1\nttl=$((");
    };
    let [honest, fails, ..] = liars();
    assert_eq!(story(&honest, &by_date), story(&honest, &|_| ()), "the mutation itself does no harm");
    assert_ne!(story(&fails, &by_files), story(&honest, &|_| ()));
    let astray = std::panic::catch_unwind(|| story(&fails, &by_date));
    assert!(astray.is_err(), "the runner ended without an answer");
}
