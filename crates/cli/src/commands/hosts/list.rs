//! `uphaul hosts list`

use clap::Args;
use serde_json::json;
use uphaul_store::Host;

use crate::commands::describe;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::table;
use crate::select;

/// List hosts with how they are reached and their labels
#[derive(Debug, Args)]
pub(crate) struct List {
    /// List these hosts instead of all
    #[arg(add = crate::complete::selectors())]
    hosts: Vec<String>,
}

pub(super) async fn run(context: &Context, args: &List) -> Result<Exit, CliError> {
    let mut hosts = context.store().await?.hosts().await?;
    if !args.hosts.is_empty() {
        hosts = select(&hosts, &args.hosts)?;
    }
    let output = &context.output;
    if output.is_json() {
        let hosts: Vec<_> = hosts.iter().map(describe::host).collect();
        output.json(&json!({ "hosts": hosts }));
        return Ok(Exit::Done);
    }
    if hosts.is_empty() {
        output.message("there is no host in the record yet; `uphaul hosts add NAME ADDRESS` adds one");
        return Ok(Exit::Done);
    }
    let rows: Vec<_> = hosts.iter().map(row).collect();
    for line in table::lines(&["name", "address", "port", "user", "labels"], &rows) {
        output.result(line);
    }
    Ok(Exit::Done)
}

fn row(host: &Host) -> Vec<table::Cell> {
    let or_dash = |text: Option<String>| table::plain(text.unwrap_or_else(|| "-".to_owned()));
    vec![
        table::plain(&host.name),
        table::plain(&host.address),
        or_dash(host.port.map(|port| port.to_string())),
        or_dash(host.user.as_ref().map(ToString::to_string)),
        table::plain(labels(host)),
    ]
}

/// Labels as an import takes them.
pub(super) fn labels(host: &Host) -> String {
    let pairs: Vec<String> = host.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(";")
}
