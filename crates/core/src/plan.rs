//! The plan of a run: everything that was decided before it began. It never changes while the run lives, and it
//! is stored with the run, so a resumed run does what was asked and not what the configuration says today.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{HostName, RefName, Revision, name_type};
pub use crate::signers::Signers;

/// The layout of a stored plan. A higher one than this is refused for writing, but still listed.
pub const PLAN_VERSION: u16 = 1;

name_type! {
    /// An absolute path on a host: no control character, `$` or `%`, no `.` or `..` part, at most 1024 bytes.
    AbsPath, "path", check_path
}
name_type! {
    /// A folder below the checkout: relative, no control character, no `.`, `..` or empty part, not below `.git`, at
    /// most 256 bytes.
    RelPath, "folder", check_rel_path
}
name_type! {
    /// A systemd unit name: letters, digits and `:-_.\@`, with a suffix, not beginning with a dash.
    UnitName, "unit", check_unit
}
name_type! {
    /// A user of the host: `[a-z_][a-z0-9_-]*`, at most 32 characters.
    UserName, "user", check_user
}
name_type! {
    /// A name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`, at most 128 characters.
    EnvName, "environment variable", check_env_name
}
name_type! {
    /// A URL of a health check: `http://` or `https://`, printable ASCII without quotes and blanks.
    HttpUrl, "url", check_url
}
name_type! {
    /// A `host:port` of a health check.
    TcpAddress, "tcp address", check_tcp
}
name_type! {
    /// Shell text of the operator; it is passed as one word to `sh -c`. No NUL, at most 16 KiB.
    ShellText, "command", check_shell
}

/// Why the run exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Somebody asked for a version.
    Update,
    /// Somebody asked to go back; the host is taken there by the same steps as an update.
    Rollback,
}

/// What becomes of tracked files that somebody changed by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dirty {
    /// Preflight lists them and the run aborts.
    #[default]
    Refuse,
    /// They are kept in git's stash, and under a ref of the run.
    Stash,
    /// They are kept under a ref of the run alone.
    Discard,
}

/// Whose systemd manages the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The system's, by `sudo systemctl`.
    #[default]
    System,
    /// The user's own, by `systemctl --user` (needs linger).
    User,
}

/// What restarts the service and says how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Manager {
    /// systemd units, restarted and verified in this order.
    Systemd {
        /// Whose systemd.
        scope: Scope,
        /// At least one.
        units: Vec<UnitName>,
    },
    /// Commands of the operator, for hosts without systemd.
    Commands {
        /// Restarts the service and returns when it was started.
        restart: ShellText,
        /// Exits 0 while the service runs; what it prints (a pid, say) must stay the same while it is the same process.
        status: ShellText,
    },
}

/// How the service shows that it works, seen from the host itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Health {
    /// A GET that must answer 2xx.
    Http(HttpUrl),
    /// A connection that must be accepted.
    Tcp(TcpAddress),
    /// A command that must exit 0.
    Command(ShellText),
}

/// How long a restart may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartLimit {
    /// The sum of the units' own `TimeoutStopUSec` and `TimeoutStartUSec`, read on the host.
    Unit,
    /// This many seconds.
    Seconds(u32),
}

/// Time limits, in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// For a connection to be open and authenticated.
    pub connect_s: u32,
    /// For each step of git (fetch, checkout).
    pub git_s: u32,
    /// For the install command.
    pub install_s: u32,
    /// For `before_restart`.
    pub before_restart_s: u32,
    /// For the restart.
    pub restart: RestartLimit,
    /// For each single health probe.
    pub probe_s: u32,
    /// For the service to become and stay healthy.
    pub verify_s: u32,
    /// How long it must stay healthy without a break, within `verify_s`.
    pub healthy_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_s: 10,
            git_s: 60,
            install_s: 120,
            before_restart_s: 120,
            restart: RestartLimit::Unit,
            probe_s: 10,
            verify_s: 60,
            healthy_s: 5,
        }
    }
}

/// The service on one host, with every placeholder already filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The git checkout.
    pub path: AbsPath,
    /// The owner of the checkout, if it is not the user that logs in.
    pub user: Option<UserName>,
    /// What restarts it.
    pub manager: Manager,
    /// Installs the dependencies of what is checked out.
    pub install: ShellText,
    /// A build, or a migration of this host, between install and restart.
    pub before_restart: Option<ShellText>,
    /// The environment of the operator's commands and of git.
    pub env: BTreeMap<EnvName, String>,
    /// How it shows that it works; without one, running is all that is proved.
    pub health: Option<Health>,
    /// Whether submodules are checked out with it.
    pub submodules: bool,
    /// What is copied on the host before the install, so that the way back needs no network.
    #[serde(default)]
    pub keep: Vec<RelPath>,
}

/// The dead-man's switch of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadman {
    /// How long the host waits for the controller before it reverts itself, in seconds.
    pub window_s: u32,
}

/// Who the host is, as its commands see it in `UPHAUL_NAME`, `UPHAUL_ADDRESS` and `UPHAUL_LABEL_KEY`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Its name.
    pub name: HostName,
    /// Its address, as the executor was given it.
    pub address: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// What the operator allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// What becomes of tracked files changed by hand.
    pub dirty: Dirty,
    /// Whether a host that does not run what the record says is taken as it is.
    pub accept_drift: bool,
    /// Whether a host that is already there goes through the steps all the same.
    pub force: bool,
}

