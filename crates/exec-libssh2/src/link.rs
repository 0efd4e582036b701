//! One SSH connection, and the only place that waits for it. libssh2 is never let wait by itself: all calls are made
//! in its non-blocking mode, repeated when the socket says that there is a reason, and bounded in time.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssh2::{BlockDirections, ErrorCode, Session};

use crate::alive::Alive;

/// Why a wait or a call came to nothing.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Whoever asked does not want it any more.
    Gone,
    /// The time was over.
    TimeOver,
    /// The server does not answer.
    Silent,
    /// libssh2 says no.
    Failed(ssh2::Error),
}

/// Wakes a thread that waits for a connection.
#[derive(Debug)]
pub(crate) struct Wake {
    ring: UnixStream,
    heard: UnixStream,
}

impl Wake {
    pub(crate) fn new() -> std::io::Result<Self> {
        let (ring, heard) = UnixStream::pair()?;
        ring.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        Ok(Self { ring, heard })
    }

    /// Wakes it, now or when it waits next.
    pub(crate) fn ring(&self) {
        // A full pipe wakes as well.
        let _ = std::io::Write::write(&mut &self.ring, &[1]);
    }

    /// What becomes readable.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }

    fn clear(&self) {
        let mut buffer = [0; 64];
        // Less than there is room for: that was all.
        while matches!(std::io::Read::read(&mut &self.heard, &mut buffer), Ok(n) if n == buffer.len()) {}
    }
}

/// Wakes a thread when it is dropped, unless there was an answer: then the thread has nothing to look at.
pub(crate) struct Cancelled(Option<Arc<Wake>>);

impl Cancelled {
    pub(crate) fn new(wake: Arc<Wake>) -> Self {
        Self(Some(wake))
    }

    /// The thread has answered.
    pub(crate) fn answered(&mut self) {
        self.0 = None;
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(wake) = &self.0 {
            wake.ring();
        }
    }
}

/// On whose behalf a thread waits.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// What wakes the thread.
    pub(crate) wake: &'a Wake,
    /// Whether nobody wants the result any more; asked whenever the thread is awake.
    pub(crate) gone: &'a dyn Fn() -> bool,
}

impl Caller<'_> {
    /// Waits for a file to be ready, or for the caller. True: it is ready.
    pub(crate) fn wait_for(
        &self,
        fd: BorrowedFd<'_>,
        flags: PollFlags,
        until: Instant,
    ) -> Result<bool, Halt> {
        if (self.gone)() {
            return Err(Halt::Gone);
        }
        let now = Instant::now();
        if now >= until {
            return Err(Halt::TimeOver);
        }
        let [ready, woken] = ready([(fd, flags), (self.wake.fd(), PollFlags::IN)], until - now);
        if !woken.is_empty() {
            self.wake.clear();
        }
        Ok(!ready.is_empty())
    }
}

impl Caller<'_> {
    /// Waits for nothing but the caller.
    pub(crate) fn wait_for_wake(&self, until: Instant) -> Result<(), Halt> {
        self.wait_for(self.wake.fd(), PollFlags::IN, until).map(drop)
    }
}

/// Polls two files. An interrupted wait is one after which neither is ready.
fn ready(files: [(BorrowedFd<'_>, PollFlags); 2], limit: Duration) -> [PollFlags; 2] {
    let mut polled = files.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags));
    // A wait of nothing would spin until the moment itself has come.
    let limit = limit.max(Duration::from_millis(1));
    let limit = Timespec::try_from(limit).ok();
    if poll(&mut polled, limit.as_ref()).is_err() {
        return [PollFlags::empty(); 2];
    }
    polled.map(|file| file.revents())
}

/// When the server was heard last.
#[derive(Debug)]
struct Pulse {
    last: Instant,
    unanswered: u32,
    alive: Alive,
}

/// A connection.
pub(crate) struct Link {
    session: Session,
    socket: Arc<OwnedFd>,
    pulse: Option<Pulse>,
}

impl Link {
    /// Puts SSH over a socket; nothing is sent yet.
    pub(crate) fn new(socket: OwnedFd) -> Result<Self, ssh2::Error> {
        let socket = Arc::new(socket);
        let mut session = Session::new()?;
        session.set_tcp_stream(Arc::clone(&socket));
        session.set_blocking(false);
        Ok(Self { session, socket, pulse: None })
    }

    /// For calls that do not wait.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// From here on the server is asked whether it is there. (Not before the log-in, when it need not answer.)
    pub(crate) fn keep_alive(&mut self, alive: Alive) {
        // libssh2 itself sends none before 2 s have gone by, whatever it is told.
        self.session.set_keepalive(true, 1);
        self.pulse = Some(Pulse { last: Instant::now(), unanswered: 0, alive });
    }

    /// How many seconds the server may be silent, for messages.
    pub(crate) fn silent_max_s(&self) -> f64 {
        let alive = self.pulse.as_ref().map(|pulse| pulse.alive).unwrap_or_default();
        alive.silent_max().as_secs_f64()
    }

