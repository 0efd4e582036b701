//! Names and numbers, each parsed once into a type that cannot hold anything unsafe.

use serde::{Deserialize, Serialize};

/// Says why a text is not a name of the wanted kind; reads after "…: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} {why}")]
pub struct InvalidName {
    /// The kind of name, for example `host name`.
    pub what: &'static str,
    /// What was given, cut to 80 characters.
    pub value: String,
    /// What is wrong with it.
    pub why: String,
}

impl InvalidName {
    /// Builds the error; the value is cut so that hostile input cannot flood a terminal.
    pub fn new(what: &'static str, value: &str, why: impl Into<String>) -> Self {
        Self { what, value: value.chars().take(80).collect(), why: why.into() }
    }
}

/// Makes a newtype over `String` whose only way in is a check.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl std::str::FromStr for $name {
            type Err = crate::ids::InvalidName;
            fn from_str(text: &str) -> Result<Self, crate::ids::InvalidName> {
                match $check(text) {
                    Ok(()) => Ok(Self(text.to_owned())),
                    Err(why) => Err(crate::ids::InvalidName::new($what, text, why)),
                }
            }
        }
        impl TryFrom<String> for $name {
            type Error = crate::ids::InvalidName;
            fn try_from(text: String) -> Result<Self, crate::ids::InvalidName> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(crate) use name_type;

name_type! {
    /// Names a host: 1 to 128 of letters, digits, `.`, `_` and `-`, beginning with a letter or digit.
    HostName, "host name", check_host_name
}
name_type! {
    /// A full git commit hash, lower case: 40 (SHA-1) or 64 (SHA-256) hexadecimal digits.
    Revision, "revision", check_revision
}
name_type! {
    /// A branch, tag or hash as a person gives it; the rules of `git check-ref-format`, no leading dash,
    /// at most 255 bytes.
    RefName, "ref", check_ref_name
}
name_type! {
    /// Names a run: 12 characters of the RFC 4648 base32 alphabet in lower case (60 random bits).
    RunId, "run id", check_run_id
}

/// How many characters a [`RunId`] has.
pub const RUN_ID_LEN: usize = 12;

impl Revision {
    /// The first ten digits, as people are shown it.
    pub fn short(&self) -> &str {
        &self.0[..10]
    }
}

impl RunId {
    /// Makes an id of 60 bits; the caller brings the randomness (the core has none).
    pub fn from_bits(bits: u64) -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let digit = |i: usize| char::from(ALPHABET[(bits >> (5 * i)) as usize & 31]);
        Self((0..RUN_ID_LEN).map(digit).collect())
    }
}

fn check_host_name(text: &str) -> Result<(), String> {
    let first_ok = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if text.len() > 128 || !first_ok {
        return Err("must be 1 to 128 characters and begin with a letter or digit".into());
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        Some(c) => Err(format!("has {c:?}; allowed are letters, digits, `.`, `_` and `-`")),
        None => Ok(()),
    }
}

fn check_revision(text: &str) -> Result<(), String> {
    let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match text.len() {
        40 | 64 if hex => Ok(()),
        _ => Err("is not a full commit hash (40 or 64 lower-case hexadecimal digits)".into()),
    }
}

fn check_run_id(text: &str) -> Result<(), String> {
    let ok = text.len() == RUN_ID_LEN
        && text.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b));
    if ok { Ok(()) } else { Err("is not a run id (12 characters, a-z and 2-7)".into()) }
}

fn check_ref_name(text: &str) -> Result<(), String> {
    let bad_char = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    if text.is_empty() || text.len() > 255 {
        return Err("must be 1 to 255 bytes".into());
    }
    if text.starts_with('-') {
        return Err("begins with a dash".into());
    }
    if let Some(c) = text.chars().find(|c| bad_char(*c)) {
        return Err(format!("has {c:?}, which git allows in no ref"));
    }
    let bad_part = |p: &str| p.is_empty() || p.starts_with('.') || p.ends_with(".lock");
    if text.contains("..")
        || text.contains("@{")
        || text == "@"
        || text.ends_with('.')
        || text.split('/').any(bad_part)
    {
        return Err("is not a valid ref (see `git help check-ref-format`)".into());
    }
    Ok(())
}

/// Counts the transitions of a run, from 1; the compare-and-swap of the log is on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Seq(pub u32);

impl Seq {
    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Counts how often a step was begun, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt(pub u8);

impl Attempt {
    /// The first attempt.
    pub const FIRST: Self = Self(1);
    /// The attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The number that the host gives to whoever takes it; a higher one fences all lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fence(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_is_unsafe() {
        for bad in ["", "-x", "a b", "a;b", "a\nb", "a/b", "ü", &"a".repeat(129)] {
            assert!(bad.parse::<HostName>().is_err(), "host {bad:?}");
        }
        for bad in
            ["", "-x", "a b", "a..b", "a~1", "a^", "a:b", "a\0", "x.lock", "a/.b", "@", "a@{1}", "a//b", "b."]
        {
            assert!(bad.parse::<RefName>().is_err(), "ref {bad:?}");
        }
        for bad in ["", "abc", &"A".repeat(40), &"g".repeat(40), &"a".repeat(41)] {
            assert!(bad.parse::<Revision>().is_err(), "revision {bad:?}");
        }
    }

    #[test]
    fn names_accept_what_people_use() {
        for good in ["web-1", "10.0.0.1", "a_b.example.com", "7"] {
            assert!(good.parse::<HostName>().is_ok(), "host {good:?}");
        }
        for good in ["main", "feature/x", "v1.2.3", "a#b", "0123abc", "release-2"] {
            assert!(good.parse::<RefName>().is_ok(), "ref {good:?}");
        }
    }

    #[test]
    fn run_ids_are_twelve_safe_characters() {
        for bits in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
            let id = RunId::from_bits(bits);
            assert_eq!(id.as_str().parse::<RunId>().unwrap(), id);
        }
    }
}
