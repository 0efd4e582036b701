//! Carries one command over three byte streams: the part of an exchange that every executor with a shell shares.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use super::frame::{Capture, Frame, Stage};
use super::{ExecError, ExecErrorKind, Output, RemoteCommand};

/// How long the login shell may take, beside the command's own limit, until it runs our script.
const BEGIN_MAX: Duration = Duration::from_secs(30);
/// How long the host may take to end a command whose time is over (2 s for TERM, 10 s for KILL, 2 s for
/// the rest of its group) and to say so.
const END_MAX: Duration = Duration::from_secs(20);
/// How much one read takes.
const READ_SIZE: usize = 64 * 1024;

/// Why an exchange gave no [`Output`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// The time was over, and the host ended the command.
    TimedOut(Output),
    /// The host did not say the end, although the command's time and a grace of 50 s are over.
    Overdue,
    /// The user could not be changed; nothing ran.
    NotThatUser {
        /// The exit code of sudo or runuser.
        code: i32,
        /// What it said.
        said: String,
    },
    /// The streams ended before our script began.
    NotBegun {
        /// What came on them.
        said: String,
    },
    /// The streams ended in the middle, or the script was killed on the host.
    Cut,
}

impl Broken {
    /// The error for the person who has to act. `place` reads after "on". What only the executor can know (why the
    /// streams ended) it says itself.
    pub fn into_error(self, place: &str, command: &RemoteCommand) -> ExecError {
        let program = command.argv.first().map_or("", String::as_str);
        let limit = command.timeout.as_secs_f64();
        match self {
            Self::TimedOut(output) => ExecError::after(
                ExecErrorKind::Timeout,
                format!(
                    "{program} ran longer than its {limit} s on {place} and was ended there{}",
                    last_words(&output)
                ),
            ),
            Self::Overdue => ExecError::after(
                ExecErrorKind::Timeout,
                format!(
                    "{program} had {limit} s on {place}, and {} s later there was still no word of its end; the host \
                     may be overloaded, and the command may still run",
                    (BEGIN_MAX + END_MAX).as_secs()
                ),
            ),
            Self::NotThatUser { code, said } => {
                let user = command.user.as_ref().map_or("", |user| user.as_str());
                ExecError::before(
                    ExecErrorKind::Auth,
                    format!("cannot run {program} as {user} on {place} (exit code {code}): {said}"),
                )
            }
            Self::NotBegun { said } => ExecError::before(
                ExecErrorKind::Auth,
                format!(
                    "the login shell on {place} did not run `sh -c ...`{}{said}",
                    if said.is_empty() { ", and said nothing" } else { ", but said: " }
                ),
            ),
            Self::Cut => ExecError::after(
                ExecErrorKind::Lost,
                format!(
                    "{program} was begun on {place}, and its end did not come: the connection or `sh` was killed"
                ),
            ),
        }
    }
}

/// The last line of what a command complained, or else printed.
fn last_words(output: &Output) -> String {
    let last = |text: String| text.lines().rev().find(|line| !line.trim().is_empty()).map(ToOwned::to_owned);
    let line = last(output.stderr.text()).or_else(|| last(output.stdout.text()));
    line.map_or_else(String::new, |line| {
        format!("; its last words: {}", line.chars().take(300).collect::<String>())
    })
}

/// Sends the command and reads to its end. The life line is closed when this returns, and when it is dropped.
pub async fn exchange(
    frame: &Frame,
    command: &RemoteCommand,
    mut stdin: impl AsyncWrite + Unpin,
    stdout: impl AsyncRead + Unpin,
    stderr: impl AsyncRead + Unpin,
) -> Result<Output, Broken> {
    let begun = Notify::new();
    let send = async {
        // A failure to write shows on the other streams, as their end.
        if stdin.write_all(frame.opening()).await.is_ok() && !command.stdin.is_empty() {
            begun.notified().await;
            let _ = stdin.write_all(&command.stdin).await;
        }
        let _ = stdin.flush().await;
        std::future::pending::<()>().await;
    };
    let read = async {
        tokio::join!(
            read(stdout, frame.capture(command.output_max), Some(&begun)),
            read(stderr, frame.capture(command.output_max), None)
        )
    };
    tokio::select! {
        (stdout, stderr) = read => ended(stdout, stderr),
        () = send => Err(Broken::Cut),
        () = tokio::time::sleep(overdue_after(command)) => Err(Broken::Overdue),
    }
}

