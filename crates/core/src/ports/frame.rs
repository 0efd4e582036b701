//! How a [`RemoteCommand`] travels over any shell that has a stdin, a stdout and a stderr. Pure: bytes in, bytes out.
//!
//! On the command line stands only [`LOGIN_COMMAND`], a constant that sh, fish and csh read alike. Everything else is
//! data on stdin: a length, a script of that length ([`Frame::opening`]), the command's stdin ([`RemoteCommand::stdin`]),
//! and then nothing: stdin **stays open** and is the life line. When it closes, the script sends TERM to the command's
//! process group and KILL two seconds later. The same happens when the time limit, which the host itself keeps, is over.
//!
//! Each exchange has a mark, which the command does not know. The script prints `MARK begin` before and `MARK end CODE
//! TIMED-OUT` after the command on stdout and on stderr, so the exit code is exact (SSH has no word for many), what a
//! login shell prints of its own is told apart, and the end is known although a child of the command may hold the
//! output open. [`Capture`] reads a stream for its marks.
//!
//! The command's stdin is sent only after `begin` was seen: some implementations of `head -c` (busybox, uutils) read
//! more than they print, and would swallow it together with the script.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Captured, ExecError, ExecErrorKind, RemoteCommand};
use crate::quote::word;

/// What an SSH command line has: nothing of the command itself. Made of words that sh, bash, zsh, fish and csh read
/// alike, for the user's login shell reads it.
pub const LOGIN_COMMAND: &str = concat!("exec sh -c '", reader!(), "'");

/// The script of [`LOGIN_COMMAND`]; `sh -c READER` is the same without a login shell.
pub const READER: &str = reader!();

/// The most that argv and environment may have together, in bytes. A host that has the usual limit of 128 KiB a word
/// and 2 MiB altogether takes that in any quoting.
pub const COMMAND_MAX: usize = 100 * 1024;

/// How much of what a login shell printed before `begin` is kept, in bytes, for the message when there is no `begin`.
const NOISE_MAX: usize = 2048;

/// The longest line of a mark, without the mark itself.
const MARK_LINE_MAX: usize = 64;

/// Names that a shell changes, refuses to set, or complains about; they are set by env(1) instead.
const SHELL_NAMES: [&str; 27] = [
    "_",
    "COLUMNS",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "IFS",
    "LANG",
    "LINENO",
    "LINES",
    "OLDPWD",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "POSIXLY_CORRECT",
    "PPID",
    "PS4",
    "PWD",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "UID",
];

macro_rules! reader {
    () => {
        r#"IFS= read -r _uphaul_n && _uphaul_s=$(head -c "$_uphaul_n") && eval "$_uphaul_s""#
    };
}
use reader;

/// One command, ready to be sent.
#[derive(Debug, Clone)]
pub struct Frame {
    mark: String,
    opening: Vec<u8>,
}

impl Frame {
    /// Makes the frame. `random` must be fresh for each exchange (the core has no randomness of its own).
    ///
    /// # Errors
    /// `Local`, before anything is sent, when the command has no program, a NUL, a name that no environment takes, or
    /// more than [`COMMAND_MAX`] bytes.
    pub fn new(command: &RemoteCommand, random: u128) -> Result<Self, ExecError> {
        Self::check(command)?;
        let mark = format!("uphaul-{random:032x}");
        Ok(Self { opening: framed(&script(command, &mark)), mark })
    }

    /// Says whether a command can be sent, without making its frame.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn check(command: &RemoteCommand) -> Result<(), ExecError> {
        check(command).map_err(|why| ExecError::before(ExecErrorKind::Local, why))
    }

    /// What goes to stdin first. After it, once stdout has [`Stage::Begun`], goes the command's stdin.
    pub fn opening(&self) -> &[u8] {
        &self.opening
    }

    /// A reader of stdout or of stderr; keeps the last `keep` bytes.
    pub fn capture(&self, keep: usize) -> Capture {
        Capture {
            mark: self.mark.as_bytes().to_vec(),
            stage: Stage::Waiting,
            pending: Vec::new(),
            noise: Tail::new(NOISE_MAX),
            kept: Tail::new(keep),
        }
    }
}

