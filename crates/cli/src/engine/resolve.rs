//! One commit for all hosts of a command.

use uphaul_core::driver::Link;
use uphaul_core::ids::{RefName, Revision, Seq};
use uphaul_core::script::{self, Answer, Context};
use uphaul_store::Host;

use super::{Engine, new_run_id};
use crate::error::CliError;

/// How many hosts are asked before it is given up; each may take the connect limit.
const ASKED_MAX: usize = 5;

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

impl Engine {
    /// Finds the one commit that a ref means, as seen from the first host that can be reached. No working tree is
    /// touched.
    pub(crate) async fn resolve(&self, hosts: &[Host], reference: &RefName) -> Result<Resolved, CliError> {
        let mut away = Vec::new();
        for host in hosts.iter().take(ASKED_MAX) {
            match self.ask(host, reference).await? {
                Ok(answer) => return read(host, reference, &answer),
                Err(why) => away.push(format!("{}: {why}", host.name)),
            }
        }
        if hosts.len() > ASKED_MAX {
            away.push(format!("{} more hosts were not asked", hosts.len() - ASKED_MAX));
        }
        Err(CliError::host(format!("no host could be reached to find out what {reference} means"))
            .causes(away)
            .hint("look at `uphaul check HOSTS`; nothing was changed"))
    }

    /// Asks one host; the inner error is that it cannot be reached.
    async fn ask(&self, host: &Host, reference: &RefName) -> Result<Result<Answer, String>, CliError> {
        let plan = self.plan_to_look(host, None)?;
        let run = new_run_id()?;
        let owner = self.owner.to_string();
        let context = Context { run: &run, seq: Seq(0), fence: None, owner: &owner, settled: &[] };
        let mut link = Link::new(self.reach.clone(), self.target(host));
        let result = link.run(&script::resolve(&plan, &context, reference)).await;
        link.close().await;
        let output = match result {
            Ok(output) => output,
            Err(error) => return Ok(Err(error.detail)),
        };
        match Answer::of(&output) {
            Ok(answer) => Ok(Ok(answer)),
            Err(reason) => Ok(Err(format!("{reason}: {}", reason.tail()))),
        }
    }
}

fn read(host: &Host, reference: &RefName, answer: &Answer) -> Result<Resolved, CliError> {
    let commit = answer.get("commit").and_then(|text| text.parse().ok());
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
