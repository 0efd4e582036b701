//! What known_hosts files say of a host, read by us: libssh2 was seen to accept a revoked key and to miss wildcards.

use std::io::Read;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use ssh_key::PublicKey;
use ssh_key::known_hosts::HostPatterns;

use crate::config::pattern;

/// The most that one file may have.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// What a line is marked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The host has this key.
    Plain,
    /// `@revoked`
    Revoked,
    /// `@cert-authority`
    CertAuthority,
}

/// A line that speaks of the host.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// `FILE:LINE`
    pub(crate) place: String,
    /// What it says of the key.
    pub(crate) mark: Mark,
    /// The key; none where it cannot be read.
    pub(crate) key: Option<PublicKey>,
}

impl Line {
    /// Whether it has that key.
    pub(crate) fn has(&self, bytes: &[u8]) -> bool {
        self.key.as_ref().and_then(|key| key.to_bytes().ok()).is_some_and(|own| own == bytes)
    }

    /// Whether it is a line of the host's own key, of that kind.
    pub(crate) fn is_plain(&self, algorithm: &str) -> bool {
        self.mark == Mark::Plain && self.algorithm().as_deref() == Some(algorithm)
    }

    /// The kind of its key.
    pub(crate) fn algorithm(&self) -> Option<String> {
        self.key.as_ref().map(|key| key.algorithm().to_string())
    }
}

/// All lines that speak of a host of that name, of files that are there.
///
/// # Errors
/// A file that is there and cannot be read.
pub(crate) fn lines(files: &[PathBuf], name: &str) -> Result<Vec<Line>, String> {
    let mut found = Vec::new();
    for file in files {
        let Some(text) = read(file)? else { continue };
        for (i, line) in text.lines().enumerate() {
            if let Some((mark, key)) = line_of(line, name) {
                found.push(Line { place: format!("{}:{}", file.display(), i + 1), mark, key });
            }
        }
    }
    Ok(found)
}

fn read(file: &Path) -> Result<Option<String>, String> {
    let cannot = |why: String| format!("the known_hosts {} cannot be read: {why}", file.display());
    let opened = match std::fs::File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error.to_string())),
    };
    // Else it is read by 32 bytes first: `take` hides the size of a file.
    let size = opened.metadata().map_or(0, |about| about.len()).min(FILE_MAX);
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    opened.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(|error| cannot(error.to_string()))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(cannot(format!("it has more than {FILE_MAX} bytes")));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Reads one line, if it speaks of the name.
fn line_of(line: &str, name: &str) -> Option<(Mark, Option<PublicKey>)> {
    let mut words = line.split_ascii_whitespace();
    let mut word = words.next().filter(|word| !word.starts_with('#'))?;
    let mark = match word {
        "@revoked" => Mark::Revoked,
        "@cert-authority" => Mark::CertAuthority,
        _ => Mark::Plain,
    };
    if mark != Mark::Plain {
        word = words.next()?;
    }
    if !speaks_of(word, name) {
        return None;
    }
    let key = words.next().zip(words.next());
    let key = key.and_then(|(kind, base64)| PublicKey::from_openssh(&format!("{kind} {base64}")).ok());
    // OpenSSH passes over a plain line that it cannot read, too; one with a mark is told.
    if mark == Mark::Plain && key.is_none() { None } else { Some((mark, key)) }
}

/// Whether the first word of a line, patterns or a hash, means the name.
fn speaks_of(word: &str, name: &str) -> bool {
    if !word.starts_with('|') {
        return pattern::list(word, name);
    }
    let Ok(HostPatterns::HashedName { salt, hash }) = word.parse() else { return false };
    hashed(&salt, name).is_some_and(|own| own == hash)
}

fn hashed(salt: &[u8], name: &str) -> Option<[u8; 20]> {
    let mut mac = Hmac::<Sha1>::new_from_slice(salt).ok()?;
    mac.update(name.as_bytes());
    Some(mac.finalize().into_bytes().into())
}

/// Adds a line, as `StrictHostKeyChecking accept-new` does. Several processes may do so at once.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn add(file: &Path, name: &str, hash: bool, key: &PublicKey) -> Result<(), String> {
    use std::io::Write;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let cannot = |why: String| format!("cannot add the host key to {}: {why}", file.display());
    if let Some(folder) = file.parent().filter(|folder| !folder.exists()) {
        let made = std::fs::DirBuilder::new().mode(0o700).recursive(true).create(folder);
        made.map_err(|error| cannot(error.to_string()))?;
    }
    let key = key.to_openssh().map_err(|error| cannot(error.to_string()))?;
    let key = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let host = if hash { hash_of(name).map_err(cannot)? } else { name.to_owned() };
    let opened = std::fs::OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(file);
    let mut opened = opened.map_err(|error| cannot(error.to_string()))?;
    let written = opened.lock().and_then(|()| {
        // A last line without its end would take ours in.
        let text = std::fs::read(file)?;
        let start = if text.last().is_some_and(|byte| *byte != b'\n') { "\n" } else { "" };
        opened.write_all(format!("{start}{host} {key}\n").as_bytes())
    });
    written.map_err(|error| cannot(error.to_string()))
}

fn hash_of(name: &str) -> Result<String, String> {
    let mut salt = [0; 20];
    getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
    let hash = hashed(&salt, name).ok_or("no hash of it")?;
    Ok(HostPatterns::HashedName { salt: salt.to_vec(), hash }.to_string())
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