    /// Repeats a call until it is done.
    pub(crate) fn call<T>(
        &mut self,
        caller: Caller<'_>,
        until: Instant,
        mut call: impl FnMut(&mut Session) -> Result<T, ssh2::Error>,
    ) -> Result<T, Halt> {
        loop {
            match call(&mut self.session) {
                Ok(value) => {
                    self.heard();
                    return Ok(value);
                }
                Err(error) if would_block(&error) => {}
                Err(error) => return Err(Halt::Failed(error)),
            }
            self.wait(caller, until)?;
        }
    }

    /// Waits until the server or the caller has something to say.
    pub(crate) fn wait(&mut self, caller: Caller<'_>, until: Instant) -> Result<(), Halt> {
        if (caller.gone)() {
            return Err(Halt::Gone);
        }
        if self.wait_beside(caller.wake.fd(), PollFlags::IN, true, until)? {
            caller.wake.clear();
        }
        if (caller.gone)() { Err(Halt::Gone) } else { Ok(()) }
    }

    /// Waits until the server has something to say, or a file is ready: then true. Who does not `listen` has no room for
    /// what the server says, and would only be told again and again that it is there.
    pub(crate) fn wait_beside(
        &mut self,
        file: BorrowedFd<'_>,
        flags: PollFlags,
        listen: bool,
        until: Instant,
    ) -> Result<bool, Halt> {
        loop {
            let now = Instant::now();
            if now >= until {
                return Err(Halt::TimeOver);
            }
            let due = self.pulse.as_ref().map(|pulse| pulse.last + pulse.alive.interval);
            let next = due.map_or(until, |due| due.min(until));
            let blocked = self.is_blocked();
            let mut want = PollFlags::empty();
            want.set(PollFlags::IN, listen);
            want.set(PollFlags::OUT, blocked);
            let polled = [(self.socket.as_fd(), want), (file, flags)];
            let [socket, beside] = ready(polled, next.saturating_duration_since(now));
            if !listen || socket.intersects(PollFlags::IN) {
                self.heard();
            }
            if !socket.is_empty() || !beside.is_empty() {
                return Ok(!beside.is_empty());
            }
            // After a question the answer is waited for here: whoever read it first would not know that it is one.
            self.ask_if_due(blocked)?;
        }
    }

    /// Takes note that the server is there.
    pub(crate) fn heard(&mut self) {
        if let Some(pulse) = &mut self.pulse {
            *pulse = Pulse { last: Instant::now(), unanswered: 0, ..*pulse };
        }
    }

    fn ask_if_due(&mut self, blocked: bool) -> Result<(), Halt> {
        let now = Instant::now();
        let due = |pulse: &&mut Pulse| now >= pulse.last + pulse.alive.interval;
        let Some(pulse) = self.pulse.as_mut().filter(due) else { return Ok(()) };
        if pulse.unanswered >= pulse.alive.questions {
            return Err(Halt::Silent);
        }
        *pulse = Pulse { last: now, unanswered: pulse.unanswered + 1, ..*pulse };
        // While something waits to be sent, a question could not be sent whole.
        if !blocked {
            self.session.keepalive_send().map_err(Halt::Failed)?;
        }
        Ok(())
    }

    /// Whether libssh2 has the rest of a packet to send.
    pub(crate) fn is_blocked(&self) -> bool {
        matches!(self.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both)
    }

    /// Says good-bye if that can be said at once.
    pub(crate) fn part(&self) {
        let _ = self.session.disconnect(None, "done", None);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // libssh2 frees only what it need not close in good order any more.
        let _ = socket2::SockRef::from(&*self.socket).shutdown(std::net::Shutdown::Both);
    }
}

pub(crate) fn would_block(error: &ssh2::Error) -> bool {
    code(error) == libssh2_sys::LIBSSH2_ERROR_EAGAIN
}

/// The number of an error, one of `LIBSSH2_ERROR_*`.
pub(crate) fn code(error: &ssh2::Error) -> i32 {
    match error.code() {
        ErrorCode::Session(code) | ErrorCode::SFTP(code) => code,
    }
}

/// Whether the connection itself is gone.
pub(crate) fn is_disconnect(error: &ssh2::Error) -> bool {
    [
        libssh2_sys::LIBSSH2_ERROR_SOCKET_DISCONNECT,
        libssh2_sys::LIBSSH2_ERROR_SOCKET_RECV,
        libssh2_sys::LIBSSH2_ERROR_SOCKET_SEND,
    ]
    .contains(&code(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gives_up_wakes_the_thread_and_who_was_answered_does_not() {
        let wake = Arc::new(Wake::new().unwrap());
        let caller = Caller { wake: &wake, gone: &|| false };
        let mut cancelled = Cancelled::new(Arc::clone(&wake));
        cancelled.answered();
        drop(cancelled);
        let is_rung = || {
            let mut polled = [PollFd::from_borrowed_fd(wake.fd(), PollFlags::IN)];
            poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
        };
        assert!(!is_rung());
        for _ in 0..1000 {
            drop(Cancelled::new(Arc::clone(&wake)));
        }
        assert!(is_rung());
        // However often it was rung before: it is heard until it is quiet, and once more when it rings again.
        while is_rung() {
            caller.wait_for_wake(Instant::now() + Duration::from_secs(60)).unwrap();
        }
        wake.ring();
        assert!(is_rung());
    }
}
