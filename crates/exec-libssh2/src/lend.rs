//! Certificates in files, for keys that only the agent has. libssh2 takes a certificate from a file with its key, or from
//! the agent with its key, and from no two places; OpenSSH does. So the agent is said to have the certificate too, and what
//! libssh2 has signed by it is signed by the key.

use crate::keys;

/// Kinds of messages (draft-miller-ssh-agent).
pub(crate) const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
/// What asks for an RSA signature with SHA-2.
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;

/// How many keys are looked at.
const KEYS_MAX: u32 = 2048;

/// Certificates, which an agent is said to have if it has their keys.
#[derive(Debug, Default)]
pub(crate) struct Lent {
    /// With their names.
    certificates: Vec<(Vec<u8>, String)>,
    /// Those that were lent, each with the key that signs for it.
    lent: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Lent {
    /// These, each with its name.
    pub(crate) fn new(certificates: Vec<(Vec<u8>, String)>) -> Self {
        Self { certificates, lent: Vec::new() }
    }

    /// The answer of an agent that tells its keys, with the certificates before them. Anything else stays as it is.
    pub(crate) fn answer(&mut self, answer: Vec<u8>) -> Vec<u8> {
        let Some(held) = listed(&answer) else { return answer };
        let Some(count) = answer.get(1..5).and_then(|count| count.try_into().ok()).map(u32::from_be_bytes)
        else {
            return answer;
        };
        let mut more = Vec::new();
        self.lent.clear();
        for (certificate, name) in &self.certificates {
            let key = held.iter().find(|key| keys::is_of(certificate, key));
            if let Some(key) = key.filter(|_| !held.contains(&certificate.as_slice())) {
                more.extend([certificate.as_slice(), name.as_bytes()]);
                self.lent.push((certificate.clone(), key.to_vec()));
            }
        }
        // There are few: one for each file that is named.
        let more_count = u32::try_from(self.lent.len()).unwrap_or(0);
        let mut all = vec![IDENTITIES_ANSWER];
        all.extend(count.saturating_add(more_count).to_be_bytes());
        more.into_iter().for_each(|text| put(&mut all, text));
        all.extend(answer.get(5..).unwrap_or_default());
        all
    }

    /// What an agent is asked for in the stead of a signature by a certificate. Anything else stays as it is.
    pub(crate) fn request(&self, request: Vec<u8>) -> Vec<u8> {
        self.signed_by_the_key(&request).unwrap_or(request)
    }

    fn signed_by_the_key(&self, request: &[u8]) -> Option<Vec<u8>> {
        let (named, rest) = keys::string(request.strip_prefix(&[SIGN_REQUEST])?)?;
        let (data, flags) = keys::string(rest)?;
        let flags = match u32::from_be_bytes(*flags.first_chunk()?) {
            0 => flags_for(data).unwrap_or(0),
            asked => asked,
        };
        let key =
            self.lent.iter().find(|(certificate, _)| certificate == named).map(|(_, key)| key.as_slice());
        let mut changed = vec![SIGN_REQUEST];
        put(&mut changed, key.unwrap_or(named));
        put(&mut changed, data);
        changed.extend(flags.to_be_bytes());
        Some(changed)
    }
}

/// What has to be asked for so that the signature is of the kind that the server was told. libssh2 forgets it where the
/// key is a certificate, and gets the SHA-1 that no server takes.
fn flags_for(data: &[u8]) -> Option<u32> {
    // What is signed (RFC 4252): the session, a number, the user, the service, the way, a yes, and the kind.
    let (_, rest) = keys::string(data)?;
    let (_, rest) = keys::string(rest.get(1..)?)?;
    let (_, rest) = keys::string(rest)?;
    let (_, rest) = keys::string(rest)?;
    match keys::string(rest.get(1..)?)?.0 {
        b"rsa-sha2-256-cert-v01@openssh.com" => Some(RSA_SHA2_256),
        b"rsa-sha2-512-cert-v01@openssh.com" => Some(RSA_SHA2_512),
        _ => None,
    }
}

/// The keys in the answer of an agent, the first [`KEYS_MAX`] of them.
pub(crate) fn listed(answer: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut rest) = answer.strip_prefix(&[IDENTITIES_ANSWER])?.split_first_chunk::<4>()?;
    let mut found = Vec::new();
    for _ in 0..u32::from_be_bytes(*count).min(KEYS_MAX) {
        let (key, after) = keys::string(rest)?;
        (_, rest) = keys::string(after)?;
        found.push(key);
    }
    Some(found)
}

fn put(message: &mut Vec<u8>, text: &[u8]) {
    // A message of an agent has at most 256 KiB, and a file of ours too.
    message.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    message.extend(text);
}

#[cfg(test)]
#[path = "lend_tests.rs"]
mod tests;
