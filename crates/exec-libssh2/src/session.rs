//! The thread of one session: it connects, then runs one command after the other, and watches the connection in between.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use ssh2::Channel;
use tokio::sync::oneshot;
use uphaul_core::ports::frame::{Frame, LOGIN_COMMAND};
use uphaul_core::ports::stream::Exchange;
use uphaul_core::ports::{ExecError, ExecErrorKind, Output, RemoteCommand};

use crate::connect::Connected;
use crate::link::{Caller, Halt, Link, Wake, is_disconnect};
use crate::tunnel::Tunnel;

/// How long the host may take to open a channel. A dead connection is noticed sooner.
const OPEN_MAX: Duration = Duration::from_secs(30);
/// How long the next command waits for the last one's channel to close.
const CLOSE_MAX: Duration = Duration::from_secs(2);
/// How many channels may be closing at the same time; with more the session is of no use.
const CLOSING_MAX: usize = 8;
/// How much one read takes. Each session has that much while a command runs, and there may be hundreds.
const READ_SIZE: usize = 16 * 1024;
/// SSH's number of stderr.
const STDERR: i32 = 1;

/// A command to run.
pub(crate) struct Order {
    /// All but what only the frame needs to know.
    pub(crate) command: RemoteCommand,
    pub(crate) frame: Frame,
    /// Its other side is dropped when nobody wants the result any more.
    pub(crate) reply: oneshot::Sender<Result<Output, ExecError>>,
}

/// What a thread of a session holds.
pub(crate) struct Worker {
    link: Link,
    tunnels: Vec<Tunnel>,
    label: String,
    wake: Arc<Wake>,
    /// Opened before it is needed: reading from it is how libssh2 hears the server between commands.
    next: Option<Channel>,
    /// The server does not let us have one, or took it back: no further one is asked for before the next command.
    no_next: bool,
    /// Channels whose end the server has not confirmed.
    closing: Vec<Channel>,
    /// Why the connection is gone.
    lost: Option<String>,
    buffer: Vec<u8>,
}

/// Why a command came to nothing.
enum Stop {
    /// Nobody wants it any more.
    Gone,
    /// The connection is gone.
    Lost(String),
    /// It is an error of the command, and the connection is as good as before.
    Error(ExecError),
}

impl Worker {
    pub(crate) fn new(connected: Connected, label: String, wake: Arc<Wake>) -> Self {
        let Connected { link, tunnels } = connected;
        let buffer = Vec::new();
        Self {
            link,
            tunnels,
            label,
            wake,
            next: None,
            no_next: false,
            closing: Vec::new(),
            lost: None,
            buffer,
        }
    }

    /// Runs all orders, until nobody can give one any more.
    pub(crate) fn work(mut self, orders: &Receiver<Order>) {
        loop {
            match orders.try_recv() {
                Ok(order) => self.take(order),
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => self.idle(),
            }
        }
        self.next = None;
        self.link.part();
    }

    fn take(&mut self, order: Order) {
        let Order { command, frame, reply } = order;
        self.no_next = false;
        let result = match &self.lost {
            Some(why) => Err(ExecError::before(ExecErrorKind::Lost, self.lost_words(&command, why))),
            None => match self.run(&command, &frame, &|| reply.is_closed()) {
                Ok(output) => Ok(output),
                Err((Stop::Error(error), _)) => Err(error),
                Err((Stop::Gone, _)) => return,
                Err((Stop::Lost(why), sent)) => {
                    let detail = self.lost_words(&command, &why);
                    self.lost = Some(why);
                    let after = if sent { ExecError::after } else { ExecError::before };
                    Err(after(ExecErrorKind::Lost, detail))
                }
            },
        };
        // Nobody may want it any more.
        let _ = reply.send(result);
    }

    fn lost_words(&self, command: &RemoteCommand, why: &str) -> String {
        let program = command.argv.first().map_or("", String::as_str);
        let carried =
            self.tunnels.iter().find_map(Tunnel::why).map_or_else(String::new, |why| format!("; {why}"));
        format!(
            "the connection to {} was lost while {program} ran there, or was about to ({why}{carried})",
            self.label
        )
    }

    /// Runs a command. An error says whether anything of it was sent.
    fn run(
        &mut self,
        command: &RemoteCommand,
        frame: &Frame,
        gone: &dyn Fn() -> bool,
    ) -> Result<Output, (Stop, bool)> {
        let mut channel = self.open(command, gone).map_err(|stop| (stop, false))?;
        let mut exchange = Exchange::new(frame, command);
        let carried = self.carry(&mut channel, &mut exchange, gone);
        let sent = exchange.was_sent();
        let rest = exchange.to_send();
        if !matches!(carried, Err(Stop::Lost(_))) {
            self.retire(channel, rest);
        }
        match carried {
            Ok(()) => {
                exchange.end().map_err(|broken| (Stop::Error(broken.into_error(&self.label, command)), sent))
            }
            Err(stop) => Err((stop, sent)),
        }
    }

