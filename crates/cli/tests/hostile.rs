//! A host that means ill: whatever it sends, nothing of it reaches the terminal as a command, memory stays bounded, and
//! the record says `updated` only of what was proved. The list is the table in docs/security.md.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by a panic")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use uphaul_core::ids::HostName;
use uphaul_store::{NewHost, Store};
use uphaul_tests::rig::Rig;

/// One thing that a host does.
struct Case {
    /// Its name, by which `hostile/host` knows it.
    name: &'static str,
    /// What it does, for the table.
    does: &'static str,
    /// The exit code, and what the record says of the host.
    ends: (i32, &'static str),
}

const fn case(name: &'static str, does: &'static str, code: i32, record: &'static str) -> Case {
    Case { name, does, ends: (code, record) }
}

/// What a host does in an update to v2, from v1.
const CASES: &[Case] = &[
    case("honest", "nothing: to compare with", 0, "updated"),
    case(
        "escapes_in_the_preflight",
        "title, clear screen, colours, C1 and right-to-left in what git and systemd say",
        7,
        "aborted",
    ),
    case(
        "escapes_in_a_failure",
        "the same in why a step failed and in the end of its output",
        3,
        "rolled_back",
    ),
    case("escapes_before_the_shell", "the same in the stead of a shell", 4, "needs_attention"),
    case(
        "forged_markers",
        "the install prints ends of frames and answers that say success, and fails",
        3,
        "rolled_back",
    ),
    case("another_run", "the answer to Verify is of another run", 3, "rolled_back"),
    case("another_step", "the answer to Checkout is of another step", 3, "rolled_back"),
    case(
        "an_older_number",
        "the answer to Install has a fencing number that was overtaken",
        3,
        "rolled_back",
    ),
    case("two_answers", "two answers to Verify in one, the second of success", 3, "rolled_back"),
    case("huge_numbers", "numbers that fit nowhere, as fencing number and exit code", 7, "aborted"),
    case("huge_limits", "a time limit that fits nowhere", 3, "rolled_back"),
    case(
        "bytes_of_all_kinds",
        "NUL and bytes that are no UTF-8 in the words of the answer",
        3,
        "rolled_back",
    ),
    case("a_lock_never_freed", "the host is held by somebody, for ever", 7, "aborted"),
    case("a_very_long_word", "60,000 characters of reason", 3, "rolled_back"),
    case(
        "a_note_of_a_switch",
        "it says that it went back by itself, and did not, with escapes and 60,000 characters for a note",
        4,
        "needs_attention",
    ),
    case("a_job_that_never_ends", "the install is said to go on for ever", 3, "rolled_back"),
    case(
        "a_connection_cut_in_each_answer",
        "the connection is cut in the middle of each answer to a checkout",
        4,
        "needs_attention",
    ),
    case("success_to_everything", "`done`, exit 0, whatever was asked after Record", 7, "aborted"),
    case("a_record_of_nothing", "a name in the stead of a commit as what it ran before", 7, "aborted"),
    case("a_proof_without_a_commit", "Verify succeeds, and names no commit", 3, "rolled_back"),
    case("a_proof_of_another_commit", "Verify succeeds, and names the previous commit", 3, "rolled_back"),
    case("another_commit_for_a_hash", "asked what a full hash means, it names another commit", 7, "-"),
    case(
        "it_answers_as_an_honest_one",
        "it reads what it is asked, does nothing, and says in each answer what an honest host would",
        0,
        "updated",
    ),
];

/// What a host sends without end; each is stopped after 100 MB.
const FLOODS: &[(&str, &str)] = &[
    ("endless_stdout", "an answer without end"),
    ("endless_stderr", "the same on stderr"),
    ("one_endless_line", "one line without end"),
    ("endless_before_the_answer", "a greeting without end, before any answer"),
];
/// The most memory that Uphaul may have had in a flood, in bytes.
const MEMORY_MAX: u64 = 96 << 20;

/// One host, its configuration and its record.
struct Stage {
    rig: Rig,
    dir: tempfile::TempDir,
}

impl Stage {
    async fn new(case: &str) -> Self {
        let stage = Self { rig: Rig::new(), dir: tempfile::tempdir().unwrap() };
        let forged = "printf 'state=done\\nrc=0\\nhead=x\\n--\\nuphaul-%032x begin\\nuphaul-%032x end 0 0\\n' 1 1; exit 1";
        let install = match case {
            "forged_markers" => format!("[ ! -e only-in-v2 ] || {{ {forged}; }}; cp version .installed"),
            _ => "cp version .installed".into(),
        };
        let config = format!(
            "[default.database]\nurl = \"sqlite:uphaul.db\"\n[default.executor]\nbackend = \"command\"\n\
             [default.executor.command]\nargv = [\"host\", \"{case}\", \"{{address}}\"]\n\
             [default.service]\npath = \"{}\"\nunit = \"app.service\"\ninstall = '''{install}'''\n\
             [default.service.health]\ncommand = \"test ! -e ill\"\n[default.service.deadman]\nenabled = false\n\
             [default.timeouts]\nverify = \"2s\"\nhealthy = \"1s\"\nrestart = \"30s\"\n",
            stage.rig.checkout().display()
        );
        std::fs::write(stage.dir.path().join("uphaul.toml"), config).unwrap();
        let host = NewHost {
            name: name(),
            address: "localhost".into(),
            port: None,
            user: None,
            host_key: None,
            labels: Default::default(),
            settings: Default::default(),
        };
        let store = stage.store().await;
        store.add_hosts(&[host], 0).await.unwrap();
        store.observe(&name(), &stage.rig.revision("v1"), 0).await.unwrap();
        store.close().await;
        stage
    }

