//! From a name to a socket. The name is looked up, and each address is tried.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use socket2::{Domain, Protocol, Socket, Type};

use crate::link::{Caller, Halt};
use crate::names;

/// How many addresses of a name are tried.
const ADDRESSES_MAX: usize = 16;

/// Which addresses may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Family {
    #[default]
    Any,
    V4,
    V6,
}

/// Why there is no socket.
#[derive(Debug)]
pub(crate) enum Dial {
    /// It was not waited for to its end.
    Halt(Halt),
    /// No address could be connected to; what was tried and what came back.
    Refused(String),
}

/// Connects. Each address has its share of the time that is left.
pub(crate) fn dial(
    host: &str,
    port: u16,
    family: Family,
    caller: Caller<'_>,
    until: Instant,
) -> Result<OwnedFd, Dial> {
    let addresses = resolve(host, port, family, until)?;
    let mut tried = Vec::new();
    for (i, address) in addresses.iter().enumerate() {
        if (caller.gone)() {
            return Err(Dial::Halt(Halt::Gone));
        }
        let left = until.saturating_duration_since(Instant::now());
        let rest = u32::try_from(addresses.len() - i).unwrap_or(1);
        let share = Instant::now() + (left / rest).max(Duration::from_millis(100)).min(left);
        match connect(address, caller, share) {
            Ok(socket) => return Ok(socket),
            Err(Dial::Halt(Halt::TimeOver)) if addresses.len() > i + 1 => {
                tried.push(format!("{address}: no answer"));
            }
            Err(Dial::Halt(halt)) => return Err(Dial::Halt(halt)),
            Err(Dial::Refused(why)) => tried.push(format!("{address}: {why}")),
        }
    }
    Err(Dial::Refused(tried.join("; ")))
}

fn resolve(host: &str, port: u16, family: Family, until: Instant) -> Result<Vec<SocketAddr>, Dial> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    // What is an address already, the C library reads without asking anybody.
    let is_address = bare.contains(':') || bare.parse::<Ipv4Addr>().is_ok();
    let found: Result<Vec<SocketAddr>, String> = if names::OURSELVES && !is_address {
        let found = names::look_up(bare, until);
        found.map(|found| found.into_iter().map(|address| (address, port).into()).collect())
    } else {
        (bare, port).to_socket_addrs().map(Iterator::collect).map_err(|error| error.to_string())
    };
    let found = found.map_err(|error| {
        Dial::Refused(format!(
            "{host} cannot be looked up: {error}. Is the address right, and does this machine's name service answer?"
        ))
    })?;
    let fits = |address: &SocketAddr| match family {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    };
    let mut addresses: Vec<SocketAddr> = found.into_iter().filter(fits).collect();
    addresses.dedup();
    addresses.truncate(ADDRESSES_MAX);
    if addresses.is_empty() {
        return Err(Dial::Refused(format!(
            "{host} has no address of the family that AddressFamily asks for"
        )));
    }
    Ok(addresses)
}

fn connect(address: &SocketAddr, caller: Caller<'_>, until: Instant) -> Result<OwnedFd, Dial> {
    let refused = |error: std::io::Error| Dial::Refused(error.to_string());
    let socket =
        Socket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP)).map_err(refused)?;
    socket.set_nonblocking(true).map_err(refused)?;
    // Commands are small and answers are awaited.
    socket.set_tcp_nodelay(true).map_err(refused)?;
    match socket.connect(&(*address).into()) {
        Ok(()) => return Ok(socket.into()),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(refused(error)),
    }
    while !caller.wait_for(socket.as_fd(), PollFlags::OUT, until).map_err(Dial::Halt)? {}
    match socket.take_error().map_err(refused)? {
        None => Ok(socket.into()),
        Some(error) => Err(refused(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::link::Wake;

    fn dialled(host: &str, port: u16, family: Family) -> Result<OwnedFd, Dial> {
        let wake = Wake::new().unwrap();
        let caller = Caller { wake: &wake, gone: &|| false };
        dial(host, port, family, caller, Instant::now() + Duration::from_secs(20))
    }

    #[test]
    fn each_address_of_a_name_is_tried() {
        // Where localhost is ::1 too, nothing listens there.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        dialled("localhost", port, Family::Any).unwrap();
        dialled("127.0.0.1", port, Family::V4).unwrap();
        let Err(Dial::Refused(why)) = dialled("127.0.0.1", port, Family::V6) else { panic!("it connected") };
        assert!(why.contains("AddressFamily"), "{why}");
    }

    #[test]
    fn all_that_was_tried_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let Err(Dial::Refused(why)) = dialled("127.0.0.1", port, Family::Any) else { panic!("it connected") };
        assert!(why.contains(&format!("127.0.0.1:{port}: ")) && why.contains("refused"), "{why}");
        let Err(Dial::Refused(why)) = dialled("no-such-host.invalid", 22, Family::Any) else {
            panic!("it connected")
        };
        assert!(why.contains("no-such-host.invalid cannot be looked up"), "{why}");
    }

    #[test]
    fn nobody_waits_for_what_is_not_wanted_any_more() {
        let wake = Wake::new().unwrap();
        let caller = Caller { wake: &wake, gone: &|| true };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let until = Instant::now() + Duration::from_secs(3600);
        assert!(matches!(dial("127.0.0.1", port, Family::Any, caller, until), Err(Dial::Halt(Halt::Gone))));
    }
}
