//! The service of one host: the configuration, the host's own settings over it, the placeholders filled in.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use uphaul_core::plan::{
    Deadman, Dirty, EnvName, Health, HostFacts, Manager, Policy, RelPath, Scope, Service, Signers, UnitName,
};
use uphaul_store::Host;

use super::problem::Problem;
use super::read::Reader;
use super::template::Into;
use super::{Config, Origin, Values, variable_of};
use crate::error::CliError;
use crate::surroundings::Surroundings;

/// The most variables that the environment of a service may have.
const VARIABLES_MAX: usize = 256;
/// The most bytes that one of them may have.
const VARIABLE_BYTES_MAX: usize = 32 * 1024;
/// How much of the file of allowed signers is read, in bytes: more than it may have.
const SIGNERS_BYTES_MAX: u64 = 64 * 1024;
/// The most folders that are kept for the way back.
const KEEP_MAX: usize = 16;
/// The most units that a service may have.
const UNITS_MAX: usize = 32;

const ONLY_SERVICE: &str = "a host can have settings below `service` only";

const SIGNERS: &str = "service.allowed_signers";
const VERIFY: &str = "service.verify_signature";
const NO_FILE: &str = "is a file of this machine, and stands in the configuration";

/// Who a host is, as its commands see it.
pub(crate) fn facts(host: &Host) -> HostFacts {
    HostFacts { name: host.name.clone(), address: host.address.clone(), labels: host.labels.clone() }
}

/// Checks everything that can be checked without a host.
pub(super) fn check(reader: &mut Reader<'_>) {
    read(reader);
}

/// Checks the key and value of a host's own setting, as `uphaul hosts edit --set` takes it.
///
/// # Errors
/// Says what is wrong with it, for the person who typed it.
pub fn check_setting(key: &str, value: &str) -> Result<(), String> {
    if !key.starts_with("service.") {
        return Err(format!("{key}: {ONLY_SERVICE}"));
    }
    if key == SIGNERS {
        return Err(format!("{key}: {NO_FILE}"));
    }
    let mut values = Values::default();
    let origin = Origin::Host(String::new());
    values.overlay(key, value, &origin).map_err(|problem| problem.what)?;
    let mut reader = Reader::new(&values, None);
    read(&mut reader);
    // Settings come one by one: what is only missing beside this one is told when the host is planned.
    let own = reader.problems.iter().find(|problem| problem.what.starts_with(key));
    own.map_or(Ok(()), |problem| Err(problem.what.clone()))
}

impl Config {
    /// The service on this host, every placeholder filled in.
    ///
    /// # Errors
    /// Where a key is missing or does not fit the host; all of them are told.
    pub fn plan_service(&self, host: &Host) -> Result<Service, CliError> {
        let (values, mut problems) = self.values_of(host);
        let facts = facts(host);
        let mut reader = Reader::new(&values, Some(&facts));
        let service = read(&mut reader);
        problems.append(&mut reader.problems);
        match service {
            Some(service) if problems.is_empty() => Ok(service),
            Some(_) | None => Err(CliError::config(format!("{}: its service cannot be planned", host.name))
                .causes(problems.iter().map(ToString::to_string))
                .hint(format!(
                    "set what is missing in {}, or for this host: `uphaul hosts edit {} --set KEY=VALUE`",
                    self.file_name().display(),
                    host.name
                ))),
        }
    }

    /// What the operator allowed on this host, as the configuration says it; the flags come on top.
    pub fn policy(&self, host: &Host) -> Policy {
        let (values, _) = self.values_of(host);
        let dirty = match Reader::new(&values, None).text("service.dirty") {
            Some("stash") => Dirty::Stash,
            Some("discard") => Dirty::Discard,
            Some(_) | None => Dirty::Refuse,
        };
        Policy { dirty, accept_drift: false, force: false }
    }

    /// The dead-man's switch of this host, as the configuration says it; none where no systemd is to hold it.
    pub fn deadman(&self, host: &Host) -> Option<Deadman> {
        let (values, _) = self.values_of(host);
        let reader = Reader::new(&values, None);
        let on = reader.flag("service.deadman.enabled") && reader.text("service.commands.restart").is_none();
        let window_s = reader.seconds("service.deadman.window").filter(|_| on)?;
        Some(Deadman { window_s })
    }

    /// Who must have signed what this host is taken to; none where that is not asked for.
    ///
    /// # Errors
    /// Where it is asked for on this host, and the configuration names no keys.
    pub fn signers(&self, host: &Host) -> Result<Option<Signers>, CliError> {
        let (values, _) = self.values_of(host);
        if !Reader::new(&values, None).flag(VERIFY) {
            return Ok(None);
        }
        match &self.signers {
            Some(signers) => Ok(Some(signers.clone())),
            None => {
                Err(CliError::config(format!("{}: {VERIFY} is true, and {SIGNERS} names no file", host.name)))
            }
        }
    }

    fn values_of(&self, host: &Host) -> (Values, Vec<Problem>) {
        let mut values = self.values.clone();
        let origin = Origin::Host(host.name.to_string());
        let mut problems = Vec::new();
        for (key, value) in &host.settings {
            let result = match key.starts_with("service.") {
                true if key == SIGNERS => Err(Problem::at(&origin, format!("{key}: {NO_FILE}"))),
                true => values.overlay(key, value, &origin),
                false => Err(Problem::at(&origin, format!("{key}: {ONLY_SERVICE}"))),
            };
            problems.extend(result.err());
        }
        (values, problems)
    }
}

