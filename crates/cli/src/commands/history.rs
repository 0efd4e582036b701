//! `uphaul history`: what was done, from the log.

use clap::Args;
use serde_json::json;
use uphaul_core::ids::{HostName, RunId};
use uphaul_core::plan::Goal;
use uphaul_store::{Store, StoredRun};

use super::describe;
use crate::clock::date_time;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::hide;
use crate::output::Line;
use crate::render::{evidence, story, table, words};
use crate::select;

/// Tell a run as a story, or list the runs of a host
#[derive(Debug, Args)]
pub(crate) struct History {
    /// Tell this run, or list the runs of this host; without it, the last runs of all hosts
    #[arg(value_name = "HOST|RUN", add = crate::complete::names())]
    of: Option<String>,
    /// List this many runs
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Show what was read on the host when its restart or verify failed, before it went back
    #[arg(long, requires = "of")]
    evidence: bool,
}

pub(super) async fn run(context: &Context, args: &History) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let runs = match &args.of {
        None => store.recent_runs(args.limit).await?,
        Some(of) => match named(&store, of).await? {
            Named::Run(run) if args.evidence => return show_evidence(context, &store, &run).await,
            Named::Run(run) => return tell(context, &store, &run).await,
            Named::Host(host) if args.evidence => {
                return Err(CliError::usage(format!("{host} is a host, and evidence is of a run"))
                    .hint(format!("`uphaul history {host}` lists its runs")));
            }
            Named::Host(host) => store.runs_of_host(&host, args.limit).await?,
        },
    };
    let output = &context.output;
    if output.is_json() {
        let runs: Vec<_> = runs.iter().map(describe::run).collect();
        output.json(&json!({ "runs": runs }));
        return Ok(Exit::Done);
    }
    if runs.is_empty() {
        output.message("there was no run yet");
        return Ok(Exit::Done);
    }
    let rows: Vec<_> = runs.iter().map(row).collect();
    for line in table::lines(&["run", "host", "began", "what", "result", "asked for by"], &rows) {
        output.result(line);
    }
    output.message("`uphaul history RUN` tells one of them");
    Ok(Exit::Done)
}

enum Named {
    Run(Box<StoredRun>),
    Host(HostName),
}

/// A host may be called what looks like a run: the run is looked for first, since its name was not chosen.
async fn named(store: &Store, of: &str) -> Result<Named, CliError> {
    if let Ok(id) = of.parse::<RunId>()
        && let Some(run) = store.run(&id).await?
    {
        return Ok(Named::Run(Box::new(run)));
    }
    let name: Result<HostName, _> = of.parse();
    if let Ok(name) = &name
        && store.host(name).await?.is_some()
    {
        return Ok(Named::Host(name.clone()));
    }
    // Runs stay in the record when their host is removed from it.
    if let Ok(name) = name
        && !store.runs_of_host(&name, 1).await?.is_empty()
    {
        return Ok(Named::Host(name));
    }
    let near = select(&store.hosts().await?, &[of.to_owned()]).err().map(|error| error.message);
    Err(CliError::usage(format!("{of:?} is neither a run nor a host"))
        .causes(near.filter(|near| near.contains("did you mean")))
        .hint("`uphaul history` lists the last runs, `uphaul hosts list` the hosts"))
}

async fn tell(context: &Context, store: &Store, run: &StoredRun) -> Result<Exit, CliError> {
    let events = store.events(&run.record.id).await?;
    let seen = store.has_evidence(&run.record.id).await?;
    let output = &context.output;
    if output.is_json() {
        let events: Vec<_> = events.iter().map(describe::event).collect();
        output.json(&json!({
            "run": describe::run(run), "plan": hide::plan(&run.record.plan), "events": events, "evidence": seen,
        }));
        return Ok(Exit::Done);
    }
    let mut ending = story::ending(run);
    if seen {
        ending.push(format!("  more:  uphaul history {} --evidence", run.record.id).into());
    }
    page(context, [story::header(run), story::transitions(&events), ending]);
    Ok(Exit::Done)
}

/// What was seen of the failures of a run.
async fn show_evidence(context: &Context, store: &Store, run: &StoredRun) -> Result<Exit, CliError> {
    let all = store.evidence(&run.record.id).await?;
    let output = &context.output;
    if output.is_json() {
        let all: Vec<_> = all.iter().map(describe::evidence).collect();
        output.json(&json!({ "run": describe::run(run), "evidence": all }));
        return Ok(Exit::Done);
    }
    page(context, std::iter::once(story::header(run)).chain(all.iter().map(evidence::lines)));
    if all.is_empty() {
        output.message(
            "there is none: it is read where a restart or a verify fails, before the host goes back",
        );
    }
    Ok(Exit::Done)
}

/// Parts of a page, with an empty line between them.
fn page(context: &Context, parts: impl IntoIterator<Item = Vec<Line>>) {
    for (place, part) in parts.into_iter().enumerate() {
        if place > 0 {
            context.output.result(Line::new());
        }
        part.into_iter().for_each(|line| context.output.result(line));
    }
}

fn row(run: &StoredRun) -> Vec<table::Cell> {
    let record = &run.record;
    let goal = match record.plan.goal {
        Goal::Update => "update",
        Goal::Rollback => "rollback",
    };
    vec![
        table::plain(&record.id),
        table::plain(&record.host),
        table::plain(date_time(run.started_at_us)),
        table::plain(format!("{goal} to {}", record.plan.target.short())),
        table::styled(words::style_of_status(record.state.word()), words::state(&record.state)),
        table::plain(&run.requested_by),
    ]
}
