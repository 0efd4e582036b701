//! From a configuration and a database to runs that are driven.

mod beat;
mod links;
mod look;
mod masked;
mod resolve;
mod work;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use uphaul_core::driver::{Link, Observer, Ports, Reach, Stop};
use uphaul_core::ids::{RefName, Revision, RunId};
use uphaul_core::plan::{Goal, PLAN_VERSION, Plan};
use uphaul_core::ports::{ExecError, RemoteExecutor, Target};
use uphaul_exec_command::CommandExecutor;
use uphaul_exec_libssh2::{Libssh2Config, Libssh2Executor, NewKeys};
use uphaul_exec_local::LocalExecutor;
use uphaul_exec_mock::{MockExecutor, MockFleet};
use uphaul_exec_openssh::{OpensshConfig, OpensshExecutor};
use uphaul_store::process::this_owner;
use uphaul_store::{Host, Owner, Store};
use zeroize::Zeroizing;

pub(crate) use look::Look;
pub(crate) use resolve::Resolved;
pub(crate) use work::{Ask, Job, To, previous_of};

use crate::clock::SystemClock;
use crate::config::{Backend, Config, Libssh2Options, OpensshOptions, facts};
use crate::error::CliError;

/// Everything that a command needs to work on hosts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) store: Store,
    pub(crate) config: Arc<Config>,
    pub(crate) owner: Arc<Owner>,
    starts: Arc<Semaphore>,
    /// Each host at work has one, also where several commands' worth of work goes on at once.
    turns: Arc<Semaphore>,
    /// Each is made when the first host needs it.
    executors: Arc<Mutex<BTreeMap<Backend, Made>>>,
    links: Arc<links::Links>,
}

/// An executor that was made.
pub(crate) enum Made {
    /// It may have to ask for keys of each host.
    Libssh2(Arc<Libssh2Executor>),
    /// It asks nobody.
    Other(Arc<dyn RemoteExecutor>),
}

