//! Logging in, in the order of OpenSSH: keys of the agent that the configuration names, other keys of the agent, keys in
//! files.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ssh_key::{HashAlg, PublicKey};
use ssh2::Agent;
use uphaul_core::ports::{ExecError, ExecErrorKind};

use crate::agent::{Front, Why};
use crate::keys::{self, Key, Material};
use crate::lend::Lent;
use crate::link::{Caller, Halt, Link, code, is_disconnect};
use crate::route::Hop;
use crate::settings::Settings;

/// How many keys are offered; a server counts each and allows fewer.
const OFFERS_MAX: usize = 64;

/// Why nobody is logged in.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It was not waited for to its end, or the connection is gone.
    Halt(Halt),
    /// The server does not want us, or this machine has no key for it.
    Error(ExecError),
}

/// One thing to log in with.
enum Offer {
    /// A key of the agent, by its place there.
    Agent(usize),
    /// A key of a file, and maybe a certificate of it.
    File(Box<Key>, Option<String>),
}

/// An agent and its keys.
struct Held {
    agent: Agent,
    why: Why,
    keys: Vec<ssh2::PublicKey>,
}

/// One log-in, and what came of it so far.
pub(crate) struct Login<'a> {
    settings: &'a Settings,
    hop: &'a Hop,
    link: &'a mut Link,
    caller: Caller<'a>,
    until: Instant,
    /// Keys that were offered, as ssh names them.
    offered: Vec<String>,
    /// What could not be offered or used, and why.
    notes: Vec<String>,
    /// The first key whose signature the server took, and which did not let us in.
    not_enough: Option<String>,
}

/// Logs in.
pub(crate) fn login(
    settings: &Settings,
    hop: &Hop,
    link: &mut Link,
    caller: Caller<'_>,
    until: Instant,
) -> Result<(), Refusal> {
    let (offered, notes) = (Vec::new(), Vec::new());
    Login { settings, hop, link, caller, until, offered, notes, not_enough: None }.run()
}

