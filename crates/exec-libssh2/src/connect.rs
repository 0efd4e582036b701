//! From a target to a connection that is logged in, over all hosts in the way.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ssh2::MethodType;
use uphaul_core::ports::{ExecError, ExecErrorKind, Target};

use crate::dial::{Dial, dial};
use crate::link::{Caller, Halt, Link, code, is_disconnect};
use crate::login::{Refusal, login};
use crate::route::{Hop, chosen, route};
use crate::settings::Settings;
use crate::stage::{Far, Stage};
use crate::trust::{ALGORITHMS, Known};
use crate::tunnel::{Tunnel, tunnel};

/// A connection, and the tunnels that carry it.
pub(crate) struct Connected {
    pub(crate) link: Link,
    /// Those in the way, in order.
    pub(crate) tunnels: Vec<Tunnel>,
}

/// Connects. Nothing: nobody wants it any more.
pub(crate) fn connect(
    settings: &Settings,
    target: &Target,
    stage: &Arc<Stage>,
    caller: Caller<'_>,
) -> Result<Option<Connected>, ExecError> {
    let until = Instant::now() + target.connect_timeout.min(Duration::from_secs(24 * 60 * 60));
    let hops = route(settings, target)?;
    let mut tunnels = Vec::new();
    let mut through: Option<OwnedFd> = None;
    for (i, hop) in hops.iter().enumerate() {
        let connecting = Connecting { settings, hop, stage, caller, until };
        let link = match connecting.run(through.take()) {
            Ok(link) => link,
            Err(Refusal::Halt(Halt::Gone)) => return Ok(None),
            Err(Refusal::Error(error)) => return Err(error),
            Err(Refusal::Halt(halt)) => return Err(connecting.halted(&halt, &tunnels)),
        };
        let Some(next) = hops.get(i + 1) else { return Ok(Some(Connected { link, tunnels })) };
        stage.set(Far::Jump);
        match tunnel(link, hop, next, caller, until) {
            Ok((tunnel, socket)) => {
                tunnels.push(tunnel);
                through = Some(socket);
            }
            Err(Refusal::Halt(Halt::Gone)) => return Ok(None),
            Err(Refusal::Error(error)) => return Err(error),
            Err(Refusal::Halt(halt)) => return Err(connecting.halted(&halt, &tunnels)),
        }
    }
    Err(crate::local("there is no host on the way to it"))
}

/// One host on the way.
struct Connecting<'a> {
    settings: &'a Settings,
    hop: &'a Hop,
    stage: &'a Stage,
    caller: Caller<'a>,
    until: Instant,
}

