//! What the operator has set, checked; and the keys that were opened for all hosts.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use uphaul_core::ports::ExecError;
use zeroize::Zeroizing;

use crate::config::Files;
use crate::keys::{self, Key, Material};
use crate::{Libssh2Config, NewKeys, local};

/// [`Libssh2Config`], checked.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) files: Files,
    pub(crate) identity: Vec<PathBuf>,
    pub(crate) known_hosts: Option<PathBuf>,
    pub(crate) accept_new: bool,
    passphrase: Option<Passphrase>,
    opened: Mutex<Vec<Opened>>,
}

struct Passphrase {
    variable: String,
    text: Zeroizing<String>,
}

/// An encrypted key, and the same in the clear. Opening one costs much time on purpose.
struct Opened {
    locked: Zeroizing<String>,
    open: Zeroizing<String>,
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.variable)
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }
}

impl Settings {
    pub(crate) fn new(config: Libssh2Config, ask: crate::Ask<'_>) -> Result<Self, ExecError> {
        let home = std::env::home_dir().filter(|home| home.is_absolute());
        let home =
            home.ok_or_else(|| local("there is no home folder (HOME) to find keys and known_hosts in"))?;
        let absolute = |path: &Path| {
            let path = path.strip_prefix("~").map_or_else(|_| path.to_owned(), |rest| home.join(rest));
            std::path::absolute(&path)
                .map_err(|error| local(format!("{} is no path: {error}", path.display())))
        };
        let own = config.config.as_deref().map(absolute).transpose()?;
        if let Some(path) = &own
            && let Err(error) = std::fs::metadata(path)
        {
            return Err(local(format!("the ssh_config {} cannot be used: {error}", path.display())));
        }
        let identity = config.identity.iter().map(|path| absolute(path)).collect::<Result<Vec<_>, _>>()?;
        let passphrase = config.passphrase_env.map(passphrase_of).transpose()?;
        let settings = Self {
            files: Files { own, home: home.clone(), system: "/etc/ssh".into(), local_user: local_user()? },
            known_hosts: config.known_hosts.as_deref().map(absolute).transpose()?,
            accept_new: config.host_key == NewKeys::AcceptNew,
            passphrase,
            opened: Mutex::default(),
            identity,
        };
        for path in &settings.identity {
            settings.check_identity(path, ask)?;
        }
        Ok(settings)
    }

    /// Refuses what is no key, and asks for the passphrase of one that nothing else opens.
    fn check_identity(&self, path: &Path, ask: crate::Ask<'_>) -> Result<(), ExecError> {
        let key = keys::read(path).map_err(local)?;
        let key = key.ok_or_else(|| local(format!("the identity {} does not exist", path.display())))?;
        let Material::Locked(locked) = &key.material else { return Ok(()) };
        if self.passphrase.is_some() || keys::agent_has(&key) {
            return Ok(());
        }
        if let Some(text) = ask(path) {
            let open = keys::open(locked, &text);
            let open = open.map_err(|why| local(format!("{} stays closed: {why}", path.display())))?;
            self.remember(locked, &open);
        }
        Ok(())
    }

    /// An encrypted key in the clear, if there is a passphrase for it.
    pub(crate) fn open(
        &self,
        key: &Key,
        locked: &Zeroizing<String>,
    ) -> Result<Option<Zeroizing<String>>, String> {
        // Held while a key is opened, so that many hosts open it once.
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = opened.iter().find(|known| known.locked == *locked) {
            return Ok(Some(known.open.clone()));
        }
        let Some(passphrase) = &self.passphrase else { return Ok(None) };
        let open = keys::open(locked, &passphrase.text).map_err(|why| {
            format!("the passphrase in {} does not open {}: {why}", passphrase.variable, key.path.display())
        })?;
        opened.push(Opened { locked: locked.clone(), open: open.clone() });
        Ok(Some(open))
    }

    /// The passphrase for keys that only libssh2 can open.
    pub(crate) fn passphrase(&self) -> Option<&str> {
        self.passphrase.as_ref().map(|passphrase| passphrase.text.as_str())
    }

    /// The variable that has the passphrases of keys.
    pub(crate) fn passphrase_variable(&self) -> Option<&str> {
        self.passphrase.as_ref().map(|passphrase| passphrase.variable.as_str())
    }

    fn remember(&self, locked: &Zeroizing<String>, open: &Zeroizing<String>) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.push(Opened { locked: locked.clone(), open: open.clone() });
    }
}

fn passphrase_of(variable: String) -> Result<Passphrase, ExecError> {
    match std::env::var(&variable) {
        Ok(text) => Ok(Passphrase { variable, text: Zeroizing::new(text) }),
        Err(error) => Err(local(format!(
            "executor.libssh2.passphrase_env names the variable {variable}, which cannot be used: {error}. Set it \
             to the passphrase, or leave the key out"
        ))),
    }
}

/// Who runs Uphaul, as the system's table of users has it, else as the environment says.
fn local_user() -> Result<String, ExecError> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let table = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        (fields.nth(1) == Some(uid.as_str())).then_some(name)
    };
    let variable = |name: &str| std::env::var(name).ok().filter(|user| !user.is_empty());
    let user = table.lines().find_map(of).or_else(|| variable("LOGNAME")).or_else(|| variable("USER"));
    user.ok_or_else(|| local(format!("the user {uid} has no name: set LOGNAME")))
}
