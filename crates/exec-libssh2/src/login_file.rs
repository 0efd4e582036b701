//! Logging in by a key in a file, which may have to be opened.

use super::{Login, Refusal, Verdict, named};
use crate::keys::{self, Key, Material};

impl Login<'_> {
    pub(super) fn offer_file(&mut self, key: &Key, certificate: Option<&str>) -> Result<bool, Refusal> {
        let path = key.path.display().to_string();
        let (text, passphrase) = match &key.material {
            Material::Open(text) | Material::Locked(text) | Material::Old { text, locked: false } => {
                (text, None)
            }
            // Without it and without its public half there is nothing to offer.
            Material::Old { text, locked: true } => match self.settings.passphrase_of(text) {
                None if key.public.is_none() => {
                    let other = format!("{path}.pub");
                    self.note(format!(
                        "{path} is encrypted, and without {other} it cannot be told what to offer: {}",
                        self.ways_to_open(&path)
                    ));
                    return Ok(false);
                }
                passphrase => (text, passphrase.map(|(passphrase, _)| passphrase)),
            },
            Material::Elsewhere => {
                self.note(format!("of {path} there is only the public half, and no agent has the other"));
                return Ok(false);
            }
            Material::Exposed => {
                self.note(keys::exposed(&key.path));
                return Ok(false);
            }
            Material::Hardware => {
                self.note(format!("{path} is a hardware key, which only the backend openssh can use"));
                return Ok(false);
            }
        };
        let public = match certificate {
            Some(certificate) => Some(certificate.to_owned()),
            None => key.public.as_ref().and_then(|public| public.to_openssh().ok()),
        };
        let name =
            key.public.as_ref().map_or_else(|| path.clone(), |public| format!("{path} {}", named(public)));
        self.offered.push(if certificate.is_some() {
            format!("{name} (with its certificate)")
        } else {
            name.clone()
        });
        match self.try_file(public.as_deref(), text, passphrase.as_ref().map(|text| text.as_str()))? {
            Verdict::In => Ok(true),
            Verdict::No => Ok(false),
            Verdict::Unsigned(why) => self.unsigned(key, public.as_deref(), &name, why),
        }
    }

    /// The server takes the key, or nobody knows: now its passphrase is worth having.
    fn unsigned(
        &mut self,
        key: &Key,
        public: Option<&str>,
        name: &str,
        why: String,
    ) -> Result<bool, Refusal> {
        let would = format!("it would accept the key {name}, but ");
        match &key.material {
            Material::Locked(locked) => match self.settings.open(key, locked) {
                Ok(Some(open)) => match self.try_file(public, &open, None)? {
                    Verdict::In => return Ok(true),
                    Verdict::No => return Ok(false),
                    Verdict::Unsigned(why) => self.note(format!("{name} could not sign: {why}")),
                },
                Ok(None) => return Err(self.closed(&would, key)),
                Err(why) => return Err(self.refused(&(would + &why))),
            },
            Material::Old { text, locked: true } => match self.settings.passphrase_of(text) {
                None => return Err(self.closed(&would, key)),
                Some((_, which)) => {
                    let path = key.path.display();
                    let why = format!(
                        "{which} does not open {path} ({why}). Where it is the right one, the \
                         file is of a kind that libssh2 does not read: `ssh-keygen -p -f {path}` writes it anew, or \
                         `ssh-add` it"
                    );
                    // Without its public half, which is not encrypted, nothing was offered yet.
                    if public.is_some() {
                        return Err(self.refused(&(would + &why)));
                    }
                    self.offered.pop();
                    self.note(why);
                }
            },
            Material::Open(_)
            | Material::Old { .. }
            | Material::Elsewhere
            | Material::Hardware
            | Material::Exposed => {
                self.note(format!("{name} could not sign: {why}"));
            }
        }
        Ok(false)
    }

    fn try_file(
        &mut self,
        public: Option<&str>,
        text: &str,
        passphrase: Option<&str>,
    ) -> Result<Verdict, Refusal> {
        let user = self.hop.user.clone();
        let done = self.link.call(self.caller, self.until, |session| {
            session.userauth_pubkey_memory(&user, public, text, passphrase)
        });
        self.judge(done)
    }

    fn closed(&self, would: &str, key: &Key) -> Refusal {
        let ways = self.ways_to_open(&key.path.display().to_string());
        self.refused(&format!("{would}that is encrypted: {ways}{}", self.noted()))
    }

    fn ways_to_open(&self, path: &str) -> String {
        format!(
            "`ssh-add {path}` before, or name the variable that has its passphrase in `executor.libssh2.passphrase_env`, \
             or name the key (`executor.libssh2.identity`, `IdentityFile`) and be at a terminal, where you are asked for it"
        )
    }

    /// Notes what could not be done, once.
    fn note(&mut self, what: String) {
        if !self.notes.contains(&what) {
            self.notes.push(what);
        }
    }
}
