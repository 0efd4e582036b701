//! What stands in the way to hosts on this machine, found without reaching one of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use uphaul_core::ids::HostName;
use uphaul_core::ports::Target;

use crate::accept::Accept;
use crate::agent;
use crate::keys::{self, Key, Material};
use crate::route::{Hop, way};
use crate::settings::Settings;
use crate::trust::Known;

/// How long an agent may take, in all.
const AGENT_MAX: Duration = Duration::from_secs(5);

/// Something that was found, of one host or of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Of which hosts, in the order in which they were given.
    pub hosts: Vec<HostName>,
    /// Whether none of them can be reached so.
    pub grave: bool,
    /// What it is, with the file and line where there is one.
    pub what: String,
}

/// What was found so far. Files and agents are asked once, not once for each host.
pub(crate) struct Survey<'a> {
    settings: &'a Settings,
    remarks: Vec<Remark>,
    agents: BTreeMap<PathBuf, Result<Vec<Vec<u8>>, String>>,
    /// By file, agent, what is asked of it, and certificates.
    keys: BTreeMap<(PathBuf, Option<PathBuf>, Accept, Vec<PathBuf>), Found>,
}

/// What was found of a key.
#[derive(Debug, Clone)]
enum Found {
    /// It can be used.
    Good,
    /// There is none, and nobody named it.
    None,
    /// It can be used once somebody has opened it.
    Closed(String),
    /// It cannot be used.
    Bad(String),
}

impl<'a> Survey<'a> {
    pub(crate) fn of(settings: &'a Settings, targets: &[Target]) -> Vec<Remark> {
        let mut survey =
            Survey { settings, remarks: Vec::new(), agents: BTreeMap::new(), keys: BTreeMap::new() };
        for target in targets {
            match way(settings, target) {
                Ok(hops) => hops.iter().for_each(|hop| survey.hop(&target.name, hop)),
                Err(why) => survey.add(&target.name, true, why),
            }
        }
        survey.remarks
    }

    fn add(&mut self, host: &HostName, grave: bool, what: String) {
        match self.remarks.iter_mut().find(|remark| remark.what == what && remark.grave == grave) {
            Some(remark) if remark.hosts.contains(host) => {}
            Some(remark) => remark.hosts.push(host.clone()),
            None => self.remarks.push(Remark { hosts: vec![host.clone()], grave, what }),
        }
    }

    fn hop(&mut self, host: &HostName, hop: &Hop) {
        let doubt = Known::read(hop).map_err(|error| error.detail).and_then(|known| known.doubt(hop));
        match doubt {
            Ok(None) => {}
            Ok(Some(what)) => self.add(host, false, what),
            Err(why) => self.add(host, true, why),
        }
        let held = hop.agent.as_deref().map(|path| self.agent(path));
        if let (Some(Err(why)), Some(path)) = (&held, &hop.agent) {
            self.add(host, false, format!("the agent at {} is not used: {why}", path.display()));
        }
        let held = held.and_then(Result::ok).unwrap_or_default();
        let mut usable = !hop.identities_only && held.iter().any(|key| hop.accept.refuses(key).is_none());
        for identity in &hop.identity {
            let certificates = hop.certificate.clone();
            let key = (identity.path.clone(), hop.agent.clone(), hop.accept.clone(), certificates);
            let known = self.keys.get(&key).cloned();
            let found = known.unwrap_or_else(|| self.key(&identity.path, identity.named, &held, hop));
            self.keys.insert(key, found.clone());
            usable |= matches!(found, Found::Good | Found::Closed(_));
            if let Found::Closed(why) | Found::Bad(why) = found {
                self.add(host, false, why);
            }
        }
        for path in hop.certificate.iter().filter(|path| !path.exists()) {
            self.add(host, false, format!("the certificate {} does not exist", path.display()));
        }
        if !usable {
            let what = "no key to log in with was found: name one in executor.libssh2.identity or in the ssh_config, or \
                        `ssh-add` it";
            self.add(host, false, what.to_owned());
        }
    }

    fn agent(&mut self, path: &Path) -> Result<Vec<Vec<u8>>, String> {
        let ask = || agent::keys(path, Instant::now() + AGENT_MAX);
        self.agents.entry(path.to_owned()).or_insert_with(ask).clone()
    }

    fn key(&self, path: &Path, named: bool, held: &[Vec<u8>], hop: &Hop) -> Found {
        let shown = path.display();
        let key = match keys::read(path) {
            Ok(Some(key)) => key,
            Ok(None) if named => return Found::Bad(format!("the key {shown} does not exist")),
            Ok(None) => return Found::None,
            Err(why) => return Found::Bad(why),
        };
        let public = key.public.as_ref().and_then(|public| public.to_bytes().ok());
        let in_agent = public.is_some_and(|public| held.contains(&public));
        if matches!(key.material, Material::Exposed) && !in_agent {
            return Found::Bad(keys::exposed(path));
        }
        if let Some(why) = hop.accept.refuses_key(&key, &hop.certificate) {
            return Found::Bad(format!("the key {shown} is not used: {why}"));
        }
        match &key.material {
            Material::Hardware => Found::Bad(format!(
                "the key {shown} is a hardware key, which only the backend openssh can use"
            )),
            _ if in_agent => Found::Good,
            Material::Open(_) | Material::Old { locked: false, .. } => Found::Good,
            Material::Locked(locked) => match self.settings.open(&key, locked) {
                Ok(Some(_)) => Found::Good,
                Ok(None) => Found::Closed(closed(&key, named)),
                Err(why) => Found::Bad(why),
            },
            Material::Old { text, .. } if self.settings.passphrase_of(text).is_some() => Found::Good,
            Material::Old { .. } => Found::Closed(closed(&key, named)),
            Material::Exposed => Found::Bad(keys::exposed(path)),
            Material::Elsewhere => Found::Bad(format!(
                "of the key {shown} there is only the public half, and no agent has the other"
            )),
        }
    }
}

fn closed(key: &Key, named: bool) -> String {
    let asked = if named {
        "you are asked for it where there is a terminal"
    } else {
        "nobody is asked for it, since no configuration names it"
    };
    format!(
        "the key {0} has a passphrase, and {asked}: `ssh-add {0}`, or set executor.libssh2.passphrase_env",
        key.path.display()
    )
}

#[cfg(test)]
#[path = "survey_tests.rs"]
mod tests;