impl Made {
    fn executor(&self) -> Arc<dyn RemoteExecutor> {
        match self {
            Self::Libssh2(executor) => Arc::<Libssh2Executor>::clone(executor),
            Self::Other(executor) => Arc::clone(executor),
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Engine {
    /// Puts the parts together.
    pub(crate) fn new(store: Store, config: Config) -> Self {
        let starts = Arc::new(Semaphore::new(config.fleet.connection_starts as usize));
        let turns = Arc::new(Semaphore::new((config.fleet.parallel as usize).max(1)));
        let owner = Arc::new(this_owner());
        Self {
            store,
            config: Arc::new(config),
            owner,
            starts,
            turns,
            executors: Arc::default(),
            links: Arc::default(),
        }
    }

    /// By what a host is reached. The hosts of one command may be reached by several.
    ///
    /// # Errors
    /// Where that executor cannot work on this machine.
    pub(crate) fn reach(&self, host: &Host) -> Result<Reach, CliError> {
        let chosen = self.config.backend_of(host);
        let mut executors = self.executors.lock().unwrap_or_else(PoisonError::into_inner);
        let executor = match executors.get(&chosen.backend) {
            Some(made) => made.executor(),
            None => {
                let made = executor(chosen.backend, &self.config)
                    .map_err(|error| error.cause(format!("{} is to be reached by {chosen}", host.name)))?;
                let executor = made.executor();
                executors.insert(chosen.backend, made);
                executor
            }
        };
        Ok(Reach { executor, starts: self.starts.clone() })
    }

    /// What is missing to reach these hosts is told, and a person is asked for what only they know, before the first of
    /// them is touched.
    ///
    /// # Errors
    /// Where an executor cannot work on this machine.
    pub(crate) fn ready(&self, hosts: &[Host]) -> Result<(), CliError> {
        hosts.iter().try_for_each(|host| self.reach(host).map(drop))?;
        if !somebody_is_there() {
            return Ok(());
        }
        let executors = self.executors.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Made::Libssh2(libssh2)) = executors.get(&Backend::Libssh2) else { return Ok(()) };
        let own = hosts.iter().filter(|host| self.config.backend_of(host).backend == Backend::Libssh2);
        for host in own {
            libssh2.ask_for_keys(&self.target(host), &ask_passphrase).map_err(not_by_libssh2)?;
        }
        Ok(())
    }

    /// What the driver needs.
    pub(crate) fn ports(&self, reach: Reach, observer: Arc<dyn Observer>, stop: Stop) -> Ports {
        let journal = Arc::new(self.store.clone());
        Ports { reach, journal, clock: Arc::new(SystemClock), observer, stop, mask: self.config.mask.clone() }
    }

    /// The way to a host: the one that was left open when its ref was resolved, or a new one.
    fn link(&self, host: &Host) -> Result<Link, CliError> {
        match self.links.take(&host.name) {
            Some(link) => Ok(link),
            None => Ok(Link::new(self.reach(host)?, self.target(host))),
        }
    }

    /// Closes the connections that were left open and are not wanted.
    pub(crate) async fn close_links(&self) {
        self.links.close().await;
    }

    /// How a host is reached.
    pub(crate) fn target(&self, host: &Host) -> Target {
        target(&self.config, host)
    }

    /// How long a lost host is tried before its run is parked.
    pub(crate) fn reconnect(&self) -> Duration {
        Duration::from_secs(self.config.fleet.reconnect_s.into())
    }

    /// Decides everything about a run before it begins.
    pub(crate) fn plan(&self, host: &Host, ask: &Ask, to: &Resolved) -> Result<Plan, CliError> {
        let mut policy = self.config.policy(host);
        policy.accept_drift = ask.accept_drift;
        policy.force = ask.force;
        // What the host was proved to run before needs no signature: the way back is always open.
        let back = ask.goal == Goal::Rollback && host.previous_version.as_ref() == Some(&to.commit);
        Ok(Plan {
            version: PLAN_VERSION,
            goal: ask.goal,
            reference: to.reference.clone(),
            target: to.commit.clone(),
            origin: to.origin.clone(),
            recorded: host.current_version.clone(),
            attempts_max: self.config.attempts_max,
            signers: self.config.signers(host)?.filter(|_| !back),
            deadman: self.config.deadman(host).filter(|_| !ask.no_deadman),
            host: facts(host),
            service: self.config.plan_service(host)?,
            limits: self.config.limits.clone(),
            policy,
        })
    }

    /// A plan that goes nowhere, for commands that only look.
    pub(crate) fn plan_to_look(&self, host: &Host, to: Option<&Resolved>) -> Result<Plan, CliError> {
        let nowhere = nowhere()?;
        let ask = Ask {
            goal: Goal::Update,
            to: To::Previous,
            accept_drift: false,
            force: false,
            no_deadman: false,
        };
        self.plan(host, &ask, to.unwrap_or(&nowhere))
    }
}

/// A commit that no repository has.
fn nowhere() -> Result<Resolved, CliError> {
    let fault = |error: uphaul_core::ids::InvalidName| CliError::internal(error.to_string());
    let commit: Revision = "0".repeat(40).parse().map_err(fault)?;
    let reference: RefName = "HEAD".parse().map_err(fault)?;
    Ok(Resolved { reference, commit, kind: String::new(), origin: None, seen_from: None })
}

/// A new name for a run.
pub(crate) fn new_run_id() -> Result<RunId, CliError> {
    let bits = getrandom::u64().map_err(|error| CliError::internal(format!("no randomness: {error}")))?;
    Ok(RunId::from_bits(bits))
}

/// How a host is reached.
pub(crate) fn target(config: &Config, host: &Host) -> Target {
    Target {
        name: host.name.clone(),
        address: host.address.clone(),
        port: host.port,
        user: host.user.clone(),
        host_key: host.host_key.clone(),
        connect_timeout: Duration::from_secs(config.limits.connect_s.into()),
    }
}

/// Makes an executor.
///
/// # Errors
/// Says why it cannot work on this machine.
pub(crate) fn executor(backend: Backend, config: &Config) -> Result<Made, CliError> {
    match backend {
        Backend::Openssh => {
            let OpensshOptions { config, identity, known_hosts } = config.openssh.clone();
            let executor =
                OpensshExecutor::new(OpensshConfig { config, identity, known_hosts, program: None });
            executor.map(|made| Made::Other(Arc::new(made))).map_err(|error| {
                CliError::host("hosts cannot be reached by the system's ssh from this machine")
                    .cause(error.detail)
            })
        }
        Backend::Command => {
            let template = config.command.clone().ok_or_else(|| {
                CliError::config("the executor `command` has no program: executor.command.argv is not set")
            })?;
            let executor = CommandExecutor::new(template);
            executor.map(|made| Made::Other(Arc::new(made))).map_err(|error| {
                CliError::host("hosts cannot be reached by the program of executor.command.argv")
                    .cause(error.detail)
            })
        }
        Backend::Local => Ok(Made::Other(Arc::new(LocalExecutor::new()))),
        Backend::Mock => Ok(Made::Other(Arc::new(MockExecutor::new(MockFleet::open())))),
        Backend::Libssh2 => libssh2(config, &ask_passphrase).map(|made| Made::Libssh2(Arc::new(made))),
    }
}

/// The executor `libssh2`. `ask` is asked for the passphrases of keys that are named and that nothing else opens.
///
/// # Errors
/// Says why it cannot work on this machine.
pub(crate) fn libssh2(
    config: &Config,
    ask: uphaul_exec_libssh2::Ask<'_>,
) -> Result<Libssh2Executor, CliError> {
    let Libssh2Options { config, identity, known_hosts, accept_new, passphrase_env } = config.libssh2.clone();
    let host_key = if accept_new { NewKeys::AcceptNew } else { NewKeys::Strict };
    let config = Libssh2Config { config, identity, known_hosts, host_key, passphrase_env };
    Libssh2Executor::new(config, ask).map_err(not_by_libssh2)
}

fn not_by_libssh2(error: ExecError) -> CliError {
    CliError::host("hosts cannot be reached by libssh2 from this machine").cause(error.detail)
}

/// Whether a question would be read by a person, and answered.
fn somebody_is_there() -> bool {
    std::io::stdin().is_terminal() && console::Term::stderr().is_term()
}

/// Asks for the passphrase of a key, where somebody can be asked.
fn ask_passphrase(path: &Path) -> Option<Zeroizing<String>> {
    if !somebody_is_there() {
        return None;
    }
    let terminal = console::Term::stderr();
    terminal.write_str(&format!("passphrase of {}: ", path.display())).ok()?;
    terminal.read_secure_line().ok().filter(|text| !text.is_empty()).map(Zeroizing::new)
}

/// Hosts by name, for tasks that are begun by name.
pub(crate) fn by_name(hosts: &[Host]) -> BTreeMap<uphaul_core::ids::HostName, Host> {
    hosts.iter().map(|host| (host.name.clone(), host.clone())).collect()
}
