//! An uphaul that is running, and what a test may do to it.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command};

use uphaul_tests::lab::{Host, wait_until};

use super::operator::{LONG, Out, installs_of};

/// An uphaul that is running. Dropping it kills it.
pub(crate) struct Going {
    child: Child,
    out: tempfile::TempPath,
    err: tempfile::TempPath,
}

impl Going {
    pub(super) fn new(child: Child, out: tempfile::TempPath, err: tempfile::TempPath) -> Self {
        Self { child, out, err }
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        read(&self.out) + &read(&self.err)
    }

    /// Waits, while it runs, until it says this.
    #[track_caller]
    pub(crate) fn wait_said(&self, words: &str) {
        self.wait(words, || self.said().contains(words));
    }

    /// Waits, while it runs, until the install of this label has begun on the host so often.
    #[track_caller]
    pub(crate) fn wait_install(&self, host: &Host, label: &str, times: usize) {
        self.wait(&format!("install {times} of {label}"), || installs_of(host, label) >= times);
    }

    /// Waits, while it runs, until something is so.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn() -> bool) {
        wait_until(what, LONG, || {
            let over = self.is_in("ZX");
            if is_so() {
                return Some(());
            }
            assert!(!over, "it ended before this: {what}\n{}", self.said());
            None
        });
    }

    /// Whether it is in one of these states of a process; one that is gone is dead (`X`).
    pub(crate) fn is_in(&self, states: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
        states.contains(state.unwrap_or('X'))
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it has a handler of its own for the signal of this number.
    pub(crate) fn catches(&self, signal: u32) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
        u64::from_str_radix(caught.trim(), 16).is_ok_and(|caught| caught >> (signal - 1) & 1 == 1)
    }

    /// Sends it a signal: `STOP`, `CONT`, ...
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.pid().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// Stops it, at a moment when it does not write to its record: a file of SQLite stays locked by who is stopped while
    /// he writes, and everybody else waits for it, which is another story.
    #[track_caller]
    pub(crate) fn stop(&self) {
        let writes = || {
            let locks = std::fs::read_to_string("/proc/locks").unwrap();
            let ours = format!(" WRITE {} ", self.pid());
            locks.lines().any(|line| line.contains("POSIX") && line.contains(&ours))
        };
        wait_until("it stops between two writes", LONG, || {
            self.signal("STOP");
            self.wait("it stops", || self.is_in("T"));
            if !writes() {
                return Some(());
            }
            self.signal("CONT");
            None
        });
    }

    /// Waits until it has ended; `end` then says how.
    #[track_caller]
    pub(crate) fn wait_end(&self) {
        wait_until("the end of uphaul", LONG, || self.is_in("ZX").then_some(()));
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Out {
        let code = wait_until("the end of uphaul", LONG, || self.child.try_wait().unwrap());
        let read = |path: &Path| {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut File::open(path).unwrap(), &mut text).unwrap();
            text
        };
        Out { code: code.code(), stdout: read(&self.out), stderr: read(&self.err) }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            if std::thread::panicking() {
                eprintln!("uphaul was still running; it had said:\n{}", self.said());
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