impl Login<'_> {
    fn run(mut self) -> Result<(), Refusal> {
        let user = self.hop.user.clone();
        let ways =
            self.link.call(self.caller, self.until, |session| session.auth_methods(&user).map(str::to_owned));
        let ways = match ways {
            Ok(ways) => ways,
            // The server wants nothing.
            Err(Halt::Failed(_)) if self.link.session().authenticated() => return Ok(()),
            Err(halt) => return Err(Refusal::Halt(halt)),
        };
        if !ways.split(',').any(|way| way == "publickey") && !ways.is_empty() {
            let why =
                format!("it takes no keys, only: {ways}. The backend openssh knows more ways than libssh2");
            return Err(self.refused(&why));
        }
        let held = self.agent();
        for offer in self.offers(held.as_ref()).into_iter().take(OFFERS_MAX) {
            let done = match &offer {
                Offer::Agent(place) => {
                    match held.as_ref().and_then(|held| Some((held, held.keys.get(*place)?))) {
                        Some((held, key)) => self.offer_agent(held, key)?,
                        None => false,
                    }
                }
                Offer::File(key, certificate) => self.offer_file(key, certificate.as_deref())?,
            };
            if done {
                return Ok(());
            }
        }
        match self.not_enough.take() {
            Some(key) => Err(self.further(&key)?),
            None => Err(self.none_accepted()),
        }
    }

    /// The agent, asked for its keys. One that does not answer is passed over, for the right key may be in a file.
    fn agent(&mut self) -> Option<Held> {
        let path = self.hop.agent.as_ref()?;
        self.ask(path)
            .map_err(|why| self.notes.push(format!("the agent at {} is not used: {why}", path.display())))
            .ok()
    }

    fn ask(&self, path: &Path) -> Result<Held, String> {
        let front = Front::new(path, self.until)?;
        let told = |error: ssh2::Error| error.message().to_owned();
        let mut agent = self.link.session().agent().map_err(told)?;
        agent.set_identity_path(front.path()).map_err(told)?;
        agent.connect().map_err(told)?;
        let why = front.carry(self.lent(), self.until).map_err(|error| error.to_string())?;
        let listed = agent.list_identities().and_then(|()| agent.identities());
        // Its own word for it says more than that of libssh2.
        let keys = listed.map_err(|error| why.told().unwrap_or_else(|| told(error)))?;
        Ok(Held { keys, agent, why })
    }

    /// The certificates in files, for the keys of the agent: all that are named, else those that lie beside a key.
    fn lent(&self) -> Lent {
        let beside: Vec<PathBuf> = match self.hop.certificate.is_empty() {
            true => {
                self.hop.identity.iter().map(|identity| keys::certificate_beside(&identity.path)).collect()
            }
            false => Vec::new(),
        };
        let paths = self.hop.certificate.iter().chain(&beside);
        let read = |path: &PathBuf| {
            let bytes = keys::bytes_of(&keys::certificate_in(path)?)?;
            Some((bytes, format!("the certificate {}", path.display())))
        };
        Lent::new(paths.filter_map(read).collect())
    }

    fn offers(&mut self, held: Option<&Held>) -> Vec<Offer> {
        let held = held.map_or(&[][..], |held| held.keys.as_slice());
        let files = self.files();
        let wanted: Vec<Vec<u8>> =
            files.iter().map(|(key, certificate)| blob(key, certificate.as_deref())).collect();
        let blobs: Vec<&[u8]> = held.iter().map(ssh2::PublicKey::blob).collect();
        let places = order(&blobs, &wanted, self.hop.identities_only);
        let hardware =
            |place: &usize| kind_of(held[*place].blob()).is_some_and(|kind| kind.starts_with("sk-"));
        for place in places.iter().filter(|place| hardware(place)) {
            let name = held[*place].comment();
            self.notes.push(format!(
                "{name} of the agent is a hardware key, which only the backend openssh can use"
            ));
        }
        let mut offers = Vec::new();
        for place in places.into_iter().filter(|place| !hardware(place)) {
            match self.hop.accept.refuses(blobs[place]) {
                Some(why) => self.notes.push(format!("{} of the agent: {why}", held[place].comment())),
                None => offers.push(Offer::Agent(place)),
            }
        }
        for ((file, certificate), wanted) in files.into_iter().zip(&wanted) {
            let exposed = matches!(file.material, Material::Exposed);
            if let Some(why) = self.hop.accept.refuses(wanted).filter(|_| !exposed) {
                self.notes.push(format!("{}: {why}", file.path.display()));
            } else if !blobs.contains(&wanted.as_slice()) {
                offers.push(Offer::File(Box::new(file), certificate));
            }
        }
        offers
    }

    /// Keys in files with their certificates, in the order in which they are offered.
    fn files(&mut self) -> Vec<(Key, Option<String>)> {
        let mut found = Vec::new();
        for identity in &self.hop.identity {
            let key = match keys::read(&identity.path) {
                Ok(Some(key)) => key,
                Ok(None) if !identity.named => continue,
                Ok(None) => {
                    self.notes.push(format!("{} does not exist", identity.path.display()));
                    continue;
                }
                Err(why) => {
                    self.notes.push(why);
                    continue;
                }
            };
            // As OpenSSH: the one beside a key counts where none is named.
            let beside =
                Some(keys::certificate_beside(&identity.path)).filter(|_| self.hop.certificate.is_empty());
            for path in self.hop.certificate.iter().chain(&beside) {
                found.extend(
                    keys::certificate_of(&key, path).map(|certificate| (key.clone(), Some(certificate))),
                );
            }
            found.push((key, None));
        }
        // Certificates first, as OpenSSH does.
        found.sort_by_key(|(_, certificate)| certificate.is_none());
        found
    }

    fn offer_agent(&mut self, held: &Held, key: &ssh2::PublicKey) -> Result<bool, Refusal> {
        let user = self.hop.user.clone();
        self.offered.push(match PublicKey::from_bytes(key.blob()) {
            Ok(public) => format!("{} {} agent", key.comment(), named(&public)),
            Err(_) => format!("{} agent", key.comment()),
        });
        let done = self.link.call(self.caller, self.until, |_| held.agent.userauth(&user, key));
        self.judge(done).map(|verdict| match verdict {
            Verdict::In => true,
            Verdict::No => false,
            Verdict::Unsigned(why) => {
                let why = held.why.told().unwrap_or(why);
                self.notes.push(format!("the agent did not sign with {}: {why}", key.comment()));
                false
            }
        })
    }

    fn judge(&mut self, done: Result<(), Halt>) -> Result<Verdict, Refusal> {
        let error = match done {
            Ok(()) if self.link.session().authenticated() => return Ok(Verdict::In),
            Ok(()) => return Ok(Verdict::No),
            Err(Halt::Failed(error)) => error,
            Err(halt) => return Err(Refusal::Halt(halt)),
        };
        if is_disconnect(&error) {
            // The word of the server that goes with it does not reach us.
            return Err(if let Some(key) = self.not_enough.take() {
                self.closed_after(&key)
            } else if self.offered.len() > 1 {
                let count = self.offered.len();
                self.refused(&format!(
                    "it closed the connection at the key number {count}, most likely as too many (its MaxAuthTries). \
                     Name the right one in `executor.libssh2.identity`, or set IdentitiesOnly: {}",
                    self.offered.join(", ")
                ))
            } else {
                Refusal::Halt(Halt::Failed(error))
            });
        }
        Ok(match code(&error) {
            libssh2_sys::LIBSSH2_ERROR_AUTHENTICATION_FAILED => Verdict::No,
            libssh2_sys::LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED if !error.message().contains("Callback") => {
                self.not_enough = self.not_enough.take().or_else(|| self.offered.last().cloned());
                Verdict::No
            }
            _ => Verdict::Unsigned(error.message().to_owned()),
        })
    }

    /// libssh2 does not tell a signature that is not accepted from one that is not enough; what the server still takes does.
    /// It is asked last: it counts the question as a try.
    fn further(&mut self, key: &str) -> Result<Refusal, Refusal> {
        let user = self.hop.user.clone();
        let ways =
            self.link.call(self.caller, self.until, |session| session.auth_methods(&user).map(str::to_owned));
        match ways {
            Ok(ways) if ways.split(',').any(|way| way == "publickey") => Ok(self.none_accepted()),
            Ok(ways) => Ok(self.refused(&format!(
                "it accepted {key}, and wants {} as well (its AuthenticationMethods). Uphaul logs in by keys alone: let \
                 this user in without the second factor",
                ways.replace(',', " or ")
            ))),
            Err(Halt::Failed(error)) if is_disconnect(&error) => Ok(self.closed_after(key)),
            Err(Halt::Failed(_)) => Ok(self.none_accepted()),
            Err(halt) => Err(Refusal::Halt(halt)),
        }
    }

    fn closed_after(&self, key: &str) -> Refusal {
        self.refused(&format!(
            "it would take {key}, did not let us in by it, and closed the connection: it wants something else as well \
             (its AuthenticationMethods), or counted too many tries (its MaxAuthTries). Name the right keys alone in \
             `executor.libssh2.identity`"
        ))
    }

    fn none_accepted(&self) -> Refusal {
        if self.offered.is_empty() {
            // What could not be offered is the reason here.
            let notes =
                if self.notes.is_empty() { String::new() } else { format!(": {}", self.notes.join("; ")) };
            return self.refused(&format!(
                "there was no key to offer{notes}. Name one in `executor.libssh2.identity`, in your ssh_config, or add it \
                 to the agent (`ssh-add`)"
            ));
        }
        self.refused(&format!(
            "it accepts none of the keys offered: {}. Add the public half to {}'s .ssh/authorized_keys there, or name the \
             right key in `executor.libssh2.identity`{}",
            self.offered.join(", "),
            self.hop.user,
            self.noted()
        ))
    }

    fn noted(&self) -> String {
        if self.notes.is_empty() { String::new() } else { format!(" ({})", self.notes.join("; ")) }
    }

    fn refused(&self, why: &str) -> Refusal {
        let text = format!("{} does not let us log in as {}: {why}", self.hop.label, self.hop.user);
        Refusal::Error(ExecError::before(ExecErrorKind::Auth, text))
    }
}

