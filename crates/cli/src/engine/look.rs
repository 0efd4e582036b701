//! Looks at a host without changing it.

use uphaul_core::driver::Link;
use uphaul_core::ids::{RunId, Seq};
use uphaul_core::machine::Problem;
use uphaul_core::plan::Plan;
use uphaul_core::ports::ExecErrorKind;
use uphaul_core::script::{self, Answer, Context, Preflight};
use uphaul_store::Host;

use super::{Engine, Resolved, masked, new_run_id};
use crate::error::CliError;

/// What came of looking.
#[derive(Debug, Clone)]
pub(crate) enum Look {
    /// The host told everything.
    Seen(Box<(Plan, Preflight)>),
    /// It cannot be reached, or not understood: what a person has to mend.
    Unseen {
        /// Whether it is just away, and not refused.
        away: bool,
        /// What was tried and what came back.
        problem: Problem,
    },
}

/// Who looks at a host without a run.
pub(super) struct Onlooker {
    run: RunId,
    owner: String,
    settled: Vec<RunId>,
}

impl Onlooker {
    /// As commands for hosts want it.
    pub(super) fn context(&self) -> Context<'_> {
        Context {
            run: &self.run,
            seq: Seq(0),
            fence: None,
            owner: &self.owner,
            settled: &self.settled,
            knows_reverted: false,
        }
    }
}

impl Engine {
    /// Somebody who knows that these runs of the host are over.
    pub(super) fn onlooker(&self, settled: Vec<RunId>) -> Result<Onlooker, CliError> {
        Ok(Onlooker { run: new_run_id()?, owner: self.owner.to_string(), settled })
    }

    /// Whether a host can be reached and lets us in.
    ///
    /// # Errors
    /// What came back instead.
    pub(crate) async fn answers(&self, host: &Host) -> Result<(), String> {
        let reach = self.reach(host).map_err(|error| error.to_string())?;
        let mut link = Link::new(reach, self.target(host));
        let answer = link.open().await.map_err(|error| error.detail);
        link.close().await;
        answer
    }

    /// Takes away what the switch of a run that is over left on a host.
    ///
    /// # Errors
    /// Says what stands against it, as the host or the way to it tells it.
    pub(crate) async fn fix(&self, host: &Host) -> Result<String, String> {
        let said = |error: CliError| error.to_string();
        let plan = self.plan_to_look(host, None).map_err(said)?;
        let who = self.onlooker(self.settled(&host.name).await.map_err(said)?).map_err(said)?;
        let mut link = self.link(host).map_err(said)?;
        let result = link.run(&script::fix(&plan, &who.context())).await;
        link.close().await;
        let masked = |text: &str| self.mask(&plan).text(text, None);
        let output = result.map_err(|error| masked(&error.detail))?;
        let answer = Answer::of(&output).map_err(|reason| masked(&format!("{reason}: {}", reason.tail())))?;
        match (answer.get("fixed"), answer.get("fault")) {
            (Some(fixed), _) => Ok(masked(fixed)),
            (None, Some(fault)) => Err(masked(fault)),
            (None, None) => Err("the host's answer cannot be read".to_owned()),
        }
    }

    /// Runs preflight on a host, on its way to `to` where there is one.
    pub(crate) async fn look(&self, host: &Host, to: Option<&Resolved>) -> Result<Look, CliError> {
        let plan = self.plan_to_look(host, to)?;
        let mask = self.mask(&plan);
        Ok(masked::look(self.look_by(host, plan).await?, &mask))
    }

    async fn look_by(&self, host: &Host, plan: Plan) -> Result<Look, CliError> {
        let who = self.onlooker(self.settled(&host.name).await?)?;
        let mut link = self.link(host)?;
        let result = link.run(&script::preflight(&plan, &who.context())).await;
        link.close().await;
        let output = match result {
            Ok(output) => output,
            Err(error) => {
                let away = matches!(
                    error.kind,
                    ExecErrorKind::Connect | ExecErrorKind::Lost | ExecErrorKind::Timeout
                );
                let problem = Problem {
                    code: code(error.kind).into(),
                    found: error.detail,
                    fix: fix(error.kind, host),
                };
                return Ok(Look::Unseen { away, problem });
            }
        };
        match Answer::of(&output) {
            Ok(answer) => {
                let report = script::preflight_of(&plan, &answer);
                Ok(Look::Seen(Box::new((plan, report))))
            }
            Err(reason) => {
                let found = format!("the checks could not run: {reason}: {}", reason.tail());
                let fix = "try the login by hand, and look at its shell".to_owned();
                Ok(Look::Unseen { away: false, problem: Problem { code: "checks".into(), found, fix } })
            }
        }
    }
}

fn code(kind: ExecErrorKind) -> &'static str {
    match kind {
        ExecErrorKind::Connect | ExecErrorKind::Lost | ExecErrorKind::Timeout => "unreachable",
        ExecErrorKind::Auth => "auth",
        ExecErrorKind::HostKey => "host-key",
        ExecErrorKind::Local => "local",
    }
}

/// How a person logs in.
fn by_hand(host: &Host) -> String {
    let port = host.port.map_or_else(String::new, |port| format!("-p {port} "));
    let user = host.user.as_ref().map_or_else(String::new, |user| format!("{user}@"));
    format!("ssh {port}{user}{}", host.address)
}

fn fix(kind: ExecErrorKind, host: &Host) -> String {
    match kind {
        ExecErrorKind::Connect | ExecErrorKind::Lost | ExecErrorKind::Timeout => {
            format!("try it by hand: {}", by_hand(host))
        }
        ExecErrorKind::Auth => format!("check the user and the key: {}", by_hand(host)),
        ExecErrorKind::HostKey => "compare the key with the host's own, then mend known_hosts".into(),
        ExecErrorKind::Local => "mend it on this machine".into(),
    }
}
