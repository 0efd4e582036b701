//! The executors under test, and a host for each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use uphaul_core::ports::{ExecError, Output, RemoteCommand, RemoteExecutor, RemoteSession, Target};
use uphaul_exec_mock::{MockFleet, MockHost, Release};
use uphaul_tests::sshd::{Sshd, SshdSpec, can_have_users, program, user};

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
    /// A host, or a simulated one for which is planned what the case needs of it ([`Host::acts`]).
    Acts,
    /// The same of `Network`: a connection that can be cut.
    ActsCut,
    /// The same of `Held`.
    ActsHeld,
    /// The same of `Trust`.
    ActsTrust,
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
    /// No more than to run what the driver sends.
    Script,
    /// That a host can be away.
    Away,
    /// A setting that adds the keys of unknown hosts.
    AcceptNew,
    /// That it reads a banner of more than 40000 bytes.
    LongBanner,
    /// A setting that opens encrypted keys.
    Passphrase,
    /// That an agent which does not answer is passed over.
    SilentAgent,
    /// `Trust`, where the tests may put another user's login to the test.
    TrustAsRoot,
    /// `Trust`, by a server that has users of its own.
    TwoUsers,
    /// `Held`, by a server that closes channels of its own accord.
    ChannelTimeout,
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
    /// What it says of itself, if it cannot do what a case needs.
    pub fn lack(&self, need: Need) -> Option<Verdict> {
        // What a simulated host cannot do, it can be planned to look like.
        let planned = [Need::Acts, Need::ActsCut, Need::ActsHeld, Need::ActsTrust].contains(&need);
        if planned && self.is_simulated() {
            return None;
        }
        let kind = match need {
            Need::Acts => Need::Host,
            Need::ActsCut => Need::Network,
            Need::ActsHeld => Need::Held,
            Need::ActsTrust => Need::Trust,
            Need::Shell(_) => Need::LoginShell,
            Need::TrustAsRoot | Need::TwoUsers => Need::Trust,
            Need::ChannelTimeout => Need::Held,
            plain => plain,
        };
        let found = self.lacks.iter().find(|(lack, _)| *lack == kind);
        found.map(|(_, why)| Verdict::NotFor((*why).to_owned()))
    }

    /// Whether its hosts know what the driver sends, and no other command.
    pub fn is_simulated(&self) -> bool {
        self.lacks.iter().any(|(lack, _)| *lack == Need::Host)
    }

    /// Whether it, and this machine, can do what a case needs.
    pub fn can(&self, need: Need) -> Result<(), Verdict> {
        if let Some(verdict) = self.lack(need) {
            return Err(verdict);
        }
        if self.lack(Need::Network).is_none()
            && let Err(why) = sshd_runs()
        {
            return Err(Verdict::Skipped(why.clone()));
        }
        match need {
            Need::Shell(shell) if program(shell).is_none() => {
                Err(Verdict::Skipped(format!("{shell} is not installed")))
            }
            Need::ChannelTimeout if Sshd::start(&channels_end()).is_err() => {
                Err(Verdict::Skipped("this sshd has no ChannelTimeout".into()))
            }
            Need::TwoUsers if !can_have_users() => {
                Err(Verdict::Skipped("a server can have no users of its own here (root and unshare)".into()))
            }
            Need::Root | Need::TrustAsRoot if user() != "root" => {
                Err(Verdict::Skipped("the tests do not run as root".into()))
            }
            Need::Host
            | Need::Acts
            | Need::ActsCut
            | Need::ActsHeld
            | Need::ActsTrust
            | Need::Network
            | Need::Held
            | Need::Trust
            | Need::LoginShell
            | Need::Shell(_)
            | Need::SshConfig
            | Need::Root
            | Need::Script
            | Need::Away
            | Need::AcceptNew
            | Need::LongBanner
            | Need::Passphrase
            | Need::TrustAsRoot
            | Need::TwoUsers
            | Need::ChannelTimeout
            | Need::SilentAgent => Ok(()),
        }
    }
}

fn sshd_runs() -> &'static Result<(), String> {
    static RUNS: OnceLock<Result<(), String>> = OnceLock::new();
    RUNS.get_or_init(|| Sshd::start(&SshdSpec::default()).map(drop))
}

/// A server that ends a channel which is silent for a second.
pub fn channels_end() -> SshdSpec {
    SshdSpec { config: "ChannelTimeout session=1s\n".into(), ..SshdSpec::default() }
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
    /// Whether keys of unknown hosts are added to it.
    pub accept_new: bool,
    /// The variable that has the passphrase of keys.
    pub passphrase_env: Option<String>,
    /// The simulated hosts.
    pub fleet: MockFleet,
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
            None => Access {
                config: "/dev/null".into(),
                identity: Vec::new(),
                known_hosts: "/dev/null".into(),
                accept_new: false,
                passphrase_env: None,
                fleet: simulated(),
            },
            Some(sshd) => Access {
                config: sshd.file("ssh_config", ""),
                identity: vec![sshd.identity()],
                known_hosts: sshd.known_hosts(),
                accept_new: false,
                passphrase_env: None,
                fleet: simulated(),
            },
        };
        let target = target(sshd.as_ref().map(Sshd::port));
        Host { backend: self.backend, sshd, access, target }
    }
}

/// A fleet of one host, `web1`.
fn simulated() -> MockFleet {
    let fleet = MockFleet::new();
    let v1 = fleet.release("v1", Release::good());
    fleet.host("web1", MockHost::at(&v1));
    fleet
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
    /// What reaches it.
    pub backend: &'static Backend,
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

    /// Has it be away: nothing listens there, nobody has heard of it.
    pub fn leave(&mut self) {
        self.target.name = "nowhere".parse().expect("a name");
        // A port that nothing listens at: the system gave it, and has it back.
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        self.target.port = Some(free.expect("a port").port());
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
