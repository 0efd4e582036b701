//! The executors under test, and a host for each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use uphaul_core::ports::{ExecError, Output, RemoteCommand, RemoteExecutor, RemoteSession, Target};
use uphaul_exec_command::{CommandExecutor, Template};
use uphaul_exec_libssh2::{Libssh2Config, Libssh2Executor};
use uphaul_exec_local::LocalExecutor;
use uphaul_exec_openssh::{OpensshConfig, OpensshExecutor};
use uphaul_tests::sshd::{Sshd, SshdSpec, program, user};

/// All executors. What one lacks stands with the reason, which the table prints.
pub const BACKENDS: &[Backend] = &[
    Backend {
        name: "local",
        executor: |_| Ok(Arc::new(LocalExecutor::new())),
        lacks: &[
            (Need::Network, "it reaches no other machine"),
            (Need::Held, "it reaches no other machine"),
            (Need::Trust, "it reaches no other machine"),
            (Need::LoginShell, "no login shell stands before its commands"),
            (Need::SshConfig, "it reads no ssh_config"),
        ],
    },
    Backend {
        name: "openssh",
        executor: |access| {
            let config = OpensshConfig {
                config: Some(access.config.clone()),
                identity: access.identity.clone(),
                known_hosts: Some(access.known_hosts.clone()),
                program: None,
            };
            Ok(Arc::new(OpensshExecutor::new(config)?))
        },
        lacks: &[],
    },
    Backend {
        name: "libssh2",
        executor: |access| {
            let config = Libssh2Config {
                config: Some(access.config.clone()),
                identity: access.identity.clone(),
                known_hosts: Some(access.known_hosts.clone()),
                ..Libssh2Config::default()
            };
            Ok(Arc::new(Libssh2Executor::new(config, &|_| None)?))
        },
        lacks: &[],
    },
    Backend {
        name: "command",
        executor: |_| by_command(&["env", "REACHED={address}"]),
        lacks: &[
            (
                Need::Network,
                "the program that it is tried with here reaches no other machine (command-ssh does)",
            ),
            (Need::Held, NOT_HELD),
            (Need::Trust, NO_TRUST),
            (Need::LoginShell, "no shell reads a command line here (command-ssh has one)"),
            (Need::SshConfig, "it reads no ssh_config"),
        ],
    },
    Backend {
        name: "command-ssh",
        executor: |access| {
            let path = |path: &Path| path.to_str().expect("a path").to_owned();
            let known_hosts = format!("UserKnownHostsFile={}", path(&access.known_hosts));
            let identity = access.identity.iter().flat_map(|file| ["-i".to_owned(), path(file)]);
            let options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", &known_hosts]
                .into_iter()
                .chain(["ServerAliveInterval=3", "ServerAliveCountMax=2"]);
            let words = ["ssh".to_owned(), "-F".into(), path(&access.config)];
            let words =
                words.into_iter().chain(identity).chain(options.flat_map(|o| ["-o".into(), o.into()]));
            let ends = ["-p", "{port}", "-l", "{user}", "{address}", "{command}"].map(ToOwned::to_owned);
            let words: Vec<String> = words.chain(ends).collect();
            by_command(&words.iter().map(String::as_str).collect::<Vec<_>>())
        },
        lacks: &[
            (Need::Held, NOT_HELD),
            (Need::Trust, NO_TRUST),
            (Need::SshConfig, "it reads no ssh_config; the program may"),
        ],
    },
];

const NOT_HELD: &str =
    "each command is a process of the program, and a connection of its own where it makes one";
const NO_TRUST: &str =
    "the program logs in and checks keys, and its words say why not: no error tells keys and refusals apart";

fn by_command(words: &[&str]) -> Result<Arc<dyn RemoteExecutor>, ExecError> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let template = Template::parse(&words).unwrap_or_else(|why| panic!("{why}"));
    Ok(Arc::new(CommandExecutor::new(template)?))
}

/// One executor.
pub struct Backend {
    /// As the configuration names it.
    pub name: &'static str,
    /// Makes it.
    pub executor: fn(&Access) -> Result<Arc<dyn RemoteExecutor>, ExecError>,
    /// What it cannot do by its nature.
    pub lacks: &'static [(Need, &'static str)],
}

/// What a case asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing but a host.
    Host,
    /// A connection that can be cut.
    Network,
    /// One connection for all commands of a session.
    Held,
    /// That it checks keys and logs in by itself, and so tells what was refused.
    Trust,
    /// A shell that reads the command line on the host.
    LoginShell,
    /// That login shell.
    Shell(&'static str),
    /// Jump hosts and the like.
    SshConfig,
    /// The right to become another user.
    Root,
}

/// How a case went.
#[derive(Debug)]
pub enum Verdict {
    /// It passed.
    Passed,
    /// It failed.
    Failed(String),
    /// The backend does not do this by its nature.
    NotFor(String),
    /// It could not be tried here.
    Skipped(String),
}

