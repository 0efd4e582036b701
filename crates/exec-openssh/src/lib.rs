//! RemoteExecutor over the system's ssh: everything that ssh_config can do (ProxyJump, Include, Match, certificates,
//! the agent, hardware keys), and the trust that known_hosts holds.
//!
//! One session is one `ssh` master with one connection; commands are sent to it over its control socket by the crate
//! `openssh` (native-mux), each as a frame ([`uphaul_core::ports::frame`]). What this crate adds to it:
//!
//! - The master is started here, not by the crate `openssh`: its error output is kept and read for the cause
//!   ([`cause`]), a cancelled connect ends it, and Ctrl-C on the terminal does not reach it.
//! - It idles out [`IDLE_S`] seconds after the last control connection is gone. The session holds one open all the time,
//!   so the master stays as long as the session, and does not outlive an Uphaul that was killed.
//! - A configuration is written for each connection, since ssh hands nothing but its configuration file on to the ssh
//!   of a jump host: strict host keys and time limits must hold there too.
//!
//! [`IDLE_S`]: master::IDLE_S

mod cause;
mod master;
mod place;
mod revoked;
mod session;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use uphaul_core::ports::{ExecError, ExecErrorKind, RemoteExecutor, RemoteSession, Target};

use crate::master::Master;
use crate::place::Place;
use crate::session::OpensshSession;
use crate::settings::Settings;

/// What the operator may set. Paths may begin with `~/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpensshConfig {
    /// An ssh_config file to read in the stead of `~/.ssh/config` and `/etc/ssh/ssh_config`, as `ssh -F` does.
    pub config: Option<PathBuf>,
    /// Private keys (or the public half of keys in the agent) to log in with, before those of the ssh_config. With any,
    /// keys that only the agent has are not tried: a host counts each.
    pub identity: Vec<PathBuf>,
    /// The known_hosts file, in the stead of the ssh_config's.
    pub known_hosts: Option<PathBuf>,
    /// The ssh program; none is `ssh` on the PATH.
    pub program: Option<PathBuf>,
}

/// Reaches hosts by the system's ssh. Cheap to share; one is enough for any number of hosts.
#[derive(Debug)]
pub struct OpensshExecutor {
    settings: Settings,
    place: Arc<Place>,
}

impl OpensshExecutor {
    /// Checks the settings, finds ssh and makes the private folder for control sockets.
    ///
    /// # Errors
    /// `Local`: there is no ssh, a configured file does not exist or has a name that ssh_config cannot express, or no
    /// folder can be made.
    pub fn new(config: OpensshConfig) -> Result<Self, ExecError> {
        Ok(Self { settings: Settings::new(config)?, place: Arc::new(Place::new()?) })
    }
}

#[async_trait]
impl RemoteExecutor for OpensshExecutor {
    async fn connect(&self, target: &Target) -> Result<Box<dyn RemoteSession>, ExecError> {
        let master = Master::launch(&self.settings, &self.place, target).await?;
        Ok(Box::new(OpensshSession::new(master)))
    }
}

fn local(detail: impl Into<String>) -> ExecError {
    ExecError::before(ExecErrorKind::Local, detail)
}
