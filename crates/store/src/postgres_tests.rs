//! A Postgres of this machine, started for one test: as a user without rights, on a socket in its own folder.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

/// A running server; it ends with this value.
pub(crate) struct Postgres {
    server: Child,
    folder: TempDir,
    programs: PathBuf,
}

/// Postgres refuses to run as root.
const NOBODY: u32 = 65_534;

impl Postgres {
    /// Starts one, or says why there is none.
    pub(crate) fn start() -> Result<Self, String> {
        let programs = programs().ok_or("initdb, postgres and psql are not installed")?;
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        if getuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).map_err(|error| error.to_string())?;
        }
        let data = folder.path().join("data");
        let made = as_nobody(&programs.join("initdb"))
            .args(["--auth=trust", "--username=uphaul", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .map_err(|error| error.to_string())?;
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)));
        }
        let mut server = as_nobody(&programs.join("postgres"))
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-D"])
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let said = server.stderr.take();
        let postgres = Self { server, folder, programs };
        let mut log = String::new();
        for line in said.into_iter().flat_map(|said| BufReader::new(said).lines()) {
            let line = line.map_err(|error| error.to_string())?;
            if line.contains("ready to accept connections") {
                return Ok(postgres);
            }
            log += &format!("{line}\n");
        }
        Err(format!("postgres: {log}"))
    }

    /// Runs this in one transaction, and answers what it printed.
    pub(crate) fn run(&self, text: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-1",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "uphaul",
                "-d",
                "postgres",
                "-h",
            ])
            .arg(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        psql.stdin.take().unwrap().write_all(format!("{text};\n").as_bytes()).unwrap();
        let output = psql.wait_with_output().unwrap();
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.server.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::INT);
        }
        let _ = self.server.wait();
    }
}

/// The folder that holds all of them: on the path, or where Debian puts them.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = debian.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders.extend(std::env::split_paths(&path));
    let complete =
        |folder: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).exists());
    folders.into_iter().find(complete)
}

fn as_nobody(program: &std::path::Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
    if getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
