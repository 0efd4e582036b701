//! A jump host: its connection carries the bytes of the next one.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use ssh2::Channel;
use uphaul_core::ports::{ExecError, ExecErrorKind};

use crate::link::{Caller, Halt, Link, is_disconnect};
use crate::login::Refusal;
use crate::route::Hop;

/// How much is held in each direction.
const BUFFER: usize = 32 * 1024;
/// What a thread of ours may use at most.
pub(crate) const STACK: usize = 1024 * 1024;

/// One that runs. It ends when one side does.
#[derive(Debug)]
pub(crate) struct Tunnel {
    why: Arc<Mutex<Option<String>>>,
}

impl Tunnel {
    /// Why it has ended, if the jump host was the reason.
    pub(crate) fn why(&self) -> Option<String> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Has the jump host connect to the next one; gives our end of the way there.
pub(crate) fn tunnel(
    mut link: Link,
    hop: &Hop,
    next: &Hop,
    caller: Caller<'_>,
    until: Instant,
) -> Result<(Tunnel, OwnedFd), Refusal> {
    let opened =
        link.call(caller, until, |session| session.channel_direct_tcpip(&next.host, next.port, None));
    let channel = match opened {
        Ok(channel) => channel,
        Err(Halt::Failed(error)) if !is_disconnect(&error) => {
            let detail = format!(
                "cannot connect to {}: {} does not connect to {} port {}: {}. Is the host up, is the name known there, \
                 and does the jump host's AllowTcpForwarding let us?",
                next.label,
                hop.label,
                next.host,
                next.port,
                error.message()
            );
            return Err(Refusal::Error(ExecError::before(ExecErrorKind::Connect, detail)));
        }
        Err(halt) => return Err(Refusal::Halt(halt)),
    };
    let local =
        |error: std::io::Error| Refusal::Error(crate::local(format!("cannot make a tunnel: {error}")));
    let (ours, theirs) = UnixStream::pair().map_err(local)?;
    ours.set_nonblocking(true).map_err(local)?;
    theirs.set_nonblocking(true).map_err(local)?;
    let why = Arc::new(Mutex::new(None));
    let (told, label) = (Arc::clone(&why), hop.label.clone());
    let carry = move || {
        let mut carrier =
            Carrier { link, channel, side: theirs, out: Half::default(), back: Half::default() };
        let reason = carrier.run().err();
        if let Some(reason) = reason {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{label}: {reason}"));
        }
        carrier.link.part();
    };
    std::thread::Builder::new().name("uphaul-tunnel".into()).stack_size(STACK).spawn(carry).map_err(local)?;
    Ok((Tunnel { why }, ours.into()))
}

/// Bytes on their way in one direction.
#[derive(Default)]
struct Half {
    bytes: Vec<u8>,
    /// How many of them were handed on.
    done: usize,
    ended: bool,
}

impl Half {
    fn is_empty(&self) -> bool {
        self.done == self.bytes.len()
    }

    /// Reads, if all was handed on. Whether anything happened.
    fn fill(&mut self, from: &mut impl Read) -> std::io::Result<bool> {
        if self.ended || !self.is_empty() {
            return Ok(false);
        }
        self.bytes.resize(BUFFER, 0);
        self.done = 0;
        let read = from.read(&mut self.bytes);
        self.bytes.truncate(*read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => {
                self.ended = true;
                Ok(true)
            }
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Hands on. Whether anything happened.
    fn empty(&mut self, into: &mut impl Write) -> std::io::Result<bool> {
        if self.is_empty() {
            return Ok(false);
        }
        match into.write(&self.bytes[self.done..]) {
            Ok(n) => {
                self.done += n;
                Ok(n > 0)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

struct Carrier {
    link: Link,
    channel: Channel,
    side: UnixStream,
    /// Towards the next host.
    out: Half,
    /// From it.
    back: Half,
}

impl Carrier {
    /// Carries until one side ends. An error is the jump host's.
    fn run(&mut self) -> Result<(), String> {
        loop {
            // Our own side ends when the connection that it carries is dropped: that is no news.
            let Ok(read) = self.out.fill(&mut self.side) else { return Ok(()) };
            let written = self.out.empty(&mut self.channel).map_err(|error| error.to_string())?;
            let came = match self.back.fill(&mut self.channel) {
                // libssh2 reads nothing where its channel says so; that is not the end of it.
                Ok(_) if self.back.ended && !self.channel.eof() => {
                    self.back.ended = false;
                    false
                }
                Ok(came) => {
                    if came {
                        self.link.heard();
                    }
                    came
                }
                Err(error) => return Err(error.to_string()),
            };
            let Ok(went) = self.back.empty(&mut self.side) else { return Ok(()) };
            if self.out.ended && self.out.is_empty() {
                return Ok(());
            }
            if self.back.ended && self.back.is_empty() {
                return Err("it closed the way to the next host".to_owned());
            }
            if !(read || written || came || went) {
                self.wait()?;
            }
        }
    }

    fn wait(&mut self) -> Result<(), String> {
        let mut flags = PollFlags::empty();
        if self.out.is_empty() && !self.out.ended {
            flags |= PollFlags::IN;
        }
        if !self.back.is_empty() {
            flags |= PollFlags::OUT;
        }
        let until = Instant::now() + Duration::from_secs(3600);
        let listen = self.back.is_empty();
        match self.link.wait_beside(self.side.as_fd(), flags, listen, until) {
            Ok(_) | Err(Halt::TimeOver | Halt::Gone) => Ok(()),
            Err(Halt::Silent) => Err(format!("it was silent for {} s", self.link.silent_max_s())),
            Err(Halt::Failed(error)) => Err(error.message().to_owned()),
        }
    }
}