/// Says why a command cannot be sent.
fn check(command: &RemoteCommand) -> Result<(), String> {
    let Some(program) = command.argv.first() else {
        return Err("the command has no program".into());
    };
    if program.is_empty() || program.starts_with('-') {
        return Err(format!("{program:?} is not the name of a program"));
    }
    if command.dir.as_deref() == Some("") {
        return Err("the directory of the command is an empty name".into());
    }
    let name_ok = |name: &str| !name.is_empty() && !name.contains('=') && !name.starts_with("_uphaul_");
    if let Some(name) = command.env.keys().find(|name| !name_ok(name)) {
        return Err(format!("{name:?} is not a name of an environment variable"));
    }
    let mut texts =
        command.argv.iter().chain(&command.dir).chain(command.env.keys()).chain(command.env.values());
    if texts.any(|text| text.contains('\0')) {
        return Err(format!("a word of the command {program:?} has a NUL, which no program can be given"));
    }
    let size = command.size();
    if size > COMMAND_MAX {
        return Err(format!(
            "the words and the environment of the command {program:?} have {size} bytes; {COMMAND_MAX} can be sent"
        ));
    }
    Ok(())
}

fn script(command: &RemoteCommand, mark: &str) -> String {
    // In one piece from the beginning: our scripts have tens of kilobytes, an eighth more when they are quoted.
    let mut inner = String::with_capacity(command.size() / 8 * 9 + 8192);
    if command.user.is_none() {
        line(&mut inner, "_uphaul_user=");
    }
    line(&mut inner, &format!("_uphaul_mark={mark} _uphaul_stdin={}", command.stdin.len()));
    line(&mut inner, &format!("_uphaul_limit={}", seconds(command.timeout)));
    given(&mut inner, command);
    inner.push_str(include_str!("frame.sh"));
    let Some(user) = &command.user else {
        return inner;
    };
    let become_user = format!("_uphaul_user={}\n", word(user.as_str()));
    let mut outer = become_user.clone();
    line(&mut outer, &format!("_uphaul_mark={mark} _uphaul_length={}", become_user.len() + inner.len()));
    line(&mut outer, &format!("_uphaul_reader={}", word(READER)));
    line(&mut outer, &format!("_uphaul_become={}", word(&become_user)));
    line(&mut outer, &format!("_uphaul_inner={}", word(&inner)));
    outer.push_str(include_str!("switch.sh"));
    outer
}

/// Writes the function `given`: everything in which one command differs from another.
fn given(script: &mut String, command: &RemoteCommand) {
    line(script, "given() {");
    if let Some(dir) = &command.dir {
        // A name like `-` or one found by CDPATH would be read in another way.
        let dir = word(&if dir.starts_with('/') { dir.clone() } else { format!("./{dir}") });
        line(script, &format!("cd -- {dir} 2>/dev/null || {{"));
        line(script, &format!("printf 'uphaul: cannot enter the directory %s\\n' {dir} >&7"));
        line(script, "return 126; }");
    }
    let (by_env, by_shell): (Vec<_>, Vec<_>) = command.env.iter().partition(|(name, _)| !exportable(name));
    for (name, value) in by_shell {
        line(script, &format!("export {name}={}", word(value)));
    }
    let mut words = Vec::new();
    if !by_env.is_empty() {
        words.push("\"$_uphaul_env\"".to_owned());
        words.extend(by_env.iter().map(|(name, value)| word(&format!("{name}={value}"))));
        if command.argv[0].contains('=') {
            words.extend(["\"$_uphaul_sh\"", "-c", "'exec \"$@\"'", "sh"].map(ToOwned::to_owned));
        }
    }
    words.extend(command.argv.iter().map(|text| word(text)));
    line(script, &format!("run {}", words.join(" ")));
    line(script, "}");
}

fn line(script: &mut String, text: &str) {
    script.push_str(text);
    script.push('\n');
}

/// Whether every shell exports the name as it is told to.
fn exportable(name: &str) -> bool {
    let first_ok = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest_ok = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let shells_own = SHELL_NAMES.contains(&name) || name.starts_with("BASH") || name.starts_with("LC_");
    first_ok && rest_ok && !shells_own
}

fn framed(script: &str) -> Vec<u8> {
    format!("{}\n{script}", script.len()).into_bytes()
}

/// A time as coreutils read it, at least a millisecond (0 would mean no limit) and at most 30 years.
fn seconds(time: Duration) -> String {
    let time = time.clamp(Duration::from_millis(1), Duration::from_secs(1_000_000_000));
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, "{}.{:03}", time.as_secs(), time.subsec_millis());
    text
}

