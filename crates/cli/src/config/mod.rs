//! The configuration: built-in defaults, `uphaul.toml`, `UPHAUL_*` variables and flags, later over earlier.
//!
//! figment merges the layers; reading the result is done here, so that all faults are told at once, each with its
//! place, and so that every value knows where it came from. A key is `service.path` everywhere: in the file it
//! stands below a profile (`[default.service]`), in the environment it is `UPHAUL_SERVICE__PATH` (two underscores
//! where the key has a dot).

mod backend;
mod database;
mod duration;
mod environment;
mod file;
mod layers;
mod origin;
mod problem;
mod read;
mod schema;
mod service;
mod template;
#[cfg(test)]
mod tests;
mod values;

use std::path::{Path, PathBuf};

use uphaul_core::evidence::Patterns;
use uphaul_core::plan;
use uphaul_exec_command::Template;

pub use backend::Backend;
pub(crate) use backend::{Chosen, Rule, rule_key};
pub use database::DatabaseUrl;
pub(crate) use database::mask;
pub(crate) use duration::{parse as parse_seconds, show as show_seconds};
pub(crate) use environment::variable_of;
pub(crate) use file::{FILE_NAME, line_of};
pub(crate) use origin::Origin;
pub(crate) use schema::{BACKENDS, KEYS, nearest};
pub use service::check_setting;
pub(crate) use service::facts;
pub(crate) use values::{Leaf, Setting, Values, show};

use crate::error::CliError;
use crate::surroundings::Surroundings;
use layers::Layers;
use problem::Problem;
use read::Reader;

/// The flags that are part of the configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    /// `--config`
    pub(crate) config: Option<PathBuf>,
    /// `--profile`
    pub(crate) profile: Option<String>,
    /// `--database`
    pub(crate) database: Option<String>,
    /// `--executor`
    pub(crate) executor: Option<String>,
}

/// How the system's ssh is used; none leaves ssh its own default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpensshOptions {
    /// The configuration file of ssh, absolute.
    pub config: Option<PathBuf>,
    /// Key files, absolute; tried in this order.
    pub identity: Vec<PathBuf>,
    /// The file with the known host keys, absolute.
    pub known_hosts: Option<PathBuf>,
}

/// How the SSH client in this process is used; none leaves it OpenSSH's own default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Libssh2Options {
    /// An ssh_config, absolute.
    pub config: Option<PathBuf>,
    /// Key files, absolute; tried in this order.
    pub identity: Vec<PathBuf>,
    /// The file with the known host keys, absolute.
    pub known_hosts: Option<PathBuf>,
    /// Whether the key of a host that is not known is added to it.
    pub accept_new: bool,
    /// The variable with the passphrase of encrypted keys.
    pub passphrase_env: Option<String>,
}

/// How much happens at once, and how long others wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetLimits {
    /// Hosts that are worked on at once.
    pub parallel: u32,
    /// Connections that are being opened at once.
    pub connection_starts: u32,
    /// How long a lease holds without a heartbeat, in seconds.
    pub lease_s: u32,
    /// How long a lost host is tried before its run is parked, in seconds.
    pub reconnect_s: u32,
    /// How long `resume --watch` takes a run up by itself after it was left in the middle, in seconds. Later the run stays
    /// as it is until somebody asks.
    pub catch_up_s: u32,
    /// How long a driver waits for a database that is away, in seconds; it performs nothing meanwhile.
    pub database_wait_s: u32,
}

/// The configuration, read and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The chosen profile.
    pub profile: String,
    /// The file that was read, if there is one.
    pub file: Option<PathBuf>,
    /// What reaches hosts that no rule is about.
    pub backend: Backend,
    /// What reaches some hosts; the first that matches counts.
    pub(crate) rules: Vec<Rule>,
    /// The program of the backend `command`, where there is one.
    pub command: Option<Template>,
    /// How the system's ssh is used.
    pub openssh: OpensshOptions,
    /// How the SSH client in this process is used.
    pub libssh2: Libssh2Options,
    /// Time limits of a run.
    pub limits: plan::Limits,
    /// How often a step may be begun before it has failed.
    pub attempts_max: u8,
    /// How much happens at once.
    pub fleet: FleetLimits,
    /// What is masked in what hosts say, beside the values of `service.env`.
    pub(crate) mask: Patterns,
    /// None where there is neither a setting nor a home folder for the default.
    database: Option<DatabaseUrl>,
    /// The table of another program whose rows are the hosts.
    pub adopted: Option<uphaul_store::Adopted>,
    /// The keys that may sign, where a file of them is named.
    signers: Option<plan::Signers>,
    values: Values,
}

