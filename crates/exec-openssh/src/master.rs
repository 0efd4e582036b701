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
use uphaul_core::ports::{ExecError, ExecErrorKind, Target};

use crate::cause::{self, Log};
use crate::local;
use crate::place::{Files, Place};
use crate::settings::Settings;

/// After how many seconds without any control connection a master ends itself: this is how long one outlives an Uphaul
/// that was killed. Also the time between the end of the log-in and our first connection to the socket.
pub(crate) const IDLE_S: u32 = 10;
/// How long a master may take to answer on its socket, and to end when told to.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// At this size the log is emptied before the next command; ssh writes some 2 KiB a command.
const LOG_MAX: u64 = 256 * 1024;

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
        check_address(target)?;
        let label = label(target);
        let mut launch = Launch { child: None, files: Arc::new(place.files()), held: false };
        std::fs::write(&launch.files.config, settings.text(target))
            .map_err(|error| local(format!("cannot write the configuration for ssh: {error}")))?;
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
    ssh.arg("--").arg(&target.address);
    // Ctrl-C on the terminal is for Uphaul, which decides.
    ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0).kill_on_drop(true);
    Ok(ssh)
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

/// Refuses what ssh would read as something else than a host.
fn check_address(target: &Target) -> Result<(), ExecError> {
    let Target { name, address, .. } = target;
    let plain = |c: char| c.is_alphanumeric() || "._-:%[]+".contains(c);
    if address.is_empty() || address.starts_with('-') || address.len() > 255 {
        return Err(local(format!("host {name} has the address {address:?}, which is no host name")));
    }
    match address.chars().find(|c| !plain(*c)) {
        None => Ok(()),
        Some(c) => Err(local(format!(
            "host {name} has the address {address:?}: {c:?} is in no host name (the user and the port are fields of \
             their own)"
        ))),
    }
}

/// Whom we reach, for messages: `web1 (deploy@10.0.0.1 port 22)`, without what the user left to ssh_config.
fn label(target: &Target) -> String {
    let user = target.user.as_ref().map_or_else(String::new, |user| format!("{user}@"));
    let port = target.port.map_or_else(String::new, |port| format!(" port {port}"));
    format!("{} ({user}{}{port})", target.name, target.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_ssh_reads_otherwise_are_refused() {
        let target = |address: &str| Target {
            name: "web1".parse().unwrap(),
            address: address.into(),
            port: None,
            user: None,
            connect_timeout: Duration::from_secs(1),
        };
        for bad in
            ["", "-oProxyCommand=x", "a b", "a;b", "u@h", "ssh://h", "a\nb", "$(x)", "a`b`", "a'b", "a\"b"]
        {
            let error = check_address(&target(bad)).unwrap_err();
            assert_eq!(error.kind, ExecErrorKind::Local, "{bad}");
        }
        for good in ["web1", "10.0.0.1", "::1", "fe80::1%eth0", "a_b.example.com", "bücher.example"] {
            check_address(&target(good)).unwrap();
        }
    }

    #[test]
    fn messages_are_of_the_protocol() {
        assert_eq!(message(HELLO), [0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 4]);
    }
}
