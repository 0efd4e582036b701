//! What reaches a host.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::host_key::HostKey;
use crate::ids::HostName;
use crate::plan::UserName;

/// Opens sessions to hosts. An implementation is done when it passes the conformance suite.
#[async_trait]
pub trait RemoteExecutor: Send + Sync {
    /// Opens one session, within `target.connect_timeout`. Host keys are checked; nobody is asked anything.
    async fn connect(&self, target: &Target) -> Result<Box<dyn RemoteSession>, ExecError>;
}

/// One connection to a host. Commands run one after the other.
#[async_trait]
pub trait RemoteSession: Send {
    /// Runs a command to its end. A non-zero exit is an [`Output`]. Dropping the future, the loss of the connection
    /// and the timeout all end the command and its process group on the host.
    async fn run(&mut self, command: &RemoteCommand) -> Result<Output, ExecError>;
    /// Ends the connection.
    async fn close(self: Box<Self>) -> Result<(), ExecError>;
}

/// Whom to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name in the record, for messages.
    pub name: HostName,
    /// A host name, an IP address, or an alias of the user's ssh_config.
    pub address: String,
    /// The port, if not the executor's own default.
    pub port: Option<u16>,
    /// The user that logs in, if not the executor's own default.
    pub user: Option<UserName>,
    /// The one key that the host may show, if it is pinned; known_hosts is then not asked.
    pub host_key: Option<HostKey>,
    /// How long the connection may take to be open and authenticated.
    pub connect_timeout: Duration,
}

impl Target {
    /// Whom we reach, for messages: `web1 (deploy@10.0.0.1 port 22)`, without what is left to ssh_config.
    pub fn label(&self) -> String {
        let user = self.user.as_ref().map_or_else(String::new, |user| format!("{user}@"));
        let port = self.port.map_or_else(String::new, |port| format!(" port {port}"));
        format!("{} ({user}{}{port})", self.name, self.address)
    }

    /// Refuses an address that a program could read as something else than a host.
    ///
    /// # Errors
    /// `Local`, with what is wrong.
    pub fn check_address(&self) -> Result<(), ExecError> {
        let Self { name, address, .. } = self;
        let local = |detail| Err(ExecError::before(ExecErrorKind::Local, detail));
        let plain = |c: char| c.is_alphanumeric() || "._-:%[]+".contains(c);
        if address.is_empty() || address.starts_with('-') || address.len() > 255 {
            return local(format!("host {name} has the address {address:?}, which is no host name"));
        }
        match address.chars().find(|c| !plain(*c)) {
            None => Ok(()),
            Some(c) => local(format!(
                "host {name} has the address {address:?}: {c:?} is in no host name (the user and the port are fields \
                 of their own)"
            )),
        }
    }
}

/// A command as data. Every word reaches the host as it is: nothing in it is read by a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteCommand {
    /// The program and its arguments; at least one, none with a NUL.
    pub argv: Vec<String>,
    /// Where it runs; none is the login's own directory.
    pub dir: Option<String>,
    /// Added to the environment that the login has.
    pub env: BTreeMap<String, String>,
    /// What it reads; it sees the end of file after this.
    pub stdin: Vec<u8>,
    /// How long it may run; then it is ended on the host, with its process group.
    pub timeout: Duration,
    /// The user it runs as, if not the one that logs in (by `runuser` for root, else by `sudo -n`).
    pub user: Option<UserName>,
    /// How many bytes of each output are kept; the last ones are, and what was cut is counted.
    pub output_max: usize,
}

impl RemoteCommand {
    /// What its words and its environment take, in bytes, with what ends each of them.
    pub fn size(&self) -> usize {
        self.argv.iter().map(|word| word.len() + 1).sum::<usize>()
            + self.env.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>()
    }
}

/// The end of one output stream of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// The last bytes, at most `output_max`.
    pub bytes: Vec<u8>,
    /// How many bytes came before them and were not kept.
    pub dropped: u64,
}

impl Captured {
    /// The bytes as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// The exit code; 128 + n where signal n ended it, as every shell says it, so that all executors agree.
    pub code: i32,
    /// What it printed.
    pub stdout: Captured,
    /// What it complained.
    pub stderr: Captured,
}

/// What kind of thing went wrong between here and the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExecErrorKind {
    /// No connection: no route, refused, no such name, no answer in time.
    Connect,
    /// The host does not accept the user or the key.
    Auth,
    /// The host's key is unknown, changed or revoked.
    HostKey,
    /// The connection was there and is gone.
    Lost,
    /// The command ran longer than it may; it was ended on the host.
    Timeout,
    /// This machine could not do its part (no ssh, a bad command, no file descriptors).
    Local,
}

/// Why there is no [`Output`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecError {
    /// What kind.
    pub kind: ExecErrorKind,
    /// Whether the command may have run, or may still be running.
    pub maybe_ran: bool,
    /// What was tried and what came back, for the person who has to act.
    pub detail: String,
}

impl ExecError {
    /// An error before anything was sent to the host.
    pub fn before(kind: ExecErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, maybe_ran: false, detail: detail.into() }
    }

    /// An error after which nobody knows whether the command ran.
    pub fn after(kind: ExecErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, maybe_ran: true, detail: detail.into() }
    }
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for ExecError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_a_program_reads_otherwise_are_refused() {
        let target = |address: &str| Target {
            name: "web1".parse().unwrap(),
            address: address.into(),
            port: None,
            user: None,
            host_key: None,
            connect_timeout: Duration::from_secs(1),
        };
        for bad in
            ["", "-oProxyCommand=x", "a b", "a;b", "u@h", "ssh://h", "a\nb", "$(x)", "a`b`", "a'b", "a\"b"]
        {
            let error = target(bad).check_address().unwrap_err();
            assert_eq!(error.kind, ExecErrorKind::Local, "{bad}");
        }
        for good in ["web1", "10.0.0.1", "::1", "fe80::1%eth0", "a_b.example.com", "bücher.example"] {
            target(good).check_address().unwrap();
        }
    }
}