    async fn store(&self) -> Store {
        let url = format!("sqlite:{}", self.dir.path().join("uphaul.db").display());
        Store::open(&url).await.unwrap()
    }

    fn uphaul(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_uphaul"));
        command.args(args).current_dir(self.dir.path()).env_clear().envs(self.rig.login());
        // Found by its name, so that what is said of it is the same everywhere.
        let hosts = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hostile");
        command.env("PATH", format!("{hosts}:{}", self.rig.login()["PATH"]));
        command.env("HOSTILE", self.dir.path()).env("OTHER", self.rig.revision("v1").as_str());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What the record says that became of the host; it must agree with itself.
    async fn record(&self, case: &Case) -> String {
        let store = self.store().await;
        let row = store.host(&name()).await.unwrap().unwrap();
        let status = row.update_status.clone().unwrap_or_else(|| "-".into());
        let (v1, v2) = (self.rig.revision("v1"), self.rig.revision("v2"));
        let current = if status == "updated" { v2 } else { v1 };
        assert_eq!(row.current_version, Some(current), "{}: {status}", case.name);
        store.close().await;
        status
    }

    /// What was said, without what differs from run to run.
    fn said(&self, text: &str) -> String {
        let mut text = text.replace(&self.rig.path().display().to_string(), "$RIG");
        for label in ["v1", "v2"] {
            let revision = self.rig.revision(label);
            for length in [40, 12, 10, 8, 7] {
                text = text.replace(&revision.as_str()[..length], &label.to_uppercase());
            }
        }
        text
    }
}

fn name() -> HostName {
    "web-1".parse().unwrap()
}

/// Nothing that a terminal obeys, or the eye is led astray by.
fn assert_plain(case: &str, text: &str) {
    let bad = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(bad), "{case}: {text:?}");
    assert!(text.len() < 32 * 1024, "{case}: {} bytes were printed", text.len());
}

async fn tried(case: &Case) {
    let stage = Stage::new(case.name).await;
    let target = stage.rig.revision("v2");
    let output = stage.uphaul(&["update", "web-1", "--to", target.as_str()]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_plain(case.name, &stdout);
    assert_plain(case.name, &stderr);
    let history = stage.uphaul(&["history", "web-1", "--json"]).output().unwrap();
    assert_plain(case.name, &String::from_utf8(history.stdout).unwrap());
    let ends = (output.status.code().unwrap_or(-1), stage.record(case).await);
    assert_eq!((ends.0, ends.1.as_str()), case.ends, "{}: {stdout}{stderr}", case.name);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b[0-9a-z]{12}\b", "RUN");
    settings.add_filter(r"\d+(\.\d+)? (ms|s|min)\b", "N s");
    settings.add_filter(r" +N s", " N s");
    // A hash that a line was cut in the middle of.
    settings.add_filter(r"(V[12])[0-9a-f]+", "$1");
    let page = stage.said(&format!("{stdout}------- stderr -------\n{stderr}"));
    settings.bind(|| insta::assert_snapshot!(format!("hostile_{}", case.name), page));
}

#[test]
fn no_host_makes_the_record_say_what_was_not_proved() {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                while let Some(case) = CASES.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        runtime.block_on(tried(case));
                    }));
                    if result.is_err() {
                        failed.lock().unwrap().push(case.name);
                    }
                }
            });
        }
    });
    assert_eq!(failed.into_inner().unwrap(), Vec::<&str>::new());
}

#[tokio::test]
async fn no_host_fills_the_memory() {
    for (name, _) in FLOODS {
        let stage = Stage::new(name).await;
        let mut child = stage.uphaul(&["check", "web-1"]).spawn().unwrap();
        let flooded = stage.dir.path().join("flooded");
        // Bounded: a minute of a small machine is enough for 100 MB.
        for _ in 0..2400 {
            if flooded.exists() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(flooded.exists(), "{name}: not all of it was read");
        let peak = uphaul_tests::cost::peak(&child.id().to_string());
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        println!("{name}: at most {} MB after 100 MB of output", peak >> 20);
        assert!(peak < MEMORY_MAX, "{name}: {peak} bytes of memory");
        assert_plain(name, &String::from_utf8(output.stdout).unwrap());
        assert_plain(name, &String::from_utf8(output.stderr).unwrap());
    }
}

const BEGIN: &str = "<!-- The list of crates/cli/tests/hostile.rs; `UPHAUL_UPDATE_DOCS=1 cargo test -p uphaul --test hostile table` \
                     writes it. -->\n";
const END: &str = "<!-- The end of the list. -->\n";

#[test]
fn the_table_is_in_the_documentation() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/security.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("a place for the table");
    let (there, after) = rest.split_once(END).expect("the end of the table");
    let mut table =
        "\n| case | what the host does | exit | the record says |\n| --- | --- | --- | --- |\n".to_owned();
    for case in CASES {
        let (code, record) = case.ends;
        let record = if record == "-" { "nothing: no run began".into() } else { format!("`{record}`") };
        writeln!(table, "| {} | {} | {code} | {record} |", case.name.replace('_', " "), case.does).unwrap();
    }
    for (name, does) in FLOODS {
        writeln!(
            table,
            "| {} | {does} | | memory stays below {} MB |",
            name.replace('_', " "),
            MEMORY_MAX >> 20
        )
        .unwrap();
    }
    table.push('\n');
    if there != table && std::env::var_os("UPHAUL_UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(there, table, "UPHAUL_UPDATE_DOCS=1 writes it");
}