impl Connecting<'_> {
    fn run(&self, through: Option<OwnedFd>) -> Result<Link, Refusal> {
        let Self { settings, hop, stage, caller, until } = *self;
        let known = Known::read(hop).map_err(Refusal::Error)?;
        stage.set(Far::Nothing);
        let early = hop.connect_timeout.map_or(until, |limit| until.min(Instant::now() + limit));
        let late = |halt| self.late(halt, early);
        let socket = match through {
            Some(socket) => socket,
            None => self.socket(early)?,
        };
        stage.set(Far::Connected);
        let failed = |error| Refusal::Halt(Halt::Failed(error));
        let mut link = Link::new(socket).map_err(failed)?;
        self.prefer(&link, &known)?;
        link.call(caller, early, ssh2::Session::handshake).map_err(late)?;
        let shown = link.session().host_key().map(|(bytes, _)| bytes.to_vec());
        known.check(hop, &shown.unwrap_or_default()).map_err(Refusal::Error)?;
        stage.set(Far::Greeted);
        login(settings, hop, &mut link, caller, until)?;
        link.keep_alive(hop.alive);
        Ok(link)
    }

    fn socket(&self, early: Instant) -> Result<OwnedFd, Refusal> {
        let Hop { host, port, family, label, .. } = self.hop;
        dial(host, *port, *family, self.caller, early).map_err(|error| match error {
            Dial::Halt(halt) => self.late(halt, early),
            Dial::Refused(why) => {
                let hint = if why.contains("refused") {
                    ". The machine is there, but no SSH server listens at that port"
                } else {
                    ""
                };
                let detail = format!("cannot connect to {label}: {why}{hint}");
                Refusal::Error(ExecError::before(ExecErrorKind::Connect, detail))
            }
        })
    }

    /// The end of what `ConnectTimeout` limits, as with ssh: the connection and the key exchange, not the log-in, at which
    /// a person may have to touch or confirm something.
    fn late(&self, halt: Halt, early: Instant) -> Refusal {
        match (&halt, self.hop.connect_timeout) {
            (Halt::TimeOver, Some(limit)) if early < self.until => {
                let Hop { label, .. } = self.hop;
                Refusal::Error(slow(label, limit, self.stage, "ConnectTimeout of your ssh_config"))
            }
            _ => Refusal::Halt(halt),
        }
    }

    /// Says which algorithms may be used. Host keys of the kinds that are known come first.
    fn prefer(&self, link: &Link, known: &Known) -> Result<(), Refusal> {
        let said = &self.hop.algorithms;
        let both = |a, b| [a, b];
        for (method, said, what) in [
            (both(MethodType::Kex, MethodType::Kex), &said.kex, "KexAlgorithms"),
            (both(MethodType::CryptCs, MethodType::CryptSc), &said.ciphers, "Ciphers"),
            (both(MethodType::MacCs, MethodType::MacSc), &said.macs, "MACs"),
        ] {
            let Some(said) = said else { continue };
            for method in method {
                let can = supported(link, method)?;
                // libssh2 adds its two words about extensions by itself.
                let words = ["ext-info-c", "kex-strict-c-v00@openssh.com"];
                let own = can.iter().filter(|name| !words.contains(name));
                let own: Vec<String> = own.map(|name| (*name).to_owned()).collect();
                self.set(link, method, &chosen(Some(said), &own, &can), what)?;
            }
        }
        let can = supported(link, MethodType::HostKey)?;
        let known = known.algorithms(self.hop);
        let (first, rest): (Vec<_>, Vec<_>) =
            ALGORITHMS.iter().partition(|(kind, _)| known.iter().any(|known| known == kind));
        let own = first.into_iter().chain(rest).flat_map(|(_, names)| names.iter());
        let own: Vec<String> = own.filter(|name| can.contains(name)).map(|name| (*name).to_owned()).collect();
        let list = chosen(said.host_key.as_deref(), &own, &can);
        // A certificate would come in the stead of a key, and cannot be checked here.
        let list: Vec<String> = list.into_iter().filter(|name| !name.contains("-cert-")).collect();
        self.set(link, MethodType::HostKey, &list, "HostKeyAlgorithms")
    }

    fn set(&self, link: &Link, method: MethodType, list: &[String], what: &str) -> Result<(), Refusal> {
        let label = &self.hop.label;
        if list.is_empty() {
            return Err(Refusal::Error(crate::local(format!(
                "{label}: the backend libssh2 has none of the {what} that your ssh_config asks for; the backend openssh may"
            ))));
        }
        link.session().method_pref(method, &list.join(",")).map_err(|error| {
            Refusal::Error(crate::local(format!("{label}: {what} cannot be set: {}", error.message())))
        })
    }

    /// The error of a connection that did not come about.
    fn halted(&self, halt: &Halt, tunnels: &[Tunnel]) -> ExecError {
        let label = &self.hop.label;
        let why = match halt {
            Halt::Gone => "it is not wanted any more".to_owned(),
            Halt::TimeOver => return too_slow(&self.hop.target, label, self.stage),
            Halt::Silent => format!("it was silent for {} s", self.hop.alive.silent_max().as_secs_f64()),
            Halt::Failed(error) => format!("{}{}", error.message(), self.advice(error)),
        };
        let carried =
            tunnels.iter().find_map(Tunnel::why).map_or_else(String::new, |why| format!(" ({why})"));
        ExecError::before(ExecErrorKind::Connect, format!("cannot connect to {label}: {why}{carried}"))
    }

    fn advice(&self, error: &ssh2::Error) -> &'static str {
        let greeting = [libssh2_sys::LIBSSH2_ERROR_BANNER_RECV, libssh2_sys::LIBSSH2_ERROR_BANNER_SEND];
        let early =
            greeting.contains(&code(error)) || (self.stage.get() == Far::Connected && is_disconnect(error));
        if early {
            ". The server closed at once: too many log-ins at the same time (its MaxStartups; ours: \
             `limits.connection_starts`), or a ban (fail2ban, PerSourcePenalties)"
        } else if code(error) == libssh2_sys::LIBSSH2_ERROR_KEX_FAILURE {
            ". Maybe it offers only algorithms that are not used by default: allow them in your ssh_config, for this host \
             alone, or use the backend openssh"
        } else if code(error) == libssh2_sys::LIBSSH2_ERROR_OUT_OF_BOUNDARY {
            ". It sent more than the 40000 bytes that libssh2 takes at once, most likely its Banner: make that shorter, or \
             use the backend openssh"
        } else {
            ""
        }
    }
}

