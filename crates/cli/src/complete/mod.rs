//! Words for a shell that completes: hosts and labels of the record, profiles of the configuration, keys.
//!
//! The shell runs this program while a person types. So nothing is made, written or warned about, a record that is away
//! gives no words, and everything is over after [`FILE_MAX`] or [`SERVER_MAX`].

pub(crate) mod scripts;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory as _;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::CompleteEnv;
use uphaul_store::Store;

use crate::cli::Cli;
use crate::config::{self, BACKENDS, Flags, KEYS};
use crate::surroundings::Surroundings;

/// How long a record in a file may be looked at.
const FILE_MAX: Duration = Duration::from_millis(500);
/// The same of one on a server, which may be far away: longer, and a person still waits for it.
const SERVER_MAX: Duration = Duration::from_secs(1);
/// How many words are offered; a shell asks before it shows as many.
const WORDS_MAX: usize = 1000;

/// Names and labels of hosts.
type Hosts = Vec<(String, BTreeMap<String, String>)>;

/// Answers a shell that completes, and ends the process; comes back if there is none.
pub(crate) fn answer() {
    CompleteEnv::with_factory(Cli::command).complete();
}

/// What chooses hosts: names, `@all`, labels.
pub(crate) fn selectors() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| offered(current, selectors_of(&hosts(), current)))
}

/// Names of hosts.
pub(crate) fn names() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        offered(current, hosts().into_iter().map(|(name, _)| (name, None)))
    })
}

/// `KEY=VALUE` of labels that hosts have.
pub(crate) fn labels() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| offered(current, labels_of(&hosts(), current)))
}

/// Profiles of the configuration.
pub(crate) fn profiles() -> ArgValueCompleter {
    let profiles = || config::profiles(&flags(), &Surroundings::of_process());
    ArgValueCompleter::new(move |current: &OsStr| {
        offered(current, profiles().into_iter().map(|name| (name, None)))
    })
}

/// Executors.
pub(crate) fn executors() -> ArgValueCompleter {
    let all = || BACKENDS.iter().map(|name| ((*name).to_owned(), None));
    ArgValueCompleter::new(move |current: &OsStr| offered(current, all()))
}

/// `KEY=` that a host may set for itself.
pub(crate) fn settings() -> ArgValueCompleter {
    let keys = || KEYS.iter().map(|key| key.path).filter(|path| path.starts_with("service."));
    ArgValueCompleter::new(move |current: &OsStr| {
        offered(current, keys().map(|path| (format!("{path}="), None)))
    })
}

fn offered(
    current: &OsStr,
    words: impl IntoIterator<Item = (String, Option<String>)>,
) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let begin = words.into_iter().filter(|(word, _)| word.starts_with(current.as_ref()));
    let candidate =
        |(word, help): (String, Option<String>)| CompletionCandidate::new(word).help(help.map(Into::into));
    begin.take(WORDS_MAX).map(candidate).collect()
}

/// Labels come once a person has begun one, or where nothing else is left: there may be many.
fn selectors_of(hosts: &Hosts, current: &OsStr) -> Vec<(String, Option<String>)> {
    let all = ("@all".to_owned(), Some(format!("all {} hosts", hosts.len())));
    let names =
        hosts.iter().map(|(name, labels)| (name.clone(), Some(said(labels)).filter(|text| !text.is_empty())));
    std::iter::once(all).filter(|_| !hosts.is_empty()).chain(names).chain(labels_of(hosts, current)).collect()
}

fn said(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// `KEY=` first, then the values of that key. `a=b,c=d` has all of them: only the last is completed.
fn labels_of(hosts: &Hosts, current: &OsStr) -> Vec<(String, Option<String>)> {
    let current = current.to_string_lossy();
    let (before, last) = current.rsplit_once(',').map_or(("", &*current), |(before, last)| (before, last));
    let before = if before.is_empty() { String::new() } else { format!("{before},") };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (key, value) in hosts.iter().flat_map(|(_, labels)| labels) {
        let word = match last.split_once('=') {
            Some((begun, _)) if begun == key => format!("{before}{key}={value}"),
            Some(_) => continue,
            None => format!("{before}{key}="),
        };
        *counts.entry(word).or_default() += 1;
    }
    counts.into_iter().map(|(word, n)| (word, Some(crate::render::words::count(n, "host")))).collect()
}

/// The hosts of the record, or none.
fn hosts() -> Hosts {
    let Ok(loaded) = config::load(&flags(), &Surroundings::of_process()) else { return Vec::new() };
    let Ok(database) = loaded.config.database() else { return Vec::new() };
    let limit = match database.file() {
        Some(file) if file.is_file() => FILE_MAX,
        Some(_) => return Vec::new(),
        None => SERVER_MAX,
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let names = Store::names(database.expose(), loaded.config.adopted.as_ref());
    let found = runtime.block_on(async { tokio::time::timeout(limit, names).await });
    // A thread that waits for the file or for a name server must not keep the shell waiting.
    runtime.shutdown_background();
    found.ok().and_then(Result::ok).unwrap_or_default()
}

/// The flags of the configuration that stand on the line so far.
fn flags() -> Flags {
    let words: Vec<String> = std::env::args_os().filter_map(|word| word.into_string().ok()).collect();
    // The words of the line come after `uphaul --`; the last one is being typed.
    let line = words.iter().position(|word| word == "--").map_or(&words[..0], |at| &words[at + 1..]);
    let line = &line[..line.len().saturating_sub(1)];
    let value = |flag: &str| {
        let at = line.iter().position(|word| word == flag || word.starts_with(&format!("{flag}=")))?;
        let one = line[at].split_once('=').map(|(_, value)| value.to_owned());
        one.or_else(|| line.get(at + 1).cloned())
    };
    Flags {
        config: value("--config").map(PathBuf::from),
        profile: value("--profile"),
        database: value("--database"),
        executor: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(current: &str) -> Vec<String> {
        let host = |name: &str, labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            (name.to_owned(), labels.collect())
        };
        let hosts = vec![
            host("db-1", &[("region", "eu")]),
            host("web-1", &[("region", "eu"), ("tier", "a")]),
            host("web-2", &[("region", "us"), ("tier", "a")]),
        ];
        let current = OsStr::new(current);
        let found = offered(current, selectors_of(&hosts, current));
        found.iter().map(|word| word.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn names_come_first_and_labels_in_two_steps() {
        for (current, offered) in [
            ("", &["@all", "db-1", "web-1", "web-2", "region=", "tier="][..]),
            ("w", &["web-1", "web-2"]),
            ("@", &["@all"]),
            ("re", &["region="]),
            ("region=", &["region=eu", "region=us"]),
            ("region=e", &["region=eu"]),
            ("region=eu,t", &["region=eu,tier="]),
            ("region=eu,tier=", &["region=eu,tier=a"]),
            ("x=", &[]),
            ("zzz", &[]),
        ] {
            assert_eq!(words(current), offered, "{current:?}");
        }
    }
}
