//! `uphaul hosts edit`

use clap::Args;
use uphaul_core::host_key::HostKey;
use uphaul_core::ids::HostName;
use uphaul_core::plan::UserName;
use uphaul_store::HostEdit;

use super::{check_settings, existing, pair};
use crate::commands::describe;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// Change a host; what is not named stays
#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// Change this host
    #[arg(add = crate::complete::names())]
    name: HostName,
    /// Reach it here
    #[arg(long)]
    address: Option<String>,
    /// Connect to this port
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "no_port")]
    port: Option<u16>,
    /// Connect to the default port
    #[arg(long)]
    no_port: bool,
    /// Log in as this user
    #[arg(long, conflicts_with = "no_user")]
    user: Option<UserName>,
    /// Log in as the default user
    #[arg(long)]
    no_user: bool,
    /// Accept this key of the host and no other: "ssh-ed25519 AAAA..."
    #[arg(long, value_name = "KEY", conflicts_with = "no_host_key")]
    host_key: Option<HostKey>,
    /// Leave it to known_hosts again which key is accepted
    #[arg(long)]
    no_host_key: bool,
    /// Set a label (repeat for more)
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair, add = crate::complete::labels())]
    labels: Vec<(String, String)>,
    /// Take a label away (repeat for more)
    #[arg(long = "unlabel", value_name = "KEY")]
    unlabels: Vec<String>,
    /// Set a key of the configuration for this host alone, such as service.path (repeat for more)
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair, add = crate::complete::settings())]
    settings: Vec<(String, String)>,
    /// Take such a key away (repeat for more)
    #[arg(long = "unset", value_name = "KEY")]
    unsets: Vec<String>,
}

pub(super) async fn run(context: &Context, args: &Edit) -> Result<Exit, CliError> {
    let edit = HostEdit {
        address: args.address.clone(),
        port: args.port.map(Some).or(args.no_port.then_some(None)),
        user: args.user.clone().map(Some).or(args.no_user.then_some(None)),
        host_key: args.host_key.clone().map(Some).or(args.no_host_key.then_some(None)),
        labels_set: args.labels.iter().cloned().collect(),
        labels_unset: args.unlabels.clone(),
        settings_set: args.settings.iter().cloned().collect(),
        settings_unset: args.unsets.clone(),
    };
    if edit == HostEdit::default() {
        return Err(CliError::usage("nothing to change was named").hint("try `uphaul hosts edit --help`"));
    }
    check_settings(&edit.settings_set)?;
    let store = context.store().await?;
    existing(&store, &args.name).await?;
    let host = store.edit_host(&args.name, &edit).await?;
    if context.output.is_json() {
        context.output.json(&describe::host(&host));
    } else {
        context.output.result(format!("changed {}", host.name));
    }
    Ok(Exit::Done)
}
