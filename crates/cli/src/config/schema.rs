//! Every key that the configuration knows: what it takes, what it is without being set, and what it is for.
//!
//! The table is the one place that says so; reading, `config show`, the suggestions for misspelt keys and the
//! near misses of environment variables all come from it.

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// Some texts. One text stands for a list of one; in the environment they are separated by commas.
    List,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A time in whole seconds within these limits.
    Seconds {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// `unit`, or a time in whole seconds.
    RestartLimit,
    /// A number within these limits.
    Count {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// `true` or `false`.
    Flag,
    /// The address of a database.
    Database,
    /// A list of tables that say which backend reaches which hosts.
    Rules,
}

impl Kind {
    /// What is expected, for people.
    pub(crate) fn expected(self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::List => "a text or a list of texts".to_owned(),
            Self::Choice(words) => {
                let quoted: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
                format!("one of {}", quoted.join(", "))
            }
            Self::Seconds { min, max } => {
                format!(
                    "a time from \"{}\" to \"{}\"",
                    super::duration::show(min),
                    super::duration::show(max)
                )
            }
            Self::RestartLimit => "\"unit\" or a time such as \"90s\"".to_owned(),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Flag => "true or false".to_owned(),
            Self::Rules => "a list of tables, each with `match` and `backend`".to_owned(),
            Self::Database => "a URL such as \"sqlite:uphaul.db\"".to_owned(),
        }
    }
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Its path, without the profile.
    pub(crate) path: &'static str,
    /// What it takes.
    pub(crate) kind: Kind,
    /// What it is where nobody set it, as it would be written in the environment.
    pub(crate) default: Option<&'static str>,
}

const DAY_S: u32 = 24 * 60 * 60;
const SECONDS: Kind = Kind::Seconds { min: 1, max: DAY_S };

/// The words for what reaches hosts.
pub(crate) const BACKENDS: &[&str] = &["openssh", "libssh2", "command", "local", "mock"];

/// The table under which any name of an environment variable may stand.
pub(crate) const ENV_TABLE: &str = "service.env";

const fn key(path: &'static str, kind: Kind, default: Option<&'static str>) -> Key {
    Key { path, kind, default }
}

/// All keys, in the order in which they are shown. Below [`ENV_TABLE`] any variable may stand besides.
pub(crate) const KEYS: &[Key] = &[
    key("database.url", Kind::Database, None),
    key("database.wait", Kind::Seconds { min: 0, max: DAY_S }, Some("5m")),
    key("database.subscriptions.table", Kind::Text, None),
    key("database.subscriptions.id", Kind::Text, None),
    key("database.subscriptions.name", Kind::Text, None),
    key("database.subscriptions.address", Kind::Text, None),
    key("database.subscriptions.port", Kind::Text, None),
    key("database.subscriptions.user", Kind::Text, None),
    key("database.subscriptions.where", Kind::Text, None),
    key("database.subscriptions.columns", Kind::Choice(&["snake_case", "camelCase"]), None),
    key("record.mask", Kind::List, None),
    key("executor.backend", Kind::Choice(BACKENDS), Some("openssh")),
    key("executor.rules", Kind::Rules, None),
    key("executor.openssh.config", Kind::Text, None),
    key("executor.openssh.identity", Kind::List, None),
    key("executor.openssh.known_hosts", Kind::Text, None),
    key("executor.libssh2.config", Kind::Text, None),
    key("executor.libssh2.identity", Kind::List, None),
    key("executor.libssh2.known_hosts", Kind::Text, None),
    key("executor.libssh2.host_key", Kind::Choice(&["strict", "accept-new"]), Some("strict")),
    key("executor.libssh2.passphrase_env", Kind::Text, None),
    key("executor.command.argv", Kind::List, None),
    key("service.path", Kind::Text, None),
    key("service.unit", Kind::Text, None),
    key("service.units", Kind::List, None),
    key("service.scope", Kind::Choice(&["system", "user"]), Some("system")),
    key("service.user", Kind::Text, None),
    key("service.install", Kind::Text, Some("bun install")),
    key("service.before_restart", Kind::Text, None),
    key("service.dirty", Kind::Choice(&["refuse", "stash", "discard"]), Some("refuse")),
    key("service.submodules", Kind::Flag, Some("false")),
    key("service.keep", Kind::List, Some("node_modules")),
    key("service.verify_signature", Kind::Flag, Some("false")),
    key("service.allowed_signers", Kind::Text, None),
    key("service.deadman.enabled", Kind::Flag, Some("true")),
    key("service.deadman.window", Kind::Seconds { min: 10, max: DAY_S }, Some("5m")),
    key("service.commands.restart", Kind::Text, None),
    key("service.commands.status", Kind::Text, None),
    key("service.health.http", Kind::Text, None),
    key("service.health.tcp", Kind::Text, None),
    key("service.health.command", Kind::Text, None),
    key("timeouts.connect", SECONDS, Some("10s")),
    key("timeouts.git", SECONDS, Some("60s")),
    key("timeouts.install", SECONDS, Some("120s")),
    key("timeouts.before_restart", SECONDS, Some("120s")),
    key("timeouts.restart", Kind::RestartLimit, Some("unit")),
    key("timeouts.probe", SECONDS, Some("10s")),
    key("timeouts.verify", SECONDS, Some("60s")),
    key("timeouts.healthy", SECONDS, Some("5s")),
    key("timeouts.attempts", Kind::Count { min: 1, max: 10 }, Some("3")),
    key("limits.parallel", Kind::Count { min: 1, max: 1000 }, Some("16")),
    key("limits.connection_starts", Kind::Count { min: 1, max: 1000 }, Some("30")),
    key("limits.lease", Kind::Seconds { min: 5, max: 3600 }, Some("30s")),
    key("limits.reconnect", Kind::Seconds { min: 0, max: DAY_S }, Some("60s")),
    key("limits.catch_up", Kind::Seconds { min: 1, max: 365 * DAY_S }, Some("24h")),
];

