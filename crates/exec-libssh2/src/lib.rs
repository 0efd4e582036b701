//! RemoteExecutor in the process, by libssh2: no ssh program is needed.
//!
//! Each session has a thread of its own ([`session`]), which connects ([`connect`]) and then runs commands, each as a
//! frame ([`uphaul_core::ports::frame`]). libssh2 is used in its non-blocking mode alone, and there is one place that
//! waits ([`link`]): all waits are bounded, are ended when nobody wants the result, and ask a silent server whether it is
//! there. A jump host has a thread too, which carries the bytes of the next one ([`tunnel`]).
//!
//! What the library does not do, or was seen to do wrong, is done here: known_hosts is read by us ([`known`], [`trust`]),
//! ssh_config too ([`config`], [`route`]), and encrypted keys are opened once for all hosts ([`settings`]).

mod accept;
mod agent;
mod alive;
mod config;
mod connect;
mod container;
mod dial;
mod keys;
mod known;
mod lend;
mod link;
mod login;
mod names;
mod route;
mod session;
mod settings;
mod stage;
mod survey;
mod trust;
mod tunnel;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use uphaul_core::ports::frame::Frame;
use uphaul_core::ports::{
    ExecError, ExecErrorKind, Output, RemoteCommand, RemoteExecutor, RemoteSession, Target,
};
use zeroize::Zeroizing;

use crate::link::{Caller, Cancelled, Wake};
use crate::session::{Order, Worker};
use crate::settings::Settings;
use crate::stage::Stage;
use crate::survey::Survey;

pub use crate::survey::Remark;

/// How many sessions, and so threads, there may be at once; further ones wait for their turn.
pub const SESSIONS_MAX: usize = 1024;

/// How much longer than a thread itself is waited for it: for what it cannot be woken from (a name service).
const GRACE: Duration = Duration::from_secs(1);
/// How long a session may take to end.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// What the operator may set. Paths may begin with `~/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Libssh2Config {
    /// An ssh_config file to read in the stead of `~/.ssh/config` and `/etc/ssh/ssh_config`, as `ssh -F` does.
    pub config: Option<PathBuf>,
    /// Private keys (or the public half of keys in the agent) to log in with, before those of the ssh_config. With any,
    /// keys that only the agent has are not tried: a host counts each.
    pub identity: Vec<PathBuf>,
    /// The known_hosts file, in the stead of the ssh_config's.
    pub known_hosts: Option<PathBuf>,
    /// What to do about a host of which no key is known.
    pub host_key: NewKeys,
    /// The environment variable that has the passphrase of encrypted keys.
    pub passphrase_env: Option<String>,
}

/// What to do about a host of which no key is known. A changed or revoked one is always refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NewKeys {
    /// Refuse it.
    #[default]
    Strict,
    /// Add what it shows to known_hosts.
    AcceptNew,
}

/// Asks a person for the passphrase of a key; none where nobody can be asked.
pub type Ask<'a> = &'a dyn Fn(&Path) -> Option<Zeroizing<String>>;

/// Reaches hosts by libssh2. Cheap to share; one is enough for any number of hosts.
#[derive(Debug)]
pub struct Libssh2Executor {
    settings: Arc<Settings>,
    sessions: Arc<Semaphore>,
}

impl Libssh2Executor {
    /// Checks the settings. `ask` is asked for each key of [`Libssh2Config::identity`] that is encrypted, is not in the
    /// agent, and has no [`Libssh2Config::passphrase_env`]; later nobody is asked anything but by [`Self::ask_for_keys`].
    ///
    /// # Errors
    /// `Local`: a configured file does not exist or is not what it should be, or a passphrase is wrong.
    pub fn new(config: Libssh2Config, ask: Ask<'_>) -> Result<Self, ExecError> {
        let settings = Arc::new(Settings::new(config, ask)?);
        Ok(Self { settings, sessions: Arc::new(Semaphore::new(SESSIONS_MAX)) })
    }

    /// Has `ask` asked for the encrypted keys that the ssh_config names for a host, as [`Self::new`] does for those of the
    /// configuration. It reaches nobody, and asks for each file once.
    ///
    /// # Errors
    /// `Local`: a passphrase is wrong.
    pub fn ask_for_keys(&self, target: &Target, ask: Ask<'_>) -> Result<(), ExecError> {
        // What is wrong with the ssh_config is told when the host is reached.
        let hops = route::way(&self.settings, target).unwrap_or_default();
        self.settings.ask_for_named(&hops, ask)
    }

    /// What stands in the way to these hosts on this machine: in the ssh_config, keys, the agent, known_hosts. It reads
    /// files and asks agents (for at most 5 s each), and reaches no host.
    pub fn survey(&self, targets: &[Target]) -> Vec<Remark> {
        Survey::of(&self.settings, targets)
    }
}

