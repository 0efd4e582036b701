//! One commit for all hosts of a command.

use uphaul_core::driver::Link;
use uphaul_core::ids::{HostName, RefName, Revision};
use uphaul_core::ports::ExecErrorKind;
use uphaul_core::script::{self, Answer};
use uphaul_store::Host;

use super::Engine;
use crate::error::CliError;

/// The first host is asked alone, since it mostly answers; then this many at once.
const AT_ONCE: usize = 8;
/// How many hosts are asked before it is given up.
const ASKED_MAX: usize = 1 + 4 * AT_ONCE;
/// How many hosts that were reached may be unable to tell, before it is given up: then it is the origin.
const FAULTS_MAX: usize = 3;

/// What a ref means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// As it was asked for.
    pub(crate) reference: RefName,
    /// The commit.
    pub(crate) commit: Revision,
    /// `branch`, `tag`, `hash`, or nothing where the record knew it.
    pub(crate) kind: String,
    /// The URL of origin where it was resolved.
    pub(crate) origin: Option<String>,
    /// The host that was asked.
    pub(crate) seen_from: Option<String>,
}

/// Why a host could not tell.
enum Mute {
    /// It is not there.
    Away(String),
    /// It is there, and its login, its checkout or its origin is not what it should be.
    Fault(String),
}

impl Engine {
    /// Finds the one commit that a ref means, as seen from the first host that can tell. No working tree is touched.
    /// The connection to that host stays open for the run on it.
    pub(crate) async fn resolve(&self, hosts: &[Host], reference: &RefName) -> Result<Resolved, CliError> {
        let mut mute: Vec<(HostName, Mute)> = Vec::new();
        let (first, rest) = hosts.split_at(hosts.len().min(1));
        let rest = &rest[..rest.len().min(ASKED_MAX - 1)];
        for some in std::iter::once(first).chain(rest.chunks(AT_ONCE)) {
            let asked = futures::future::join_all(some.iter().map(|host| self.ask(host, reference))).await;
            let mut told = None;
            for (host, asked) in some.iter().zip(asked) {
                match asked? {
                    (Ok(answer), link) if told.is_none() => {
                        self.links.keep(&host.name, link);
                        told = Some(read(host, reference, &answer));
                    }
                    (Ok(_), mut link) => link.close().await,
                    (Err(why), mut link) => {
                        link.close().await;
                        mute.push((host.name.clone(), why));
                    }
                }
            }
            if let Some(told) = told {
                if told.is_err() {
                    self.close_links().await;
                }
                return told;
            }
            if mute.iter().filter(|(_, why)| matches!(why, Mute::Fault(_))).count() >= FAULTS_MAX {
                break;
            }
        }
        Err(nobody(reference, &mute, hosts.len()))
    }

    /// Asks one host.
    async fn ask(&self, host: &Host, reference: &RefName) -> Result<(Result<Answer, Mute>, Link), CliError> {
        let plan = self.plan_to_look(host, None)?;
        let who = self.onlooker(Vec::new())?;
        let mut link = self.link(host)?;
        let told = match link.run(&script::resolve(&plan, &who.context(), reference)).await {
            Ok(output) => match Answer::of(&output) {
                Ok(answer) => match answer.get("fault") {
                    Some(fault) => {
                        let details: Vec<&str> = std::iter::once(fault).chain(answer.all("detail")).collect();
                        Err(Mute::Fault(details.join(": ")))
                    }
                    None => Ok(answer),
                },
                Err(reason) => Err(Mute::Fault(format!("{reason}: {}", reason.tail()))),
            },
            Err(error) => Err(match error.kind {
                ExecErrorKind::Connect | ExecErrorKind::Lost | ExecErrorKind::Timeout => {
                    Mute::Away(error.detail)
                }
                ExecErrorKind::Auth | ExecErrorKind::HostKey | ExecErrorKind::Local => {
                    Mute::Fault(error.detail)
                }
            }),
        };
        let masked = |text: String| self.mask(&plan).text(&text, None);
        let told = told.map_err(|why| match why {
            Mute::Away(why) => Mute::Away(masked(why)),
            Mute::Fault(why) => Mute::Fault(masked(why)),
        });
        Ok((told, link))
    }
}

/// The error where no host could tell.
fn nobody(reference: &RefName, mute: &[(HostName, Mute)], hosts: usize) -> CliError {
    let away = mute.iter().any(|(_, why)| matches!(why, Mute::Away(_)));
    let fault = mute.iter().any(|(_, why)| matches!(why, Mute::Fault(_)));
    let error = match (away, fault) {
        (_, false) => CliError::host(format!("no host could be reached to find out what {reference} means")),
        (true, true) => CliError::host(format!("no host could tell what {reference} means")),
        (false, true) => CliError::refused(format!("no host could tell what {reference} means")),
    };
    let causes = mute.iter().map(|(host, why)| match why {
        Mute::Away(why) | Mute::Fault(why) => format!("{host}: {why}"),
    });
    let more = Some(hosts.saturating_sub(mute.len())).filter(|more| *more > 0);
    let more = more.map(|more| format!("{more} more hosts were not asked"));
    error.causes(causes.chain(more)).hint("look at `uphaul check HOSTS`; nothing was changed")
}

/// Whether a ref can be this commit. The name of a branch or tag can be any; a hash is the beginning of its commit.
fn may_mean(reference: &RefName, commit: &Revision, kind: Option<&str>) -> bool {
    let text = reference.as_str();
    let hex = text.len() >= 4 && text.chars().all(|c| c.is_ascii_hexdigit());
    let named = text.len() < 40 && matches!(kind, Some("branch" | "tag"));
    !hex || named || commit.as_str().starts_with(&text.to_ascii_lowercase())
}

fn read(host: &Host, reference: &RefName, answer: &Answer) -> Result<Resolved, CliError> {
    let commit: Option<Revision> = answer.get("commit").and_then(|text| text.parse().ok());
    // What was asked for by its hash is known here as well as there.
    if let Some(other) = commit.as_ref().filter(|commit| !may_mean(reference, commit, answer.get("kind"))) {
        return Err(CliError::refused(format!("{}: it says that {reference} is {other}", host.name)).hint(
            "the hash of a commit means that commit (name an annotated tag by its name, not by its hash); nothing was \
             changed",
        ));
    }
    let Some(commit) = commit else {
        let why = answer.get("error").unwrap_or("the host's answer cannot be read");
        return Err(CliError::usage(format!("{reference}: {why}"))
            .causes(answer.all("detail").map(ToOwned::to_owned))
            .hint(format!("seen from {}; nothing was changed", host.name)));
    };
    Ok(Resolved {
        reference: reference.clone(),
        commit,
        kind: answer.get("kind").unwrap_or_default().to_owned(),
        origin: answer.get("remote").filter(|url| !url.is_empty()).map(ToOwned::to_owned),
        seen_from: Some(host.name.to_string()),
    })
}
