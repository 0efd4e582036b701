//! `uphaul check`: everything that would stop an update, in one report a host.

use clap::Args;
use uphaul_core::driver::{FleetEnd, fleet, stop_pair};
use uphaul_core::ids::RefName;
use uphaul_core::machine::Problem;
use uphaul_store::Host;

use crate::context::Context;
use crate::engine::{Engine, Look, Resolved, by_name};
use crate::error::CliError;
use crate::exit::Exit;

use super::update::{check_services, engine, names, shared};

/// Tell everything that would stop an update, changing nothing but for what --fix takes away
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Hosts to check
    #[arg(required = true, value_name = "HOSTS", add = crate::complete::selectors())]
    hosts: Vec<String>,
    /// Check also what only this branch, tag or commit shows
    #[arg(long, value_name = "REF")]
    to: Option<RefName>,
    /// Take away what the dead-man's switch of a run that is over left on a host; nothing else is changed
    #[arg(long)]
    fix: bool,
}

/// What came of looking at one host.
pub(crate) enum Seen {
    /// Something was seen, or the host was away.
    Look(Look),
    /// Uphaul, its configuration or its database failed.
    Error(String),
}

pub(crate) async fn run(context: &Context, args: CheckArgs) -> Result<Exit, CliError> {
    let engine = engine(context, None).await?;
    let hosts = super::drive::hosts_of(&engine.store, &args.hosts).await?;
    check_services(&engine, &hosts)?;
    let to = match &args.to {
        Some(reference) => Some(engine.resolve(&hosts, reference).await?),
        None => None,
    };
    let mut fixed = Exit::Done;
    for host in hosts.iter().filter(|_| args.fix) {
        let told = engine.fix(host).await.unwrap_or_else(|why| {
            // What was asked for was not done, also where the host is free by the time it is looked at.
            fixed = Exit::Aborted;
            format!("nothing was taken away: {why}")
        });
        context.output.message(format!("{}: {told}", host.name));
    }
    let seen = look_at_all(&engine, hosts, to).await;
    let exits: Vec<Exit> = seen.iter().map(|(host, look)| show(context, host, look)).collect();
    let well = exits.iter().filter(|exit| **exit == Exit::Done).count();
    context.output.message(format!("{well} of {} can be updated", seen.len()));
    Ok(exits.into_iter().max().unwrap_or(Exit::Done).max(fixed))
}

/// Looks at all hosts, some at a time.
pub(crate) async fn look_at_all(
    engine: &Engine,
    hosts: Vec<Host>,
    to: Option<Resolved>,
) -> Vec<(Host, Seen)> {
    let (_handle, stop) = stop_pair();
    let rows = shared(by_name(&hosts));
    let shared_engine = engine.clone();
    let parallel = engine.config.fleet.parallel as usize;
    let ends = fleet(names(&hosts), parallel, &stop, move |name| {
        let (engine, rows, to) = (shared_engine.clone(), rows.clone(), to.clone());
        async move {
            match rows.get(&name) {
                Some(host) => engine.look(host, to.as_ref()).await.map_err(|error| error.to_string()),
                None => Err(format!("{name} is not there")),
            }
        }
    })
    .await;
    engine.close_links().await;
    let seen = ends.into_iter().map(|(_, end)| match end {
        FleetEnd::Done(Ok(look)) => Seen::Look(look),
        FleetEnd::Done(Err(error)) => Seen::Error(error),
        FleetEnd::Panicked(why) => Seen::Error(format!("a fault of Uphaul: {why}")),
        FleetEnd::NotBegun => Seen::Error("stopped".into()),
    });
    hosts.into_iter().zip(seen).collect()
}

/// Shows one report, and says what it means for the exit code.
pub(crate) fn show(context: &Context, host: &Host, seen: &Seen) -> Exit {
    let (problems, findings, exit) = match seen {
        Seen::Error(why) => {
            let problem = Problem {
                code: "uphaul".into(),
                found: why.clone(),
                fix: "look at `uphaul config check`".into(),
            };
            (vec![problem], Vec::new(), Exit::Internal)
        }
        Seen::Look(Look::Unseen { away, problem }) => {
            (vec![problem.clone()], Vec::new(), if *away { Exit::Unknown } else { Exit::Aborted })
        }
        Seen::Look(Look::Seen(both)) => {
            let mut problems = both.1.problems.clone();
            if let Some(by) = &both.1.held {
                let fix = "wait for its end, or look at `uphaul status`".to_owned();
                problems.push(Problem { code: "held".into(), found: format!("held by {by}"), fix });
            }
            let exit = if problems.is_empty() { Exit::Done } else { Exit::Aborted };
            (problems, both.1.findings.clone(), exit)
        }
    };
    if context.output.is_json() {
        let found: Vec<_> =
            findings.iter().map(|f| serde_json::json!({ "code": f.code, "found": f.text })).collect();
        let ok = problems.is_empty();
        context.output.json(
            &serde_json::json!({ "host": host.name, "ok": ok, "problems": problems, "findings": found }),
        );
        return exit;
    }
    let word = if problems.is_empty() { "ok" } else { "not ready" };
    context.output.result(format!("{}  {word}", host.name));
    for problem in &problems {
        context.output.result(format!("  ✗ {}", problem.found));
        context.output.result(format!("    -> {}", problem.fix));
    }
    for finding in &findings {
        context.output.result(format!("  ! {}", finding.text));
    }
    exit
}