#[async_trait]
impl RemoteExecutor for Libssh2Executor {
    async fn connect(&self, target: &Target) -> Result<Box<dyn RemoteSession>, ExecError> {
        target.check_address()?;
        let stage = Arc::new(Stage::default());
        let late = || connect::too_slow(target, &target.label(), &stage);
        let limit = target.connect_timeout.saturating_add(GRACE);
        match tokio::time::timeout(limit, self.start(target, Arc::clone(&stage))).await {
            Ok(started) => started.map(|session| Box::new(session) as Box<dyn RemoteSession>),
            Err(_) => Err(late()),
        }
    }
}

impl Libssh2Executor {
    async fn start(&self, target: &Target, stage: Arc<Stage>) -> Result<Libssh2Session, ExecError> {
        let permit = Arc::clone(&self.sessions).acquire_owned().await;
        let permit = permit.map_err(|error| local(format!("no session can be opened: {error}")))?;
        let wake = Wake::new().map_err(|error| local(format!("no session can be opened: {error}")))?;
        let wake = Arc::new(wake);
        let (connected, answer) = oneshot::channel();
        let (orders, taken) = mpsc::channel();
        let (ended, done) = oneshot::channel();
        let thread = Thread {
            settings: Arc::clone(&self.settings),
            target: target.clone(),
            stage,
            wake: Arc::clone(&wake),
            _permit: permit,
        };
        let ring = Ring(wake);
        std::thread::Builder::new()
            .name("uphaul-ssh".into())
            .stack_size(tunnel::STACK)
            .spawn(move || {
                thread.run(connected, &taken);
                // Nobody may wait for it.
                let _: Result<(), ()> = ended.send(());
            })
            .map_err(|error| local(format!("no thread for a session can be started: {error}")))?;
        let session = Libssh2Session { label: target.label(), orders: Some(orders), done, ring };
        match answer.await {
            Ok(Ok(())) => Ok(session),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(local(format!("the thread of the session with {} broke off", target.label()))),
        }
    }
}

/// What a thread of a session begins with.
struct Thread {
    settings: Arc<Settings>,
    target: Target,
    stage: Arc<Stage>,
    wake: Arc<Wake>,
    _permit: OwnedSemaphorePermit,
}

impl Thread {
    fn run(self, answer: oneshot::Sender<Result<(), ExecError>>, orders: &mpsc::Receiver<Order>) {
        let connected = {
            let gone = || answer.is_closed();
            let caller = Caller { wake: &self.wake, gone: &gone };
            connect::connect(&self.settings, &self.target, &self.stage, caller)
        };
        match connected {
            Ok(Some(connected)) => {
                let worker = Worker::new(connected, self.target.label(), Arc::clone(&self.wake));
                if answer.send(Ok(())).is_ok() {
                    worker.work(orders);
                }
            }
            Ok(None) => {}
            // Nobody may want it any more.
            Err(error) => drop(answer.send(Err(error))),
        }
    }
}

/// Wakes the thread when it is dropped, so that it sees what has changed.
struct Ring(Arc<Wake>);

impl Drop for Ring {
    fn drop(&mut self) {
        self.0.ring();
    }
}

struct Libssh2Session {
    label: String,
    /// Dropped before the thread is woken.
    orders: Option<mpsc::Sender<Order>>,
    done: oneshot::Receiver<()>,
    ring: Ring,
}

#[async_trait]
impl RemoteSession for Libssh2Session {
    async fn run(&mut self, command: &RemoteCommand) -> Result<Output, ExecError> {
        let frame = Frame::new(command, random()?)?;
        // Dropped in the opposite order: first the answer is not wanted any more, then the thread is woken.
        let mut cancelled = Cancelled::new(Arc::clone(&self.ring.0));
        let (reply, answer) = oneshot::channel();
        // Its words and values stand in the frame, and are long: no second copy of them goes along.
        let said = RemoteCommand {
            argv: command.argv.iter().take(1).cloned().collect(),
            dir: None,
            env: BTreeMap::new(),
            stdin: command.stdin.clone(),
            timeout: command.timeout,
            user: command.user.clone(),
            output_max: command.output_max,
        };
        let order = Order { command: said, frame, reply };
        let broke_off = || {
            ExecError::after(
                ExecErrorKind::Lost,
                format!("the thread of the session with {} broke off", self.label),
            )
        };
        self.orders.as_ref().and_then(|orders| orders.send(order).ok()).ok_or_else(broke_off)?;
        self.ring.0.ring();
        let answered = answer.await.unwrap_or_else(|_| Err(broke_off()));
        cancelled.answered();
        answered
    }

    async fn close(mut self: Box<Self>) -> Result<(), ExecError> {
        self.orders = None;
        self.ring.0.ring();
        match tokio::time::timeout(CLOSE_MAX, &mut self.done).await {
            Ok(_) => Ok(()),
            Err(_) => Err(local(format!(
                "the session with {} was told to end and did not within {} s",
                self.label,
                CLOSE_MAX.as_secs()
            ))),
        }
    }
}

fn random() -> Result<u128, ExecError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| local(format!("this machine gives no random bytes: {error}")))?;
    Ok(u128::from_ne_bytes(bytes))
}

fn local(detail: impl Into<String>) -> ExecError {
    ExecError::before(ExecErrorKind::Local, detail)
}
