//! An operator: the real binary with a configuration, a home and a record of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use uphaul_core::ids::RunId;
use uphaul_core::machine::{Outcome, State};
use uphaul_store::{NewHost, Store, StoredEvent, StoredRun};
use uphaul_tests::lab::Host;

pub(crate) use super::going::Going;

/// No command of a scenario takes longer, on a machine that is busy with other things too.
pub(crate) const LONG: Duration = Duration::from_secs(240);

/// What a command did.
pub(crate) struct Out {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl std::fmt::Display for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {:?}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Out {
    /// The command ended with this code and told all of this, whatever the case of its letters.
    #[track_caller]
    pub(crate) fn ended(&self, code: i32, told: &[&str]) {
        assert_eq!(self.code, Some(code), "{self}");
        let plain = |text: &str| text.to_lowercase().replace('_', " ");
        let all = plain(&format!("{}\n{}", self.stdout, self.stderr));
        for words in told {
            assert!(all.contains(&plain(words)), "{words:?} is not told: {self}");
        }
    }
}

/// See above. Its hosts are called web-1, web-2, ...
pub(crate) struct Operator {
    dir: tempfile::TempDir,
    env: BTreeMap<String, String>,
    runtime: tokio::runtime::Runtime,
    store: Store,
}

impl Operator {
    /// One whose record knows that these hosts run what they have checked out now.
    pub(crate) fn of(hosts: &[&Host]) -> Self {
        Self::who_knows_nothing_of(hosts).observing(hosts)
    }

    /// The same, with a record elsewhere: `place` is given the operator's home, and says by its URL where.
    pub(crate) fn with_record(hosts: &[&Host], place: impl FnOnce(&Path) -> String) -> Self {
        let dir = home();
        let url = place(dir.path());
        Self::made(dir, &url, hosts).observing(hosts).set("database.url", url)
    }

    fn observing(self, hosts: &[&Host]) -> Self {
        for (i, host) in hosts.iter().enumerate() {
            let (name, head) = (name(i).parse().unwrap(), host.head().parse().unwrap());
            self.runtime.block_on(self.store.observe(&name, &head, 0)).unwrap();
        }
        self
    }

    /// One who has never worked on these hosts.
    pub(crate) fn who_knows_nothing_of(hosts: &[&Host]) -> Self {
        let dir = home();
        let url = format!("sqlite:{}", dir.path().join("uphaul.db").display());
        Self::made(dir, &url, hosts)
    }

    fn made(dir: tempfile::TempDir, url: &str, hosts: &[&Host]) -> Self {
        let all = |part: fn(&Host) -> PathBuf| -> String {
            hosts.iter().map(|host| std::fs::read_to_string(part(host)).unwrap() + "\n").collect()
        };
        std::fs::write(dir.path().join("ssh_config"), all(Host::ssh_config)).unwrap();
        std::fs::write(dir.path().join("known_hosts"), all(Host::known_hosts)).unwrap();
        std::fs::write(dir.path().join("uphaul.toml"), CONFIG.replace("BACKEND", BACKEND.get())).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let rows: Vec<NewHost> = (hosts.iter().enumerate())
            .map(|(i, host)| NewHost {
                name: name(i).parse().unwrap(),
                address: host.address().to_owned(),
                port: None,
                user: None,
                host_key: None,
                labels: BTreeMap::new(),
                settings: BTreeMap::new(),
            })
            .collect();
        let store = runtime.block_on(async {
            let store = Store::open(url).await.unwrap();
            store.add_hosts(&rows, 0).await.unwrap();
            store
        });
        Self { dir, env: BTreeMap::new(), runtime, store }
    }

    /// Sets a key of the configuration.
    pub(crate) fn set(mut self, key: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        let name = format!("UPHAUL_{}", key.to_uppercase().replace('.', "__"));
        self.env.insert(name, value.as_ref().to_str().unwrap().to_owned());
        self
    }

    /// Sets a variable of the environment that uphaul itself is started in.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.env.insert(name.to_owned(), value.as_ref().to_str().unwrap().to_owned());
        self
    }

    /// Takes the HTTP check out of the configuration, for a service that listens to nothing.
    pub(crate) fn without_http(self) -> Self {
        let file = self.path("uphaul.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("http = ")).collect();
        std::fs::write(file, kept.join("\n")).unwrap();
        self
    }

    /// Sets a key of both executors over SSH.
    pub(crate) fn set_ssh(self, key: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        let value = value.as_ref();
        self.set(&format!("executor.openssh.{key}"), value).set(&format!("executor.libssh2.{key}"), value)
    }

    /// A path of its own, below its home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs uphaul to its end.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Out {
        self.spawn(args).end()
    }

