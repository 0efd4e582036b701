//! RemoteExecutor by any program that runs a command somewhere: `docker exec`, `kubectl exec`, `nsenter`, `systemd-run
//! --machine`, a cloud's own ssh.
//!
//! The operator gives the program and its words once, as a template ([`Template`]); each command is one process of it.
//! What travels through its three streams is the frame that all executors share ([`uphaul_core::ports::frame`]), so exit
//! codes, limits and the end of the process group are the same as with the others. What the program itself does (how it
//! logs in, whether it checks the other side's key) is between the operator and that program.
//!
//! This crate is also the example of `docs/writing-an-executor.md`: it has nothing that an executor does not need.

mod child;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use uphaul_core::ports::frame::Frame;
use uphaul_core::ports::stream::{Broken, exchange};
use uphaul_core::ports::{
    ExecError, ExecErrorKind, Output, RemoteCommand, RemoteExecutor, RemoteSession, Target,
};

pub use template::{Template, WORDS_MAX};

use crate::child::Running;

/// Reaches hosts by a program. Cheap to share; one is enough for any number of hosts.
#[derive(Debug)]
pub struct CommandExecutor {
    template: Arc<Template>,
}

impl CommandExecutor {
    /// Finds the program.
    ///
    /// # Errors
    /// `Local`: there is no such program on this machine.
    pub fn new(template: Template) -> Result<Self, ExecError> {
        find(template.program()).map_err(local)?;
        Ok(Self { template: Arc::new(template) })
    }
}

/// Finds a program as the system would: by its path, or on the PATH.
///
/// # Errors
/// Says what is missing.
pub fn find(program: &str) -> Result<PathBuf, String> {
    if program.contains('/') {
        let path = Path::new(program);
        let missing = || format!("there is no program {program}, which executor.command.argv names");
        return path.is_file().then(|| path.to_owned()).ok_or_else(missing);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("there is no `{program}` on the PATH, which executor.command.argv names"))
}

#[async_trait]
impl RemoteExecutor for CommandExecutor {
    /// Runs `id` there, so that it is known that the host answers, and as whom.
    async fn connect(&self, target: &Target) -> Result<Box<dyn RemoteSession>, ExecError> {
        if target.host_key.is_some() {
            return Err(ExecError::before(
                ExecErrorKind::HostKey,
                format!(
                    "host {0} has a key pinned in the record, and the program of executor.command.argv does not say what \
                     key it saw: reach it by `openssh`, or take the pin away: `uphaul hosts edit {0} --no-host-key`",
                    target.name
                ),
            ));
        }
        let mut session = CommandSession {
            argv: self.template.argv(target).map_err(local)?,
            place: format!("{} ({} {})", target.name, self.template.program(), target.address),
            ends: Vec::new(),
        };
        let looked = tokio::time::timeout(target.connect_timeout, session.look(target.connect_timeout)).await;
        let user = match looked {
            Ok(user) => user?,
            Err(_) => {
                let limit = target.connect_timeout.as_secs_f64();
                return Err(ExecError::before(
                    ExecErrorKind::Connect,
                    format!("{} did not answer within {limit} s", session.place),
                ));
            }
        };
        match &target.user {
            Some(wanted) if wanted.as_str() != user => Err(ExecError::before(
                ExecErrorKind::Auth,
                format!(
                    "commands run as {user} on {}, and the host's user is {wanted}: say {{user}} in \
                     executor.command.argv where the program takes a user, or set `service.user`",
                    session.place
                ),
            )),
            Some(_) | None => Ok(Box::new(session)),
        }
    }
}

struct CommandSession {
    argv: Vec<String>,
    /// Where commands run, for messages; it reads after "on".
    place: String,
    /// The ends of programs whose commands are over.
    ends: Vec<JoinHandle<()>>,
}

impl CommandSession {
    /// Who we are there.
    async fn look(&mut self, timeout: Duration) -> Result<String, ExecError> {
        let id = RemoteCommand {
            argv: ["id", "-un"].map(ToOwned::to_owned).into(),
            dir: None,
            env: BTreeMap::new(),
            stdin: Vec::new(),
            timeout,
            user: None,
            output_max: 1024,
        };
        let away = |detail| ExecError::before(ExecErrorKind::Connect, detail);
        match exchanged(&self.argv, &self.place, None, &id).await {
            Ok(Output { code: 0, stdout, .. }) => Ok(stdout.text().trim().to_owned()),
            Ok(Output { stderr, .. }) => {
                Err(away(format!("cannot work on {}: {}", self.place, stderr.text().trim())))
            }
            Err(error) if error.kind == ExecErrorKind::Local => Err(error),
            Err(error) => Err(away(error.detail)),
        }
    }
}

#[async_trait]
impl RemoteSession for CommandSession {
    async fn run(&mut self, command: &RemoteCommand) -> Result<Output, ExecError> {
        self.ends.retain(|end| !end.is_finished());
        exchanged(&self.argv, &self.place, Some(&mut self.ends), command).await
    }

    async fn close(self: Box<Self>) -> Result<(), ExecError> {
        for end in self.ends {
            // Bounded by itself. One that panicked is over, too.
            let _over = end.await;
        }
        Ok(())
    }
}

/// Runs one command by a process of its own.
async fn exchanged(
    argv: &[String],
    place: &str,
    ends: Option<&mut Vec<JoinHandle<()>>>,
    command: &RemoteCommand,
) -> Result<Output, ExecError> {
    let frame = Frame::new(command, random()?)?;
    let (mut running, streams) = Running::begin(argv, ends)?;
    let said = streams.stderr.said();
    match exchange(&frame, command, streams.stdin, streams.stdout, streams.stderr).await {
        Ok(output) => {
            running.settle().await;
            Ok(output)
        }
        Err(broken) => {
            let mut ended = running.status().await;
            if matches!(broken, Broken::Cut) && !said.text().is_empty() {
                ended = format!("{ended}; it said: {}", said.text());
            }
            Err(told(place, command, broken, &ended))
        }
    }
}

/// Why the streams ended without the mark of the end.
fn told(place: &str, command: &RemoteCommand, broken: Broken, ended: &str) -> ExecError {
    let program = command.argv.first().map_or("", String::as_str);
    match broken {
        // Which program can be trusted to tell a host that is away from one that refuses? To try again does no harm.
        Broken::NotBegun { said } => {
            let said = if said.is_empty() { "it said nothing".into() } else { format!("it said: {said}") };
            ExecError::before(
                ExecErrorKind::Lost,
                format!("{program} was not begun on {place}: {ended}; {said}"),
            )
        }
        Broken::Cut => ExecError::after(
            ExecErrorKind::Lost,
            format!("{program} was begun on {place}, and its end did not come: {ended}"),
        ),
        Broken::TimedOut(_) | Broken::Overdue | Broken::NotThatUser { .. } => {
            broken.into_error(place, command)
        }
    }
}

fn random() -> Result<u128, ExecError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| local(format!("this machine gives no random bytes: {error}")))?;
    Ok(u128::from_ne_bytes(bytes))
}

fn local(detail: String) -> ExecError {
    ExecError::before(ExecErrorKind::Local, detail)
}
