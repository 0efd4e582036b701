//! The agent that holds keys, never waited for without an end. libssh2 talks to an agent by calls that block, and has no
//! limit for them: so it talks to us, and we to the agent, with a limit for each answer.

use std::fs::Permissions;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::lend::{self, Lent};

/// How long an agent may take for what it does without a person. (Signing may need one, who confirms it.)
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The most that a message may have, as libssh2 and OpenSSH limit it.
const MESSAGE_MAX: u32 = 256 * 1024;
/// What a thread of ours may use at most.
const STACK: usize = 256 * 1024;
/// The longest name that a socket may have everywhere.
const SOCKET_MAX: usize = 103;
/// Kinds of messages (draft-miller-ssh-agent).
const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;

/// Whether an agent has a key, by its public half.
pub(crate) fn has(socket: &Path, public: &[u8]) -> bool {
    keys(socket, Instant::now() + ANSWER_MAX).is_ok_and(|keys| keys.iter().any(|key| key == public))
}

/// The public halves of the keys that an agent has.
///
/// # Errors
/// It does not answer in time, or with something else.
pub(crate) fn keys(socket: &Path, until: Instant) -> std::result::Result<Vec<Vec<u8>>, String> {
    let until = until.min(Instant::now() + ANSWER_MAX);
    let begun = Instant::now();
    let asked = || -> Result<Vec<Vec<u8>>> {
        let stream = connect(socket, until)?;
        send(&stream, &[REQUEST_IDENTITIES], until)?;
        let answer = receive(&stream, until)?;
        let listed = lend::listed(&answer).map(|keys| keys.into_iter().map(<[u8]>::to_vec).collect());
        listed.ok_or_else(|| Error::other("it answers with something else than its keys"))
    };
    asked().map_err(|error| told(&error, begun))
}

/// A socket of our own in front of an agent, for one connection. What the agent does not answer in time is answered
/// with a failure.
pub(crate) struct Front {
    path: PathBuf,
    listener: UnixListener,
    agent: UnixStream,
    /// Why the agent answers no more.
    why: Arc<Mutex<Option<String>>>,
    /// Only we may enter it. Removed when the connection is there.
    _dir: tempfile::TempDir,
}

/// Why the agent behind a [`Front`] answers no more.
pub(crate) struct Why(Arc<Mutex<Option<String>>>);

impl Why {
    pub(crate) fn told(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Front {
    /// Connects to the agent, and listens.
    pub(crate) fn new(agent: &Path, until: Instant) -> std::result::Result<Self, String> {
        let begun = Instant::now();
        let stream = connect(agent, until.min(begun + ANSWER_MAX)).map_err(|error| told(&error, begun))?;
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let bases = runtime.into_iter().chain([std::env::temp_dir(), PathBuf::from("/tmp")]);
        let mut refused = String::from("it would have too long a name");
        for base in bases.filter(|base| base.is_absolute()) {
            let mut builder = tempfile::Builder::new();
            let dir =
                builder.prefix("uphaul-agent-").permissions(Permissions::from_mode(0o700)).tempdir_in(base);
            let made = dir.and_then(|dir| {
                let path = dir.path().join("sock");
                Ok((UnixListener::bind(&path)?, path, dir))
            });
            match made {
                Ok((listener, path, dir)) if path.as_os_str().len() <= SOCKET_MAX => {
                    return Ok(Self { path, listener, agent: stream, why: Arc::default(), _dir: dir });
                }
                Ok(_) => {}
                Err(error) => refused = error.to_string(),
            }
        }
        Err(format!(
            "no socket can be made to reach it by ({refused}): set TMPDIR to a folder with a short name"
        ))
    }

    /// Whom libssh2 is to connect to.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Carries what libssh2, which has connected, and the agent say, until one of them is gone or the time is over. These
    /// certificates are lent to the agent.
    pub(crate) fn carry(self, mut lent: Lent, until: Instant) -> Result<Why> {
        let Self { listener, agent, why, .. } = self;
        // libssh2 has connected already, so this waits for nobody.
        listener.set_nonblocking(true)?;
        let (side, _) = listener.accept()?;
        side.set_nonblocking(false)?;
        let told_to = Arc::clone(&why);
        let run = move || {
            // Its end is a connection that is closed.
            if let Ok(reason) = relay(&side, &agent, &mut lent, until) {
                *told_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                // Whatever else libssh2 asks has a bounded end: it fails at once.
                let _ = send(&side, &[FAILURE], Instant::now() + ANSWER_MAX);
            }
        };
        std::thread::Builder::new().name("uphaul-agent".into()).stack_size(STACK).spawn(run)?;
        Ok(Why(why))
    }
}

/// Ends with why the agent did not answer, or with an error where libssh2 is done with it.
fn relay(side: &UnixStream, agent: &UnixStream, lent: &mut Lent, until: Instant) -> Result<String> {
    // Log-ins are over by then, and the thread must be too.
    let far = until + ANSWER_MAX;
    loop {
        let request = lent.request(receive(side, far)?);
        let begun = Instant::now();
        // Time stays for the keys in files.
        let prompt = begun + ANSWER_MAX.min(until.saturating_duration_since(begun) / 2);
        let limit = if request.first() == Some(&REQUEST_IDENTITIES) { prompt } else { until };
        match send(agent, &request, limit).and_then(|()| receive(agent, limit)) {
            Ok(answer) => send(side, &lent.answer(answer), far)?,
            Err(error) => return Ok(told(&error, begun)),
        }
    }
}

fn told(error: &Error, begun: Instant) -> String {
    if [ErrorKind::TimedOut, ErrorKind::WouldBlock].contains(&error.kind()) {
        format!("it did not answer within {:.0} s", begun.elapsed().as_secs_f64())
    } else if error.kind() == ErrorKind::UnexpectedEof {
        "it closed the connection".to_owned()
    } else {
        error.to_string()
    }
}

/// A connection to a socket, whose queue may be full.
fn connect(path: &Path, until: Instant) -> Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(left(until)?))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}

fn send(mut stream: &UnixStream, message: &[u8], until: Instant) -> Result<()> {
    let length = u32::try_from(message.len()).ok().filter(|length| *length <= MESSAGE_MAX);
    let length = length.ok_or_else(|| Error::other("a message that is too long"))?;
    let bytes = [&length.to_be_bytes(), message].concat();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        stream.set_write_timeout(Some(left(until)?))?;
        match stream.write(rest) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn receive(stream: &UnixStream, until: Instant) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    fill(stream, &mut length, until)?;
    let length = u32::from_be_bytes(length);
    if length > MESSAGE_MAX {
        return Err(Error::other(format!("it answers with a message of {length} bytes")));
    }
    let mut message = vec![0; length as usize];
    fill(stream, &mut message, until)?;
    Ok(message)
}

fn fill(mut stream: &UnixStream, buffer: &mut [u8], until: Instant) -> Result<()> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(rest) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => done += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The time that is left; none is an error, for a limit of nothing means no limit.
fn left(until: Instant) -> Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
