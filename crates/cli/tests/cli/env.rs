//! A clean place to run the binary in, and pages of what it said.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A home, a working folder and an environment that nothing outside of the test can reach into.
pub(crate) struct TestEnv {
    root: TempDir,
    vars: Vec<(String, String)>,
}

/// What a command said. Its text is the page that a snapshot shows.
#[must_use = "snapshot what was said, or assert its success"]
pub(crate) struct Said {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

impl TestEnv {
    pub(crate) fn new() -> Self {
        let root = TempDir::new().unwrap();
        for folder in ["home", "work", "config", "state"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root, vars: Vec::new() }
    }

    /// A file in the working folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.work().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// The database that the defaults lead to.
    pub(crate) fn database(&self) -> String {
        format!("sqlite:{}", self.root.path().join("state/uphaul/uphaul.db").display())
    }

    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_uphaul"));
        let folder = |name: &str| self.root.path().join(name);
        command.args(args).current_dir(self.work()).env_clear();
        command.env("HOME", folder("home")).env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
        command.env("XDG_CONFIG_HOME", folder("config")).env("XDG_STATE_HOME", folder("state"));
        command.envs(self.vars.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.run_with(args, b"")
    }

    pub(crate) fn run_with(&self, args: &[&str], stdin: &[u8]) -> Said {
        self.said(&mut self.command(args), stdin)
    }

    /// Runs it in a login whose umask takes nothing away.
    pub(crate) fn run_open(&self, args: &[&str]) -> Said {
        let inner = self.command(args);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(inner.get_program()).args(inner.get_args());
        command.current_dir(self.work()).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        self.said(command.stdout(Stdio::piped()).stderr(Stdio::piped()), b"")
    }

    fn said(&self, command: &mut Command, stdin: &[u8]) -> Said {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        // A command that does not read its input has ended before it is written.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        let output = child.wait_with_output().unwrap();
        Said {
            stdout: self.redacted(&output.stdout),
            stderr: self.redacted(&output.stderr),
            code: output.status.code(),
        }
    }

    /// The text, with the temporary folder as `$ROOT`.
    fn redacted(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text.replace(root_text(self.root.path()), "$ROOT")
    }

    /// Runs commands one after the other, and shows them as a person would see them.
    pub(crate) fn page(&self, commands: &[&[&str]]) -> String {
        let mut page = String::new();
        for args in commands {
            let words: Vec<String> = args.iter().map(|word| shell_word(word)).collect();
            writeln!(page, "$ uphaul {}\n{}", words.join(" "), self.run(args)).unwrap();
        }
        page
    }
}

fn root_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.escape_debug())
    }
}

impl Said {
    /// The page, where the command did what it was asked.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// Its result as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stdout)?;
        if !self.stderr.is_empty() {
            write!(f, "------- stderr -------\n{}", self.stderr)?;
        }
        match self.code {
            Some(0) => Ok(()),
            Some(code) => writeln!(f, "[exit status: {code}]"),
            None => writeln!(f, "[ended by a signal]"),
        }
    }
}
