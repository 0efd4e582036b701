//! Hostile strings, and the two ways on which a string becomes a word on a host: [`word`], which a script evaluates, and
//! the [`Frame`], in which commands travel. Shared by the property test (tests/quoting.rs), the conformance suite and the
//! fuzz target (fuzz/), so it uses the standard library and the core alone.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use uphaul_core::ports::RemoteCommand;
use uphaul_core::ports::frame::{Capture, Frame, READER, Stage};
use uphaul_core::quote::word;

/// What a shell, a program, a terminal or a careless script reads as something else than itself.
const PIECES: [&str; 64] = [
    "'",
    "''",
    "'\\''",
    "\"",
    "\\",
    "\\\\",
    "$(",
    "$(id)",
    ")",
    "`",
    "`id`",
    "${",
    "${IFS}",
    "}",
    "$",
    "$'",
    "$0",
    "$@",
    "\n",
    "\n\n",
    "\r",
    "\r\n",
    "\t",
    " ",
    "  ",
    "-",
    "--",
    "-n",
    "-e",
    "*",
    "?",
    "[a-z]",
    "{a,b}",
    "~",
    "~root",
    "#",
    "!",
    "!!",
    "&",
    "&&",
    ";",
    "|",
    "<",
    ">",
    "<<EOF\n",
    "EOF\n",
    "=",
    "%s",
    "%n",
    "^",
    "/../",
    "\u{1b}[2J",
    "\u{1b}]0;t\u{7}",
    "\u{7f}",
    "\u{1}",
    "\u{85}",
    "\u{a0}",
    "ü",
    "\u{202e}",
    "😀",
    "\u{feff}",
    "e\u{301}",
    "uphaul-",
    "a",
];
/// How many bytes the words of one command have together at most; a host is sent no more than 100 KiB at once.
const BATCH_MAX: usize = 80 * 1024;
/// The longest string, in bytes once it is quoted.
const LONG: usize = 60 * 1024;

/// Bytes that are the same for the same seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The data of one string.
    fn data(&mut self) -> Vec<u8> {
        let len = self.next() % 24;
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }

    /// Strings that one command can carry, and no more than `most`.
    pub fn batch(&mut self, most: usize) -> Vec<String> {
        let (mut all, mut size) = (Vec::new(), 0);
        while all.len() < most.max(1) {
            let mut text = text_of(&self.data());
            // One in some thousands is long; most of its quotes are quoted in turn.
            if self.next().is_multiple_of(4096) && !text.is_empty() {
                text = text.repeat(LONG / word(&text).len());
            }
            // Each may stand between quotes, and each quote becomes four bytes.
            size += word(&text).len() + 24;
            if size > BATCH_MAX && !all.is_empty() {
                break;
            }
            all.push(text);
        }
        all
    }
}

/// One string from bytes: each is a piece or a character of its own; no word has a NUL.
pub fn text_of(data: &[u8]) -> String {
    let mut text = String::new();
    for (at, byte) in data.iter().enumerate() {
        match byte {
            0..=127 => text.push_str(PIECES[usize::from(byte % 64)]),
            // Any character there is, by the bytes that follow.
            128..=159 => {
                let bits =
                    data[at..].iter().take(3).fold(u32::from(*byte), |sum, b| (sum << 7) ^ u32::from(*b));
                text.extend(char::from_u32(bits % 0x11_0000).filter(|c| *c != '\0'));
            }
            160..=255 => text.push(char::from((byte - 160) % 95 + 32)),
        }
    }
    text
}

/// Strings from the bytes of a fuzzer, cut at each 0xff.
pub fn texts_of(data: &[u8]) -> Vec<String> {
    data.split(|byte| *byte == 0xff).take(200).map(|data| text_of(&data[..data.len().min(500)])).collect()
}

/// What the fuzz target and the property test hold: every way gives every byte back.
///
/// # Errors
/// Which string was changed, and into what.
pub fn all_ways(shell: &str, texts: &[String]) -> Result<(), String> {
    by_word(shell, texts)?;
    for way in Way::ALL {
        let command = way.command(texts);
        let frame = Frame::new(&command, 7).map_err(|error| error.to_string())?;
        let mut child = spawn(shell, READER)?;
        let (mut stdin, mut stdout) =
            (child.stdin.take().ok_or("no stdin")?, child.stdout.take().ok_or("no stdout")?);
        stdin.write_all(frame.opening()).map_err(|error| error.to_string())?;
        let mut capture = frame.capture(command.output_max);
        read_until(&mut stdout, &mut capture, |capture| capture.stage() != Stage::Waiting)?;
        stdin.write_all(&command.stdin).map_err(|error| error.to_string())?;
        read_until(&mut stdout, &mut capture, Capture::over)?;
        // Its end is the end of the life line.
        drop(stdin);
        child.wait().map_err(|error| error.to_string())?;
        way.check(texts, &capture.into_captured().bytes)?;
    }
    Ok(())
}

/// Through [`word`] alone, in a text that a shell evaluates.
///
/// # Errors
/// Which string was changed, and into what.
pub fn by_word(shell: &str, texts: &[String]) -> Result<(), String> {
    let script = texts.iter().fold("printf '%s\\0'".to_owned(), |script, text| script + " " + &word(text));
    let mut child = spawn(shell, "eval \"$(cat; echo)\"")?;
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    stdin.write_all(script.as_bytes()).map_err(|error| error.to_string())?;
    drop(stdin);
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    same(texts, &separated(&output.stdout))
}