/// Keys of which only one can count: whoever sets one of a group later takes the others away, and to set two of
/// them in one place is an error. A member that is a table stands for all keys in it.
pub(crate) const EXCLUSIVE: &[&[&str]] = &[
    &["service.unit", "service.units", "service.commands"],
    &["service.health.http", "service.health.tcp", "service.health.command"],
];

/// What `path` is.
pub(crate) enum Known {
    /// A key with a value.
    Key(&'static Key),
    /// A table of keys.
    Table,
    /// A variable of the service's environment.
    Variable,
    /// Nothing that the configuration has.
    Unknown,
}

/// Says what stands at `path`, a key without its profile.
pub(crate) fn lookup(path: &str) -> Known {
    if let Some(key) = KEYS.iter().find(|key| key.path == path) {
        return Known::Key(key);
    }
    let inside = |table: &str, path: &str| path.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
    if path == ENV_TABLE || path.is_empty() || KEYS.iter().any(|key| inside(path, key.path)) {
        return Known::Table;
    }
    if inside(ENV_TABLE, path) {
        return Known::Variable;
    }
    Known::Unknown
}

/// Whether this is the name of a table that belongs inside a profile.
pub(crate) fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.path.split('.').next() == Some(name))
}

/// What to say about a key that does not exist: the nearest one, or those of its table.
pub(crate) fn suggestion(path: &str) -> String {
    let tables = KEYS.iter().filter_map(|key| key.path.split_once('.')).map(|(table, _)| table);
    if let Some(near) = nearest(path, KEYS.iter().map(|key| key.path).chain(tables)) {
        return format!("did you mean `{near}`?");
    }
    let name = |path: &'static str| path.rsplit('.').next();
    if let Some(key) = KEYS.iter().find(|key| name(key.path) == path.rsplit('.').next()) {
        return format!("did you mean `{}`?", key.path);
    }
    let table = path.split('.').next().unwrap_or(path);
    let siblings: Vec<&str> = KEYS
        .iter()
        .filter_map(|key| key.path.split_once('.').filter(|(section, _)| *section == table))
        .map(|(_, rest)| rest)
        .collect();
    if siblings.is_empty() {
        let mut sections: Vec<&str> = KEYS.iter().filter_map(|key| key.path.split('.').next()).collect();
        sections.dedup();
        return format!("the tables are {}", sections.join(", "));
    }
    format!("`{table}` has {}", siblings.join(", "))
}

/// The candidate that was probably meant, if one is near enough to say so.
pub(crate) fn nearest<'a>(given: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let (distance, best) = candidates
        .map(|known| (strsim::damerau_levenshtein(&given, &known.to_lowercase()), known))
        .min_by_key(|(distance, _)| *distance)?;
    // A third of the letters wrong is a guess, not a typing error.
    let most = (best.chars().count().min(given.chars().count()) / 3).clamp(1, 3);
    (distance <= most).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_keys_find_their_neighbours() {
        for (given, said) in [
            ("service.pth", "did you mean `service.path`?"),
            ("timeouts.instal", "did you mean `timeouts.install`?"),
            ("service.heath.http", "did you mean `service.health.http`?"),
            ("limits.zzzzzzzz", "`limits` has parallel, connection_starts, lease, reconnect, catch_up"),
            ("srvice", "did you mean `service`?"),
            ("timeouts.parallel", "did you mean `limits.parallel`?"),
            ("zzz", "the tables are database, record, executor, service, timeouts, limits"),
        ] {
            assert_eq!(suggestion(given), said, "{given}");
        }
    }

    #[test]
    fn tables_keys_and_variables_are_told_apart() {
        assert!(matches!(lookup("service.path"), Known::Key(_)));
        assert!(matches!(lookup("service"), Known::Table));
        assert!(matches!(lookup("service.health"), Known::Table));
        assert!(matches!(lookup("service.env.PATH"), Known::Variable));
        assert!(matches!(lookup("serv"), Known::Unknown));
        assert!(matches!(lookup("service.path.x"), Known::Unknown));
    }
}
