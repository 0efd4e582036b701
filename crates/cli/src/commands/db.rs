//! `uphaul db`: looking after the database itself.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use uphaul_store::{FAULTS_MAX, Store};

use super::describe;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::hide;
use crate::output::{Line, Style};
use crate::render::words::count;

/// Bring up, check, copy or export the database
#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// Bring the database to the layout of this version; every command does that by itself
    Migrate,
    /// Check the database, replay every log, and compare what each host is said to run with it
    Check,
    /// Copy a SQLite database into a new file, while others write on
    Backup(Backup),
    /// Print all hosts, runs and transitions, one JSON object a line
    ///
    /// The values of service.env are left out: nothing reads an export back.
    Export,
    Adopt(Adopt),
}

/// Add the five version columns to the table that database.subscriptions names
///
/// The rows stay the other program's: Uphaul reads them, writes these five columns, and keeps all else in tables of its own,
/// whose names begin with uphaul_.
#[derive(Debug, Args)]
pub(crate) struct Adopt {
    /// Print the statements, and run none
    #[arg(long)]
    plan: bool,
}

/// Where to.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The new file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(crate) async fn run(context: &Context, command: &Db) -> Result<Exit, CliError> {
    match command {
        Db::Migrate => migrate(context).await,
        Db::Check => check(context).await,
        Db::Backup(args) => backup(context, args).await,
        Db::Export => export(context).await,
        Db::Adopt(args) => adopt(context, args).await,
    }
}

async fn migrate(context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    store.check_writable("bring the record up")?;
    let ((from, to), place) = (store.layout(), store.describe());
    let output = &context.output;
    if output.is_json() {
        output.json(&json!({ "database": place, "from": from, "to": to }));
    } else if from == to {
        output.result(format!("{place} has layout {to} already"));
    } else {
        output.result(format!("{place}: from layout {from} to {to}"));
    }
    Ok(Exit::Done)
}

async fn adopt(context: &Context, args: &Adopt) -> Result<Exit, CliError> {
    let Some(adopted) = &context.config()?.adopted else {
        return Err(CliError::config("there is no table to adopt: database.subscriptions.table is not set")
            .hint("name it, and the columns with the name and the address of a host: docs/database.md"));
    };
    let (url, output) = (context.database()?.expose(), &context.output);
    let statements = match args.plan {
        true => Store::plan_adoption(url, adopted).await?,
        false => Store::adopt(url, adopted).await?,
    };
    if output.is_json() {
        output.json(&json!({
            "table": adopted.table.to_string(), "statements": statements, "done": !args.plan,
        }));
        return Ok(Exit::Done);
    }
    for statement in &statements {
        output.text(&format!("{statement};"));
    }
    output.message(match (statements.is_empty(), args.plan) {
        (true, _) => format!("{} has everything already", adopted.table),
        (false, true) => {
            format!("nothing was run; `uphaul db adopt` runs {}", count(statements.len(), "statement"))
        }
        (false, false) => format!("{} is adopted; `uphaul hosts list` shows its hosts", adopted.table),
    });
    Ok(Exit::Done)
}

async fn check(context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let found = store.check().await?;
    let output = &context.output;
    let bad = found.faults.len() + found.faults_more;
    if output.is_json() {
        output.json(&json!({
            "database": store.describe(), "hosts": found.hosts, "runs": found.runs, "events": found.events,
            "faults": found.faults, "faults_more": found.faults_more,
        }));
    } else {
        for fault in &found.faults {
            output.result(Line::new().styled(Style::Bad, "fault  ").text(fault));
        }
        let looked = format!(
            "{}: {}, {}, {} looked at",
            store.describe(),
            count(found.hosts, "host"),
            count(found.runs, "run"),
            count(found.events, "transition")
        );
        output.result(if bad == 0 { format!("{looked}; all is as it should be") } else { looked });
    }
    if bad == 0 {
        return Ok(Exit::Done);
    }
    let more =
        if found.faults_more > 0 { format!(" (the first {FAULTS_MAX} are shown)") } else { String::new() };
    Err(CliError::store(format!("the record has {}{more}", count(bad, "fault")))
        .hint("copy the database away before anything else; the log (`uphaul db export`) is the truth")
        .hint("what a host runs is read again by `uphaul version HOST`"))
}

async fn backup(context: &Context, args: &Backup) -> Result<Exit, CliError> {
    let store = context.store().await?;
    store.backup(&args.file).await?;
    let output = &context.output;
    if output.is_json() {
        output.json(&json!({ "database": store.describe(), "file": args.file }));
    } else {
        output.result(format!("{} was copied into {}", store.describe(), args.file.display()));
    }
    Ok(Exit::Done)
}

/// Page by page, so that the memory does not grow with the record.
async fn export(context: &Context) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let output = &context.output;
    let mut snapshot = store.snapshot().await?;
    let (_, layout) = store.layout();
    output.json(&json!({ "type": "export", "database": store.describe(), "layout": layout }));
    loop {
        let hosts = snapshot.hosts().await?;
        if hosts.is_empty() {
            break;
        }
        for host in &hosts {
            output.json(&json!({ "type": "host", "host": describe::host(host) }));
        }
    }
    loop {
        let runs = snapshot.runs().await?;
        if runs.is_empty() {
            break;
        }
        for run in runs {
            let run = run?;
            let plan = hide::plan(&run.record.plan);
            output.json(&json!({ "type": "run", "run": describe::run(&run), "plan": plan }));
            let mut last = 0;
            loop {
                let events = snapshot.events(&run.record.id, last).await?;
                for event in &events {
                    output.json(
                        &json!({ "type": "event", "run": run.record.id, "event": describe::event(event) }),
                    );
                }
                match events.last() {
                    Some(event) => last = event.seq.0,
                    None => break,
                }
            }
            for seen in snapshot.evidence(&run.record.id).await? {
                let seen = describe::evidence(&seen);
                output.json(&json!({ "type": "evidence", "run": run.record.id, "evidence": seen }));
            }
        }
    }
    snapshot.end().await;
    Ok(Exit::Done)
}
