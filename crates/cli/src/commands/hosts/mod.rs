//! `uphaul hosts`: the servers that are in the record.

mod add;
mod edit;
mod import;
mod list;
mod remove;
mod rows;
mod show;

use std::collections::BTreeMap;

use clap::Subcommand;
use uphaul_core::ids::HostName;
use uphaul_store::{Host, Store, StoreError};

use crate::config;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::select;

/// Add, import, list, show, edit or remove hosts
#[derive(Debug, Subcommand)]
pub(crate) enum Hosts {
    Add(add::Add),
    Import(import::Import),
    List(list::List),
    Show(show::Show),
    Edit(edit::Edit),
    Remove(remove::Remove),
}

pub(crate) async fn run(context: &Context, command: &Hosts) -> Result<Exit, CliError> {
    match command {
        Hosts::Add(args) => add::run(context, args).await,
        Hosts::Import(args) => import::run(context, args).await,
        Hosts::List(args) => list::run(context, args).await,
        Hosts::Show(args) => show::run(context, args).await,
        Hosts::Edit(args) => edit::run(context, args).await,
        Hosts::Remove(args) => remove::run(context, args).await,
    }
}

/// The host of this name; else an error that knows the nearest one.
pub(super) async fn existing(store: &Store, name: &HostName) -> Result<Host, CliError> {
    if let Some(host) = store.host(name).await? {
        return Ok(host);
    }
    select(&store.hosts().await?, &[name.to_string()])?;
    Err(StoreError::NoSuchHost(name.clone()).into())
}

/// `KEY=VALUE`, as flags take it.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("expected KEY=VALUE".to_owned()),
    }
}

/// Checks settings as they are typed, all of them.
fn check_settings(settings: &BTreeMap<String, String>) -> Result<(), CliError> {
    let wrong: Vec<String> =
        settings.iter().filter_map(|(key, value)| config::check_setting(key, value).err()).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(CliError::usage("these settings cannot be").causes(wrong).hint("`uphaul config show` lists all keys"))
}
