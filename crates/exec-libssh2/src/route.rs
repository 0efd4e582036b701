//! From a target to the hosts in the way to it, each with all that is set for it.

use std::path::PathBuf;
use std::time::Duration;

use uphaul_core::host_key::HostKey;
use uphaul_core::ports::{ExecError, ExecErrorKind, Target};

use crate::accept::Accept;
use crate::alive::Alive;
use crate::config::options::{Options, port};
use crate::config::tokens::{Tokens, host_name};
use crate::config::{self, pattern};
use crate::dial::Family;
use crate::settings::Settings;

/// How many hosts may stand one behind the other.
const HOPS_MAX: usize = 8;
/// The keys that are tried where none is named, in the order of OpenSSH.
const DEFAULT_KEYS: [&str; 5] = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"];

/// A host in the way, or the target itself.
#[derive(Debug, Clone)]
pub(crate) struct Hop {
    /// Whom it is for, for messages.
    pub(crate) label: String,
    pub(crate) target: Target,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) family: Family,
    /// Whether a jump host stands before it.
    pub(crate) behind: bool,
    /// Keys to log in with.
    pub(crate) identity: Vec<Identity>,
    /// Certificates to log in with.
    pub(crate) certificate: Vec<PathBuf>,
    pub(crate) identities_only: bool,
    pub(crate) agent: Option<PathBuf>,
    pub(crate) known_hosts: Vec<PathBuf>,
    /// The one of them that keys are added to: the first of the user's own.
    pub(crate) add_to: Option<PathBuf>,
    pub(crate) host_key_alias: Option<String>,
    pub(crate) hash_known_hosts: bool,
    /// Whether the key of a host of which none is known is added.
    pub(crate) accept_new: bool,
    /// Its ssh_config asks for strict checking, whatever `executor.libssh2.host_key` says.
    pub(crate) strict: bool,
    /// How long the connection and the key exchange may take, where that is set for it.
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) alive: Alive,
    pub(crate) pinned: Option<HostKey>,
    pub(crate) algorithms: Algorithms,
    pub(crate) accept: Accept,
}

/// A file with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) path: PathBuf,
    /// Somebody named it, so it is to be there.
    pub(crate) named: bool,
}

/// What the user said about algorithms, as in ssh_config.
#[derive(Debug, Clone, Default)]
pub(crate) struct Algorithms {
    pub(crate) kex: Option<String>,
    pub(crate) ciphers: Option<String>,
    pub(crate) macs: Option<String>,
    pub(crate) host_key: Option<String>,
}

impl Hop {
    /// How known_hosts names it.
    pub(crate) fn known_name(&self) -> String {
        match &self.host_key_alias {
            Some(alias) => alias.clone(),
            None if self.port == 22 => self.host.clone(),
            None => format!("[{}]:{}", self.host, self.port),
        }
    }

    /// How known_hosts names it without its port, if that is another name.
    pub(crate) fn bare_name(&self) -> Option<String> {
        (self.host_key_alias.is_none() && self.port != 22).then(|| self.host.clone())
    }

    /// What prints the keys that it offers.
    pub(crate) fn scan(&self) -> String {
        if self.behind {
            "its console's `cat /etc/ssh/ssh_host_ed25519_key.pub`".to_owned()
        } else {
            format!("`ssh-keyscan -p {} {}`", self.port, self.host)
        }
    }

    /// The file that a key is to be added to, for messages.
    pub(crate) fn own_known_hosts(&self) -> String {
        match &self.add_to {
            Some(file) => file.display().to_string(),
            None => {
                "the file that `executor.libssh2.known_hosts` names (UserKnownHostsFile is none)".to_owned()
            }
        }
    }

    /// What makes its key known.
    pub(crate) fn add(&self) -> String {
        let file = &self.own_known_hosts();
        match &self.host_key_alias {
            None if !self.behind && self.add_to.is_none() => {
                format!("add what `ssh-keyscan -p {} {}` prints to {file}", self.port, self.host)
            }
            None if !self.behind => format!("`ssh-keyscan -p {} {} >> {file}`", self.port, self.host),
            // No scan reaches what only the jump host reaches, and none knows the alias.
            Some(_) | None => {
                format!(
                    "add the line `{} KEY` to {file}, with KEY as the machine itself has it",
                    self.known_name()
                )
            }
        }
    }
}

