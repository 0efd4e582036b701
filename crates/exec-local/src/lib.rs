//! RemoteExecutor on this machine: the box you stand on, the demo, the tests.
//!
//! It runs the same frame as the executors that reach other machines ([`uphaul_core::ports::frame`]), on pipes to a
//! local `sh`: the same limits, the same exit codes, the same end of the process group when Uphaul goes away.
//!
//! A host is this machine when its address is `local`, `localhost`, `::1` or in 127.0.0.0/8. Anything else is refused:
//! a record of real hosts with the executor set to `local` by mistake must not update this machine in their stead. The
//! port means nothing here; a user must be the one that Uphaul runs as (use the service's `user` to become another).

use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::process::Command;
use uphaul_core::ports::frame::{Frame, READER};
use uphaul_core::ports::stream::{Broken, exchange};
use uphaul_core::ports::{
    ExecError, ExecErrorKind, Output, RemoteCommand, RemoteExecutor, RemoteSession, Target,
};

/// Prints who we are, then the programs that are missing, one a line.
const LOOK: &str =
    "id -un; for p in setsid timeout head cat env; do command -v $p >/dev/null || echo $p; done";

/// Runs commands on this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalExecutor;

impl LocalExecutor {
    /// Makes it; there is nothing to set.
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl RemoteExecutor for LocalExecutor {
    async fn connect(&self, target: &Target) -> Result<Box<dyn RemoteSession>, ExecError> {
        let name = &target.name;
        if !is_local(&target.address) {
            return Err(ExecError::before(
                ExecErrorKind::Connect,
                format!(
                    "host {name} is at {:?}, and the executor `local` reaches only this machine (`local`, \
                     `localhost`, 127.x.x.x, ::1): set `executor.backend` to `openssh`",
                    target.address
                ),
            ));
        }
        let looked = tokio::time::timeout(target.connect_timeout.max(Duration::from_secs(1)), look());
        let (user, missing) = match looked.await {
            Ok(found) => found?,
            Err(_) => return Err(local("`sh` did not answer on this machine".into())),
        };
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(local(format!(
                "this machine lacks {missing} (of coreutils and util-linux): install them"
            )));
        }
        if let Some(wanted) = &target.user
            && wanted.as_str() != user
        {
            return Err(ExecError::before(
                ExecErrorKind::Auth,
                format!(
                    "host {name} is this machine, where Uphaul runs as {user} and cannot log in as {wanted}: leave \
                     the host's user out, or set `service.user`"
                ),
            ));
        }
        Ok(Box::new(LocalSession))
    }
}

struct LocalSession;

#[async_trait]
impl RemoteSession for LocalSession {
    async fn run(&mut self, command: &RemoteCommand) -> Result<Output, ExecError> {
        let frame = Frame::new(command, random()?)?;
        let mut sh = shell(READER);
        sh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Not killed when dropped: it ends by itself when its stdin is closed, and ends the command before that.
        let mut child =
            sh.spawn().map_err(|error| local(format!("cannot begin `sh` on this machine: {error}")))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(local("`sh` was begun without its pipes".into()));
        };
        exchange(&frame, command, stdin, stdout, stderr).await.map_err(|broken| told(command, broken))
    }

    async fn close(self: Box<Self>) -> Result<(), ExecError> {
        Ok(())
    }
}

fn is_local(address: &str) -> bool {
    let loopback = address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    loopback || matches!(address, "local" | "localhost")
}

/// In a process group of its own, so that Ctrl-C on the terminal reaches Uphaul alone, which then decides.
fn shell(script: &str) -> Command {
    let mut sh = Command::new("sh");
    sh.arg("-c").arg(script).process_group(0);
    sh
}

/// Who we are here, and which programs are missing.
async fn look() -> Result<(String, Vec<String>), ExecError> {
    let mut sh = shell(LOOK);
    let output = sh.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.map_err(|error| local(format!("cannot run `sh` on this machine: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines().map(ToOwned::to_owned);
    Ok((lines.next().unwrap_or_default(), lines.collect()))
}

fn told(command: &RemoteCommand, broken: Broken) -> ExecError {
    broken.into_error("this machine", command)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use uphaul_core::ports::{RemoteCommand, RemoteExecutor, Target};

    use super::{LocalExecutor, is_local};

    #[tokio::test]
    async fn a_command_runs_here() {
        let target = Target {
            name: "here".parse().unwrap(),
            address: "local".into(),
            port: None,
            user: None,
            host_key: None,
            connect_timeout: Duration::from_secs(10),
        };
        let mut session = LocalExecutor::new().connect(&target).await.unwrap();
        let command = RemoteCommand {
            argv: ["sh", "-c", "cat; echo $A >&2; exit 7"].map(ToOwned::to_owned).into(),
            dir: None,
            env: BTreeMap::from([("A".into(), "b".into())]),
            stdin: b"read".into(),
            timeout: Duration::from_secs(20),
            user: None,
            output_max: 1000,
        };
        let output = session.run(&command).await.unwrap();
        assert_eq!(
            (output.code, output.stdout.text(), output.stderr.text()),
            (7, "read".into(), "b\n".into())
        );
        session.close().await.unwrap();
    }

    #[test]
    fn only_this_machine_is_local() {
        for address in ["local", "localhost", "127.0.0.1", "127.7.0.2", "::1"] {
            assert!(is_local(address), "{address}");
        }
        for address in ["", "10.0.0.1", "localhost.example.com", "web1", "0.0.0.0"] {
            assert!(!is_local(address), "{address}");
        }
    }
}
