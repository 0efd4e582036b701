//! Takes secrets out of a text before it is written down.
//!
//! Two kinds are known: the values of `service.env`, and what matches a pattern (the operator's, and the name and password
//! of a URL). Where both match, or two secrets overlap, all that any of them covers is masked.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use regex::{Regex, RegexBuilder};

use super::Cut;
use crate::machine::{Problem, Reason};
use crate::plan::EnvName;

/// What stands in the place of a secret.
pub const MASKED: &str = "[masked]";
/// How many patterns there may be.
pub const PATTERNS_MAX: usize = 64;
/// How large a compiled pattern may be; it is refused beyond.
const PATTERN_SIZE_MAX: usize = 1 << 20;
/// Shorter values are in every text, and nobody's secret.
const SECRET_MIN: usize = 4;
/// From this length on, a value is masked also inside a longer word, whatever it is made of.
const ANYWHERE_MIN: usize = 8;
/// The most that is looked for at a cut end.
const EDGE_MAX: usize = 4096;

/// Variables whose values say where things are or how much is told, and no secret.
const HARMLESS_NAMES: &[&str] = &[
    "CI",
    "DEBUG",
    "HOME",
    "HOSTNAME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "LOG_LEVEL",
    "NODE_ENV",
    "PATH",
    "PORT",
    "PWD",
    "RAILS_ENV",
    "RUST_LOG",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
];
/// Words that are in every log.
const HARMLESS_VALUES: &[&str] = &[
    "debug",
    "development",
    "error",
    "false",
    "info",
    "localhost",
    "none",
    "null",
    "production",
    "staging",
    "test",
    "trace",
    "true",
    "warn",
    "warning",
    "127.0.0.1",
    "0.0.0.0",
];

/// A pattern that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} {why}")]
pub struct BadPattern {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

/// Patterns of the operator. Of one with groups, what its groups match is masked; of others all that they match.
#[derive(Debug, Clone, Default)]
pub struct Patterns(Arc<[Regex]>);

impl Patterns {
    /// Compiles them.
    ///
    /// # Errors
    /// The first that is no regular expression, is too large, or matches where nothing stands.
    pub fn new(patterns: &[String]) -> Result<Self, BadPattern> {
        let bad = |pattern: &str, why: &str| BadPattern { pattern: pattern.to_owned(), why: why.to_owned() };
        if let Some(more) = patterns.get(PATTERNS_MAX) {
            return Err(bad(more, &format!("is one too many: there may be {PATTERNS_MAX}")));
        }
        let compile = |pattern: &String| {
            let built = RegexBuilder::new(pattern).size_limit(PATTERN_SIZE_MAX).build();
            let regex = built.map_err(|error| {
                // The last line says what it is; those before draw where.
                let told = error.to_string();
                let why = told.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                bad(pattern, &format!("is no regular expression: {why}"))
            })?;
            if regex.is_match("") {
                return Err(bad(pattern, "matches where nothing stands, so it would mask nothing"));
            }
            Ok(regex)
        };
        Ok(Self(patterns.iter().map(compile).collect::<Result<Vec<_>, _>>()?.into()))
    }
}

/// Whether the value of a variable of this name is told as it is.
pub fn is_told(name: &str) -> bool {
    HARMLESS_NAMES.contains(&name) || name.starts_with("LC_")
}

/// A value to be masked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Secret {
    text: String,
    /// Only where it is a word of its own: a short one made of letters is in many words.
    as_word: bool,
}

/// What is masked in the evidence of one run.
#[derive(Debug, Clone)]
pub struct Mask {
    secrets: Vec<Secret>,
    patterns: Patterns,
}

/// What stands between the two slashes of a URL and an @ is a name, a password, or a token.
static URL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"[A-Za-z][A-Za-z0-9+.-]{0,30}://([^\s/?#"'<>@]+(?:@[^\s/?#"'<>@]+)*)@"#).ok()
});

impl Default for Mask {
    fn default() -> Self {
        Self::new(&BTreeMap::new(), Patterns::default())
    }
}

impl Mask {
    /// The mask of a run with this `service.env`.
    pub fn new(env: &BTreeMap<EnvName, String>, patterns: Patterns) -> Self {
        let values = env.iter().filter(|(name, _)| !is_told(name.as_str())).map(|(_, value)| value.as_str());
        let secrets: BTreeSet<Secret> = values.flat_map(forms).filter_map(secret).collect();
        Self { secrets: secrets.into_iter().collect(), patterns }
    }

    /// The text without what it masks. At an end where something was cut off, the part of a secret that is left there goes
    /// too.
    pub fn text(&self, text: &str, cut: Option<Cut>) -> String {
        let mut found: Vec<Range<usize>> = Vec::new();
        for secret in &self.secrets {
            secret.find(text, &mut found);
            found.extend(match cut {
                Some(Cut::Tail) => secret.rest_at_the_beginning(text),
                Some(Cut::Head) => secret.beginning_at_the_end(text),
                None => None,
            });
        }
        for pattern in self.patterns.0.iter().chain(&*URL) {
            for matched in pattern.captures_iter(text) {
                // The first is the whole match; without groups there is no other.
                let from = usize::from(pattern.captures_len() > 1);
                found.extend(matched.iter().skip(from).flatten().map(|group| group.range()));
            }
        }
        replaced(text, found)
    }

