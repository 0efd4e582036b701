//! Gives values their final types, and collects what is wrong with them.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use uphaul_core::evidence::Patterns;
use uphaul_core::ids::InvalidName;
use uphaul_core::plan::{HostFacts, Limits, RestartLimit, ShellText};
use uphaul_store::{Adopted, Ident, Naming};

use super::problem::Problem;
use super::template::{self, Into};
use super::values::{Leaf, Setting, Values};
use super::{Backend, DatabaseUrl, FleetLimits, Origin, duration, mask};
use crate::surroundings::Surroundings;

/// Reads values. What cannot be read is none, with a problem beside it.
pub(super) struct Reader<'a> {
    values: &'a Values,
    /// The host whose values stand for the placeholders; without one they are only checked.
    pub(super) host: Option<&'a HostFacts>,
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(values: &'a Values, host: Option<&'a HostFacts>) -> Self {
        Self { values, host, problems: Vec::new() }
    }

    /// Notes that a key is wrong.
    pub(super) fn refuse(&mut self, key: &str, why: impl std::fmt::Display) {
        self.problems.push(Problem::at(self.place_of(key), format!("{key}: {why}")));
    }

    /// The same for a part of a key, which the message names.
    pub(super) fn refuse_at(&mut self, key: &str, why: String) {
        self.problems.push(Problem::at(self.place_of(key), why));
    }

    pub(super) fn leaf(&self, key: &str) -> Option<&'a Leaf> {
        self.values.setting(key).map(|setting| &setting.leaf)
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        match self.leaf(key)? {
            Leaf::Text(text) => Some(text),
            Leaf::List(_) | Leaf::Rules(_) | Leaf::Count(_) | Leaf::Seconds(_) | Leaf::Flag(_) => None,
        }
    }

    pub(super) fn list(&self, key: &str) -> Option<&'a [String]> {
        match self.leaf(key)? {
            Leaf::List(items) => Some(items),
            Leaf::Text(_) | Leaf::Rules(_) | Leaf::Count(_) | Leaf::Seconds(_) | Leaf::Flag(_) => None,
        }
    }

    pub(super) fn count(&self, key: &str) -> Option<u32> {
        match self.leaf(key)? {
            Leaf::Count(count) => Some(*count),
            Leaf::Text(_) | Leaf::List(_) | Leaf::Rules(_) | Leaf::Seconds(_) | Leaf::Flag(_) => None,
        }
    }

    pub(super) fn seconds(&self, key: &str) -> Option<u32> {
        match self.leaf(key)? {
            Leaf::Seconds(seconds) => Some(*seconds),
            Leaf::Text(_) | Leaf::List(_) | Leaf::Rules(_) | Leaf::Count(_) | Leaf::Flag(_) => None,
        }
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        matches!(self.leaf(key), Some(Leaf::Flag(true)))
    }

    /// The variables of the service.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&'a str, &'a Setting)> + use<'a> {
        self.values.variables()
    }

    /// Where a key was set.
    pub(super) fn place_of(&self, key: &str) -> String {
        self.values.setting(key).map(|setting| setting.place.clone()).unwrap_or_default()
    }

    /// A value without placeholders.
    pub(super) fn plain<T: FromStr<Err = InvalidName>>(&mut self, key: &str) -> Option<T> {
        let text = self.text(key)?;
        self.told(key, text.parse::<T>())
    }

    /// A value with placeholders. Without a host one that has some is only checked for them.
    pub(super) fn filled<T: FromStr<Err = InvalidName>>(
        &mut self,
        key: &str,
        text: &str,
        into: Into,
    ) -> Option<T> {
        let parsed = |text: &str| text.parse::<T>().map_err(|why| why.to_string());
        let read = match (self.host, template::check(text)) {
            (_, Err(why)) => Err(format!("{text:?} {why}")),
            (None, Ok(true)) => return None,
            (_, Ok(false)) => parsed(text),
            (Some(host), Ok(true)) => {
                let filled = template::fill(text, into, host).map_err(|why| why.to_string());
                filled.and_then(|filled| parsed(&filled))
            }
        };
        // What is refused is quoted, and a URL may have a password.
        let read = read.map_err(|why| if matches!(into, Into::Url) { mask(&why) } else { why });
        self.told(key, read)
    }

    /// Shell text of the operator, in which no placeholder may stand.
    pub(super) fn command(&mut self, key: &str) -> Option<ShellText> {
        let text = self.text(key)?;
        if let Some(placeholder) = template::in_command(text) {
            let variable = template::variable_of(&placeholder);
            self.refuse(
                key,
                format!("has the placeholder {placeholder}; a command finds it in its environment: \"${variable}\""),
            );
            return None;
        }
        self.told(key, text.parse())
    }

    fn told<T, E: std::fmt::Display>(&mut self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|why| self.refuse(key, why)).ok()
    }

    pub(super) fn limits(&mut self) -> Option<Limits> {
        let (healthy, verify) = (self.seconds("timeouts.healthy"), self.seconds("timeouts.verify"));
        if let (Some(healthy), Some(verify)) = (healthy, verify)
            && healthy >= verify
        {
            let set = self
                .values
                .setting("timeouts.healthy")
                .is_some_and(|healthy| healthy.origin != Origin::Default);
            let (healthy, verify) = (duration::show(healthy), duration::show(verify));
            match set {
                true => self.refuse(
                    "timeouts.healthy",
                    format!("must be shorter than timeouts.verify (\"{verify}\"), found \"{healthy}\""),
                ),
                false => self.refuse(
                    "timeouts.verify",
                    format!("must be longer than timeouts.healthy (\"{healthy}\"), found \"{verify}\""),
                ),
            }
        }
        let restart = match self.text("timeouts.restart") {
            Some(_) => Some(RestartLimit::Unit),
            None => self.seconds("timeouts.restart").map(RestartLimit::Seconds),
        };
        Some(Limits {
            connect_s: self.seconds("timeouts.connect")?,
            git_s: self.seconds("timeouts.git")?,
            install_s: self.seconds("timeouts.install")?,
            before_restart_s: self.seconds("timeouts.before_restart")?,
            restart: restart?,
            probe_s: self.seconds("timeouts.probe")?,
            verify_s: self.seconds("timeouts.verify")?,
            healthy_s: self.seconds("timeouts.healthy")?,
        })
    }

    pub(super) fn fleet(&self) -> Option<FleetLimits> {
        Some(FleetLimits {
            parallel: self.count("limits.parallel")?,
            connection_starts: self.count("limits.connection_starts")?,
            lease_s: self.seconds("limits.lease")?,
            reconnect_s: self.seconds("limits.reconnect")?,
            catch_up_s: self.seconds("limits.catch_up")?,
            database_wait_s: self.seconds("database.wait")?,
        })
    }

    pub(super) fn backend(&self) -> Option<Backend> {
        Backend::of(self.text("executor.backend")?)
    }

    pub(super) fn database(&mut self, base: &Path, around: &Surroundings) -> Option<DatabaseUrl> {
        let text = self.text("database.url")?;
        self.told("database.url", DatabaseUrl::parse(text, base, around))
    }

    /// What is masked in what hosts say.
    pub(super) fn mask(&mut self) -> Option<Patterns> {
        const KEY: &str = "record.mask";
        let patterns = Patterns::new(self.list(KEY).unwrap_or_default());
        self.told(KEY, patterns)
    }

    /// The table of another program whose rows are the hosts, if one is named.
    pub(super) fn adopted(&mut self) -> Option<Adopted> {
        const TABLE: &str = "database.subscriptions";
        let key = |name: &str| format!("{TABLE}.{name}");
        if self.text(&key("table")).is_none() {
            for name in ["id", "name", "address", "port", "user", "where", "columns"] {
                if self.text(&key(name)).is_some() {
                    self.refuse(&key(name), format!("means nothing without {TABLE}.table"));
                }
            }
            return None;
        }
        let mut or = |name: &str| match self.text(&key(name)) {
            Some(_) => self.plain::<Ident>(&key(name)),
            None => name.parse().ok(),
        };
        let (id, name, address) = (or("id"), or("name"), or("address"));
        let columns = match self.text(&key("columns")) {
            Some("camelCase") => Naming::CamelCase,
            Some(_) | None => Naming::SnakeCase,
        };
        Some(Adopted {
            table: self.plain(&key("table"))?,
            id: id?,
            name: name?,
            address: address?,
            port: self.plain(&key("port")),
            user: self.plain(&key("user")),
            filter: self.plain(&key("where")),
            columns,
        })
    }

    /// A path on this machine.
    pub(super) fn local_path(&mut self, key: &str, base: &Path, around: &Surroundings) -> Option<PathBuf> {
        let text = self.text(key)?;
        self.told(key, around.absolute(text, base))
    }

    /// Paths on this machine.
    pub(super) fn local_paths(&mut self, key: &str, base: &Path, around: &Surroundings) -> Vec<PathBuf> {
        let items = self.list(key).unwrap_or_default();
        items.iter().filter_map(|item| self.told(key, around.absolute(item, base))).collect()
    }
}
