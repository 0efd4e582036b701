//! Files with keys to log in with.

use std::path::{Path, PathBuf};

use base64ct::Encoding as _;
use ssh_key::PublicKey;
use zeroize::Zeroizing;

use crate::agent;
use crate::container::{self, Container};

/// The most that a file of a key may have.
const FILE_MAX: u64 = 256 * 1024;

/// A key, as its files have it.
#[derive(Clone)]
pub(crate) struct Key {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its public half, where that can be told without a passphrase.
    pub(crate) public: Option<PublicKey>,
    /// Its private half.
    pub(crate) material: Material,
}

/// The private half of a key.
#[derive(Clone)]
pub(crate) enum Material {
    /// In the clear.
    Open(Zeroizing<String>),
    /// Encrypted, in OpenSSH's own format.
    Locked(Zeroizing<String>),
    /// In one of the old formats, maybe encrypted, which libssh2 reads itself.
    Old {
        /// The text.
        text: Zeroizing<String>,
        /// Whether it is encrypted.
        locked: bool,
    },
    /// Somewhere else: in the agent.
    Elsewhere,
    /// In a piece of hardware.
    Hardware,
    /// In a file that others may read, too. As with ssh, that is none.
    Exposed,
}

/// What to do about a key that others may read.
pub(crate) fn exposed(path: &Path) -> String {
    let path = path.display();
    format!("the key {path} is not used, since others than you may read it: `chmod 600 {path}`")
}

/// Reads a key. Nothing: there is none.
///
/// # Errors
/// There is something, which is no key or cannot be read.
pub(crate) fn read(path: &Path) -> Result<Option<Key>, String> {
    let beside = public_beside(path);
    let text = match text_of(path) {
        Ok(Some(text)) => text,
        Ok(None) | Err(_) if beside.is_some() => {
            return Ok(beside.map(|public| Key {
                path: path.to_owned(),
                public: Some(public),
                material: Material::Elsewhere,
            }));
        }
        Ok(None) => return Ok(None),
        Err(why) => return Err(why),
    };
    if let Ok(public) = PublicKey::from_openssh(text.trim()) {
        return Ok(Some(Key { path: path.to_owned(), public: Some(public), material: Material::Elsewhere }));
    }
    if !text.contains("-----BEGIN ") {
        return Err(format!("{} is no key to log in with", path.display()));
    }
    if !container::is_one(&text) {
        let locked = text.contains("ENCRYPTED");
        let material =
            if is_open_to_others(path) { Material::Exposed } else { Material::Old { text, locked } };
        return Ok(Some(Key { path: path.to_owned(), public: beside, material }));
    }
    let cannot = |why: String| format!("the key {} cannot be read: {why}", path.display());
    let key = Container::read(&text).map_err(cannot)?;
    let public = key.public().map_err(cannot)?;
    let material = if is_hardware(&public) {
        Material::Hardware
    } else if is_open_to_others(path) {
        Material::Exposed
    } else if key.is_encrypted() {
        Material::Locked(text)
    } else {
        Material::Open(text)
    };
    Ok(Some(Key { path: path.to_owned(), public: Some(public), material }))
}

/// Whether the private half never leaves a piece of hardware.
pub(crate) fn is_hardware(key: &PublicKey) -> bool {
    key.algorithm().as_str().starts_with("sk-")
}

/// Decrypts a key.
pub(crate) fn open(locked: &str, passphrase: &str) -> Result<Zeroizing<String>, String> {
    Container::read(locked)?.decrypted(passphrase)
}

/// Whether an agent has the key; also not, where it does not answer soon.
pub(crate) fn agent_has(socket: &Path, key: &Key) -> bool {
    let public = key.public.as_ref().and_then(|public| public.to_bytes().ok());
    public.is_some_and(|public| agent::has(socket, &public))
}

/// The certificate in a file, if it is one of that key.
pub(crate) fn certificate_of(key: &Key, path: &Path) -> Option<String> {
    let public = key.public.as_ref()?.to_bytes().ok()?;
    certificate_in(path).filter(|text| bytes_of(text).is_some_and(|bytes| is_of(&bytes, &public)))
}

/// The certificate in a file: one word of its kind, one of itself. Read here, since the crate ssh-key refuses certificates
/// that hold for ever.
pub(crate) fn certificate_in(path: &Path) -> Option<String> {
    let text = text_of(path).ok()??;
    let mut words = text.split_ascii_whitespace();
    let text = format!("{} {}", words.next()?, words.next()?);
    let bytes = bytes_of(&text)?;
    let (kind, _) = string(&bytes)?;
    (text.as_bytes().starts_with(&[kind, b" "].concat()) && kind.windows(6).any(|part| part == b"-cert-"))
        .then_some(text)
}

/// Whether a certificate is one of that public key, both as they are on the wire.
pub(crate) fn is_of(certificate: &[u8], public: &[u8]) -> bool {
    let is = || {
        let (kind, after_kind) = string(certificate)?;
        // Its kind, a random text, and then the key as it stands in a public key after the kind.
        let (_, after_random) = string(after_kind)?;
        let (plain, public) = string(public)?;
        Some(kind.strip_prefix(plain)?.starts_with(b"-cert-") && after_random.starts_with(public))
    };
    is().unwrap_or(false)
}

/// What a certificate of [`certificate_in`] is on the wire.
pub(crate) fn bytes_of(certificate: &str) -> Option<Vec<u8>> {
    base64ct::Base64::decode_vec(certificate.split_once(' ')?.1).ok()
}

/// The first text of a row of texts, each with its length before it, and the rest.
pub(crate) fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// The certificate that lies beside a key.
pub(crate) fn certificate_beside(path: &Path) -> PathBuf {
    with_ending(path, "-cert.pub")
}

fn public_beside(path: &Path) -> Option<PublicKey> {
    PublicKey::from_openssh(text_of(&with_ending(path, ".pub")).ok()??.trim()).ok()
}

/// As ssh: of a file that belongs to another user, that user answers for who may read it.
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let ours = rustix::process::getuid().as_raw();
    std::fs::metadata(path).is_ok_and(|data| data.uid() == ours && data.mode() & 0o077 != 0)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn text_of(path: &Path) -> Result<Option<Zeroizing<String>>, String> {
    let cannot = |why: String| format!("the key {} cannot be read: {why}", path.display());
    match std::fs::metadata(path) {
        Ok(data) if data.len() > FILE_MAX => {
            return Err(cannot(format!("it has more than {FILE_MAX} bytes")));
        }
        Ok(data) if !data.is_file() => return Err(cannot("it is no file".into())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error.to_string())),
    }
    let text = std::fs::read_to_string(path).map_err(|error| cannot(error.to_string()))?;
    Ok(Some(Zeroizing::new(text)))
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