    /// Opens a channel and has the login shell read it.
    fn open(&mut self, command: &RemoteCommand, gone: &dyn Fn() -> bool) -> Result<Channel, Stop> {
        let until = Instant::now() + OPEN_MAX;
        let wake = Arc::clone(&self.wake);
        let caller = Caller { wake: &wake, gone };
        self.finish_closing(caller, CLOSE_MAX).map_err(Stop::Lost)?;
        let prepared = self.next.take();
        let was_prepared = prepared.is_some();
        let opened = match prepared {
            Some(channel) => Ok(channel),
            None => match self.link.call(caller, until, |session| session.channel_session()) {
                // It may count the channels that are closing.
                Err(Halt::Failed(error)) if !is_disconnect(&error) && !self.closing.is_empty() => {
                    self.finish_closing(caller, OPEN_MAX).map_err(Stop::Lost)?;
                    self.link.call(caller, until, |session| session.channel_session())
                }
                opened => opened,
            },
        };
        let mut channel = opened.map_err(|halt| self.not_open(halt, command))?;
        match self.link.call(caller, until, |_| channel.exec(LOGIN_COMMAND)) {
            Ok(()) => Ok(channel),
            Err(halt) => {
                let refused = matches!(&halt, Halt::Failed(error) if !is_disconnect(error));
                if refused && was_prepared && channel.eof() {
                    // The server has taken it back (its ChannelTimeout); nothing of the command was sent.
                    self.retire(channel, &[]);
                    return self.open(command, gone);
                }
                let stop = if refused {
                    Stop::Error(ExecError::before(
                        ExecErrorKind::Auth,
                        format!("{} runs no command for this user: it refused `exec`", self.label),
                    ))
                } else {
                    self.not_open(halt, command)
                };
                if !matches!(stop, Stop::Lost(_)) {
                    self.retire(channel, &[]);
                }
                Err(stop)
            }
        }
    }

    fn not_open(&self, halt: Halt, command: &RemoteCommand) -> Stop {
        let program = command.argv.first().map_or("", String::as_str);
        match halt {
            Halt::Gone => Stop::Gone,
            Halt::Silent => Stop::Lost(silent(self.link.silent_max_s())),
            Halt::TimeOver => {
                let seconds = OPEN_MAX.as_secs();
                Stop::Lost(format!("the host did not open a channel for {program} within {seconds} s"))
            }
            Halt::Failed(error) if is_disconnect(&error) => Stop::Lost(error.message().to_owned()),
            Halt::Failed(error) => Stop::Error(ExecError::before(
                ExecErrorKind::Connect,
                format!(
                    "{} opens no further channel on the connection ({}): is its MaxSessions used up?",
                    self.label,
                    error.message()
                ),
            )),
        }
    }

    /// Sends and reads, all streams in turns, until the exchange is over or the server has ended the channel.
    fn carry(
        &mut self,
        channel: &mut Channel,
        exchange: &mut Exchange<'_>,
        gone: &dyn Fn() -> bool,
    ) -> Result<(), Stop> {
        let until = Instant::now() + exchange.overdue_after().min(Duration::from_secs(1 << 32));
        let wake = Arc::clone(&self.wake);
        let caller = Caller { wake: &wake, gone };
        let mut writable = true;
        self.buffer.resize(READ_SIZE, 0);
        let done = loop {
            let (mut moved, mut read) = (false, false);
            let more = exchange.to_send();
            if writable && !more.is_empty() {
                match channel.write(more) {
                    Ok(n) => {
                        exchange.sent(n);
                        moved |= n > 0;
                    }
                    Err(error) if waits(&error) => {}
                    // It shows on the other streams, as their end.
                    Err(_) => writable = false,
                }
            }
            match channel.read(&mut self.buffer) {
                Ok(n) => {
                    exchange.stdout(&self.buffer[..n]);
                    read |= n > 0;
                }
                Err(error) if waits(&error) => {}
                Err(error) => break Err(Stop::Lost(error.to_string())),
            }
            match channel.stream(STDERR).read(&mut self.buffer) {
                Ok(n) => {
                    exchange.stderr(&self.buffer[..n]);
                    read |= n > 0;
                }
                Err(error) if waits(&error) => {}
                Err(error) => break Err(Stop::Lost(error.to_string())),
            }
            if read {
                self.link.heard();
                moved = true;
            }
            if exchange.over() || (!moved && channel.eof()) {
                break Ok(());
            }
            if gone() {
                break Err(Stop::Gone);
            }
            if !moved {
                match self.link.wait(caller, until) {
                    Ok(()) => {}
                    Err(Halt::Gone) => break Err(Stop::Gone),
                    Err(Halt::Silent) => break Err(Stop::Lost(silent(self.link.silent_max_s()))),
                    Err(Halt::Failed(error)) => break Err(Stop::Lost(error.message().to_owned())),
                    Err(Halt::TimeOver) => break Err(Stop::Error(exchange.overdue(&self.label))),
                }
            }
        };
        // Held only while a command runs: an idle session is to be small.
        self.buffer = Vec::new();
        done
    }