    /// Starts uphaul.
    pub(crate) fn spawn(&self, args: &[&str]) -> Going {
        let out = tempfile::NamedTempFile::new_in(self.dir.path()).unwrap();
        let err = tempfile::NamedTempFile::new_in(self.dir.path()).unwrap();
        let open = |file: &tempfile::NamedTempFile| Stdio::from(file.reopen().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_uphaul"))
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            // Its control sockets are there, so that its ssh can be told from others'.
            .env("TMPDIR", self.dir.path())
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(open(&out))
            .stderr(open(&err))
            .spawn()
            .unwrap();
        Going::new(child, out.into_temp_path(), err.into_temp_path())
    }

    // What the record says, of web-1 where nothing else is said.

    /// The row of the host.
    pub(crate) fn row(&self) -> uphaul_store::Host {
        self.row_of(0)
    }

    /// The row of one of several hosts, counted from 0.
    pub(crate) fn row_of(&self, i: usize) -> uphaul_store::Host {
        self.runtime.block_on(self.store.host(&name(i).parse().unwrap())).unwrap().unwrap()
    }

    /// Its runs, the last one first.
    pub(crate) fn runs(&self) -> Vec<StoredRun> {
        self.runtime.block_on(self.store.runs_of_host(&name(0).parse().unwrap(), 50)).unwrap()
    }

    /// The last run of one of several hosts.
    pub(crate) fn run_of(&self, i: usize) -> StoredRun {
        let runs = self.runtime.block_on(self.store.runs_of_host(&name(i).parse().unwrap(), 1)).unwrap();
        runs.into_iter().next().expect("a run of this host")
    }

    /// How the last run ended.
    #[track_caller]
    pub(crate) fn outcome(&self) -> Outcome {
        match self.run_of(0).record.state {
            State::Finished(outcome) => outcome,
            state => panic!("the run is not over: {state}"),
        }
    }

    /// Why the last run did not reach its target: each failure with the end of what was printed.
    pub(crate) fn causes(&self) -> String {
        let causes = match self.outcome() {
            Outcome::Aborted { cause } | Outcome::RolledBack { cause, .. } => vec![cause],
            Outcome::NeedsAttention { causes, .. } => causes,
            Outcome::Updated { .. } | Outcome::Unchanged | Outcome::Superseded { .. } => Vec::new(),
        };
        let told = |cause: &uphaul_core::machine::StepFailure| format!("{cause}\n{}\n", cause.reason.tail());
        causes.iter().map(told).collect()
    }

    /// The last run did not reach its target for a reason that says all of this.
    #[track_caller]
    pub(crate) fn because(&self, words: &[&str]) {
        let causes = self.causes();
        for word in words {
            assert!(causes.contains(word), "{word:?} is no part of the reason: {causes}");
        }
    }

    /// The log of the last run, as states.
    pub(crate) fn log(&self) -> Vec<String> {
        let Some(run) = self.runs().into_iter().next() else { return Vec::new() };
        self.events(&run.record.id).into_iter().map(|event| event.state.to_string()).collect()
    }

    /// The log of a run.
    pub(crate) fn events(&self, run: &RunId) -> Vec<StoredEvent> {
        self.runtime.block_on(self.store.events(run)).unwrap()
    }

    /// Where the last run is, if there is one.
    pub(crate) fn state(&self) -> Option<State> {
        let runs = self.runtime.block_on(self.store.runs_of_host(&name(0).parse().unwrap(), 1)).unwrap();
        runs.into_iter().next().map(|run| run.record.state)
    }

    /// Whether the log of the last run has this state.
    pub(crate) fn was(&self, state: &str) -> bool {
        self.log().iter().any(|one| one == state)
    }

    /// How many leases there are.
    pub(crate) fn leases(&self) -> usize {
        self.runtime.block_on(self.store.leases()).unwrap().len()
    }
}

/// How often the install of this label was begun on the host.
pub(crate) fn installs_of(host: &Host, label: &str) -> usize {
    host.installs().iter().filter(|line| **line == format!("start {label}")).count()
}

fn home() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("uphaul-hosts-").tempdir().unwrap()
}

fn name(i: usize) -> String {
    format!("web-{}", i + 1)
}

thread_local! {
    static BACKEND: std::cell::Cell<&'static str> = const { std::cell::Cell::new("openssh") };
}

/// Says what the operators of this scenario reach their hosts by: one half by each, so that both are tried, and all by
/// the one that the variable UPHAUL_TEST_EXECUTOR names; `other` has each by the one that it is not usually reached by.
pub(crate) fn choose_backend(scenario: &str) {
    reach_by(backend_of(scenario));
}

/// See above.
pub(crate) fn backend_of(scenario: &str) -> &'static str {
    let asked = std::env::var("UPHAUL_TEST_EXECUTOR").unwrap_or_default();
    let odd = scenario.bytes().fold(0, |sum: u8, byte| sum.wrapping_add(byte)) % 2 == 1;
    match asked.as_str() {
        "openssh" => "openssh",
        "libssh2" => "libssh2",
        "" if odd => "libssh2",
        "" => "openssh",
        "other" if odd => "openssh",
        "other" => "libssh2",
        unknown => panic!("UPHAUL_TEST_EXECUTOR is {unknown:?}, and has to be openssh, libssh2 or other"),
    }
}

/// For a scenario that is about one of them.
pub(crate) fn reach_by(backend: &'static str) {
    BACKEND.set(backend);
}

const CONFIG: &str = include_str!("uphaul.toml");
