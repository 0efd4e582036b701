//! One ssh master: started, held, ended.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::net::UnixStream as StdStream;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use uphaul_core::host_key::HostKey;
use uphaul_core::ports::{ExecError, ExecErrorKind, Target};

use crate::cause::{self, Log};
use crate::local;
use crate::place::{Files, Place};
use crate::revoked;
use crate::settings::Settings;

/// After how many seconds without any control connection a master ends itself: this is how long one outlives an Uphaul
/// that was killed. Also the time between the end of the log-in and our first connection to the socket.
pub(crate) const IDLE_S: u32 = 10;
/// How long a master may take to answer on its socket, and to end when told to.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// At this size the log is emptied before the next command; ssh writes some 2 KiB a command.
const LOG_MAX: u64 = 256 * 1024;

/// What a host is called in the known_hosts of its pinned key.
pub(crate) const PINNED: &str = "uphaul-pinned";
/// The messages of ssh's control socket that we speak (PROTOCOL.mux of OpenSSH).
const HELLO: [u32; 2] = [0x0000_0001, 4];
const ALIVE_CHECK: [u32; 2] = [0x1000_0004, 0];
const TERMINATE: [u32; 2] = [0x1000_0005, 1];
const ALIVE: u32 = 0x8000_0005;

/// A master with an open connection. Dropping it tells the master to end.
#[derive(Debug)]
pub(crate) struct Master {
    /// Whom it reaches, for messages.
    pub(crate) label: String,
    /// Its process.
    pid: u32,
    /// Held open so that the master does not idle out; its end is the master's end.
    held: UnixStream,
    /// The same, for a word in `drop`.
    last_word: StdStream,
    files: Arc<Files>,
    /// Keeps the folder.
    _place: Arc<Place>,
}

impl Master {
    pub(crate) async fn launch(
        settings: &Settings,
        place: &Arc<Place>,
        target: &Target,
    ) -> Result<Self, ExecError> {
        target.check_address()?;
        let label = target.label();
        let mut launch = Launch { child: None, files: Arc::new(place.files()), held: false };
        std::fs::write(&launch.files.config, settings.text(target))
            .map_err(|error| local(format!("cannot write the configuration for ssh: {error}")))?;
        if let Some(key) = &target.host_key {
            revoked::check(settings, &launch.files, target, key).await?;
        }
        let mut command = command(settings, &launch.files, target)?;
        let child = command.spawn();
        let child =
            child.map_err(|error| local(format!("cannot start {}: {error}", settings.ssh.display())))?;
        let status = tokio::time::timeout(target.connect_timeout, launch.child.insert(child).wait()).await;
        match status {
            Ok(Ok(status)) if status.success() => {}
            Ok(Ok(_)) => return Err(cause::connect(settings, &launch.files, target, &label).await),
            Ok(Err(error)) => return Err(local(format!("cannot wait for ssh: {error}"))),
            Err(_) => return Err(cause::too_slow(&launch.files, target, &label)),
        }
        let held = tokio::time::timeout(ANSWER_MAX, hold(&launch.files)).await;
        let held = held.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        match held {
            Ok((held, last_word, pid)) => {
                launch.held = true;
                Ok(Self {
                    label,
                    pid,
                    held,
                    last_word,
                    files: Arc::clone(&launch.files),
                    _place: Arc::clone(place),
                })
            }
            Err(error) => Err(ExecError::before(
                ExecErrorKind::Connect,
                format!("logged in on {label}, but the ssh master does not answer on its socket: {error}"),
            )),
        }
    }

    /// The control socket.
    pub(crate) fn socket(&self) -> Box<std::path::Path> {
        self.files.socket.clone().into_boxed_path()
    }

    /// What ssh said last.
    pub(crate) fn log(&self) -> Log {
        Log::read(&self.files)
    }

    /// Empties the log when it is long.
    pub(crate) fn trim_log(&self) {
        if std::fs::metadata(&self.files.log).is_ok_and(|data| data.len() > LOG_MAX) {
            // ssh appends, so it goes on at the beginning.
            let _ = OpenOptions::new().write(true).truncate(true).open(&self.files.log);
        }
    }