    /// Lets go of a channel: its life line is closed, and with it what still runs. `rest`: what was about to be sent.
    fn retire(&mut self, mut channel: Channel, rest: &[u8]) {
        let until = Instant::now() + CLOSE_MAX;
        let never = || false;
        let wake = Arc::clone(&self.wake);
        let caller = Caller { wake: &wake, gone: &never };
        // A packet that was sent in part has to be sent whole, or nothing can follow it.
        while self.link.is_blocked() && !rest.is_empty() {
            match channel.write(rest) {
                Err(error) if waits(&error) => {
                    if let Err(halt) = self.link.wait(caller, until) {
                        self.lost = Some(match halt {
                            Halt::Failed(error) => error.message().to_owned(),
                            Halt::Silent | Halt::TimeOver | Halt::Gone => {
                                "the host takes no more data".to_owned()
                            }
                        });
                        return;
                    }
                }
                Ok(_) | Err(_) => break,
            }
        }
        if !closed(&mut channel) {
            self.closing.push(channel);
        }
    }

    /// Waits, not for ever, until the channels that were let go are closed. An error: the connection is of no use.
    fn finish_closing(&mut self, caller: Caller<'_>, limit: Duration) -> Result<(), String> {
        let until = Instant::now() + limit;
        loop {
            self.closing.retain_mut(|channel| !closed(channel));
            if self.closing.is_empty() {
                return Ok(());
            }
            match self.link.wait(caller, until) {
                Ok(()) => {}
                // A host that is slow to end a command may go on with it.
                Err(Halt::TimeOver | Halt::Gone) if self.closing.len() <= CLOSING_MAX => return Ok(()),
                Err(Halt::TimeOver | Halt::Gone) => {
                    return Err("the host closes no channel any more".to_owned());
                }
                Err(Halt::Silent) => return Err(silent(self.link.silent_max_s())),
                Err(Halt::Failed(error)) => return Err(error.message().to_owned()),
            }
        }
    }

    /// Waits for an order, and answers the server meanwhile.
    fn idle(&mut self) {
        if let Err(why) = self.tend() {
            self.lost = Some(why);
            self.next = None;
        }
    }

    fn tend(&mut self) -> Result<(), String> {
        let far = Instant::now() + Duration::from_secs(3600);
        let never = || false;
        let wake = Arc::clone(&self.wake);
        let caller = Caller { wake: &wake, gone: &never };
        let silent_s = self.link.silent_max_s();
        let told = |halt| match halt {
            Halt::Gone | Halt::TimeOver => Ok(()),
            Halt::Silent => Err(silent(silent_s)),
            Halt::Failed(error) => Err(error.message().to_owned()),
        };
        self.closing.retain_mut(|channel| !closed(channel));
        if self.lost.is_some() {
            return caller.wait_for_wake(far).or_else(told);
        }
        if self.next.is_none() && self.closing.is_empty() {
            if self.no_next {
                // Nothing would read what the server says.
                return caller.wait_for_wake(far).or_else(told);
            }
            match self.link.session().channel_session() {
                Ok(channel) => self.next = Some(channel),
                Err(error) if crate::link::would_block(&error) => {}
                Err(error) if is_disconnect(&error) => return Err(error.message().to_owned()),
                // The next command will say it.
                Err(_) => self.no_next = true,
            }
        }
        if let Some(channel) = &mut self.next {
            let mut nothing = [0; 16];
            match channel.read(&mut nothing) {
                Err(error) if waits(&error) => {}
                Ok(_) if !channel.eof() => {}
                Ok(_) => {
                    self.closing.extend(self.next.take());
                    self.no_next = true;
                    return Ok(());
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        self.link.wait(caller, far).or_else(told)
    }
}

/// Whether a channel is closed, or cannot be closed in good order any more.
fn closed(channel: &mut Channel) -> bool {
    match channel.close() {
        Ok(()) => true,
        Err(error) => !crate::link::would_block(&error),
    }
}

fn waits(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}

fn silent(seconds: f64) -> String {
    format!("the host did not answer for {seconds} s")
}