/// Reads the keys that may sign, where a file of them is named.
pub(super) fn signers(reader: &mut Reader<'_>, base: &Path, around: &Surroundings) -> Option<Signers> {
    if reader.text(SIGNERS).is_none() && reader.flag(VERIFY) {
        reader.refuse(VERIFY, format!("is true, and {SIGNERS} names no file"));
    }
    let path = reader.local_path(SIGNERS, base, around)?;
    // A file that never ends is not read to its end.
    let text = std::fs::File::open(&path).and_then(|file| {
        let mut text = String::new();
        file.take(SIGNERS_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    });
    let signers =
        text.map_err(|why| why.to_string()).and_then(|text| text.parse::<Signers>().map_err(|bad| bad.why));
    signers.map_err(|why| reader.refuse(SIGNERS, format!("{}: {why}", path.display()))).ok()
}

/// Reads the service. Without a host, what is missing is not missed.
fn read(reader: &mut Reader<'_>) -> Option<Service> {
    let path = reader.text("service.path");
    if path.is_none() {
        missing(reader, "service.path", "names the checkout on the host");
    }
    let path = path.and_then(|text| reader.filled("service.path", text, Into::Path));
    let user = reader.plain("service.user");
    let manager = manager(reader);
    let install = reader.command("service.install");
    let before_restart = reader.command("service.before_restart");
    let env = variables(reader);
    let health = health(reader);
    let submodules = reader.flag("service.submodules");
    let keep = keep(reader);
    Some(Service {
        path: path?,
        user,
        manager: manager?,
        install: install?,
        before_restart,
        env,
        health,
        submodules,
        keep,
    })
}

fn missing(reader: &mut Reader<'_>, key: &str, what: &str) {
    if reader.host.is_some() {
        reader.problems.push(Problem::at("", format!("{key} is not set; it {what} ({})", variable_of(key))));
    }
}

fn manager(reader: &mut Reader<'_>) -> Option<Manager> {
    let (restart, status) = ("service.commands.restart", "service.commands.status");
    match (reader.text(restart).is_some(), reader.text(status).is_some()) {
        (false, false) => {}
        (true, true) => {
            let (restart, status) = (reader.command(restart), reader.command(status));
            return Some(Manager::Commands { restart: restart?, status: status? });
        }
        (true, false) => {
            missing_beside(reader, status, restart);
            return None;
        }
        (false, true) => {
            missing_beside(reader, restart, status);
            return None;
        }
    }
    let scope = match reader.text("service.scope") {
        Some("user") => Scope::User,
        Some(_) | None => Scope::System,
    };
    Some(Manager::Systemd { scope, units: units(reader)? })
}

fn missing_beside(reader: &mut Reader<'_>, key: &str, beside: &str) {
    let why = format!("is not set, but {beside} is; a service without systemd needs both");
    reader.problems.push(Problem::at(reader.place_of(beside), format!("{key} {why}")));
}

fn units(reader: &mut Reader<'_>) -> Option<Vec<UnitName>> {
    let one = reader.text("service.unit").map(|unit| ("service.unit", std::slice::from_ref(&unit).to_vec()));
    let named = one.or_else(|| {
        let units = reader.list("service.units")?;
        Some(("service.units", units.iter().map(String::as_str).collect()))
    });
    let Some((key, named)) = named else {
        missing(reader, "service.unit", "names the systemd unit to restart");
        return None;
    };
    if named.is_empty() || named.len() > UNITS_MAX {
        reader.refuse(key, format!("expected 1 to {UNITS_MAX} units, found {}", named.len()));
        return None;
    }
    let units: Vec<UnitName> = named.iter().filter_map(|unit| reader.filled(key, unit, Into::Unit)).collect();
    (units.len() == named.len()).then_some(units)
}

fn keep(reader: &mut Reader<'_>) -> Vec<RelPath> {
    let folders = reader.list("service.keep").unwrap_or_default().to_vec();
    if folders.len() > KEEP_MAX {
        reader
            .refuse("service.keep", format!("expected at most {KEEP_MAX} folders, found {}", folders.len()));
    }
    let mut kept = Vec::new();
    for folder in folders {
        match folder.parse::<RelPath>() {
            Ok(folder) => kept.push(folder),
            Err(why) => reader.refuse("service.keep", why),
        }
    }
    kept
}

fn health(reader: &mut Reader<'_>) -> Option<Health> {
    let (http, tcp, command) = ("service.health.http", "service.health.tcp", "service.health.command");
    if let Some(url) = reader.text(http) {
        return reader.filled(http, url, Into::Url).map(Health::Http);
    }
    if let Some(address) = reader.text(tcp) {
        return reader.filled(tcp, address, Into::Url).map(Health::Tcp);
    }
    reader.command(command).map(Health::Command)
}

fn variables(reader: &mut Reader<'_>) -> BTreeMap<EnvName, String> {
    let mut all = BTreeMap::new();
    let given: Vec<_> = reader.variables().collect();
    if given.len() > VARIABLES_MAX {
        reader.problems.push(Problem::at(
            "",
            format!("service.env: has {} variables; at most {VARIABLES_MAX} are taken", given.len()),
        ));
    }
    for (name, setting) in given {
        let key = format!("service.env.{name}");
        let super::Leaf::Text(text) = &setting.leaf else { continue };
        match name.parse::<EnvName>() {
            Err(why) => reader.refuse(&key, why),
            Ok(_) if name.starts_with("UPHAUL_") => {
                reader.refuse(&key, "names that begin with UPHAUL_ are set by Uphaul itself");
            }
            Ok(_) if text.len() > VARIABLE_BYTES_MAX || text.contains('\0') => {
                reader.refuse(&key, format!("must be at most {VARIABLE_BYTES_MAX} bytes and have no NUL"));
            }
            Ok(name) => drop(all.insert(name, text.clone())),
        }
    }
    all
}
