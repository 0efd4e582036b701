//! Running programs, and waiting for things, with a bound on everything.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a program did.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Its exit code; None if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote, as text.
    pub stdout: String,
    /// What it complained of, as text.
    pub stderr: String,
}

impl Ran {
    /// The output of a program that must have succeeded, without the space around it.
    ///
    /// # Panics
    /// If it did not succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.code == Some(0), "exit code {:?}\n{}{}", self.code, self.stdout, self.stderr);
        self.stdout.trim().to_owned()
    }

    /// Whether it succeeded.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

/// Runs a program to its own end. Its output goes to files, so that a child that it leaves behind, with its output
/// open, is not waited for.
pub(super) fn run(command: &mut Command) -> Ran {
    match try_run(command) {
        Ok(ran) => ran,
        Err(error) => Ran { code: None, stdout: String::new(), stderr: format!("{command:?}: {error}") },
    }
}

fn try_run(command: &mut Command) -> std::io::Result<Ran> {
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let code = command.status()?.code();
    Ok(Ran { code, stdout: text(&mut stdout)?, stderr: text(&mut stderr)? })
}

fn text(file: &mut File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Waits until `probe` gives something, for things that cannot announce themselves.
///
/// # Panics
/// If it gives nothing within `limit`: with `what`.
#[track_caller]
pub fn wait_until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A word for sh.
pub(super) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    path.split(':').map(|dir| PathBuf::from(dir).join(program)).find(|p| p.is_file())
}