/// A key, or its certificate, as an agent lists it.
fn blob(key: &Key, certificate: Option<&str>) -> Vec<u8> {
    match certificate {
        Some(certificate) => keys::bytes_of(certificate),
        None => key.public.as_ref().and_then(|public| public.to_bytes().ok()),
    }
    .unwrap_or_default()
}

/// The places of the agent's keys and certificates that are offered: those that the configuration names, in its order,
/// then all others. With `IdentitiesOnly` no others, also no certificate that is not named itself.
fn order(held: &[&[u8]], wanted: &[Vec<u8>], identities_only: bool) -> Vec<usize> {
    let mut places = Vec::new();
    for wanted in wanted {
        places.extend(held.iter().position(|held| held == wanted).filter(|place| !places.contains(place)));
    }
    if !identities_only {
        places.extend((0..held.len()).filter(|place| !places.contains(place)).collect::<Vec<_>>());
    }
    places
}

/// What a server said to one key.
enum Verdict {
    In,
    No,
    /// It would take the key, which could not sign.
    Unsigned(String),
}

/// A key as ssh names it: `ED25519 SHA256:...`.
fn named(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

/// The kind that stands at the beginning of a public key on the wire.
fn kind_of(blob: &[u8]) -> Option<&str> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    std::str::from_utf8(rest.get(..length)?).ok()
}

#[path = "login_file.rs"]
mod file;

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
