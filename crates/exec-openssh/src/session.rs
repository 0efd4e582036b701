//! Commands over one connection.

use std::time::Duration;

use async_trait::async_trait;
use openssh::{Child, Error, Session, Stdio};
use uphaul_core::ports::frame::{Frame, LOGIN_COMMAND};
use uphaul_core::ports::stream::{Broken, exchange};
use uphaul_core::ports::{ExecError, ExecErrorKind, Output, RemoteCommand, RemoteSession};

use crate::cause;
use crate::local;
use crate::master::Master;

/// How long the host may take to open a channel. A dead connection is noticed sooner.
const OPEN_MAX: Duration = Duration::from_secs(30);
/// How long a host that opens no further channel is asked again: where MaxSessions is 1, the channel of the command
/// before may close a moment after its end was told.
const FULL_MAX: Duration = Duration::from_secs(5);
/// The pause before it is asked again.
const FULL_PAUSE: Duration = Duration::from_millis(100);
/// How long the master may take to say how a channel ended, and whether it lives.
const CHECK_MAX: Duration = Duration::from_secs(3);

pub(crate) struct OpensshSession {
    session: Session,
    master: Master,
}

impl OpensshSession {
    pub(crate) fn new(master: Master) -> Self {
        Self { session: Session::resume_mux(master.socket(), None), master }
    }

    async fn open(&self, program: &str) -> Result<Child<&Session>, ExecError> {
        let until = tokio::time::Instant::now() + FULL_MAX;
        loop {
            match self.try_open(program).await {
                Err(error) if error.kind == ExecErrorKind::Connect && tokio::time::Instant::now() < until => {
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                opened => return opened,
            }
        }
    }

    /// Opens a channel. `Connect` means that the host opens no further one on a connection that lives.
    async fn try_open(&self, program: &str) -> Result<Child<&Session>, ExecError> {
        let mut command = self.session.raw_command(LOGIN_COMMAND);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawned = tokio::time::timeout(OPEN_MAX, command.spawn()).await;
        let label = &self.master.label;
        match spawned {
            Ok(Ok(child)) => Ok(child),
            Ok(Err(_)) if !self.alive().await => {
                Err(ExecError::before(ExecErrorKind::Lost, cause::lost(&self.master.log(), label, program)))
            }
            Ok(Err(error)) => Err(ExecError::before(
                ExecErrorKind::Connect,
                format!(
                    "{label} opens no further channel on the connection ({}): is its MaxSessions used up?",
                    chain(&error)
                ),
            )),
            Err(_) => Err(ExecError::before(
                ExecErrorKind::Lost,
                format!("{label} did not open a channel for {program} within {} s", OPEN_MAX.as_secs()),
            )),
        }
    }

    async fn alive(&self) -> bool {
        matches!(tokio::time::timeout(CHECK_MAX, self.session.check()).await, Ok(Ok(())))
    }

    /// Why the streams ended without the mark of the end.
    async fn broken(&self, broken: Broken, command: &RemoteCommand, child: Child<&Session>) -> ExecError {
        let label = &self.master.label;
        match broken {
            Broken::Cut | Broken::NotBegun { .. } => {
                let waited = tokio::time::timeout(CHECK_MAX, child.wait()).await;
                // The crate tells 127 apart as an error of its own.
                let ended_there = matches!(waited, Ok(Ok(_) | Err(Error::Remote(_)))) || self.alive().await;
                if ended_there {
                    return broken.into_error(label, command);
                }
                let program = command.argv.first().map_or("", String::as_str);
                ExecError::after(ExecErrorKind::Lost, cause::lost(&self.master.log(), label, program))
            }
            Broken::TimedOut(_) | Broken::Overdue | Broken::NotThatUser { .. } => {
                broken.into_error(label, command)
            }
        }
    }
}

#[async_trait]
impl RemoteSession for OpensshSession {
    async fn run(&mut self, command: &RemoteCommand) -> Result<Output, ExecError> {
        let frame = Frame::new(command, random()?)?;
        self.master.trim_log();
        let program = command.argv.first().map_or("", String::as_str);
        let mut child = self.open(program).await?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin().take(), child.stdout().take(), child.stderr().take())
        else {
            return Err(local("the crate openssh gave a command without its pipes"));
        };
        match exchange(&frame, command, stdin, stdout, stderr).await {
            Ok(output) => Ok(output),
            Err(broken) => Err(self.broken(broken, command, child).await),
        }
    }

    async fn close(self: Box<Self>) -> Result<(), ExecError> {
        self.master.close().await
    }
}

fn random() -> Result<u128, ExecError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| local(format!("this machine gives no random bytes: {error}")))?;
    Ok(u128::from_ne_bytes(bytes))
}

/// An error with its causes, which the crate does not print itself.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}
