//! From a configuration and a database to runs that are driven.

mod beat;
mod links;
mod look;
mod resolve;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use uphaul_core::driver::{Link, Observer, Ports, Reach, Stop};
use uphaul_core::ids::{RefName, Revision, RunId};
use uphaul_core::plan::{Goal, PLAN_VERSION, Plan};
use uphaul_core::ports::{RemoteExecutor, Target};
use uphaul_exec_local::LocalExecutor;
use uphaul_exec_mock::{MockExecutor, MockFleet};
use uphaul_exec_openssh::{OpensshConfig, OpensshExecutor};
use uphaul_store::process::this_owner;
use uphaul_store::{Host, Owner, Store};

pub(crate) use look::Look;
pub(crate) use resolve::Resolved;
pub(crate) use work::{Ask, Job, To, previous_of};

use crate::clock::SystemClock;
use crate::config::{Backend, Config, OpensshOptions, facts};
use crate::error::CliError;

/// Everything that a command needs to work on hosts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) store: Store,
    pub(crate) config: Arc<Config>,
    pub(crate) owner: Arc<Owner>,
    reach: Reach,
    links: Arc<links::Links>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Engine {
    /// Puts the parts together.
    ///
    /// # Errors
    /// Where the executor cannot work on this machine.
    pub(crate) fn new(store: Store, config: Config) -> Result<Self, CliError> {
        let executor = executor(&config)?;
        let starts = Arc::new(Semaphore::new(config.fleet.connection_starts as usize));
        let reach = Reach { executor, starts };
        let (config, owner) = (Arc::new(config), Arc::new(this_owner()));
        Ok(Self { store, config, owner, reach, links: Arc::default() })
    }

    /// What the driver needs.
    pub(crate) fn ports(&self, observer: Arc<dyn Observer>, stop: Stop) -> Ports {
        let journal = Arc::new(self.store.clone());
        Ports { reach: self.reach.clone(), journal, clock: Arc::new(SystemClock), observer, stop }
    }

    /// The way to a host: the one that was left open when its ref was resolved, or a new one.
    fn link(&self, host: &Host) -> Link {
        self.links.take(&host.name).unwrap_or_else(|| Link::new(self.reach.clone(), self.target(host)))
    }

    /// Closes the connections that were left open and are not wanted.
    pub(crate) async fn close_links(&self) {
        self.links.close().await;
    }

    /// How a host is reached.
    pub(crate) fn target(&self, host: &Host) -> Target {
        Target {
            name: host.name.clone(),
            address: host.address.clone(),
            port: host.port,
            user: host.user.clone(),
            host_key: host.host_key.clone(),
            connect_timeout: Duration::from_secs(self.config.limits.connect_s.into()),
        }
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
        Ok(Plan {
            version: PLAN_VERSION,
            goal: ask.goal,
            reference: to.reference.clone(),
            target: to.commit.clone(),
            origin: to.origin.clone(),
            recorded: host.current_version.clone(),
            attempts_max: self.config.attempts_max,
            deadman: None,
            host: facts(host),
            service: self.config.plan_service(host)?,
            limits: self.config.limits.clone(),
            policy,
        })
    }

    /// A plan that goes nowhere, for commands that only look.
    pub(crate) fn plan_to_look(&self, host: &Host, to: Option<&Resolved>) -> Result<Plan, CliError> {
        let nowhere = nowhere()?;
        let ask = Ask { goal: Goal::Update, to: To::Previous, accept_drift: false, force: false };
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

/// The executor that the configuration names.
fn executor(config: &Config) -> Result<Arc<dyn RemoteExecutor>, CliError> {
    match config.backend {
        Backend::Openssh => {
            let OpensshOptions { config, identity, known_hosts } = config.openssh.clone();
            let executor =
                OpensshExecutor::new(OpensshConfig { config, identity, known_hosts, program: None });
            executor.map(|made| Arc::new(made) as Arc<dyn RemoteExecutor>).map_err(|error| {
                CliError::host("hosts cannot be reached by the system's ssh from this machine")
                    .cause(error.detail)
            })
        }
        Backend::Local => Ok(Arc::new(LocalExecutor::new())),
        Backend::Mock => Ok(Arc::new(MockExecutor::new(MockFleet::open()))),
        Backend::Libssh2 => Err(CliError::config("this build has no libssh2 backend yet")
            .hint("set executor.backend = \"openssh\", or say `--executor openssh`")),
    }
}

/// Hosts by name, for tasks that are begun by name.
pub(crate) fn by_name(hosts: &[Host]) -> BTreeMap<uphaul_core::ids::HostName, Host> {
    hosts.iter().map(|host| (host.name.clone(), host.clone())).collect()
}
