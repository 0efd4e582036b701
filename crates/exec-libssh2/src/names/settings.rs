//! What the machine's files say about names: hosts(5) and resolv.conf(5).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// As many as the C library takes.
const SERVERS_MAX: usize = 3;
const SEARCH_MAX: usize = 6;
const PORT: u16 = 53;

/// Whom to ask, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) search: Vec<String>,
    /// A name with so many dots is first asked for as it stands.
    pub(crate) dots: usize,
    pub(crate) timeout: Duration,
    pub(crate) attempts: usize,
}

impl Settings {
    /// Reads a resolv.conf. What is not understood says nothing, as with the C library.
    pub(crate) fn read(text: &str) -> Self {
        let mut all = Self {
            servers: Vec::new(),
            search: Vec::new(),
            dots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        for line in text.lines().map(|line| line.split(['#', ';']).next().unwrap_or_default()) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    all.servers.extend(address.map(|address| SocketAddr::new(address, PORT)));
                }
                // The last line of these counts.
                Some("search" | "domain") => {
                    all.search =
                        words.take(SEARCH_MAX).map(|name| name.trim_end_matches('.').to_owned()).collect();
                }
                Some("options") => words.for_each(|word| all.option(word)),
                _ => {}
            }
        }
        all.servers.truncate(SERVERS_MAX);
        if all.servers.is_empty() {
            all.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        all.search.retain(|name| !name.is_empty());
        all
    }

    fn option(&mut self, word: &str) {
        let Some((name, value)) = word.split_once(':') else { return };
        let Ok(value) = value.parse::<u8>() else { return };
        match name {
            "ndots" => self.dots = usize::from(value.min(15)),
            "timeout" => self.timeout = Duration::from_secs(value.clamp(1, 30).into()),
            "attempts" => self.attempts = usize::from(value.clamp(1, 5)),
            _ => {}
        }
    }

    /// The names to ask for, in their order.
    pub(crate) fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(whole) = name.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let below = self.search.iter().map(|domain| format!("{name}.{domain}"));
        let as_it_stands = std::iter::once(name.to_owned());
        if name.matches('.').count() >= self.dots {
            as_it_stands.chain(below).collect()
        } else {
            below.chain(as_it_stands).collect()
        }
    }
}

/// The addresses that a hosts file has for the name, those of IPv4 first; none where it does not have it.
pub(crate) fn in_hosts(text: &str, name: &str) -> Option<Vec<IpAddr>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let of = |line: &str| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let address = words.next()?.parse::<IpAddr>().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    };
    let mut found: Vec<IpAddr> = text.lines().filter_map(of).collect();
    found.sort_by_key(IpAddr::is_ipv6);
    (!found.is_empty()).then_some(found)
}
