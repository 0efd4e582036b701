//! From a name to addresses by /etc/hosts and DNS alone, for a program that has glibc built in.
//!
//! glibc looks names up by modules that /etc/nsswitch.conf names and that it loads. One that is built in loads the modules
//! of the machine, which bring the machine's own glibc along; where that is of another version, the process dies of it
//! (seen: built with 2.36, beside 2.41, with `myhostname`, `resolve` or `mdns4_minimal`). So such a program asks no module.
//! All others ask the C library: musl, which loads nothing, and the machine's own.

mod packet;
mod settings;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use packet::{Answer, Kind, Question};
use settings::Settings;

/// Whether this program has to look names up itself.
pub(crate) const OURSELVES: bool = cfg!(all(target_env = "gnu", target_feature = "crt-static"));

/// How much of a file is read.
const FILE_MAX: u64 = 1024 * 1024;
/// The longest answer over UDP that is understood; a longer one comes over TCP.
const UDP_MAX: usize = 512;

/// The addresses of a name, those of IPv4 first. An error says what was asked and what came back.
pub(crate) fn look_up(name: &str, until: Instant) -> Result<Vec<IpAddr>, String> {
    if let Some(found) = settings::in_hosts(&text("/etc/hosts")?, name) {
        return Ok(found);
    }
    if name.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    ask_all(&Settings::read(&text("/etc/resolv.conf")?), name, until)
}

/// The content of a file; nothing where there is none.
fn text(path: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(Path::new(path)).and_then(|file| file.take(FILE_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(format!("{path} cannot be read: {error}")),
    }
}

/// Asks for the name as it stands and below each domain that is searched, in the order of resolv.conf(5).
fn ask_all(settings: &Settings, name: &str, until: Instant) -> Result<Vec<IpAddr>, String> {
    let mut known = false;
    for name in settings.candidates(name) {
        let mut found = Vec::new();
        for kind in [Kind::A, Kind::Aaaa] {
            match ask(settings, &name, kind, until)? {
                Answer::Addresses(addresses) => {
                    known = true;
                    found.extend(addresses);
                }
                // It has no other kind of address then.
                Answer::NoSuchName => break,
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(if known { "it has no address" } else { "there is no such name" }.to_owned())
}

/// Asks each name server in turn, and all again as often as resolv.conf says.
fn ask(settings: &Settings, name: &str, kind: Kind, until: Instant) -> Result<Answer, String> {
    let question = Question::new(name, kind)?;
    let mut why = String::new();
    for server in settings.servers.iter().cycle().take(settings.servers.len() * settings.attempts) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match ask_one(*server, &question, settings.timeout.min(left)) {
            Ok(answer) => return Ok(answer),
            Err(error) => why = format!(": {}: {error}", server.ip()),
        }
    }
    Err(format!("no name server told{why}"))
}

fn ask_one(server: SocketAddr, question: &Question, limit: Duration) -> Result<Answer, String> {
    let told = |error: std::io::Error| {
        if error.kind() == ErrorKind::WouldBlock {
            return format!("no answer within {} ms", limit.as_millis());
        }
        error.to_string()
    };
    match by_udp(server, question, limit).map_err(told)? {
        Some(answer) => answer,
        None => question
            .read(&by_tcp(server, question, limit).map_err(told)?)
            .unwrap_or_else(|| Err("its answer over TCP is none to this question".to_owned())),
    }
}

/// None where the answer is too long for a packet.
fn by_udp(
    server: SocketAddr,
    question: &Question,
    limit: Duration,
) -> std::io::Result<Option<Result<Answer, String>>> {
    let own: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((own, 0))?;
    // From here on nobody else is heard.
    socket.connect(server)?;
    socket.send(question.bytes())?;
    let until = Instant::now() + limit;
    let mut answer = [0; UDP_MAX];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::WouldBlock.into());
        }
        socket.set_read_timeout(Some(left))?;
        let n = socket.recv(&mut answer)?;
        if packet::is_cut(&answer[..n]) {
            return Ok(None);
        }
        // What answers another question, such as one that was given up, is passed over.
        if let Some(answer) = question.read(&answer[..n]) {
            return Ok(Some(answer));
        }
    }
}

fn by_tcp(server: SocketAddr, question: &Question, limit: Duration) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let length = u16::try_from(question.bytes().len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes()[..], question.bytes()].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests;
