//! A host, as the record has it.

use std::collections::BTreeMap;

use uphaul_core::host_key::HostKey;
use uphaul_core::ids::{HostName, InvalidName, Revision, RunId};
use uphaul_core::plan::UserName;

use crate::PAIRS_MAX;

/// A row of `subscriptions`: one server, and the summary of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub name: HostName,
    /// A host name, an IP address, or an alias of the user's ssh_config.
    pub address: String,
    /// The port, if not the executor's own default.
    pub port: Option<u16>,
    /// The user that logs in, if not the executor's own default.
    pub user: Option<UserName>,
    /// The one key that it may show, if it is pinned; else known_hosts says.
    pub host_key: Option<HostKey>,
    /// What it is chosen by, and what commands see as `UPHAUL_LABEL_KEY`.
    pub labels: BTreeMap<String, String>,
    /// What is configured for this host alone: a key of the configuration, and its value as text.
    pub settings: BTreeMap<String, String>,
    /// The last version that the host was proved to run.
    pub current_version: Option<Revision>,
    /// The version last asked for.
    pub target_version: Option<Revision>,
    /// The word of the last transition, or `drifted`.
    pub update_status: Option<String>,
    /// What it ran before `current_version`.
    pub previous_version: Option<Revision>,
    /// When its last run ended, in microseconds since 1970.
    pub last_update_at_us: Option<i64>,
    /// When `current_version` was last proved, in microseconds since 1970.
    pub proved_at_us: Option<i64>,
}

/// A host that is to be added or imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHost {
    /// Its name.
    pub name: HostName,
    /// See [`Host::address`].
    pub address: String,
    /// See [`Host::port`].
    pub port: Option<u16>,
    /// See [`Host::user`].
    pub user: Option<UserName>,
    /// See [`Host::host_key`]. An import without one leaves that of a known host as it is.
    pub host_key: Option<HostKey>,
    /// See [`Host::labels`].
    pub labels: BTreeMap<String, String>,
    /// See [`Host::settings`]. An import leaves those of a known host as they are.
    pub settings: BTreeMap<String, String>,
}

/// What is to change about a host; the default changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostEdit {
    /// A new address.
    pub address: Option<String>,
    /// A new port; `Some(None)` takes it away.
    pub port: Option<Option<u16>>,
    /// A new user; `Some(None)` takes it away.
    pub user: Option<Option<UserName>>,
    /// A new pinned key; `Some(None)` takes it away.
    pub host_key: Option<Option<HostKey>>,
    /// Labels to set; those of other keys stay.
    pub labels_set: BTreeMap<String, String>,
    /// Keys of labels to take away, before any is set; one that is not there is no error.
    pub labels_unset: Vec<String>,
    /// Settings to set; those of other keys stay.
    pub settings_set: BTreeMap<String, String>,
    /// Keys of settings to take away, before any is set; one that is not there is no error.
    pub settings_unset: Vec<String>,
}

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Hosts that were not in the record.
    pub added: usize,
    /// Hosts whose address, port, user, pinned key or labels are others now.
    pub changed: usize,
    /// Hosts that were in the record just so.
    pub unchanged: usize,
}

/// What came of looking at what a host runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// What the record said before.
    pub recorded: Option<Revision>,
    /// The run that is not finished on this host, if one is not. Nothing was written then: what is seen in the middle
    /// of a run is neither the record nor drift, and the run itself proves what comes of it.
    pub in_run: Option<RunId>,
}

impl NewHost {
    /// Checks what the types do not: address, port, labels and settings. Whoever adds the host checks it all the same;
    /// an import asks before, to tell the line.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), InvalidName> {
        check_address(&self.address)?;
        check_port(self.port)?;
        check_labels(&self.labels)?;
        check_settings(&self.settings)
    }
}

impl Host {
    /// The same host after the edit, checked like a new one.
    pub(crate) fn edited(mut self, edit: &HostEdit) -> Result<Self, InvalidName> {
        if let Some(address) = &edit.address {
            self.address.clone_from(address);
        }
        if let Some(port) = edit.port {
            self.port = port;
        }
        if let Some(user) = &edit.user {
            self.user.clone_from(user);
        }
        if let Some(host_key) = &edit.host_key {
            self.host_key.clone_from(host_key);
        }
        change(&mut self.labels, &edit.labels_unset, &edit.labels_set);
        change(&mut self.settings, &edit.settings_unset, &edit.settings_set);
        check_address(&self.address)?;
        check_port(self.port)?;
        check_labels(&self.labels)?;
        check_settings(&self.settings)?;
        Ok(self)
    }
}

fn change(pairs: &mut BTreeMap<String, String>, unset: &[String], set: &BTreeMap<String, String>) {
    for key in unset {
        pairs.remove(key);
    }
    pairs.extend(set.iter().map(|(key, value)| (key.clone(), value.clone())));
}

pub(crate) fn check_address(text: &str) -> Result<(), InvalidName> {
    let bad = |why: &str| Err(InvalidName::new("address", text, why));
    if text.is_empty() || text.len() > 255 {
        return bad("must be 1 to 255 bytes");
    }
    // A program that is given the address as an argument would read it as an option.
    if text.starts_with('-') {
        return bad("begins with a dash");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return bad("has a blank or a control character");
    }
    Ok(())
}

pub(crate) fn check_port(port: Option<u16>) -> Result<(), InvalidName> {
    if port == Some(0) { Err(InvalidName::new("port", "0", "must be 1 to 65535")) } else { Ok(()) }
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), InvalidName> {
    check_count("labels", labels)?;
    for (key, value) in labels {
        check_key("label", key)?;
        if value.len() > 255 || value.chars().any(char::is_control) {
            let why = "must be at most 255 bytes and have no control character";
            return Err(InvalidName::new("value of a label", value, why));
        }
    }
    Ok(())
}

fn check_settings(settings: &BTreeMap<String, String>) -> Result<(), InvalidName> {
    check_count("settings", settings)?;
    for (key, value) in settings {
        check_key("setting", key)?;
        if value.len() > 16 * 1024 || value.contains('\0') {
            let why = "must be at most 16384 bytes and have no NUL";
            return Err(InvalidName::new("value of a setting", value, why));
        }
    }
    Ok(())
}

fn check_count(what: &'static str, pairs: &BTreeMap<String, String>) -> Result<(), InvalidName> {
    if pairs.len() <= PAIRS_MAX {
        return Ok(());
    }
    Err(InvalidName::new(what, &pairs.len().to_string(), format!("are more than {PAIRS_MAX}")))
}

fn check_key(what: &'static str, key: &str) -> Result<(), InvalidName> {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let first = key.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if first && key.len() <= 128 && key.chars().all(ok) {
        return Ok(());
    }
    let why = "is not 1 to 128 of letters, digits, `.`, `_` and `-`, beginning with a letter, a digit or `_`";
    Err(InvalidName::new(what, key, why))
}
