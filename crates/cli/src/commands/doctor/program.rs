//! Asks a program of this machine something small.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::surroundings::Surroundings;

/// How long it may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What it said.
pub(super) struct Said {
    pub(super) ok: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Finds a program on the PATH.
pub(super) fn find(around: &Surroundings, name: &str) -> Option<PathBuf> {
    let path = around.var("PATH")?;
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Runs it to its end, with nothing to read.
pub(super) async fn ask(program: &Path, args: &[&str]) -> Result<Said, String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true).process_group(0);
    match tokio::time::timeout(ANSWER_MAX, command.output()).await {
        Ok(Ok(output)) => Ok(Said {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
        Ok(Err(error)) => Err(format!("{} cannot be run: {error}", program.display())),
        Err(_) => Err(format!("{} did not end within {} s", program.display(), ANSWER_MAX.as_secs())),
    }
}
