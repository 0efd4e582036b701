//! `uphaul hosts add`

use clap::Args;
use uphaul_core::host_key::HostKey;
use uphaul_core::ids::HostName;
use uphaul_core::plan::UserName;
use uphaul_core::ports::Clock;
use uphaul_store::NewHost;

use super::{check_settings, pair};
use crate::clock::SystemClock;
use crate::commands::describe;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// Add one host
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Call it this: letters, digits, dots, dashes and underscores
    name: HostName,
    /// Reach it here: a name, an IP address or an alias of your ssh_config (default: its name)
    address: Option<String>,
    /// Connect to this port
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Log in as this user
    #[arg(long)]
    user: Option<UserName>,
    /// Accept this key of the host and no other, whatever known_hosts says: "ssh-ed25519 AAAA..."
    #[arg(long, value_name = "KEY")]
    host_key: Option<HostKey>,
    /// Give it a label, to choose it by (repeat for more)
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair, add = crate::complete::labels())]
    labels: Vec<(String, String)>,
    /// Set a key of the configuration for this host alone, such as service.path (repeat for more)
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair, add = crate::complete::settings())]
    settings: Vec<(String, String)>,
}

pub(super) async fn run(context: &Context, args: &Add) -> Result<Exit, CliError> {
    let host = NewHost {
        name: args.name.clone(),
        address: args.address.clone().unwrap_or_else(|| args.name.to_string()),
        port: args.port,
        user: args.user.clone(),
        host_key: args.host_key.clone(),
        labels: args.labels.iter().cloned().collect(),
        settings: args.settings.iter().cloned().collect(),
    };
    if let Some((user, address)) = host.address.split_once('@') {
        return Err(CliError::usage(format!("the address {:?} has a user in it", host.address))
            .hint(format!("write `uphaul hosts add {} {address} --user {user}`", host.name)));
    }
    check_settings(&host.settings)?;
    let store = context.store().await?;
    store.add_hosts(std::slice::from_ref(&host), SystemClock.now_us()).await?;
    let output = &context.output;
    if output.is_json() {
        let added = store.host(&host.name).await?;
        output.json(&added.as_ref().map(describe::host));
    } else {
        output.result(format!("added {}", host.name));
        output.message(format!("next: `uphaul check {}` finds what would stop an update", host.name));
    }
    Ok(Exit::Done)
}
