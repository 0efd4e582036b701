//! A small disk of the controller's, which can be full.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// Mounted as long as this value lives; it also goes when the test process is killed.
pub(super) struct SmallDisk {
    guard: Child,
    input: Option<ChildStdin>,
    path: PathBuf,
}

/// The end of its input is the end of the disk. (It does not name the folder: what does is taken for uphaul's.)
const GUARD: &str = r#"mount -t tmpfs -o size=8m,mode=0700 tmpfs . && echo mounted && cat >/dev/null
cd / && umount -l "$OLDPWD""#;

impl SmallDisk {
    pub(super) fn mount(path: &Path) -> Self {
        std::fs::create_dir(path).unwrap();
        let mut guard = Command::new("sh")
            .args(["-c", GUARD])
            .current_dir(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let input = guard.stdin.take();
        let mut said = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "mounted\n");
        Self { guard, input, path: path.to_owned() }
    }

    /// Fills it to its last byte.
    pub(super) fn fill(&self) {
        let ballast = self.path.join("ballast");
        let fill = "head -c 64m /dev/zero >\"$1\" 2>/dev/null; df --output=avail \"$1\" | tail -n 1";
        let filled = Command::new("sh").args(["-c", fill, "fill"]).arg(ballast).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&filled.stdout).trim(), "0");
    }

    /// Undoes this.
    pub(super) fn free(&self) {
        std::fs::remove_file(self.path.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.guard.wait();
    }
}
