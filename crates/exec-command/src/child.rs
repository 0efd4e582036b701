//! One process of the program.

use std::collections::VecDeque;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use uphaul_core::ports::ExecError;

use crate::local;

/// How long a program may go on after its stdin was closed: the host has 14 s to end a stubborn command.
const END_MAX: Duration = Duration::from_secs(20);
/// How long a program whose output has ended may take to say its exit code.
const STATUS_MAX: Duration = Duration::from_secs(3);
/// How much of its last words is kept, in bytes.
const SAID_MAX: usize = 1024;

/// A program that runs. Dropped, it is ended with all that it has begun: at once where nothing was asked of the host that
/// matters, else after the host had its time.
pub(crate) struct Running<'a> {
    program: Option<Program>,
    ends: Option<&'a mut Vec<JoinHandle<()>>>,
}

/// Its streams.
pub(crate) struct Streams {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: Heard<ChildStderr>,
}

impl<'a> Running<'a> {
    /// Begins it. Its end is put into `ends`, if the host is to have its time.
    pub(crate) fn begin(
        argv: &[String],
        ends: Option<&'a mut Vec<JoinHandle<()>>>,
    ) -> Result<(Self, Streams), ExecError> {
        let Some((program, words)) = argv.split_first() else {
            return Err(local("executor.command.argv names no program".into()));
        };
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C on the terminal is for Uphaul, which decides.
        command.process_group(0);
        let mut child =
            command.spawn().map_err(|error| local(format!("cannot begin `{program}`: {error}")))?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(local(format!("`{program}` was begun without its pipes")));
        };
        let streams = Streams { stdin, stdout, stderr: Heard::new(stderr) };
        let program = Program { child, all: ends.is_none() };
        Ok((Self { program: Some(program), ends }, streams))
    }

    /// Lets one that would be ended at once come to its own end.
    pub(crate) async fn settle(&mut self) {
        if self.ends.is_none() {
            self.status().await;
        }
    }

    /// How it ended, for messages.
    pub(crate) async fn status(&mut self) -> String {
        let Some(program) = &mut self.program else { return String::new() };
        match tokio::time::timeout(STATUS_MAX, program.child.wait()).await {
            Ok(Ok(status)) => format!("the program ended with {status}"),
            Ok(Err(error)) => format!("the program cannot be waited for: {error}"),
            Err(_) => "the program closed its output and goes on".to_owned(),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Some(ends) = &mut self.ends else { return };
        // Its stdin is closed by now, so the host ends the command, and the program follows.
        if let (Some(program), Ok(handle)) = (self.program.take(), Handle::try_current()) {
            ends.push(handle.spawn(program.end()));
        }
    }
}

/// A process that is killed when it is dropped before its end.
struct Program {
    child: Child,
    /// Whether everything that it has begun is killed too. (It may be a script around the one that does the work.) Not
    /// before the host had its time: where the program runs the command here, the watcher of its life line is one of these.
    all: bool,
}

impl Program {
    async fn end(mut self) {
        self.all = tokio::time::timeout(END_MAX, self.child.wait()).await.is_err();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that was waited for has no id any more, so nobody else's can be meant.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let Some(id) = id else { return };
        let _gone =
            if self.all { kill_process_group(id, Signal::KILL) } else { kill_process(id, Signal::KILL) };
    }
}

/// A stream whose last words are kept.
pub(crate) struct Heard<R> {
    stream: R,
    said: Said,
}

impl<R> Heard<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, said: Said::default() }
    }

    /// Its last words, also those that are still to come.
    pub(crate) fn said(&self) -> Said {
        self.said.clone()
    }
}

/// The last words of a stream.
#[derive(Clone, Default)]
pub(crate) struct Said(Arc<Mutex<VecDeque<u8>>>);

impl Said {
    fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(&bytes[bytes.len().saturating_sub(SAID_MAX)..]);
        let over = kept.len().saturating_sub(SAID_MAX);
        kept.drain(..over);
    }

    /// Its last line, without the marks of the frame.
    pub(crate) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let own = |line: &&str| !line.trim().is_empty() && !line.starts_with("uphaul-");
        text.lines().rfind(own).unwrap_or_default().trim().to_owned()
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Heard<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_ready() {
            self.said.push(&buffer.filled()[before..]);
        }
        polled
    }
}