fn spawn(shell: &str, script: &str) -> Result<std::process::Child, String> {
    Command::new(shell)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot run {shell}: {error}"))
}

fn read_until(from: &mut impl Read, capture: &mut Capture, done: fn(&Capture) -> bool) -> Result<(), String> {
    let mut buffer = [0; 65536];
    while !done(capture) {
        match from.read(&mut buffer).map_err(|error| error.to_string())? {
            0 => return Err(format!("the output ended at {:?}: {}", capture.stage(), capture.noise())),
            n => capture.push(&buffer[..n]),
        }
    }
    Ok(())
}

/// How a string travels with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As words of the command.
    Words,
    /// As values of its environment, half of them under names that no shell exports.
    Environment,
    /// Quoted by [`word`] in one value, which a script evaluates, as `U_ENV` is.
    Evaluated,
    /// On its stdin; here as bytes that are no UTF-8, with NULs.
    Stdin,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Words, Self::Environment, Self::Evaluated, Self::Stdin];

    /// A command that gives the strings back.
    pub fn command(self, texts: &[String]) -> RemoteCommand {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let mut command = RemoteCommand {
            argv: words(&["sh", "-c", "printf '%s\\0' \"$@\"", "uphaul"]),
            dir: None,
            env: BTreeMap::new(),
            stdin: Vec::new(),
            timeout: Duration::from_secs(120),
            user: None,
            output_max: 4 << 20,
        };
        match self {
            Self::Words => command.argv.extend_from_slice(texts),
            Self::Environment => {
                command.argv = words(&["env", "-0"]);
                command.env = texts.iter().enumerate().map(|(n, text)| (name(n), text.clone())).collect();
            }
            Self::Evaluated => {
                command.argv = words(&["sh", "-c", "eval \"printf '%s\\\\0' $U_WORDS\"", "uphaul"]);
                let quoted: Vec<String> = texts.iter().map(|text| word(text)).collect();
                command.env.insert("U_WORDS".into(), quoted.join(" "));
            }
            Self::Stdin => {
                command.argv = words(&["cat"]);
                command.stdin = bytes_of(texts);
            }
        }
        command
    }

    /// Holds what came back against what was sent.
    ///
    /// # Errors
    /// Which string was changed, and into what.
    pub fn check(self, texts: &[String], output: &[u8]) -> Result<(), String> {
        match self {
            Self::Words | Self::Evaluated => same(texts, &separated(output)),
            Self::Environment => {
                let found: BTreeMap<&[u8], &[u8]> = separated(output)
                    .into_iter()
                    .filter_map(|entry| {
                        let at = entry.iter().position(|byte| *byte == b'=')?;
                        Some((&entry[..at], &entry[at + 1..]))
                    })
                    .collect();
                let of = |n: usize| found.get(name(n).as_bytes()).copied().unwrap_or(b"(not there)");
                same(texts, &(0..texts.len()).map(of).collect::<Vec<_>>())
            }
            Self::Stdin if output == bytes_of(texts) => Ok(()),
            Self::Stdin => Err(format!("stdin came back as something else: {} bytes", output.len())),
        }
        .map_err(|why| format!("{self:?}: {why}"))
    }
}

/// The name of a variable; every other one is of those that no shell exports.
fn name(n: usize) -> String {
    if n.is_multiple_of(2) { format!("U_V{n}") } else { format!("U-'$(id)\n{n}") }
}

/// The strings as bytes of all kinds: where they had a character of many bytes, there is half of one, and a NUL.
fn bytes_of(texts: &[String]) -> Vec<u8> {
    let mut all = Vec::new();
    for text in texts {
        let bytes = text.as_bytes();
        let cut = bytes.len() - usize::from(bytes.last().is_some_and(|byte| *byte >= 0x80));
        all.extend_from_slice(&bytes[..cut]);
        all.extend([0, 0xff]);
    }
    all
}

fn separated(output: &[u8]) -> Vec<&[u8]> {
    let mut all: Vec<&[u8]> = output.split(|byte| *byte == 0).collect();
    all.pop();
    all
}

fn same(sent: &[String], came: &[&[u8]]) -> Result<(), String> {
    if let Some((sent, came)) = sent.iter().zip(came).find(|(sent, came)| sent.as_bytes() != **came) {
        return Err(format!("{sent:?} came back as {:?}", String::from_utf8_lossy(came)));
    }
    // A shell that is given no word at all still prints one end.
    if sent.len() == came.len() || (sent.is_empty() && came.len() == 1) {
        return Ok(());
    }
    Err(format!("{} strings were sent, {} came back", sent.len(), came.len()))
}

/// How many strings a test sends: `UPHAUL_HOSTILE`, or the number given.
///
/// # Panics
/// Where the variable is no number.
pub fn count(usual: usize) -> usize {
    std::env::var("UPHAUL_HOSTILE").map_or(usual, |text| text.parse().expect("UPHAUL_HOSTILE is a number"))
}

/// Where the strings begin: `UPHAUL_HOSTILE_SEED`, or a seed of now. Said, so that a failure can be had again.
///
/// # Panics
/// Where the variable is no number.
pub fn seed() -> u64 {
    let now = || {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.as_nanos() as u64)
    };
    let given = std::env::var("UPHAUL_HOSTILE_SEED").ok();
    given.map_or_else(now, |text| text.parse().expect("UPHAUL_HOSTILE_SEED is a number"))
}
