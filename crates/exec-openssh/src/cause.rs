//! Why ssh gave up, from what it said.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::process::Command;
use uphaul_core::ports::{ExecError, ExecErrorKind, Target, refused};

use crate::master::PINNED;
use crate::place::Files;
use crate::settings::Settings;

/// How much of a log is read, from its end.
const LOG_READ_MAX: usize = 64 * 1024;
/// How many lines of a log an error quotes.
const QUOTE_MAX: usize = 4;
/// How long `ssh -G` may take.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// What ssh (and the ssh of a jump host) said.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    lines: Vec<String>,
    /// Whether a proxy or a jump host stands in between.
    proxied: bool,
}

impl Log {
    pub(crate) fn read(files: &Files) -> Self {
        let bytes = std::fs::read(&files.log).unwrap_or_default();
        Self::of(&String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(LOG_READ_MAX)..]))
    }

    fn of(text: &str) -> Self {
        let lines = text.lines().map(|line| line.trim_end().to_owned()).collect();
        Self { lines, proxied: text.contains("Executing proxy command") }
    }

    /// The part about the host that was greeted last: the jump host, or, when that let us pass, the one behind it.
    fn of_the_last_host(&self) -> Self {
        let at = self.lines.iter().rposition(|line| line.contains("Authenticating to ")).unwrap_or(0);
        Self { lines: self.lines[at..].to_vec(), proxied: self.proxied }
    }

    /// The first line that has the text.
    fn line(&self, text: &str) -> Option<&str> {
        self.lines.iter().map(String::as_str).find(|line| line.contains(text))
    }

    /// What stands between two texts, in the first line that has both.
    fn between<'a>(&'a self, before: &str, after: &str) -> Option<&'a str> {
        self.lines.iter().find_map(|line| {
            let rest = line.split_once(before)?.1;
            if after.is_empty() { Some(rest) } else { rest.split_once(after).map(|(text, _)| text) }
        })
    }

    /// What it said to people, the last lines.
    pub(crate) fn said(&self) -> String {
        let mine = |line: &&String| {
            let noise = ["debug", "OpenSSH_", "Authenticated to", "Transferred:", "Bytes per second:"];
            !line.is_empty() && !noise.iter().any(|word| line.starts_with(word))
        };
        let lines: Vec<&str> = self.lines.iter().filter(mine).map(String::as_str).collect();
        lines[lines.len().saturating_sub(QUOTE_MAX)..].join("; ")
    }
}

/// The error of an ssh that ended before it was logged in.
pub(crate) async fn connect(settings: &Settings, files: &Files, target: &Target, label: &str) -> ExecError {
    let log = Log::read(files);
    let looked = match kind(&log) {
        ExecErrorKind::HostKey => look(settings, files, target).await,
        ExecErrorKind::Connect
        | ExecErrorKind::Auth
        | ExecErrorKind::Lost
        | ExecErrorKind::Timeout
        | ExecErrorKind::Local => Looked::default(),
    };
    told(&log, target, label, &looked)
}

fn told(log: &Log, target: &Target, label: &str, looked: &Looked) -> ExecError {
    let kind = kind(log);
    let said = match log.said() {
        said if said.is_empty() => "ssh ended and said nothing".to_owned(),
        said => said,
    };
    let detail = match kind {
        ExecErrorKind::HostKey => host_key(&log.of_the_last_host(), label, target, looked),
        ExecErrorKind::Auth => auth(&log.of_the_last_host(), label),
        ExecErrorKind::Local => format!("ssh cannot be used to reach {label}: {said}"),
        ExecErrorKind::Connect | ExecErrorKind::Lost | ExecErrorKind::Timeout => {
            format!("cannot connect to {label}: {said}{}", advice(log))
        }
    };
    ExecError::before(kind, detail)
}

/// The error of an ssh that had not logged in when the time was over.
pub(crate) fn too_slow(files: &Files, target: &Target, label: &str) -> ExecError {
    let log = Log::read(files);
    let limit = target.connect_timeout.as_secs_f64();
    let far = if log.line("Authentications that can continue").is_some() {
        "the host is there, but the log-in was not done"
    } else if log.line("Connection established").is_some() {
        "something accepted the connection, but did not finish the greeting of an SSH server"
    } else {
        "nothing answered"
    };
    ExecError::before(
        ExecErrorKind::Connect,
        format!("cannot connect to {label} within {limit} s: {far} (the limit is `timeouts.connect`)"),
    )
}

