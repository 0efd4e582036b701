//! Which keys may be used at all: `PubkeyAcceptedAlgorithms` and `RequiredRSASize` of ssh_config. Fedora and its kin set both
//! for every host.

use std::path::PathBuf;

use crate::config::pattern;
use crate::keys::{self, Key, string};

/// The bits that ssh asks of an RSA key where nobody says more; it never takes fewer.
const RSA_MIN: u32 = 1024;
const RSA_CERTIFICATE: &str = "ssh-rsa-cert-v01@openssh.com";

/// What is asked of keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Accept {
    /// The kinds of keys that we log in with; none: those that libssh2 knows.
    kinds: Option<String>,
    rsa_min: u32,
}

impl Accept {
    pub(crate) fn new(kinds: Option<String>, rsa_min: Option<u32>) -> Self {
        // What `+` adds is what libssh2 does with old servers anyway, and `^` is about the order.
        let kinds = kinds.filter(|said| !said.starts_with(['+', '^']));
        Self { kinds, rsa_min: rsa_min.unwrap_or(RSA_MIN).max(RSA_MIN) }
    }

    /// Why we may not log in with a key or a certificate, as it is on the wire. An empty one: nobody can tell what it is.
    pub(crate) fn refuses(&self, blob: &[u8]) -> Option<String> {
        let Some(kind) = string(blob).and_then(|(kind, _)| std::str::from_utf8(kind).ok()) else {
            return (self.kinds.is_some() || self.rsa_min > RSA_MIN).then(|| {
                "its kind cannot be told without a file KEY.pub beside it (`ssh-keygen -y -f KEY > KEY.pub`), and your \
                 ssh_config does not allow every kind"
                    .to_owned()
            });
        };
        // It signs with either, as the server likes.
        let names: &[&str] = match kind {
            "ssh-rsa" => &["rsa-sha2-512", "rsa-sha2-256"],
            RSA_CERTIFICATE => &["rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com"],
            kind => &[kind],
        };
        if let Some(name) = names.iter().find(|name| !self.allows(name)) {
            return Some(format!("PubkeyAcceptedAlgorithms of your ssh_config does not allow {name}"));
        }
        self.too_small(blob)
    }

    /// Why we may log in neither with a key nor with a certificate of it: one of those, else the one that lies beside it.
    pub(crate) fn refuses_key(&self, key: &Key, certificates: &[PathBuf]) -> Option<String> {
        let public = key.public.as_ref().and_then(|public| public.to_bytes().ok());
        let why = self.refuses(public.as_deref().unwrap_or_default())?;
        let beside = Some(keys::certificate_beside(&key.path)).filter(|_| certificates.is_empty());
        let allowed = certificates.iter().chain(&beside).any(|path| {
            let certificate = keys::certificate_of(key, path).and_then(|text| keys::bytes_of(&text));
            certificate.is_some_and(|blob| self.refuses(&blob).is_none())
        });
        (!allowed).then_some(why)
    }

    fn allows(&self, name: &str) -> bool {
        match self.kinds.as_deref().map(|said| (said, said.strip_prefix('-'))) {
            None => true,
            Some((_, Some(fewer))) => !pattern::words(fewer.split(','), name),
            Some((only, None)) => pattern::words(only.split(','), name),
        }
    }

    /// Whether a key, the host's or ours, is an RSA key with too few bits.
    pub(crate) fn too_small(&self, blob: &[u8]) -> Option<String> {
        let bits = rsa_bits(blob).filter(|bits| *bits < self.rsa_min)?;
        Some(match self.rsa_min {
            RSA_MIN => format!("an RSA key of {bits} bits is too small: {RSA_MIN} is the least"),
            least => format!(
                "an RSA key of {bits} bits is too small: RequiredRSASize of your ssh_config is {least}"
            ),
        })
    }
}

/// How many bits the number has that an RSA key, or a certificate of one, is about.
fn rsa_bits(blob: &[u8]) -> Option<u32> {
    let (kind, mut rest) = string(blob)?;
    // A certificate has a random text before the two numbers.
    let before = match std::str::from_utf8(kind).ok()? {
        "ssh-rsa" => 1,
        RSA_CERTIFICATE => 2,
        _ => return None,
    };
    for _ in 0..before {
        rest = string(rest)?.1;
    }
    let number = string(rest)?.0;
    let first = number.iter().position(|byte| *byte != 0)?;
    let bytes = u32::try_from(number.len() - first).ok()?;
    Some(bytes.saturating_mul(8) - number[first].leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::Accept;

    fn blob(kind: &str, numbers: &[&[u8]]) -> Vec<u8> {
        let text = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
        [kind.as_bytes()].iter().chain(numbers).flat_map(|bytes| text(bytes)).collect()
    }

    fn rsa(bits: usize) -> Vec<u8> {
        let number = [&[0, 0x80][..], &vec![1; bits / 8 - 1]].concat();
        blob("ssh-rsa", &[&[1, 0, 1], &number])
    }

    #[test]
    fn keys_of_kinds_that_are_not_allowed_are_refused() {
        let (ed25519, ecdsa, rsa) =
            (blob("ssh-ed25519", &[&[1]]), blob("ecdsa-sha2-nistp256", &[&[1]]), rsa(2048));
        for (said, allowed) in [
            (None, [true, true, true]),
            (Some("+ssh-rsa"), [true, true, true]),
            (Some("^ssh-ed25519"), [true, true, true]),
            (Some("ssh-ed25519"), [true, false, false]),
            (Some("ecdsa-*,rsa-sha2-*"), [false, true, true]),
            // Half of it is not enough: which of the two it signs with, the server decides.
            (Some("rsa-sha2-512"), [false, false, false]),
            (Some("-ecdsa-sha2-nistp*,ssh-rsa"), [true, false, true]),
        ] {
            let accept = Accept::new(said.map(str::to_owned), None);
            let found = [&ed25519, &ecdsa, &rsa].map(|key| accept.refuses(key).is_none());
            assert_eq!(found, allowed, "{said:?}");
        }
    }

    #[test]
    fn rsa_keys_need_their_bits() {
        for (least, bits, fine) in [
            (None, 1024, true),
            (None, 1016, false),
            (Some(1), 1016, false),
            (Some(2048), 1024, false),
            (Some(2048), 2048, true),
        ] {
            let accept = Accept::new(None, least);
            assert_eq!(accept.refuses(&rsa(bits)).is_none(), fine, "{least:?} {bits}");
        }
        let number = [0x80; 128];
        let certificate = blob("ssh-rsa-cert-v01@openssh.com", &[b"random", &[1, 0, 1], &number, b"more"]);
        let why = Accept::new(None, Some(3072)).refuses(&certificate).unwrap();
        assert!(
            why.contains("1024 bits") && why.contains("RequiredRSASize") && why.contains("3072"),
            "{why}"
        );
    }

    #[test]
    fn a_key_of_which_nothing_is_known_is_only_used_where_all_are_allowed() {
        assert_eq!(Accept::new(None, None).refuses(&[]), None);
        assert!(Accept::new(Some("ssh-ed25519".into()), None).refuses(&[]).is_some());
        assert!(Accept::new(None, Some(2048)).refuses(&[]).is_some());
    }
}
