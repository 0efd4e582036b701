//! Whether known_hosts revokes a key that is pinned. ssh is shown a known_hosts of ours then, which has that key alone, and so
//! would not see it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use uphaul_core::host_key::HostKey;
use uphaul_core::ports::{ExecError, ExecErrorKind, Target};

use crate::place::Files;
use crate::settings::Settings;

/// How long `ssh -G` and `ssh-keygen -F` may take.
const ASK_MAX: Duration = Duration::from_secs(5);
/// The most that one known_hosts may have.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// Refuses a host whose pinned key is revoked in a known_hosts that ssh would use for it. Only where a line revokes that
/// key for anybody is it asked for whom.
///
/// # Errors
/// `HostKey`: it is revoked, or a file that may revoke it cannot be read. `Local`: ssh does not say which files it uses.
pub(crate) async fn check(
    settings: &Settings,
    files: &Files,
    target: &Target,
    key: &HostKey,
) -> Result<(), ExecError> {
    let refuse = |detail| Err(ExecError::before(ExecErrorKind::HostKey, detail));
    let label = target.label();
    let Some(said) = of_ssh(settings, files, target).await? else { return Ok(()) };
    for file in said.files {
        let lines = match lines(&file, key) {
            Ok(lines) => lines,
            Err(why) => {
                return refuse(format!(
                    "whether the pinned host key of {label} is revoked cannot be told: {} cannot be read: {why}",
                    file.display()
                ));
            }
        };
        if let Some(line) = meant(settings, &file, &lines, &said.names).await {
            return refuse(format!(
                "the host key that is pinned for {label} is marked as revoked in {}:{line}: {} {}. Whoever has that key \
                 can pretend to be the host; give the host a new one, and pin that (`uphaul hosts edit {} --host-key \
                 \"KEY\"`)",
                file.display(),
                key.algorithm(),
                key.fingerprint(),
                target.name
            ));
        }
    }
    Ok(())
}

/// What ssh uses for a host.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    files: Vec<PathBuf>,
    /// How known_hosts names it.
    names: Vec<String>,
}

/// Asks ssh. Nothing: it refuses its configuration, and will say so when it is to connect.
async fn of_ssh(settings: &Settings, files: &Files, target: &Target) -> Result<Option<Said>, ExecError> {
    let mut ssh = Command::new(&settings.ssh);
    ssh.arg("-G").arg("-F").arg(&files.config);
    if let Some(port) = target.port {
        ssh.arg("-p").arg(port.to_string());
    }
    if let Some(user) = &target.user {
        ssh.arg("-l").arg(user.as_str());
    }
    match answer(ssh.arg("--").arg(&target.address)).await {
        Some(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(Some(said(&text, settings.known_hosts.as_deref())))
        }
        Some(_) => Ok(None),
        None => Err(crate::local(format!(
            "{}: `{} -G` did not say within {} s which known_hosts it uses, which may revoke the pinned key",
            target.label(),
            settings.ssh.display(),
            ASK_MAX.as_secs()
        ))),
    }
}

async fn answer(command: &mut Command) -> Option<Output> {
    let asked = command.stdin(Stdio::null()).kill_on_drop(true).output();
    tokio::time::timeout(ASK_MAX, asked).await.ok()?.ok()
}

/// Reads what `ssh -G` has printed. `own`: the known_hosts of ours, in the stead of the user's.
fn said(text: &str, own: Option<&Path>) -> Said {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    let users = match own {
        Some(path) => vec![path.to_owned()],
        None => paths(value("userknownhostsfile").unwrap_or_default()),
    };
    let global = paths(value("globalknownhostsfile").unwrap_or_default());
    let (host, port) = (value("hostname").unwrap_or_default(), value("port").unwrap_or("22"));
    let names = match value("hostkeyalias") {
        Some(alias) => vec![alias.to_owned()],
        None if port == "22" => vec![host.to_owned()],
        None => vec![format!("[{host}]:{port}"), host.to_owned()],
    };
    Said { files: users.into_iter().chain(global).collect(), names }
}

/// Paths that blanks divide, and which may have blanks: each begins with a slash.
fn paths(text: &str) -> Vec<PathBuf> {
    let mut found: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match found.last_mut() {
            Some(last) if !word.starts_with('/') => {
                last.push(' ');
                last.push_str(word);
            }
            Some(_) | None => found.push(word.to_owned()),
        }
    }
    found.into_iter().filter(|path| path.starts_with('/')).map(PathBuf::from).collect()
}

/// The numbers of the lines that revoke the key, for whomever.
fn lines(file: &Path, key: &HostKey) -> Result<Vec<usize>, String> {
    match std::fs::metadata(file) {
        Ok(data) if data.is_file() => {}
        // A device has no lines, and what is not there neither.
        Ok(_) => return Ok(Vec::new()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(|error| error.to_string())?;
    opened.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(format!("it has more than {FILE_MAX} bytes"));
    }
    let revokes = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let marked = words.next() == Some("@revoked") && words.next().is_some();
        marked && words.next() == Some(key.algorithm()) && words.next() == key.as_str().split(' ').nth(1)
    };
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().enumerate().filter(|(_, line)| revokes(line)).map(|(i, _)| i + 1).collect())
}

/// The first of the lines that means one of the names, patterns and hashes included. Where ssh-keygen cannot be asked,
/// each might.
async fn meant(settings: &Settings, file: &Path, lines: &[usize], names: &[String]) -> Option<usize> {
    let first = *lines.first()?;
    let beside = settings.ssh.with_file_name("ssh-keygen");
    let keygen = if beside.is_file() { beside } else { "ssh-keygen".into() };
    for name in names {
        let output = answer(Command::new(&keygen).arg("-F").arg(name).arg("-f").arg(file)).await;
        let Some(output) = output else { return Some(first) };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let found = text.lines().filter_map(|line| {
            line.strip_prefix("# Host ")?
                .strip_suffix(" REVOKED")?
                .rsplit_once("line ")?
                .1
                .trim()
                .parse()
                .ok()
        });
        if let Some(line) = found.into_iter().find(|line| lines.contains(line)) {
            return Some(line);
        }
    }
    None
}

#[cfg(test)]
#[path = "revoked_tests.rs"]
mod tests;
