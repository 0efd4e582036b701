//! Running programs, and waiting for things, with a bound on everything.

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

pub(super) fn run(command: &mut Command) -> Ran {
    match command.stdin(Stdio::null()).output() {
        Ok(out) => Ran {
            code: out.status.code(),
            stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
        },
        Err(error) => Ran { code: None, stdout: String::new(), stderr: format!("{command:?}: {error}") },
    }
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