/// Everything about one run that was decided before it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The layout of this value, [`PLAN_VERSION`].
    pub version: u16,
    /// Why the run exists.
    pub goal: Goal,
    /// The target as it was asked for.
    pub reference: RefName,
    /// The target, resolved once.
    pub target: Revision,
    /// The URL of origin at the host where the target was resolved; a host with another one is told apart.
    pub origin: Option<String>,
    /// What the record said the host runs, when the run began.
    pub recorded: Option<Revision>,
    /// How often a step may be begun before it has failed.
    pub attempts_max: u8,
    /// Who must have signed the target, if that is asked for.
    #[serde(default)]
    pub signers: Option<Signers>,
    /// The dead-man's switch; none where the host or the operator does not want it.
    pub deadman: Option<Deadman>,
    /// Who the host is.
    pub host: HostFacts,
    /// What runs on it.
    pub service: Service,
    /// How long things may take.
    pub limits: Limits,
    /// What the operator allowed.
    pub policy: Policy,
}

fn no_control(text: &str, max: usize) -> Result<(), String> {
    if text.is_empty() || text.len() > max {
        return Err(format!("must be 1 to {max} bytes"));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("has the control character {c:?}")),
        None => Ok(()),
    }
}

fn check_path(text: &str) -> Result<(), String> {
    no_control(text, 1024)?;
    if !text.starts_with('/') {
        return Err("is not absolute".into());
    }
    if text.split('/').any(|part| matches!(part, "." | "..")) {
        return Err("has a `.` or `..` part".into());
    }
    // systemd-run reads `$` and `%` in the words of a unit.
    if text.contains(['$', '%']) {
        return Err("has a `$` or `%`".into());
    }
    Ok(())
}

fn check_rel_path(text: &str) -> Result<(), String> {
    no_control(text, 256)?;
    if text.starts_with('/') {
        return Err("is not below the checkout".into());
    }
    if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("has an empty, `.` or `..` part".into());
    }
    if text.split('/').next() == Some(".git") {
        return Err("is git's own".into());
    }
    Ok(())
}

fn check_unit(text: &str) -> Result<(), String> {
    no_control(text, 255)?;
    if text.starts_with('-') {
        return Err("begins with a dash".into());
    }
    if let Some(c) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || ":-_.\\@".contains(*c))) {
        return Err(format!("has {c:?}, which no unit name may have"));
    }
    match text.rsplit_once('.') {
        Some((stem, "service" | "socket" | "target" | "timer" | "path")) if !stem.is_empty() => Ok(()),
        _ => Err("lacks its suffix (for example `.service`)".into()),
    }
}

fn check_user(text: &str) -> Result<(), String> {
    let first = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
    if first && text.len() <= 32 && text.chars().all(rest) {
        return Ok(());
    }
    Err("is not a user name (a-z, 0-9, `_`, `-`, `.`; at most 32)".into())
}

fn check_env_name(text: &str) -> Result<(), String> {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if first && text.len() <= 128 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    Err("is not a name of an environment variable".into())
}

fn check_url(text: &str) -> Result<(), String> {
    no_control(text, 2048)?;
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match rest {
        None => Err("does not begin with http:// or https://".into()),
        Some(rest) if rest.is_empty() || rest.starts_with(['/', '?', '#']) => Err("has no host".into()),
        Some(rest) if !rest.chars().all(|c| c.is_ascii_graphic() && !"\"'\\`{}<>".contains(c)) => {
            Err("has a character that no URL may have".into())
        }
        Some(_) => Ok(()),
    }
}

fn check_tcp(text: &str) -> Result<(), String> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err("is not host:port".into());
    };
    let host_ok = !host.is_empty()
        && !host.starts_with('-')
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']'));
    match port.parse::<u16>() {
        Ok(1..) if host_ok => Ok(()),
        Ok(_) | Err(_) => Err("is not host:port".into()),
    }
}

fn check_shell(text: &str) -> Result<(), String> {
    if text.trim().is_empty() || text.len() > 16 * 1024 {
        return Err("must be 1 to 16384 bytes".into());
    }
    if text.contains('\0') { Err("has a NUL".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_service_refuse_what_is_unsafe() {
        for bad in ["", "srv/app", "/srv/../etc", "/srv/a\nb", "/srv/./a"] {
            assert!(bad.parse::<AbsPath>().is_err(), "path {bad:?}");
        }
        for bad in ["", "/x", "a/../b", "./a", "a//b", ".git", ".git/x", "a\nb"] {
            assert!(bad.parse::<RelPath>().is_err(), "folder {bad:?}");
        }
        for bad in ["", "app", "-x.service", "a b.service", ".service", "a;b.service"] {
            assert!(bad.parse::<UnitName>().is_err(), "unit {bad:?}");
        }
        for bad in ["ftp://x", "http://", "http:///x", "http://a b", "http://a/'x", "http://{name}/"] {
            assert!(bad.parse::<HttpUrl>().is_err(), "url {bad:?}");
        }
        for bad in ["x", "x:", "x:0", "x:70000", "-x:1", ":80", "a b:1"] {
            assert!(bad.parse::<TcpAddress>().is_err(), "tcp {bad:?}");
        }
        assert!("  ".parse::<ShellText>().is_err());
        assert!("Root".parse::<UserName>().is_err());
        assert!("A-B".parse::<EnvName>().is_err());
    }
}
