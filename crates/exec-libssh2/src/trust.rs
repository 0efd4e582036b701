//! Whether a host is the one it should be.

use ssh_key::{HashAlg, PublicKey};
use uphaul_core::ports::{ExecError, ExecErrorKind, refused};

use crate::known::{self, Line, Mark};
use crate::route::Hop;

/// The kinds of key that are asked for, in the order of OpenSSH; those of SHA-1 are not.
pub(crate) const ALGORITHMS: [(&str, &[&str]); 5] = [
    ("ssh-ed25519", &["ssh-ed25519"]),
    ("ecdsa-sha2-nistp256", &["ecdsa-sha2-nistp256"]),
    ("ecdsa-sha2-nistp384", &["ecdsa-sha2-nistp384"]),
    ("ecdsa-sha2-nistp521", &["ecdsa-sha2-nistp521"]),
    ("ssh-rsa", &["rsa-sha2-512", "rsa-sha2-256"]),
];

/// What is known of a host before it is asked.
#[derive(Debug)]
pub(crate) struct Known {
    /// Lines for its name, with the port where that is not 22.
    named: Vec<Line>,
    /// Lines for its name alone, where the port is not 22.
    bare: Vec<Line>,
}

impl Known {
    /// Reads the files.
    pub(crate) fn read(hop: &Hop) -> Result<Self, ExecError> {
        let failed = |why| ExecError::before(ExecErrorKind::HostKey, format!("{}: {why}", hop.label));
        let lines = |name: &str| known::lines(&hop.known_hosts, name).map_err(failed);
        let bare = hop.bare_name();
        Ok(Self { named: lines(&hop.known_name())?, bare: bare.map_or(Ok(Vec::new()), |name| lines(&name))? })
    }

    /// The kinds of key that the host is known by, which it is asked for first.
    pub(crate) fn algorithms(&self, hop: &Hop) -> Vec<String> {
        if let Some(pinned) = &hop.pinned {
            return vec![pinned.algorithm().to_owned()];
        }
        let plain = self.named.iter().chain(&self.bare).filter(|line| line.mark == Mark::Plain);
        plain.filter_map(|line| line.algorithm()).collect()
    }

    /// Decides about the key that the host has shown.
    pub(crate) fn check(&self, hop: &Hop, bytes: &[u8]) -> Result<(), ExecError> {
        let refuse = |detail| Err(ExecError::before(ExecErrorKind::HostKey, detail));
        let Ok(key) = PublicKey::from_bytes(bytes) else {
            return refuse(format!("{} shows a host key that cannot be read", hop.label));
        };
        let offered = format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256));
        let label = hop.label.as_str();
        if let Some(why) = hop.accept.too_small(bytes) {
            return refuse(format!(
                "the host key of {label} is not accepted: it offered {offered}, and {why}"
            ));
        }
        if let Some(line) = self.revoked(bytes) {
            return refuse(match &line.key {
                Some(_) => refused::revoked(label, &offered, &line.place),
                None => format!(
                    "the host key of {label} cannot be trusted: {} revokes a key of it and cannot be read. Mend or \
                     remove that line",
                    line.place
                ),
            });
        }
        if let Some(pinned) = &hop.pinned {
            let target = &hop.target;
            return if pinned.bytes() == bytes {
                Ok(())
            } else {
                refuse(refused::not_the_pinned(label, &offered, target, &hop.scan()))
            };
        }
        if self.named.iter().any(|line| line.mark == Mark::Plain && line.has(bytes)) {
            return Ok(());
        }
        // As OpenSSH: a name without the port is asked where the one with it says nothing.
        let none = self.named.iter().all(|line| line.mark != Mark::Plain);
        if none && self.bare.iter().any(|line| line.mark == Mark::Plain && line.has(bytes)) {
            return Ok(());
        }
        self.not_known(hop, &key, &offered)
    }

    /// What can be said before it is asked for its key: a word about one that may be refused, an error for one that will be.
    pub(crate) fn doubt(&self, hop: &Hop) -> Result<Option<String>, String> {
        let plain = |line: &Line| line.mark == Mark::Plain;
        if hop.pinned.is_some() || self.named.iter().chain(&self.bare).any(plain) {
            return Ok(None);
        }
        let name = hop.known_name();
        match self.authority() {
            Some(line) => Err(format!("the key of {name} cannot be checked: {}", by_authority(line))),
            None if hop.accept_new && hop.add_to.is_some() => Ok(None),
            None => {
                let file = hop.own_known_hosts();
                Ok(Some(format!("no key of {name} is known ({file}), and an unknown one is refused")))
            }
        }
    }

    /// As OpenSSH: an authority for the name without the port is one for the host at this port, too.
    fn authority(&self) -> Option<&Line> {
        self.named.iter().chain(&self.bare).find(|line| line.mark == Mark::CertAuthority)
    }

    fn revoked(&self, bytes: &[u8]) -> Option<&Line> {
        let lines = self.named.iter().chain(&self.bare);
        lines.filter(|line| line.mark == Mark::Revoked).find(|line| line.key.is_none() || line.has(bytes))
    }

    fn not_known(&self, hop: &Hop, key: &PublicKey, offered: &str) -> Result<(), ExecError> {
        let refuse = |detail| Err(ExecError::before(ExecErrorKind::HostKey, detail));
        let (label, name, algorithm) = (hop.label.as_str(), hop.known_name(), key.algorithm());
        let file = hop.own_known_hosts();
        let add = hop.add();
        let plain = || self.named.iter().filter(|line| line.mark == Mark::Plain);
        if let Some(line) = plain().find(|line| line.is_plain(algorithm.as_str())) {
            return refuse(refused::changed(label, &name, offered, &line.place, &add));
        }
        if let Some(line) = plain().next() {
            let told = refused::unknown(label, &name, offered, &file, &add);
            return refuse(format!("{told} ({} has a key of another kind for it)", line.place));
        }
        if let Some(line) = self.authority() {
            return refuse(format!(
                "the host key of {label} cannot be checked: it offered {offered}, and {}, or add the key itself: {add}",
                by_authority(line)
            ));
        }
        if !hop.accept_new {
            let told = refused::unknown(label, &name, offered, &file, &add);
            return refuse(match hop.strict {
                true => format!(
                    "{told} (StrictHostKeyChecking is yes in your ssh_config: no key is added for it)"
                ),
                false => told,
            });
        }
        let Some(file) = &hop.add_to else {
            return refuse(format!("the host key of {label} cannot be added: it offered {offered}; {add}"));
        };
        known::add(file, &name, hop.hash_known_hosts, key).or_else(refuse)
    }
}

fn by_authority(line: &Line) -> String {
    format!(
        "{} trusts it by a certificate authority, which the backend libssh2 cannot. Use `executor.backend = \"openssh\"`",
        line.place
    )
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