/// All hosts on the way to a target, itself the last.
pub(crate) fn route(settings: &Settings, target: &Target) -> Result<Vec<Hop>, ExecError> {
    let told = |why| ExecError::before(ExecErrorKind::Local, format!("{}: {why}", target.label()));
    way(settings, target).map_err(told)
}

/// The same; the error does not say for whom.
pub(crate) fn way(settings: &Settings, target: &Target) -> Result<Vec<Hop>, String> {
    let spec = Spec {
        name: target.address.clone(),
        user: target.user.as_ref().map(ToString::to_string),
        port: target.port,
    };
    let mut hops = Vec::new();
    walk(settings, target, &spec, None, &mut hops)?;
    hops.reverse();
    for i in 0..hops.len() {
        hops[i].behind = i > 0;
        if i + 1 < hops.len() {
            let Hop { host, port, user, .. } = &hops[i];
            hops[i].label = format!("{} (the jump host {user}@{host} port {port})", target.name);
            hops[i].pinned = None;
        }
    }
    Ok(hops)
}

/// A host as `ProxyJump` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spec {
    name: String,
    user: Option<String>,
    port: Option<u16>,
}

/// Adds a host, then those before it. `jumps`: what stands before it whatever its own configuration says.
fn walk(
    settings: &Settings,
    target: &Target,
    spec: &Spec,
    jumps: Option<Vec<Spec>>,
    hops: &mut Vec<Hop>,
) -> Result<(), String> {
    if hops.len() >= HOPS_MAX {
        return Err(format!(
            "more than {HOPS_MAX} hosts stand one behind the other; does ProxyJump lead in a circle?"
        ));
    }
    let given = Options { user: spec.user.clone(), port: spec.port, ..Options::default() };
    let options = config::read(&settings.files, &spec.name, given)?;
    let (hop, tokens) = hop(settings, target, spec, &options)?;
    hops.push(hop);
    let mut jumps = match (jumps, options.jump.as_deref()) {
        (Some(jumps), _) => jumps,
        (None, None) => Vec::new(),
        (None, Some(text)) if text.eq_ignore_ascii_case("none") => Vec::new(),
        (None, Some(text)) => {
            let specs = tokens.text(text)?;
            specs.split(',').map(|text| self::spec(text.trim())).collect::<Result<_, _>>()?
        }
    };
    let Some(last) = jumps.pop() else { return Ok(()) };
    walk(settings, target, &last, (!jumps.is_empty()).then_some(jumps), hops)
}

/// Reads `[USER@]HOST[:PORT]` or `ssh://[USER@]HOST[:PORT]`.
fn spec(text: &str) -> Result<Spec, String> {
    let bad = || format!("ProxyJump: {text:?} is not [USER@]HOST[:PORT]");
    let rest = text.strip_prefix("ssh://").unwrap_or(text).trim_end_matches('/');
    let (user, rest) =
        rest.rsplit_once('@').map_or((None, rest), |(user, rest)| (Some(user.to_owned()), rest));
    let (name, number) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (name, after) = rest.split_once(']').ok_or_else(bad)?;
            (name, after.strip_prefix(':'))
        }
        None => match rest.split_once(':') {
            // More than one colon: an IPv6 address without its brackets.
            Some((_, after)) if after.contains(':') => (rest, None),
            Some((name, after)) => (name, Some(after)),
            None => (rest, None),
        },
    };
    if name.is_empty() || name.starts_with('-') || user.as_deref() == Some("") {
        return Err(bad());
    }
    Ok(Spec { name: name.to_owned(), user, port: number.map(port).transpose()? })
}

