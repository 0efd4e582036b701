//! What the operator has set, checked; and the keys that were opened for all hosts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uphaul_core::ports::ExecError;
use zeroize::Zeroizing;

use crate::config::Files;
use crate::keys::{self, Key, Material};
use crate::route::Hop;
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
    typed: Mutex<Typed>,
}

/// What a person was asked for.
#[derive(Default)]
struct Typed {
    /// Files, also where nothing was said: nobody is asked twice.
    asked: BTreeSet<PathBuf>,
    /// Passphrases of keys that only libssh2 can open, by the text of these.
    passphrases: Vec<(Zeroizing<String>, Zeroizing<String>)>,
}

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passphrases", self.passphrases.len())
    }
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
            typed: Mutex::default(),
            identity,
        };
        // The agent of a host is known when the host is; here it is that of the environment.
        let agent = std::env::var_os("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty()).map(PathBuf::from);
        for path in &settings.identity {
            let key = keys::read(path).map_err(local)?;
            let missing = || local(format!("the identity {} does not exist", path.display()));
            settings.ask_for(&key.ok_or_else(missing)?, agent.as_deref(), ask)?;
        }
        Ok(settings)
    }

    /// Asks for the passphrases of keys that the ssh_config names for a host and for those before it. What else is wrong
    /// with them is told when the host is reached.
    pub(crate) fn ask_for_named(&self, hops: &[Hop], ask: crate::Ask<'_>) -> Result<(), ExecError> {
        for hop in hops {
            for identity in hop.identity.iter().filter(|identity| identity.named) {
                if let Ok(Some(key)) = keys::read(&identity.path)
                    && hop.accept.refuses_key(&key, &hop.certificate).is_none()
                {
                    self.ask_for(&key, hop.agent.as_deref(), ask)?;
                }
            }
        }
        Ok(())
    }

    /// Asks for the passphrase of a key that nothing else opens, once.
    fn ask_for(&self, key: &Key, agent: Option<&Path>, ask: crate::Ask<'_>) -> Result<(), ExecError> {
        let locked = matches!(key.material, Material::Locked(_) | Material::Old { locked: true, .. });
        let new = || self.typed().asked.insert(key.path.clone());
        if !locked
            || self.passphrase.is_some()
            || !new()
            || agent.is_some_and(|agent| keys::agent_has(agent, key))
        {
            return Ok(());
        }
        let Some(text) = ask(&key.path) else { return Ok(()) };
        match &key.material {
            Material::Locked(locked) => {
                let open = keys::open(locked, &text);
                let open =
                    open.map_err(|why| local(format!("{} stays closed: {why}", key.path.display())))?;
                self.remember(locked, &open);
            }
            // Whether it is right is known at the first log-in.
            Material::Old { text: locked, .. } => self.typed().passphrases.push((locked.clone(), text)),
            Material::Open(_) | Material::Elsewhere | Material::Hardware | Material::Exposed => {}
        }
        Ok(())
    }

    fn typed(&self) -> MutexGuard<'_, Typed> {
        self.typed.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The passphrase for a key that only libssh2 can open, and where it is from.
    pub(crate) fn passphrase_of(&self, locked: &Zeroizing<String>) -> Option<(Zeroizing<String>, String)> {
        let given =
            |given: &Passphrase| (given.text.clone(), format!("the passphrase in {}", given.variable));
        let typed = self.typed();
        let typed = typed.passphrases.iter().find(|(text, _)| text == locked);
        let typed = typed.map(|(_, typed)| (typed.clone(), "the passphrase that was typed".to_owned()));
        typed.or_else(|| self.passphrase.as_ref().map(given))
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

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
