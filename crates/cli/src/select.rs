//! Which hosts a command is about: names, globs, labels, `@all`, names from stdin.

use std::collections::BTreeSet;
use std::io::Read;

use globset::{GlobBuilder, GlobMatcher};
use uphaul_store::Host;

use crate::config::nearest;
use crate::error::CliError;

/// The most bytes that are read as names from stdin.
const STDIN_MAX: u64 = 16 * 1024 * 1024;

/// The hosts that the words choose, each once, in the order of the record.
///
/// # Errors
/// Every word that chooses none, with the nearest name.
pub fn select(hosts: &[Host], words: &[String]) -> Result<Vec<Host>, CliError> {
    let words = with_stdin(words, std::io::stdin().lock())?;
    let mut chosen = BTreeSet::new();
    let mut wrong = Vec::new();
    for word in &words {
        let matcher = match Matcher::parse(word) {
            Ok(matcher) => matcher,
            Err(why) => {
                wrong.push(why);
                continue;
            }
        };
        let found =
            hosts.iter().enumerate().filter(|(_, host)| matcher.matches(host)).map(|(place, _)| place);
        let found: Vec<usize> = found.collect();
        if found.is_empty() {
            wrong.push(no_match(word, &matcher, hosts));
        }
        chosen.extend(found);
    }
    if hosts.is_empty() {
        return Err(CliError::usage("there is no host in the record yet")
            .hint("`uphaul hosts add NAME ADDRESS` adds one, `uphaul hosts import FILE` many"));
    }
    if !wrong.is_empty() {
        let message = match wrong.len() {
            1 => wrong.remove(0),
            n => format!("{n} of the given names choose no host"),
        };
        return Err(CliError::usage(message)
            .causes(wrong)
            .hint("`uphaul hosts list` shows all hosts and their labels"));
    }
    Ok(chosen.into_iter().filter_map(|place| hosts.get(place).cloned()).collect())
}

/// Replaces `-` by the names that stdin has: one or more a line, `#` begins a comment.
fn with_stdin(words: &[String], stdin: impl Read) -> Result<Vec<String>, CliError> {
    let mut all: Vec<String> = words.iter().filter(|word| *word != "-").cloned().collect();
    if all.len() == words.len() {
        return Ok(all);
    }
    let cannot = |why: String| CliError::usage("cannot read the names of hosts from stdin").cause(why);
    let mut text = String::new();
    let read =
        stdin.take(STDIN_MAX + 1).read_to_string(&mut text).map_err(|error| cannot(error.to_string()))?;
    if read as u64 > STDIN_MAX {
        return Err(cannot(format!("there are more than {STDIN_MAX} bytes")));
    }
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or(""));
    let before = all.len();
    all.extend(lines.flat_map(str::split_whitespace).map(str::to_owned));
    if all.len() == before {
        return Err(cannot("there are none".to_owned()));
    }
    Ok(all)
}

/// Which hosts a word chooses.
#[derive(Debug, Clone)]
pub(crate) enum Matcher {
    /// All.
    All,
    /// The one of this name.
    Name(String),
    /// Those with such a name.
    Glob(GlobMatcher),
    /// All of these labels.
    Labels(Vec<(String, GlobMatcher)>),
}

impl Matcher {
    /// Reads a word; the error says why it cannot choose any host, whatever the record has.
    pub(crate) fn parse(word: &str) -> Result<Self, String> {
        let glob = |text: &str| {
            let built = GlobBuilder::new(text).literal_separator(false).build();
            built
                .map(|glob| glob.compile_matcher())
                .map_err(|error| format!("{word:?} is no glob: {}", error.kind()))
        };
        if word == "@all" {
            return Ok(Self::All);
        }
        if let Some(group) = word.strip_prefix('@') {
            let near = nearest(group, ["all"].into_iter());
            let meant = near.map_or_else(String::new, |near| format!("; did you mean @{near}?"));
            return Err(format!("@{group} is not known; the only one is @all{meant}"));
        }
        if word.contains('=') {
            let pairs = word.split(',').map(|pair| match pair.split_once('=') {
                Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), glob(value)?)),
                Some(_) | None => Err(format!("{word:?} is no label: expected KEY=VALUE, found {pair:?}")),
            });
            return pairs.collect::<Result<_, _>>().map(Self::Labels);
        }
        if word.contains(['*', '?', '[', '{']) {
            return glob(word).map(Self::Glob);
        }
        Ok(Self::Name(word.to_owned()))
    }

    /// Whether it chooses this host.
    pub(crate) fn matches(&self, host: &Host) -> bool {
        match self {
            Self::All => true,
            Self::Name(name) => host.name.as_str() == name,
            Self::Glob(glob) => glob.is_match(host.name.as_str()),
            Self::Labels(pairs) => {
                pairs.iter().all(|(key, value)| host.labels.get(key).is_some_and(|text| value.is_match(text)))
            }
        }
    }
}