/// How far a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing of the command yet; what came is a login shell's own.
    Waiting,
    /// The script runs on the host, and begins the command.
    Begun,
    /// The command has ended, and what was left of its process group was killed.
    Ended {
        /// The exit code; 128 + n for signal n.
        code: i32,
        /// Whether it was ended because its time was over.
        timed_out: bool,
    },
    /// The program that changes the user did not do it, or was killed; this is its exit code.
    Refused {
        /// As the program gave it.
        code: i32,
        /// Whether the script had begun as that user; then the command may have run.
        begun: bool,
    },
}

/// Reads one stream of an exchange in bounded memory: twice the bytes kept, and what one read brings.
#[derive(Debug)]
pub struct Capture {
    mark: Vec<u8>,
    stage: Stage,
    /// What may be the beginning of a mark.
    pending: Vec<u8>,
    noise: Tail,
    kept: Tail,
}

impl Capture {
    /// Takes what the stream brought.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.over() {
            return;
        }
        self.pending.extend_from_slice(bytes);
        while let Some((at, end)) = self.next_mark() {
            let pending = std::mem::take(&mut self.pending);
            self.keep(&pending[..at]);
            self.stage = self.after(&pending[at + self.mark.len()..end]);
            if self.over() {
                return;
            }
            self.pending = pending[end + 1..].to_vec();
        }
        let settled = self.settled();
        let rest = self.pending.split_off(settled);
        let pending = std::mem::replace(&mut self.pending, rest);
        self.keep(&pending);
    }

    /// How far the stream is.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether nothing more is to be read.
    pub fn over(&self) -> bool {
        matches!(self.stage, Stage::Ended { .. } | Stage::Refused { .. })
    }

    /// What came before `begin`, its last 2 KiB, as text: a login shell's own words, or why there was no shell.
    pub fn noise(&self) -> String {
        String::from_utf8_lossy(self.noise.last()).trim().to_owned()
    }

    /// The command's own bytes, so far.
    pub fn into_captured(mut self) -> Captured {
        if self.stage == Stage::Begun {
            let pending = std::mem::take(&mut self.pending);
            self.keep(&pending);
        }
        self.kept.into_captured()
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.stage == Stage::Waiting { self.noise.push(bytes) } else { self.kept.push(bytes) }
    }

    /// Where the first whole mark begins, and where its line ends.
    fn next_mark(&self) -> Option<(usize, usize)> {
        let at = memchr::memmem::find(&self.pending, &self.mark)?;
        let line = &self.pending[at + self.mark.len()..];
        Some((at, at + self.mark.len() + memchr::memchr(b'\n', line)?))
    }

    /// How many of the pending bytes can be no part of a mark.
    fn settled(&self) -> usize {
        let len = self.pending.len();
        match memchr::memmem::find(&self.pending, &self.mark) {
            Some(at) if len - at <= self.mark.len() + MARK_LINE_MAX => at,
            // A mark whose line does not end is none.
            Some(_) => len,
            None => {
                len - (1..self.mark.len())
                    .rev()
                    .find(|n| self.pending.ends_with(&self.mark[..*n]))
                    .unwrap_or(0)
            }
        }
    }

    fn after(&self, line: &[u8]) -> Stage {
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_ascii_whitespace();
        let word = words.next();
        let mut number = || words.next().and_then(|word| word.parse::<i32>().ok());
        match word {
            Some("begin") => Stage::Begun,
            Some("end") => Stage::Ended {
                code: number().unwrap_or(137),
                timed_out: number().is_some_and(|flag| flag == 1),
            },
            Some("fail") => {
                Stage::Refused { code: number().unwrap_or(1), begun: self.stage != Stage::Waiting }
            }
            _ => self.stage,
        }
    }
}

/// The last bytes of a stream.
#[derive(Debug)]
struct Tail {
    max: usize,
    bytes: Vec<u8>,
    dropped: u64,
}

impl Tail {
    fn new(max: usize) -> Self {
        Self { max, bytes: Vec::new(), dropped: 0 }
    }

    fn push(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
        // Not at each push: moving the bytes costs as much as they are.
        if self.bytes.len() > 2 * self.max + 4096 {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let over = self.bytes.len().saturating_sub(self.max);
        self.bytes.drain(..over);
        self.dropped += over as u64;
    }

    fn last(&self) -> &[u8] {
        &self.bytes[self.bytes.len().saturating_sub(self.max)..]
    }

    fn into_captured(mut self) -> Captured {
        self.cut();
        Captured { bytes: self.bytes, dropped: self.dropped }
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