/// What an ssh that failed is a case of. The order matters: behind a jump host the ssh that waits for it adds that its
/// connection was closed.
fn kind(log: &Log) -> ExecErrorKind {
    const LOCAL: [&str; 8] = [
        "Bad configuration option",
        "bad configuration options",
        "Bad owner or permissions on",
        "Can't open user config file",
        "unix_listener",
        "ControlPath",
        "jumphost loop",
        "Unsupported option",
    ];
    const AUTH: [&str; 4] = [
        "Permission denied",
        "Too many authentication failures",
        "No supported authentication methods",
        "Permission denied, please try again",
    ];
    let has = |texts: &[&str]| texts.iter().any(|text| said_line(log, text));
    if has(&["Host key verification failed", "REVOKED HOST KEY", "host key for"]) {
        ExecErrorKind::HostKey
    } else if has(&AUTH) {
        ExecErrorKind::Auth
    } else if has(&LOCAL) {
        ExecErrorKind::Local
    } else {
        ExecErrorKind::Connect
    }
}

/// Whether a line for people, not of the debug kind, has the text.
fn said_line(log: &Log, text: &str) -> bool {
    log.lines.iter().any(|line| !line.starts_with("debug") && line.contains(text))
}

/// What to do about a connection that did not come about, where that can be told.
fn advice(log: &Log) -> &'static str {
    if said_line(log, "kex_exchange_identification") {
        ". The server closed at once: too many log-ins at the same time (its MaxStartups; ours: \
         `limits.connection_starts`), or a ban (fail2ban, PerSourcePenalties)"
    } else if said_line(log, "Could not resolve hostname") {
        ". Is the address right, and does this machine's name service answer?"
    } else if said_line(log, "Connection refused") {
        ". The machine is there, but no SSH server listens at that port"
    } else if said_line(log, "no matching") {
        ". Allow what the host offers in your ssh_config, for this host alone"
    } else {
        ""
    }
}

/// What ssh would do for a target, by `ssh -G`.
#[derive(Debug, Default)]
struct Looked {
    host: String,
    port: String,
    known_hosts: String,
}

async fn look(settings: &Settings, files: &Files, target: &Target) -> Looked {
    let mut ssh = Command::new(&settings.ssh);
    ssh.arg("-G").arg("-F").arg(&files.config);
    if let Some(port) = target.port {
        ssh.arg("-p").arg(port.to_string());
    }
    ssh.arg("--").arg(&target.address).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let Ok(Ok(output)) = tokio::time::timeout(LOOK_MAX, ssh.output()).await else { return Looked::default() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |key: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        found.unwrap_or_default().to_owned()
    };
    // Several files may stand there, divided by blanks; ssh adds to the first.
    let known_hosts = match &settings.known_hosts {
        Some(path) => path.display().to_string(),
        None => value("userknownhostsfile").split(' ').next().unwrap_or_default().to_owned(),
    };
    Looked { host: value("hostname"), port: value("port"), known_hosts }
}

fn host_key(log: &Log, label: &str, target: &Target, looked: &Looked) -> String {
    let offered = log.between("Server host key: ", "").unwrap_or("(not read)");
    let file = if looked.known_hosts.is_empty() { "~/.ssh/known_hosts" } else { &looked.known_hosts };
    if let Some(name) = log.between("host key is known for ", " and you") {
        if name == PINNED {
            return pinned(log, label, offered, target, looked);
        }
        return refused::unknown(label, name, offered, file, &add(log, name, file, target, looked));
    }
    let place = log.between("Offending ", "").and_then(|rest| rest.split_once(" key in ").map(|(_, at)| at));
    if let Some(place) = place {
        let name = log.between("ost key for ", " has changed").unwrap_or_default();
        if name == PINNED {
            return pinned(log, label, offered, target, looked);
        }
        return refused::changed(label, name, offered, place, &add(log, name, file, target, looked));
    }
    if log.line("REVOKED HOST KEY").is_some() {
        return refused::revoked(label, offered, "your known_hosts");
    }
    format!("the host key of {label} was not accepted: it offered {offered}; ssh said: {}", log.said())
}