/// Why a word chooses no host, with what may have been meant.
pub(crate) fn no_match(word: &str, matcher: &Matcher, hosts: &[Host]) -> String {
    match matcher {
        Matcher::All | Matcher::Glob(_) => format!("no host is named like {word:?}"),
        Matcher::Name(name) => match nearest(name, hosts.iter().map(|host| host.name.as_str())) {
            Some(near) => format!("there is no host {name:?}; did you mean {near}?"),
            None => format!("there is no host {name:?}"),
        },
        Matcher::Labels(pairs) => {
            let keys: BTreeSet<&str> =
                hosts.iter().flat_map(|host| host.labels.keys()).map(String::as_str).collect();
            let unknown = pairs.iter().find(|(key, _)| !keys.contains(key.as_str()));
            match unknown {
                Some((key, _)) => match nearest(key, keys.iter().copied()) {
                    Some(near) => format!("no host has the label `{key}`; did you mean `{near}`?"),
                    None => format!("no host has the label `{key}`"),
                },
                None => {
                    let (key, _) = &pairs[0];
                    let values: BTreeSet<&str> =
                        hosts.iter().filter_map(|host| host.labels.get(key)).map(String::as_str).collect();
                    let shown: Vec<&str> = values.into_iter().take(10).collect();
                    format!("no host has {word}; `{key}` is one of {}", shown.join(", "))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Vec<Host> {
        let host = |name: &str, labels: &[(&str, &str)]| Host {
            name: name.parse().unwrap(),
            address: name.to_owned(),
            port: None,
            user: None,
            host_key: None,
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            settings: [].into(),
            current_version: None,
            target_version: None,
            update_status: None,
            previous_version: None,
            last_update_at_us: None,
            proved_at_us: None,
        };
        vec![
            host("db-1", &[("region", "eu")]),
            host("web-1", &[("region", "eu"), ("tier", "a")]),
            host("web-2", &[("region", "us"), ("tier", "a")]),
            host("web-10", &[("region", "us-west"), ("tier", "b")]),
        ]
    }

    fn chosen(words: &[&str]) -> Result<Vec<String>, Vec<String>> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        match select(&hosts(), &words) {
            Ok(hosts) => Ok(hosts.iter().map(|host| host.name.to_string()).collect()),
            Err(error) => Err([vec![error.message], error.causes].concat()),
        }
    }

    #[test]
    fn words_choose_hosts_in_the_order_of_the_record() {
        for (words, names) in [
            (vec!["web-2", "db-1", "web-2"], vec!["db-1", "web-2"]),
            (vec!["web-?"], vec!["web-1", "web-2"]),
            (vec!["web-*", "web-1"], vec!["web-1", "web-2", "web-10"]),
            (vec!["region=eu"], vec!["db-1", "web-1"]),
            (vec!["region=us*"], vec!["web-2", "web-10"]),
            (vec!["region=eu,tier=a"], vec!["web-1"]),
            (vec!["@all"], vec!["db-1", "web-1", "web-2", "web-10"]),
            (vec!["{db,web}-1"], vec!["db-1", "web-1"]),
        ] {
            assert_eq!(chosen(&words).unwrap(), names, "{words:?}");
        }
    }

    #[test]
    fn words_that_choose_nothing_are_told() {
        for (words, said) in [
            (vec!["web-3"], "there is no host \"web-3\"; did you mean web-1?"),
            (vec!["mail"], "there is no host \"mail\""),
            (vec!["x*"], "no host is named like \"x*\""),
            (vec!["regio=eu"], "no host has the label `regio`; did you mean `region`?"),
            (vec!["region=asia"], "no host has region=asia; `region` is one of eu, us, us-west"),
            (vec!["=x"], "\"=x\" is no label: expected KEY=VALUE, found \"=x\""),
            (vec!["@web"], "@web is not known; the only one is @all"),
            (vec!["web-["], "\"web-[\" is no glob: unclosed character class; missing ']'"),
            (vec!["mail", "web-1", "x*"], "2 of the given names choose no host"),
        ] {
            assert_eq!(chosen(&words).unwrap_err()[0], said, "{words:?}");
        }
    }

    #[test]
    fn names_come_from_stdin() {
        let words = |stdin: &str| with_stdin(&["-".to_owned(), "db-1".to_owned()], stdin.as_bytes());
        assert_eq!(
            words("web-1 web-2\n# all\n web-3 # last\n").unwrap(),
            ["db-1", "web-1", "web-2", "web-3"]
        );
        assert_eq!(words("# none\n").unwrap_err().causes, ["there are none"]);
    }
}