/// A configuration, and what should be said about it without being wrong.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// The configuration.
    pub(crate) config: Config,
    /// For the one who runs the program.
    pub(crate) warnings: Vec<String>,
}

/// Reads the configuration. The error tells everything that is wrong with it.
pub(crate) fn load(flags: &Flags, around: &Surroundings) -> Result<Loaded, CliError> {
    let mut problems = Vec::new();
    let layers = Layers::read(flags, around, &mut problems);
    let values = Values::read(&layers, &mut problems);
    let config = read_config(layers.profile.clone(), &layers, values, around, &mut problems);
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded { config, warnings: layers.warnings }),
        Some(_) | None => Err(problem::error(problems)),
    }
}

/// The profiles that the file has, `default` first.
pub(crate) fn profiles(flags: &Flags, around: &Surroundings) -> Vec<String> {
    Layers::read(flags, around, &mut Vec::new()).profiles
}

fn read_config(
    profile: String,
    layers: &Layers,
    values: Values,
    around: &Surroundings,
    problems: &mut Vec<Problem>,
) -> Option<Config> {
    let mut reader = Reader::new(&values, None);
    let limits = reader.limits();
    let fleet = reader.fleet();
    let attempts_max = reader.count("timeouts.attempts").and_then(|count| u8::try_from(count).ok());
    let backend = reader.backend();
    let rules = backend::rules(&mut reader);
    let command = backend::template(&mut reader);
    backend::check(&mut reader, backend, &rules);
    service::check(&mut reader);
    let folder = layers.file.as_ref().map_or(around.cwd.as_path(), |file| file.folder.as_path());
    let base = |key: &str| match values.setting(key).map(|setting| &setting.origin) {
        Some(Origin::File(_)) => folder,
        _ => around.cwd.as_path(),
    };
    let database = reader.database(base("database.url"), around);
    let adopted = reader.adopted();
    let signers = service::signers(&mut reader, base("service.allowed_signers"), around);
    let mask = reader.mask();
    let openssh = OpensshOptions {
        config: reader.local_path("executor.openssh.config", base("executor.openssh.config"), around),
        identity: reader.local_paths("executor.openssh.identity", base("executor.openssh.identity"), around),
        known_hosts: reader.local_path(
            "executor.openssh.known_hosts",
            base("executor.openssh.known_hosts"),
            around,
        ),
    };
    let libssh2 = Libssh2Options {
        config: reader.local_path("executor.libssh2.config", base("executor.libssh2.config"), around),
        identity: reader.local_paths("executor.libssh2.identity", base("executor.libssh2.identity"), around),
        known_hosts: reader.local_path(
            "executor.libssh2.known_hosts",
            base("executor.libssh2.known_hosts"),
            around,
        ),
        accept_new: reader.text("executor.libssh2.host_key") == Some("accept-new"),
        passphrase_env: reader.text("executor.libssh2.passphrase_env").map(ToOwned::to_owned),
    };
    problems.append(&mut reader.problems);
    Some(Config {
        profile,
        file: layers.file.as_ref().map(|file| file.path.clone()),
        backend: backend?,
        rules,
        command,
        openssh,
        libssh2,
        limits: limits?,
        attempts_max: attempts_max?,
        fleet: fleet?,
        mask: mask?,
        database,
        adopted,
        signers,
        values,
    })
}

impl Config {
    /// The database.
    ///
    /// # Errors
    /// Where nobody named one, and there is no home folder to put it in.
    pub fn database(&self) -> Result<&DatabaseUrl, CliError> {
        self.database.as_ref().ok_or_else(|| {
            CliError::config("no database is named, and there is no home folder for one")
                .cause("HOME and XDG_STATE_HOME are not set")
                .hint(format!(
                    "set HOME, or name a database: `--database URL`, {}",
                    variable_of("database.url")
                ))
        })
    }

    /// What is in order and still worth saying.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let set = |key: &str| self.values.setting(key).is_some();
        let mut remarks = Vec::new();
        if !set("service.path") {
            remarks.push("service.path is not set: hosts cannot be updated without it".to_owned());
        }
        if !["service.unit", "service.units", "service.commands.restart"].into_iter().any(set) {
            remarks.push("service.unit is not set: hosts cannot be updated without it".to_owned());
        }
        if !["service.health.http", "service.health.tcp", "service.health.command"].into_iter().any(set) {
            remarks.push("service.health is not set: that the service runs is all that is proved".to_owned());
        }
        remarks
    }

    /// All values, for `config show`.
    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// The file, if it is one of this name in this folder; for messages.
    pub(crate) fn file_name(&self) -> &Path {
        self.file.as_deref().unwrap_or_else(|| Path::new(FILE_NAME))
    }
}
