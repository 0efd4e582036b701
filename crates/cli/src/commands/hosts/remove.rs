//! `uphaul hosts remove`

use clap::Args;
use serde_json::json;
use uphaul_core::ids::HostName;

use super::existing;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// Take hosts out of the record; nothing is done on them
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Remove these hosts, named one by one
    #[arg(required = true, value_name = "NAME", add = crate::complete::names())]
    names: Vec<HostName>,
    /// Remove them even in the middle of a run, which nobody can bring to its end then
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(context: &Context, args: &Remove) -> Result<Exit, CliError> {
    let store = context.store().await?;
    // All names are looked up first, so that a misspelt one does not stop half-way.
    for name in &args.names {
        existing(&store, name).await?;
    }
    for name in &args.names {
        store.remove_host(name, args.force).await?;
        if !context.output.is_json() {
            context.output.result(format!("removed {name}"));
        }
    }
    if context.output.is_json() {
        context.output.json(&json!({ "removed": args.names }));
    }
    Ok(Exit::Done)
}
