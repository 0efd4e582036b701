//! From a name to addresses by /etc/hosts and DNS alone, for a program that has glibc built in.
//!
//! glibc looks names up by modules that /etc/nsswitch.conf names and that it loads. One that is built in loads the modules
//! of the machine, which bring the machine's own glibc along; where that is of another version, the process dies of it
//! (seen: built with 2.36, beside 2.41, with `myhostname`, `resolve` or `mdns4_minimal`). So such a program asks no module.
//! All others ask the C library: musl, which loads nothing, and the machine's own.

use std::net::IpAddr;
use std::time::Instant;

use hickory_resolver::config::{LookupIpStrategy, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{ResolverBuilder, TokioResolver};

/// Whether this program has to look names up itself.
pub(crate) const OURSELVES: bool = cfg!(all(target_env = "gnu", target_feature = "crt-static"));

/// The addresses of a name. An error says what came back, or that nothing did until then. Blocks: to be called on a
/// thread of its own.
pub(crate) fn look_up(name: &str, until: Instant) -> Result<Vec<IpAddr>, String> {
    let said = |error: std::io::Error| format!("this machine gives no means to ask: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(said)?;
    runtime.block_on(async {
        let left = until.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, ask(name)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} ms", left.as_millis())),
        }
    })
}

/// As the C library does: what /etc/hosts has is asked of nobody, whatever kind of address it has there.
async fn ask(name: &str) -> Result<Vec<IpAddr>, String> {
    let nobody =
        TokioResolver::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default());
    if let Ok(found) = told(nobody, ResolveHosts::Always, name).await {
        return Ok(found);
    }
    let system = TokioResolver::builder_tokio();
    let system = system.map_err(|error| format!("/etc/resolv.conf cannot be read: {error}"))?;
    told(system, ResolveHosts::Never, name).await
}

async fn told(
    mut builder: ResolverBuilder<TokioRuntimeProvider>,
    hosts: ResolveHosts,
    name: &str,
) -> Result<Vec<IpAddr>, String> {
    let options = builder.options_mut();
    options.use_hosts_file = hosts;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.cache_size = 0;
    let resolver = builder.build().map_err(|error| error.to_string())?;
    let found = resolver.lookup_ip(name).await.map_err(|error| error.to_string())?;
    Ok(found.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_name_of_the_hosts_file_is_found_without_anybody_who_is_asked() {
        let found = look_up("localhost", Instant::now() + Duration::from_secs(20)).unwrap();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    }

    #[test]
    fn what_no_name_can_be_is_an_error() {
        let long = "a".repeat(64);
        for name in [long.as_str(), "a..b", ""] {
            assert!(look_up(name, Instant::now() + Duration::from_secs(20)).is_err(), "{name:?}");
        }
    }
}
