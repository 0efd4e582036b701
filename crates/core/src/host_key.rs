//! The public key of a host, as a person pins it.

use std::fmt;
use std::str::FromStr;

use ssh_key::{HashAlg, PublicKey};

use crate::ids::InvalidName;

/// A host's public key: the algorithm and the key, as in `/etc/ssh/ssh_host_*_key.pub` and in known_hosts, without a
/// comment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostKey {
    /// `ALGORITHM BASE64`
    text: String,
    bytes: Vec<u8>,
    fingerprint: String,
}

impl HostKey {
    /// `ALGORITHM BASE64`
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// For example `ssh-ed25519`.
    pub fn algorithm(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }

    /// The key as it stands on the wire.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As ssh-keygen prints it: `SHA256:...`.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl FromStr for HostKey {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let bad = |why: String| InvalidName::new("host key", text, why);
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        // `ssh-keyscan` prints the host before the two.
        let is_algorithm =
            |word: &&str| ["ssh-", "ecdsa-", "sk-"].iter().any(|start| word.starts_with(start));
        let first = words.iter().take(2).position(is_algorithm);
        let Some([algorithm, base64, ..]) = first.and_then(|at| words.get(at..)) else {
            let why = "is not an algorithm and a key, such as \"ssh-ed25519 AAAA...\"; `ssh-keyscan HOST` prints them, \
                       and a fingerprint is not enough";
            return Err(bad(why.into()));
        };
        if algorithm.contains("-cert-") || algorithm.starts_with("sk-") {
            return Err(bad("is not the key of a host (ssh-ed25519, ecdsa-sha2-..., ssh-rsa)".into()));
        }
        let text = format!("{algorithm} {base64}");
        let unread = |error: ssh_key::Error| bad(format!("cannot be read: {error}"));
        let key = PublicKey::from_openssh(&text).map_err(unread)?;
        let bytes = key.to_bytes().map_err(unread)?;
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        Ok(Self { text, bytes, fingerprint })
    }
}

impl TryFrom<String> for HostKey {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<HostKey> for String {
    fn from(key: HostKey) -> Self {
        key.text
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::HostKey;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn a_key_is_read_and_its_comment_is_not_kept() {
        let key: HostKey = format!("  {ED25519}   root@web1 ").parse().unwrap();
        assert_eq!((key.as_str(), key.algorithm()), (ED25519, "ssh-ed25519"));
        assert_eq!(key.fingerprint(), "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ");
        assert_eq!(key.bytes().len(), 51);
        assert_eq!(format!("[10.0.0.1]:2222 {ED25519}\n").parse(), Ok(key));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let other = ED25519.replace("ssh-ed25519 ", "ssh-rsa ");
        for bad in [
            "",
            "ssh-ed25519",
            "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ",
            "ssh-ed25519 AAAA",
            "ssh-ed25519 !!!!",
            &other,
            &format!("web1 x {ED25519}"),
        ] {
            assert!(bad.parse::<HostKey>().is_err(), "{bad}");
        }
    }
}
