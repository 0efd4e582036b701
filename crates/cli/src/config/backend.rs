//! What reaches which host: the backend of the profile, and rules by label over it.

use std::fmt;

use serde::Serialize;
use uphaul_exec_command::Template;
use uphaul_store::Host;

use super::read::Reader;
use super::schema::{BACKENDS, nearest};
use super::values::Leaf;
use super::{Config, Problem};
use crate::select::Matcher;

/// The most rules that a profile may have.
const RULES_MAX: usize = 100;
/// The key of the words of `command`.
const ARGV: &str = "executor.command.argv";
/// The key of the rules.
pub(crate) const RULES: &str = "executor.rules";

/// What reaches hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// The system's ssh.
    Openssh,
    /// An SSH client in this process.
    Libssh2,
    /// This machine.
    Local,
    /// Simulated hosts.
    Mock,
    /// A program of the operator's.
    Command,
}

impl Backend {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Openssh, Self::Libssh2, Self::Command, Self::Local, Self::Mock];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Openssh => "openssh",
            Self::Libssh2 => "libssh2",
            Self::Local => "local",
            Self::Mock => "mock",
            Self::Command => "command",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.name() == name)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RuleText {
    /// The hosts that it is about, as on the command line.
    #[serde(rename = "match")]
    pub(crate) selector: String,
    /// What reaches them.
    pub(crate) backend: String,
}

/// A rule, read.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// As it was written.
    pub(crate) selector: String,
    /// The hosts that it is about.
    pub(crate) matcher: Matcher,
    /// What reaches them.
    pub(crate) backend: Backend,
}

/// What reaches a host, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Chosen {
    /// What reaches it.
    #[serde(serialize_with = "by_name")]
    pub(crate) backend: Backend,
    /// The key that says so.
    pub(crate) key: String,
    /// What the rule matches, where it is one.
    #[serde(rename = "match")]
    pub(crate) selector: Option<String>,
    /// Where the key was set.
    pub(crate) place: String,
}

fn by_name<S: serde::Serializer>(backend: &Backend, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(backend.name())
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, key, selector, place } = self;
        match selector {
            Some(selector) => write!(f, "{backend} ({key} matches {selector}, {place})"),
            None => write!(f, "{backend} ({key}, {place})"),
        }
    }
}

impl Config {
    /// What reaches a host: the first rule that matches, else the backend of the profile.
    pub(crate) fn backend_of(&self, host: &Host) -> Chosen {
        let place =
            |key: &str| self.values.setting(key).map(|setting| setting.place.clone()).unwrap_or_default();
        match self.rules.iter().enumerate().find(|(_, rule)| rule.matcher.matches(host)) {
            Some((at, rule)) => Chosen {
                backend: rule.backend,
                key: rule_key(at),
                selector: Some(rule.selector.clone()),
                place: place(RULES),
            },
            None => Chosen {
                backend: self.backend,
                key: "executor.backend".to_owned(),
                selector: None,
                place: place("executor.backend"),
            },
        }
    }

    /// The backends that a host may be given, the profile's own first.
    pub(crate) fn backends(&self) -> Vec<Backend> {
        let mut all = vec![self.backend];
        for rule in &self.rules {
            if !all.contains(&rule.backend) {
                all.push(rule.backend);
            }
        }
        all
    }
}

/// How a rule is called in messages; people count from 1.
pub(crate) fn rule_key(at: usize) -> String {
    format!("{RULES}[{}]", at + 1)
}

/// What the backend `command` runs.
pub(super) fn template(reader: &mut Reader<'_>) -> Option<Template> {
    let words = reader.list(ARGV)?;
    match Template::parse(words) {
        Ok(template) => Some(template),
        Err(why) => {
            reader.refuse(ARGV, why);
            None
        }
    }
}

/// Notes what a chosen backend lacks.
pub(super) fn check(reader: &mut Reader<'_>, backend: Option<Backend>, rules: &[Rule]) {
    if reader.list(ARGV).is_some() {
        return;
    }
    let rule = rules.iter().position(|rule| rule.backend == Backend::Command);
    let (by, place) = match (backend, rule) {
        (Some(Backend::Command), _) => ("executor.backend".to_owned(), "executor.backend"),
        (_, Some(at)) => (rule_key(at), RULES),
        (_, None) => return,
    };
    let place = reader.place_of(place);
    let example = "[\"docker\", \"exec\", \"-i\", \"{address}\"]";
    let what = format!("{ARGV} is not set, but {by} is \"command\"; write for example {ARGV} = {example}");
    reader.problems.push(Problem::at(place, what));
}

/// The rules.
pub(super) fn rules(reader: &mut Reader<'_>) -> Vec<Rule> {
    let Some(Leaf::Rules(written)) = reader.leaf(RULES) else { return Vec::new() };
    if written.len() > RULES_MAX {
        reader.refuse(RULES, format!("has {} rules; at most {RULES_MAX} are taken", written.len()));
        return Vec::new();
    }
    let mut rules = Vec::new();
    for (at, rule) in written.iter().enumerate() {
        let key = rule_key(at);
        let matcher = Matcher::parse(&rule.selector)
            .map_err(|why| reader.refuse_at(RULES, format!("{key}.match: {why}")))
            .ok();
        let backend = Backend::of(&rule.backend);
        if backend.is_none() {
            reader.refuse_at(RULES, format!("{key}.backend: {}", unknown(&rule.backend)));
        }
        if let (Some(matcher), Some(backend)) = (matcher, backend) {
            rules.push(Rule { selector: rule.selector.clone(), matcher, backend });
        }
    }
    rules
}

fn unknown(name: &str) -> String {
    let expected = super::schema::Kind::Choice(BACKENDS).expected();
    let near = nearest(name, BACKENDS.iter().copied());
    let meant = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
    format!("expected {expected}, found {:?}{meant}", name.chars().take(80).collect::<String>())
}