/// After how long without the end an exchange is [`Broken::Overdue`].
fn overdue_after(command: &RemoteCommand) -> Duration {
    command.timeout.saturating_add(BEGIN_MAX).saturating_add(END_MAX)
}

/// An exchange for an executor that reads and writes by itself, in a loop of its own: it is told what was read and
/// written. The life line is the executor's to close.
#[derive(Debug)]
pub struct Exchange<'a> {
    frame: &'a Frame,
    command: &'a RemoteCommand,
    stdout: Capture,
    stderr: Capture,
    sent: usize,
}

impl<'a> Exchange<'a> {
    /// One that has not begun.
    pub fn new(frame: &'a Frame, command: &'a RemoteCommand) -> Self {
        let (stdout, stderr) = (frame.capture(command.output_max), frame.capture(command.output_max));
        Self { frame, command, stdout, stderr, sent: 0 }
    }

    /// What is to be written to stdin now. Nothing: there is no more, or not before more was read.
    pub fn to_send(&self) -> &'a [u8] {
        let opening = self.frame.opening();
        if self.sent < opening.len() {
            &opening[self.sent..]
        } else if self.stdout.stage() == Stage::Waiting {
            &[]
        } else {
            self.command.stdin.get(self.sent - opening.len()..).unwrap_or_default()
        }
    }

    /// So many bytes of [`Exchange::to_send`] were written.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
    }

    /// Whether anything was written, so that the command may run.
    pub fn was_sent(&self) -> bool {
        self.sent > 0
    }

    /// These bytes came on stdout.
    pub fn stdout(&mut self, bytes: &[u8]) {
        self.stdout.push(bytes);
    }

    /// These bytes came on stderr.
    pub fn stderr(&mut self, bytes: &[u8]) {
        self.stderr.push(bytes);
    }

    /// Whether nothing more is to be read.
    pub fn over(&self) -> bool {
        self.stdout.over() && self.stderr.over()
    }

    /// The error of one that is [`Broken::Overdue`].
    pub fn overdue(&self, place: &str) -> ExecError {
        Broken::Overdue.into_error(place, self.command)
    }

    /// After how long without an end it is [`Broken::Overdue`].
    pub fn overdue_after(&self) -> Duration {
        overdue_after(self.command)
    }

    /// What came of it, when it is [`Exchange::over`] or the streams have ended.
    ///
    /// # Errors
    /// Why there is no output.
    pub fn end(self) -> Result<Output, Broken> {
        ended(self.stdout, self.stderr)
    }
}

/// Reads until the mark of the end, or the end of the stream.
async fn read(mut stream: impl AsyncRead + Unpin, mut capture: Capture, begun: Option<&Notify>) -> Capture {
    let mut buffer = vec![0; READ_SIZE];
    while !capture.over() {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(n) => capture.push(&buffer[..n]),
        }
        if let Some(begun) = begun
            && capture.stage() != Stage::Waiting
        {
            begun.notify_one();
        }
    }
    capture
}

fn ended(stdout: Capture, stderr: Capture) -> Result<Output, Broken> {
    let said = [stderr.noise(), stdout.noise()].into_iter().filter(|text| !text.is_empty());
    let said = said.collect::<Vec<_>>().join("\n");
    match stdout.stage() {
        Stage::Waiting => Err(Broken::NotBegun { said }),
        Stage::Refused { code, begun: false } => Err(Broken::NotThatUser { code, said }),
        Stage::Begun | Stage::Refused { .. } => Err(Broken::Cut),
        Stage::Ended { code, timed_out } => {
            let output = Output { code, stdout: stdout.into_captured(), stderr: stderr.into_captured() };
            if timed_out { Err(Broken::TimedOut(output)) } else { Ok(output) }
        }
    }
}