/// The error of a host that was not logged in on when the time was over.
pub(crate) fn too_slow(target: &Target, label: &str, stage: &Stage) -> ExecError {
    slow(label, target.connect_timeout, stage, "`timeouts.connect`")
}

fn slow(label: &str, limit: Duration, stage: &Stage, name: &str) -> ExecError {
    let (limit, far) = (limit.as_secs_f64(), stage.get().words());
    let detail = format!("cannot connect to {label} within {limit} s: {far} (the limit is {name})");
    ExecError::before(ExecErrorKind::Connect, detail)
}

fn supported(link: &Link, method: MethodType) -> Result<Vec<&'static str>, Refusal> {
    link.session().supported_algs(method).map_err(|error| Refusal::Halt(Halt::Failed(error)))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use ssh2::MethodType;
    use uphaul_core::ports::ExecErrorKind;

    use super::{Caller, Stage, connect};
    use crate::link::Wake;
    use crate::settings::Settings;

    #[test]
    fn a_connect_timeout_of_the_config_is_kept_and_told() {
        // It accepts, and never greets.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        let address = listener.local_addr().unwrap();
        std::fs::write(&file, format!("Port {}\nConnectTimeout 1\n", address.port())).unwrap();
        let config = crate::Libssh2Config { config: Some(file), ..Default::default() };
        let settings = Settings::new(config, &|_| None).unwrap();
        let mut target = crate::route::tests::target("127.0.0.1");
        let wake = Wake::new().unwrap();
        let caller = Caller { wake: &wake, gone: &|| false };
        for (limit, told) in [(3600, "ConnectTimeout"), (0, "timeouts.connect")] {
            target.connect_timeout = Duration::from_secs(limit);
            let begun = Instant::now();
            let error = connect(&settings, &target, &Stage::default().into(), caller).err().unwrap();
            assert!(begun.elapsed() < Duration::from_secs(1800), "it waited for the longer of both");
            assert_eq!(error.kind, ExecErrorKind::Connect);
            assert!(error.detail.contains(told), "{error}");
        }
    }

    #[test]
    fn the_library_can_what_the_docs_say() {
        let session = ssh2::Session::new().unwrap();
        let can = |method, name| session.supported_algs(method).unwrap().contains(&name);
        assert!(can(MethodType::Kex, "mlkem768x25519-sha256"));
        assert!(can(MethodType::Kex, "curve25519-sha256"));
        // Nothing of SHA-1, and no key exchange without protection against a cut in its beginning.
        assert!(!can(MethodType::Kex, "diffie-hellman-group14-sha1"));
        assert!(can(MethodType::Kex, "kex-strict-c-v00@openssh.com"));
        for (_, names) in super::ALGORITHMS {
            assert!(names.iter().all(|name| can(MethodType::HostKey, name)), "{names:?}");
        }
    }
}
