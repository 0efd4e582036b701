//! The configuration that ssh is given for one connection.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use uphaul_core::ports::{ExecError, Target};

use crate::{OpensshConfig, local};

/// Seconds of silence after which ssh asks the server whether it is there.
const ALIVE_INTERVAL_S: u32 = 3;
/// How many questions stay without an answer until the connection counts as dead: at the third, after 9 s.
const ALIVE_COUNT: u32 = 2;

/// The system's configuration is only looked at where it is smaller.
const SYSTEM_MAX: u64 = 1024 * 1024;

/// [`OpensshConfig`], checked.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The ssh program.
    pub(crate) ssh: PathBuf,
    /// Where a host key that the user trusts is written, as far as we know it.
    pub(crate) known_hosts: Option<PathBuf>,
    config: Option<PathBuf>,
    identity: Vec<PathBuf>,
}

impl Settings {
    pub(crate) fn new(config: OpensshConfig) -> Result<Self, ExecError> {
        let ssh = match config.program {
            Some(program) => existing("the ssh program", &expanded(&program)?)?,
            None => find_ssh()?,
        };
        let file = config.config.map(|path| existing("the ssh_config", &expanded(&path)?)).transpose()?;
        if let Some(path) = &file
            && path.to_string_lossy().contains(['*', '?', '['])
        {
            return Err(local(format!(
                "the ssh_config {} cannot be included: `*`, `?`, `[` mean several files",
                path.display()
            )));
        }
        let identity = config.identity.iter().map(|path| readable("the identity", &expanded(path)?));
        let known_hosts = config.known_hosts.map(|path| expanded(&path));
        Ok(Self {
            ssh,
            config: file,
            identity: identity.collect::<Result<_, _>>()?,
            known_hosts: known_hosts.transpose()?,
        })
    }

    /// The text of the configuration for one target.
    ///
    /// ssh takes the first value it finds. So what stands above the Include is decided here: nobody is asked anything,
    /// keys are checked, a dead connection is noticed. Everything else (addresses, jumps, users, keys, algorithms,
    /// proxies, sharing of a jump host's connection) is the user's.
    pub(crate) fn text(&self, target: &Target) -> String {
        let connect_s = target.connect_timeout.as_millis().div_ceil(1000).max(1);
        let mut text = format!(
            "# Written by Uphaul for one connection.\n\
             BatchMode yes\nStrictHostKeyChecking yes\nNoHostAuthenticationForLocalhost no\nUpdateHostKeys no\n\
             ConnectTimeout {connect_s}\nConnectionAttempts 1\n\
             ServerAliveInterval {ALIVE_INTERVAL_S}\nServerAliveCountMax {ALIVE_COUNT}\n\
             RequestTTY no\nRemoteCommand none\nPermitLocalCommand no\nForwardX11 no\n"
        );
        // Writing to a String cannot fail.
        if let Some(path) = &self.known_hosts {
            let _ = writeln!(text, "UserKnownHostsFile {}", quoted(path));
        }
        for path in &self.identity {
            let _ = writeln!(text, "IdentityFile {}", quoted(path));
        }
        if !self.identity.is_empty() {
            text.push_str("IdentitiesOnly yes\n");
        }
        match &self.config {
            Some(path) => {
                let _ = writeln!(text, "Include \"{}\"", path.display());
            }
            // A file named by -F displaces both.
            None => {
                text.push_str("Include ~/.ssh/config\n");
                text.push_str(&system(Path::new("/etc/ssh")));
            }
        }
        text
    }
}

/// The system's configuration. ssh would look for what it includes by a relative name in ~/.ssh, since the user's own file
/// includes it here: such lines are written anew.
fn system(folder: &Path) -> String {
    let path = folder.join("ssh_config");
    let text = std::fs::File::open(&path).and_then(|file| {
        let mut text = String::new();
        file.take(SYSTEM_MAX).read_to_string(&mut text).map(|_| text)
    });
    let relative = |word: &str| !word.starts_with(['/', '~', '$']);
    let anew = |line: &str| {
        let mut words = line.split([' ', '\t', '=']).filter(|word| !word.is_empty());
        // One with quotes is left as it is.
        let plain = !line.contains(['"', '\'', '\\']);
        let keyword = words.next().filter(|word| word.eq_ignore_ascii_case("include") && plain)?;
        let files: Vec<&str> = words.take_while(|word| !word.starts_with('#')).collect();
        let absolute = |word: &&str| match relative(word) {
            true => folder.join(word).display().to_string(),
            false => (*word).to_owned(),
        };
        let all: Vec<String> = files.iter().map(absolute).collect();
        files.iter().any(|word| relative(word)).then(|| format!("{keyword} {}", all.join(" ")))
    };
    match text {
        Ok(text) if (text.len() as u64) < SYSTEM_MAX && text.lines().any(|line| anew(line).is_some()) => {
            text.lines().map(|line| anew(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
        }
        Ok(_) | Err(_) => format!("Include {}\n", path.display()),
    }
}

/// A path as one word of ssh_config, where `%` begins a token.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('%', "%%"))
}

/// An absolute path whose text ssh_config can express: `"` ends its words, `${` begins a variable.
fn expanded(path: &Path) -> Result<PathBuf, ExecError> {
    let path = match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    };
    let absolute = std::path::absolute(&path);
    let path = absolute.map_err(|error| local(format!("{} is no path: {error}", path.display())))?;
    match path.to_str() {
        Some(text) if !text.contains(['"', '\\', '$']) && !text.contains(char::is_control) => Ok(path),
        _ => Err(local(format!(
            "ssh_config cannot express the path {}: give it a name without quotes, backslash, `$` and control characters",
            path.display()
        ))),
    }
}

fn existing(what: &str, path: &Path) -> Result<PathBuf, ExecError> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(path.to_owned()),
        Err(error) => Err(local(format!("{what} {} cannot be used: {error}", path.display()))),
    }
}

/// Like [`existing`], and we may read it. An identity may be only the public half.
fn readable(what: &str, path: &Path) -> Result<PathBuf, ExecError> {
    let public = PathBuf::from(format!("{}.pub", path.display()));
    match std::fs::File::open(path) {
        Ok(_) => Ok(path.to_owned()),
        Err(_) if public.is_file() => Ok(path.to_owned()),
        Err(error) => Err(local(format!("{what} {} cannot be read: {error}", path.display()))),
    }
}

fn find_ssh() -> Result<PathBuf, ExecError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join("ssh")).find(|file| file.is_file()).ok_or_else(|| {
        local(
            "there is no `ssh` on the PATH: install it (Debian, Ubuntu: `apt install openssh-client`; Fedora: `dnf \
             install openssh-clients`; Alpine: `apk add openssh-client`)",
        )
    })
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