impl Backend {
    /// Whether it, and this machine, can do what a case needs.
    pub fn can(&self, need: Need) -> Result<(), Verdict> {
        let lacks =
            |need| self.lacks.iter().find(|(lack, _)| *lack == need).map(|(_, why)| (*why).to_owned());
        let kind = if matches!(need, Need::Shell(_)) { Need::LoginShell } else { need };
        if let Some(why) = lacks(kind) {
            return Err(Verdict::NotFor(why));
        }
        if lacks(Need::Network).is_none()
            && let Err(why) = sshd_runs()
        {
            return Err(Verdict::Skipped(why.clone()));
        }
        match need {
            Need::Shell(shell) if program(shell).is_none() => {
                Err(Verdict::Skipped(format!("{shell} is not installed")))
            }
            Need::Root if user() != "root" => Err(Verdict::Skipped("the tests do not run as root".into())),
            Need::Host
            | Need::Network
            | Need::Held
            | Need::Trust
            | Need::LoginShell
            | Need::Shell(_)
            | Need::SshConfig
            | Need::Root => Ok(()),
        }
    }
}

fn sshd_runs() -> &'static Result<(), String> {
    static RUNS: OnceLock<Result<(), String>> = OnceLock::new();
    RUNS.get_or_init(|| Sshd::start(&SshdSpec::default()).map(drop))
}

/// What a client is given to reach a host.
#[derive(Debug, Clone)]
pub struct Access {
    /// An ssh_config.
    pub config: PathBuf,
    /// Private keys.
    pub identity: Vec<PathBuf>,
    /// A known_hosts file.
    pub known_hosts: PathBuf,
}

/// What a case is given.
#[derive(Clone, Copy)]
pub struct Bench {
    /// The executor under test.
    pub backend: &'static Backend,
}

impl Bench {
    /// A host of its own.
    pub fn host(self) -> Host {
        self.host_with(&SshdSpec::default())
    }

    /// A host that differs in something, if the backend has a network.
    pub fn host_with(self, spec: &SshdSpec) -> Host {
        let local = self.backend.lacks.iter().any(|(need, _)| *need == Need::Network);
        let sshd = (!local).then(|| Sshd::start(spec).expect("an sshd"));
        let access = match &sshd {
            None => {
                Access { config: "/dev/null".into(), identity: Vec::new(), known_hosts: "/dev/null".into() }
            }
            Some(sshd) => Access {
                config: sshd.file("ssh_config", ""),
                identity: vec![sshd.identity()],
                known_hosts: sshd.known_hosts(),
            },
        };
        let target = target(sshd.as_ref().map(Sshd::port));
        Host { backend: self.backend, sshd, access, target }
    }
}

/// This machine, as a host at that port, or without a network.
pub fn target(port: Option<u16>) -> Target {
    Target {
        name: "web1".parse().expect("a name"),
        address: if port.is_some() { "127.0.0.1" } else { "local" }.into(),
        port,
        user: Some(user().parse().expect("a user")),
        // Generous: many tests may run on a small machine.
        host_key: None,
        connect_timeout: Duration::from_secs(60),
    }
}

/// A host, and how to reach it.
pub struct Host {
    backend: &'static Backend,
    /// Its server, if the backend has a network.
    pub sshd: Option<Sshd>,
    /// What the client is given.
    pub access: Access,
    /// Whom to reach.
    pub target: Target,
}

impl Host {
    /// Its server.
    pub fn sshd(&self) -> &Sshd {
        self.sshd.as_ref().expect("the case needs Network")
    }

    /// A new executor.
    pub fn executor(&self) -> Arc<dyn RemoteExecutor> {
        (self.backend.executor)(&self.access).unwrap_or_else(|error| panic!("no executor: {error}"))
    }

    /// A session of a new executor.
    pub async fn connect(&self) -> Box<dyn RemoteSession> {
        self.try_connect().await.unwrap_or_else(|error| {
            let log = self.sshd.as_ref().map(Sshd::log).unwrap_or_default();
            panic!("cannot connect: {error}\nthe server: {log}")
        })
    }

    /// The same, where it may fail.
    pub async fn try_connect(&self) -> Result<Box<dyn RemoteSession>, ExecError> {
        self.executor().connect(&self.target).await
    }

    /// Runs one command on a session of its own.
    pub async fn run(&self, command: &RemoteCommand) -> Result<Output, ExecError> {
        let mut session = self.connect().await;
        let result = session.run(command).await;
        session.close().await.unwrap_or_else(|error| panic!("cannot close: {error}"));
        result
    }
}

/// A command with the given words and nothing else.
pub fn command(argv: &[&str]) -> RemoteCommand {
    RemoteCommand {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        dir: None,
        env: BTreeMap::new(),
        stdin: Vec::new(),
        timeout: Duration::from_secs(120),
        user: None,
        output_max: 1 << 20,
    }
}

/// A shell script.
pub fn sh(script: &str) -> RemoteCommand {
    command(&["sh", "-c", script])
}

/// A number of seconds that is in no other process's words: `sleep MARK` can be looked for, and sleeps for days.
pub fn mark() -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("98765.{}{number:04}", std::process::id())
}

/// Waits until something is so, where no event tells it: processes of others. At most a minute.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..1200 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within a minute: {what}");
}

/// Bounds what must not take long; far above what it takes, far below what a hang would.
pub async fn soon<T>(seconds: u64, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(seconds), future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {seconds} s: {what}"),
    }
}