    /// Ends the master, and waits until it is gone.
    pub(crate) async fn close(mut self) -> Result<(), ExecError> {
        // One that is gone already is what we want.
        let _ = self.last_word.write_all(&message(TERMINATE));
        let mut rest = [0; 256];
        let gone = async { while !matches!(self.held.read(&mut rest).await, Ok(0) | Err(_)) {} };
        match tokio::time::timeout(ANSWER_MAX, gone).await {
            Ok(()) => Ok(()),
            Err(_) => Err(local(format!(
                "the ssh master of {} (process {}) was told to end and did not within {} s: `kill {}`",
                self.label,
                self.pid,
                ANSWER_MAX.as_secs(),
                self.pid
            ))),
        }
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // The socket takes these few bytes without waiting; a master that does not read them idles out.
        let _ = self.last_word.write_all(&message(TERMINATE));
    }
}

/// A connection being made. Dropped before the master is held, it ends what was begun.
struct Launch {
    child: Option<Child>,
    files: Arc<Files>,
    held: bool,
}

impl Drop for Launch {
    fn drop(&mut self) {
        if self.held {
            return;
        }
        if let Some(child) = &mut self.child {
            let _ = child.start_kill();
        }
        // It may have gone into the background at this moment; then it listens.
        if let Ok(mut socket) = StdStream::connect(&self.files.socket) {
            let _ = socket.write_all(&[message(HELLO), message(TERMINATE)].concat());
        }
    }
}

fn command(settings: &Settings, files: &Files, target: &Target) -> Result<Command, ExecError> {
    let log = OpenOptions::new().create(true).append(true).open(&files.log);
    let log = log.map_err(|error| local(format!("cannot make a log for ssh: {error}")))?;
    let mut ssh = Command::new(&settings.ssh);
    // On the command line stands what must not go on to the ssh of a jump host; but `-v` does: without it the words of
    // that one are lost (ssh drops them for a connection that persists).
    ssh.arg("-F").arg(&files.config).arg("-E").arg(&files.log).arg("-S").arg(&files.socket);
    ssh.args(["-v", "-M", "-f", "-N", "-T", "-o", "ClearAllForwardings=yes", "-o"])
        .arg(format!("ControlPersist={IDLE_S}"));
    if let Some(port) = target.port {
        ssh.arg("-p").arg(port.to_string());
    }
    if let Some(user) = &target.user {
        ssh.arg("-l").arg(user.as_str());
    }
    if let Some(key) = &target.host_key {
        pin(&mut ssh, files, key)?;
    }
    ssh.arg("--").arg(&target.address);
    // Ctrl-C on the terminal is for Uphaul, which decides.
    ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0).kill_on_drop(true);
    Ok(ssh)
}

/// Has ssh know that key alone, under a name of ours. On the command line, so that it holds for no jump host.
fn pin(ssh: &mut Command, files: &Files, key: &HostKey) -> Result<(), ExecError> {
    std::fs::write(&files.pinned, format!("{PINNED} {key}\n"))
        .map_err(|error| local(format!("cannot write the pinned host key for ssh: {error}")))?;
    let file = format!("UserKnownHostsFile={}", files.pinned.display());
    let alias = format!("HostKeyAlias={PINNED}");
    // An ssh before 8.5 has no KnownHostsCommand.
    let known = ["IgnoreUnknown=KnownHostsCommand", "KnownHostsCommand=none", "GlobalKnownHostsFile=none"];
    for option in known.into_iter().chain(["VerifyHostKeyDNS=no", "CheckHostIP=no", &file, &alias]) {
        ssh.arg("-o").arg(option);
    }
    Ok(())
}

/// Connects to the master and learns its process.
async fn hold(files: &Files) -> std::io::Result<(UnixStream, StdStream, u32)> {
    let stream = StdStream::connect(&files.socket)?;
    stream.set_nonblocking(true)?;
    let mut last_word = stream.try_clone()?;
    let mut held = UnixStream::from_std(stream)?;
    last_word.write_all(&[message(HELLO), message(ALIVE_CHECK)].concat())?;
    loop {
        let length = held.read_u32().await?;
        if !(4..=1024).contains(&length) {
            return Err(std::io::Error::other(format!("a message of {length} bytes")));
        }
        let mut body = vec![0; length as usize];
        held.read_exact(&mut body).await?;
        let number =
            |i: usize| body.get(4 * i..4 * i + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
        match (number(0), number(2)) {
            (Some(ALIVE), Some(pid)) => return Ok((held, last_word, pid)),
            (Some(kind), _) if kind == HELLO[0] => {}
            (kind, _) => return Err(std::io::Error::other(format!("a message of kind {kind:x?}"))),
        }
    }
}

fn message(words: [u32; 2]) -> Vec<u8> {
    [8, words[0], words[1]].iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_of_the_protocol() {
        assert_eq!(message(HELLO), [0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 4]);
    }
}