fn pinned(log: &Log, label: &str, offered: &str, target: &Target, looked: &Looked) -> String {
    let scan = if log.proxied {
        "its console's `cat /etc/ssh/ssh_host_ed25519_key.pub`".to_owned()
    } else {
        format!("`ssh-keyscan -p {} {}`", looked.port, looked.host)
    };
    refused::not_the_pinned(label, offered, target, &scan)
}

/// How to make a key known.
fn add(log: &Log, name: &str, file: &str, target: &Target, looked: &Looked) -> String {
    let bracketed = name.strip_prefix('[').and_then(|rest| rest.split_once("]:"));
    let (host, port) = bracketed.unwrap_or((name, "22"));
    let proxied = log.proxied && (looked.host.as_str(), looked.port.as_str()) == (host, port);
    if proxied {
        // No scan reaches what only the proxy reaches.
        format!("`ssh {}`, and answer it with the fingerprint", target.address)
    } else {
        format!("`ssh-keyscan -p {port} {host} >> {file}`")
    }
}

fn auth(log: &Log, label: &str) -> String {
    let keys = |what: &str| -> Vec<String> {
        // `explicit`: a file that the configuration names; the others say `agent`.
        let of =
            |line: &String| Some(line.split_once(what)?.1.trim().trim_end_matches(" explicit").to_owned());
        log.lines.iter().filter_map(of).collect()
    };
    let (offered, accepted) = (keys("Offering public key: "), keys("Server accepts key: "));
    let user = log.between(" as '", "'").unwrap_or("the user");
    let mut text = format!("{label} does not let us log in as {user}");
    if let Some(at) = log.between("Authenticating to ", " as ").filter(|_| log.proxied) {
        let _ = write!(text, " (at {at}, with a jump host in the way)");
    }
    let exposed = log.between("for '", "' are too open");
    let not_used = |file: &str| {
        format!("the key {file} is not used, since others than you may read it: `chmod 600 {file}`")
    };
    if log.line("with partial success").is_some() {
        let wants = log.lines.iter().rev().find_map(|line| line.split_once("that can continue: "));
        let wants = wants.map_or("more", |(_, ways)| ways.trim()).replace(',', " or ");
        let key = accepted.first().map_or("a key", String::as_str);
        let _ = write!(
            text,
            ": it accepted {key}, and wants {wants} as well (its AuthenticationMethods). Uphaul logs in by keys alone: \
             let this user in without the second factor"
        );
    } else if let Some(file) = exposed.filter(|_| offered.is_empty() || !accepted.is_empty()) {
        let _ = write!(text, ": {}", not_used(file));
    } else if let Some(key) = accepted.first() {
        let file = key.split(' ').next().unwrap_or_default();
        let _ = write!(
            text,
            ": it would accept the key {key}, but that could not sign. Most likely it is encrypted: `ssh-add {file}` \
             before (Uphaul asks for no passphrase)"
        );
    } else if offered.is_empty() {
        text.push_str(
            ": there was no key to offer. Name one in `executor.openssh.identity`, in your ssh_config, or add it to \
             the agent (`ssh-add`)",
        );
    } else {
        let _ = write!(
            text,
            ": it accepts none of the keys offered: {}. Add the public half to {user}'s .ssh/authorized_keys there, or \
             name the right key in `executor.openssh.identity`",
            offered.join(", ")
        );
        if let Some(file) = exposed {
            let _ = write!(text, "; {}", not_used(file));
        }
    }
    let _ = write!(text, " (ssh said: {})", log.said());
    text
}

/// The words for a connection that was there and is gone.
pub(crate) fn lost(log: &Log, label: &str, program: &str) -> String {
    let said = match log.said() {
        said if said.is_empty() => "it was closed; ssh does not know why".to_owned(),
        said => format!("ssh said: {said}"),
    };
    format!("the connection to {label} was lost while {program} ran there, or was about to ({said})")
}

#[cfg(test)]
#[path = "cause_tests.rs"]
mod tests;