fn hop(
    settings: &Settings,
    target: &Target,
    spec: &Spec,
    options: &Options,
) -> Result<(Hop, Tokens), String> {
    let host = host_name(options.hostname.as_deref(), &spec.name)?;
    let port = options.port.unwrap_or(22);
    let local_user = settings.files.local_user.clone();
    let user = options.user.clone().unwrap_or_else(|| local_user.clone());
    let host_key_alias = options.host_key_alias.clone();
    let tokens = Tokens {
        home: settings.files.home.clone(),
        key_alias: host_key_alias.clone().unwrap_or_else(|| spec.name.clone()),
        host: host.clone(),
        name: spec.name.clone(),
        port,
        user: user.clone(),
        local_user,
    };
    let paths = |texts: &[String]| -> Result<Vec<PathBuf>, String> {
        texts.iter().filter(|text| !text.eq_ignore_ascii_case("none")).map(|text| tokens.path(text)).collect()
    };
    let (own_known_hosts, global_known_hosts) = known_hosts(settings, options, &paths)?;
    let hop = Hop {
        label: target.label(),
        identity: identity(settings, options, &paths)?,
        certificate: paths(&options.certificate)?,
        identities_only: !settings.identity.is_empty() || options.identities_only.unwrap_or(false),
        agent: agent(options.identity_agent.as_deref(), &tokens)?,
        add_to: own_known_hosts.first().cloned(),
        known_hosts: [own_known_hosts, global_known_hosts].concat(),
        hash_known_hosts: options.hash_known_hosts.unwrap_or(false),
        accept_new: settings.accept_new && options.strict != Some(true),
        strict: options.strict == Some(true),
        connect_timeout: options.connect_timeout.flatten().map(|seconds| Duration::from_secs(seconds.into())),
        alive: Alive::of(options.alive_interval.flatten(), options.alive_count),
        pinned: target.host_key.clone(),
        family: options.family.unwrap_or_default(),
        algorithms: Algorithms {
            kex: options.kex.clone(),
            ciphers: options.ciphers.clone(),
            macs: options.macs.clone(),
            host_key: options.host_key_algorithms.clone(),
        },
        accept: Accept::new(options.accepted.clone(), options.rsa_min),
        target: target.clone(),
        host,
        port,
        user,
        behind: false,
        host_key_alias,
    };
    Ok((hop, tokens))
}

type Paths<'a> = dyn Fn(&[String]) -> Result<Vec<PathBuf>, String> + 'a;

fn identity(settings: &Settings, options: &Options, paths: &Paths<'_>) -> Result<Vec<Identity>, String> {
    let named = settings.identity.iter().cloned().chain(paths(&options.identity)?);
    let named: Vec<Identity> = named.map(|path| Identity { path, named: true }).collect();
    if !named.is_empty() || !options.identity.is_empty() {
        return Ok(named);
    }
    let folder = settings.files.home.join(".ssh");
    Ok(DEFAULT_KEYS.iter().map(|name| Identity { path: folder.join(name), named: false }).collect())
}

/// The user's own, and the system's.
fn known_hosts(
    settings: &Settings,
    options: &Options,
    paths: &Paths<'_>,
) -> Result<(Vec<PathBuf>, Vec<PathBuf>), String> {
    let user = match (&settings.known_hosts, &options.known_hosts) {
        (Some(path), _) => vec![path.clone()],
        (None, Some(texts)) => paths(texts)?,
        (None, None) => {
            let folder = settings.files.home.join(".ssh");
            vec![folder.join("known_hosts"), folder.join("known_hosts2")]
        }
    };
    let global = match &options.global_known_hosts {
        Some(texts) => paths(texts)?,
        None => ["ssh_known_hosts", "ssh_known_hosts2"].map(|name| settings.files.system.join(name)).into(),
    };
    Ok((user, global))
}

/// The socket of the agent, if there is one to ask.
fn agent(text: Option<&str>, tokens: &Tokens) -> Result<Option<PathBuf>, String> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match text {
        None | Some("SSH_AUTH_SOCK") => Ok(variable("SSH_AUTH_SOCK")),
        Some(text) if text.eq_ignore_ascii_case("none") => Ok(None),
        Some(text) => match text.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            Some(name) => Ok(variable(name)),
            None => tokens.path(text).map(Some),
        },
    }
}

/// Puts what the user said over a list of algorithms: a new list, `+` more, `-` fewer, `^` these first.
pub(crate) fn chosen(said: Option<&str>, own: &[String], can: &[&str]) -> Vec<String> {
    let Some(said) = said else { return own.to_vec() };
    let listed = |text: &str| -> Vec<String> {
        let known = text.split(',').filter(|name| can.contains(name));
        known.map(ToOwned::to_owned).collect()
    };
    let mut list = match said.split_at(said.chars().next().map_or(0, char::len_utf8)) {
        ("+", more) => [own.to_vec(), listed(more)].concat(),
        ("^", first) => [listed(first), own.to_vec()].concat(),
        ("-", fewer) => own.iter().filter(|name| !pattern::words(fewer.split(','), name)).cloned().collect(),
        _ => listed(said),
    };
    let mut seen = std::collections::BTreeSet::new();
    list.retain(|name| seen.insert(name.clone()));
    list
}

#[cfg(test)]
#[path = "route_tests.rs"]
pub(crate) mod tests;
