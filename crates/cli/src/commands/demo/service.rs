//! The service of the demo: a process that answers `/health` and `/version` over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::error::CliError;
use crate::exit::Exit;

/// How long a peer may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a port is asked before a service counts as not started, and how long between.
const TRIES_MAX: u32 = 100;
const TRY_EVERY: Duration = Duration::from_millis(50);

/// Serve one version of the demo's service; `uphaul demo` starts it
#[derive(Debug, Args)]
pub(crate) struct DemoServiceArgs {
    /// Listen on this port of 127.0.0.1
    #[arg(long)]
    port: u16,
    /// Serve this checkout
    #[arg(long)]
    root: PathBuf,
}

/// Serves what was checked out when it began, as a real program does.
pub(crate) fn run(args: &DemoServiceArgs) -> Result<Exit, CliError> {
    let read = |name: &str| std::fs::read_to_string(args.root.join(name));
    let fault = |error: std::io::Error| {
        CliError::internal("the demo's service cannot start").cause(error.to_string())
    };
    let conf = read("service.conf").map_err(fault)?;
    read("deps/greeting")
        .map_err(fault)
        .or_else(|error| if conf.contains("version=v1") { Ok(String::new()) } else { Err(error) })?;
    let value =
        |key: &str| conf.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned();
    let (version, healthy) = (value("version="), value("health=") == "ok");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).map_err(fault)?;
    for stream in listener.incoming() {
        // A peer that goes away or says nothing costs its own answer.
        let _its_own_loss = stream.and_then(|stream| answer(stream, &version, healthy));
    }
    Ok(Exit::Done)
}

fn answer(stream: TcpStream, version: &str, healthy: bool) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new((&stream).take(4096)).read_line(&mut line)?;
    let (status, body) = match (line.split(' ').nth(1), healthy) {
        (Some("/version"), _) => ("200 OK", version),
        (Some("/health"), true) => ("200 OK", "ok"),
        (Some("/health"), false) => ("500 Internal Server Error", "the database schema does not match"),
        _ => ("404 Not Found", ""),
    };
    let length = body.len();
    write!(&stream, "HTTP/1.0 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// Asks a service of the demo, and says what it answered.
pub(super) fn ask(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.take(4096).read_to_string(&mut text)?;
    Ok(text)
}

/// Waits until a service answers.
pub(super) fn wait_for(port: u16) -> Result<(), CliError> {
    for _ in 0..TRIES_MAX {
        if ask(port, "/health").is_ok() {
            return Ok(());
        }
        std::thread::sleep(TRY_EVERY);
    }
    Err(CliError::internal(format!("the demo's service does not answer on port {port}")))
}
