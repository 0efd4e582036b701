//! OpenSSH's own format for keys, as its PROTOCOL.key tells it: the public half in the clear, and the private half, which may
//! be encrypted.
//!
//! The numbers in the private half are not looked at here; libssh2 reads them. The crate ssh-key (0.6.7) refuses those of
//! ECDSA that begin with a zero byte, which OpenSSH leaves out: one key of nistp256 in 256, every second one of nistp521.

use base64ct::{Base64, Encoding as _};
use ssh_key::{Cipher, Kdf, PublicKey};
use zeroize::Zeroizing;

use crate::keys::string;

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";
/// As ssh-keygen breaks its lines.
const LINE: usize = 70;
/// One round costs some milliseconds; ssh-keygen takes 16 or 24 of them unless it is told otherwise. Beyond, a file is refused:
/// it is damaged, or nobody would wait for it.
const ROUNDS_MAX: u32 = 10_000;
const DAMAGED: &str = "it is cut off or damaged";

/// A key of that format.
pub(crate) struct Container {
    cipher: Cipher,
    kdf: Kdf,
    public: Vec<u8>,
    private: Zeroizing<Vec<u8>>,
    /// Of a cipher that vouches for what it encrypts.
    tag: Option<[u8; 16]>,
}

/// Whether a text is one of that format.
pub(crate) fn is_one(text: &str) -> bool {
    text.contains(BEGIN)
}

impl Container {
    /// Reads it.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let inside = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
        let (inside, _) = inside.ok_or("its last line is missing")?;
        // At its length at once: one that grows leaves parts of itself behind in the memory.
        let mut packed = Zeroizing::new(String::with_capacity(inside.len()));
        packed.extend(inside.split_ascii_whitespace());
        let bytes = Base64::decode_vec(&packed).map(Zeroizing::new).map_err(|_| DAMAGED)?;
        Self::parse(&bytes).ok_or(DAMAGED)?
    }

    fn parse(bytes: &[u8]) -> Option<Result<Self, String>> {
        let (cipher, rest) = string(bytes.strip_prefix(MAGIC)?)?;
        let (kdf, rest) = string(rest)?;
        let (options, rest) = string(rest)?;
        let (keys, rest) = rest.split_first_chunk::<4>()?;
        let (public, rest) = string(rest)?;
        let (private, tag) = string(rest)?;
        let name = String::from_utf8_lossy(cipher);
        let Ok(cipher) = Cipher::new(&name) else {
            return Some(Err(format!("its cipher {} is not known", name.escape_debug())));
        };
        let kdf = match kdf {
            b"none" => Kdf::None,
            b"bcrypt" => {
                let (salt, rounds) = string(options)?;
                let rounds = u32::from_be_bytes(rounds.try_into().ok()?);
                if rounds > ROUNDS_MAX {
                    return Some(Err(format!(
                        "its passphrase is to be used {rounds} times over, and {ROUNDS_MAX} is the most here"
                    )));
                }
                Kdf::Bcrypt { salt: salt.to_owned(), rounds }
            }
            _ => return Some(Err("how its passphrase is used is not known".to_owned())),
        };
        if *keys != 1_u32.to_be_bytes() {
            return Some(Err("it holds more than one key".to_owned()));
        }
        let tag = if cipher.has_tag() { Some(tag.try_into().ok()?) } else { None };
        if cipher.is_none() && !is_in_the_clear(private) {
            return None;
        }
        let private = Zeroizing::new(private.to_owned());
        Some(Ok(Self { cipher, kdf, public: public.to_owned(), private, tag }))
    }

    /// Its public half.
    ///
    /// # Errors
    /// It is of a kind that is not known, or damaged.
    pub(crate) fn public(&self) -> Result<PublicKey, String> {
        PublicKey::from_bytes(&self.public).map_err(|error| error.to_string())
    }

    /// Whether there is a passphrase.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.cipher.is_some()
    }

    /// The same key without a passphrase, as text.
    ///
    /// # Errors
    /// The passphrase is wrong, or the cipher is not built in.
    pub(crate) fn decrypted(&self, passphrase: &str) -> Result<Zeroizing<String>, String> {
        let wrong = || "the passphrase is wrong".to_owned();
        let keys = self.kdf.derive_key_and_iv(self.cipher, passphrase);
        let (key, start) = keys.map_err(|error| error.to_string())?;
        let mut private = self.private.clone();
        if !private.len().is_multiple_of(self.cipher.block_size()) {
            return Err(DAMAGED.to_owned());
        }
        let done = self.cipher.decrypt(&key, &start, &mut private, self.tag);
        done.map_err(|error| if self.tag.is_some() { wrong() } else { error.to_string() })?;
        if is_in_the_clear(&private) { Ok(self.open(&private)) } else { Err(wrong()) }
    }

    fn open(&self, private: &[u8]) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(MAGIC.to_vec());
        for part in [&b"none"[..], b"none", b""] {
            put(&mut bytes, part);
        }
        bytes.extend(1_u32.to_be_bytes());
        put(&mut bytes, &self.public);
        put(&mut bytes, private);
        let packed = Zeroizing::new(Base64::encode_string(&bytes));
        let mut text = Zeroizing::new(format!("{BEGIN}\n"));
        text.reserve(packed.len() + packed.len() / LINE + END.len() + 4);
        for (at, letter) in packed.chars().enumerate() {
            if at > 0 && at % LINE == 0 {
                text.push('\n');
            }
            text.push(letter);
        }
        text.push_str(&format!("\n{END}\n"));
        text
    }
}

/// A private half begins with the same random number twice.
fn is_in_the_clear(private: &[u8]) -> bool {
    private.split_first_chunk::<8>().is_some_and(|(check, _)| check[..4] == check[4..])
}

/// A text with its length before it. None here is longer than the file that it is from.
fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(part);
}