    /// A problem without what it masks.
    #[must_use]
    pub fn problem(&self, Problem { code, found, fix }: Problem) -> Problem {
        Problem { code, found: self.text(&found, None), fix: self.text(&fix, None) }
    }

    /// The note of a switch without what it masks: it may tell what a command printed, and its end may have been cut off.
    pub fn note(&self, note: &str) -> String {
        self.text(note, Some(Cut::Head))
    }

    /// A reason without what it masks.
    #[must_use]
    pub fn reason(&self, reason: Reason) -> Reason {
        let plain = |text: String| self.text(&text, None);
        // The beginning of a tail was cut off.
        let tail = |text: String| self.text(&text, Some(Cut::Tail));
        match reason {
            Reason::Exited { code, tail: text } => Reason::Exited { code, tail: tail(text) },
            Reason::TimedOut { after_s, tail: text } => Reason::TimedOut { after_s, tail: tail(text) },
            Reason::NotProved { found, tail: text } => {
                Reason::NotProved { found: plain(found), tail: tail(text) }
            }
            Reason::Unexpected { detail } => Reason::Unexpected { detail: plain(detail) },
            Reason::HostReverted { note } => Reason::HostReverted { note: note.map(|note| self.note(&note)) },
            Reason::Refused { problems } => Reason::Refused {
                problems: problems.into_iter().map(|problem| self.problem(problem)).collect(),
            },
            other @ (Reason::Held { .. }
            | Reason::Unreachable { .. }
            | Reason::AttemptsExhausted { .. }
            | Reason::CalledOff { .. }) => other,
        }
    }
}

/// The ways in which a value is printed: as it is, line by line (a key has several), as a string of JSON, and in a URL.
fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    if value.contains(['\n', '\r']) {
        forms.extend(value.lines().map(|line| line.trim().to_owned()));
    }
    let quoted = serde_json::to_string(value).unwrap_or_default();
    let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    forms.extend(inside.map(str::to_owned));
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    forms.push(
        value
            .bytes()
            .map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect(),
    );
    forms
}

fn secret(text: String) -> Option<Secret> {
    if text.trim().len() < SECRET_MIN || HARMLESS_VALUES.contains(&text.trim()) {
        return None;
    }
    let as_word = text.len() < ANYWHERE_MIN && is_one_kind(&text);
    Some(Secret { text, as_word })
}

/// Whether it is all small letters, or all digits: a word or a number like any other.
fn is_one_kind(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase()) || text.chars().all(|c| c.is_ascii_digit())
}

impl Secret {
    fn find(&self, text: &str, found: &mut Vec<Range<usize>>) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut from = 0;
        while let Some(at) = text.get(from..).and_then(|rest| rest.find(&self.text)).map(|at| from + at) {
            let end = at + self.text.len();
            let alone = !text[..at].ends_with(is_word) && !text[end..].starts_with(is_word);
            if alone || !self.as_word {
                found.push(at..end);
            }
            // It may overlap with itself.
            from = at + self.text.chars().next().map_or(1, char::len_utf8);
        }
    }

    /// Whether that much of it would tell something.
    fn tells(&self, length: usize) -> bool {
        length >= 3 || 2 * length >= self.text.len()
    }

    fn rest_at_the_beginning(&self, text: &str) -> Option<Range<usize>> {
        let starts = self.text.char_indices().skip(1).map(|(at, _)| at).take(EDGE_MAX);
        let mut rests = starts.map(|at| &self.text[at..]).take_while(|rest| self.tells(rest.len()));
        rests.find(|rest| text.starts_with(rest)).map(|rest| 0..rest.len())
    }

    fn beginning_at_the_end(&self, text: &str) -> Option<Range<usize>> {
        let ends = self.text.char_indices().skip(1).map(|(at, _)| at).take(EDGE_MAX);
        let beginnings = ends.map(|at| &self.text[..at]).filter(|beginning| self.tells(beginning.len()));
        let longest = beginnings.filter(|beginning| text.ends_with(beginning)).last()?;
        Some(text.len() - longest.len()..text.len())
    }
}

/// The text with one mark in the place of each stretch that these cover.
fn replaced(text: &str, mut found: Vec<Range<usize>>) -> String {
    found.retain(|range| !range.is_empty());
    found.sort_by_key(|range| (range.start, range.end));
    let mut safe = String::with_capacity(text.len());
    let mut done = 0;
    for range in found {
        if range.start >= done {
            safe.push_str(&text[done..range.start]);
            safe.push_str(MASKED);
        }
        done = done.max(range.end);
    }
    safe.push_str(&text[done..]);
    safe
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
