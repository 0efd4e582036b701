//! The system's ssh: the program, its configuration, keys, the agent, known hosts. What ssh would use is asked of ssh
//! itself (`ssh -G`).

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::backends::{refused, unread};
use super::program::{Said, ask, find};
use super::{Finding, Mark, agent};
use crate::config::{Backend, Config};
use crate::engine::executor;
use crate::render::words;
use crate::surroundings::Surroundings;

/// The first that knows all that the executor writes into its configuration (RemoteCommand none).
const OLDEST: (u32, u32) = (7, 6);
/// A name that no configuration has a section for.
const NOBODY: &str = "uphaul-doctor.invalid";
/// How many files of each kind are looked at.
const FILES_MAX: usize = 20;

/// Everything that the executor `openssh` needs here.
pub(super) async fn openssh(config: Option<&Config>, around: &Surroundings) -> Vec<Finding> {
    let Some(config) = config else { return vec![unread()] };
    let Some(ssh) = find(around, "ssh") else {
        // The executor says it, with the way to install one.
        return vec![
            executor(Backend::Openssh, config)
                .map_or_else(|error| refused(&error), |_| Finding::good("ssh is there")),
        ];
    };
    let mut findings = vec![version(&ssh).await];
    if findings[0].mark == Mark::Bad {
        return findings;
    }
    let settings = match settings(&ssh, config).await {
        Ok(settings) => settings,
        Err(finding) => {
            findings.push(finding);
            return findings;
        }
    };
    findings.push(Finding::good(match &config.openssh.config {
        Some(file) => format!("{} can be read by ssh", file.display()),
        None => "ssh can read its configuration".to_owned(),
    }));
    findings.extend(keys(config, around, &settings).await);
    findings.extend(known_hosts(config, around, &settings));
    // Last, for it makes a folder: sockets, paths that ssh cannot express, keys that are not there.
    findings.extend(executor(Backend::Openssh, config).err().map(|error| refused(&error)));
    findings
}

async fn version(ssh: &Path) -> Finding {
    let said = match ask(ssh, &["-V"]).await {
        Ok(said) => said,
        Err(why) => return Finding::bad(why),
    };
    let text = if said.stderr.trim().is_empty() { said.stdout } else { said.stderr };
    let text = text.trim();
    let number = text.split("OpenSSH_").nth(1).and_then(numbers);
    let name = text.split(',').next().unwrap_or(text);
    match number {
        Some(number) if number >= OLDEST => Finding::good(format!("{}, {name}", ssh.display())),
        Some(_) => Finding::bad(format!("{} is {name}, which is too old", ssh.display()))
            .fix(format!("install OpenSSH {}.{} or newer", OLDEST.0, OLDEST.1)),
        None => Finding::bad(format!("{} is not OpenSSH; it says {text:?}", ssh.display()))
            .fix("install OpenSSH, before it on the PATH"),
    }
}

/// `9.2p1 ...` as (9, 2).
fn numbers(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// What ssh would use for a host that no section is about.
async fn settings(ssh: &Path, config: &Config) -> Result<String, Finding> {
    let file = config.openssh.config.as_ref().map(|file| file.to_string_lossy().into_owned());
    let mut args = Vec::new();
    if let Some(file) = &file {
        args.extend(["-F", file.as_str()]);
    }
    args.extend(["-G", NOBODY]);
    match ask(ssh, &args).await {
        Ok(Said { ok: true, stdout, .. }) => Ok(stdout),
        Ok(Said { stderr, .. }) => {
            let first =
                stderr.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("ssh says nothing");
            let which = file.unwrap_or_else(|| "~/.ssh/config or /etc/ssh/ssh_config".into());
            Err(Finding::bad(format!("ssh cannot read its configuration: {first}"))
                .fix(format!("correct {which}")))
        }
        Err(why) => Err(Finding::bad(why)),
    }
}

/// The values of a key, in the order of `ssh -G`.
fn values<'a>(settings: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    settings
        .lines()
        .filter_map(move |line| line.split_once(' ').filter(|(name, _)| *name == key).map(|(_, value)| value))
}

fn paths(around: &Surroundings, texts: impl Iterator<Item = String>) -> Vec<PathBuf> {
    texts.filter_map(|text| around.absolute(&text, &around.cwd).ok()).take(FILES_MAX).collect()
}

async fn keys(config: &Config, around: &Surroundings, settings: &str) -> Vec<Finding> {
    let named = !config.openssh.identity.is_empty();
    let files = match named {
        true => config.openssh.identity.clone(),
        false => paths(around, values(settings, "identityfile").map(str::to_owned)),
    };
    let mut findings = Vec::new();
    let in_agent = agent(around, settings, &mut findings).await;
    let mut usable = in_agent > 0 && !named;
    for file in files.iter().take(FILES_MAX) {
        // Those that nobody named are ssh's usual names, of which most people have one or two.
        if !file.exists() && !named {
            continue;
        }
        let finding = key(file, around, in_agent).await;
        usable |= finding.mark == Mark::Good;
        findings.push(finding);
    }
    if !usable {
        let found =
            "no key to log in with was found: neither a file that ssh would use nor an agent that has one";
        let fix = "`ssh-keygen -t ed25519`, then `ssh-copy-id USER@HOST`; or set executor.openssh.identity";
        findings.push(Finding::note(found).fix(fix));
    }
    findings
}

/// How many keys the agent has. None at all is no fault: keys may be in files.
async fn agent(around: &Surroundings, settings: &str, findings: &mut Vec<Finding>) -> u32 {
    let set = values(settings, "identityagent").next().filter(|agent| *agent != "SSH_AUTH_SOCK");
    let socket = match set {
        Some("none") => None,
        Some(path) => around.absolute(path, &around.cwd).ok(),
        None => around.var("SSH_AUTH_SOCK").map(PathBuf::from),
    };
    let Some(socket) = socket else {
        findings.push(Finding::good("no agent is used (SSH_AUTH_SOCK is not set); keys come from files"));
        return 0;
    };
    match agent::keys(&socket).await {
        Ok(0) => {
            findings.push(Finding::note("the agent answers and has no key").fix("`ssh-add` adds yours"));
            0
        }
        Ok(n) => {
            findings.push(Finding::good(format!("the agent has {}", words::count(n as usize, "key"))));
            n
        }
        Err(why) => {
            let found = format!("no agent answers at {}: {why}", socket.display());
            findings.push(Finding::note(found).fix("start one: `eval $(ssh-agent)`; or unset SSH_AUTH_SOCK"));
            0
        }
    }
}

async fn key(file: &Path, around: &Surroundings, in_agent: u32) -> Finding {
    let shown = file.display();
    let public = PathBuf::from(format!("{shown}.pub"));
    let mode = match std::fs::File::open(file).and_then(|open| open.metadata()) {
        Ok(data) => data.permissions().mode() & 0o777,
        Err(_) if public.is_file() && in_agent > 0 => {
            return Finding::good(format!(
                "{shown} is not there, its public half is: the agent must have it"
            ));
        }
        Err(error) => return Finding::bad(format!("the key {shown} cannot be read: {error}")),
    };
    if mode & 0o077 != 0 {
        return Finding::bad(format!(
            "the key {shown} may be read by others (mode {mode:o}), so ssh does not use it"
        ))
        .fix(format!("chmod 600 {shown}"));
    }
    let Some(keygen) = find(around, "ssh-keygen") else {
        return Finding::good(format!("the key {shown}"));
    };
    let text = file.to_string_lossy();
    match ask(&keygen, &["-y", "-P", "", "-f", &text]).await {
        Ok(said) if said.ok => Finding::good(format!("the key {shown}")),
        // That is what a key with a passphrase says to an empty one.
        Ok(said) if said.stderr.contains("incorrect passphrase") => {
            let found = format!("the key {shown} has a passphrase, and nobody is asked for one");
            Finding::note(found).fix(format!("ssh-add {shown}"))
        }
        Ok(said) => {
            let why = said.stderr.trim().lines().last().unwrap_or("ssh-keygen does not say why").to_owned();
            Finding::bad(format!("the key {shown} cannot be used: {why}"))
        }
        Err(why) => Finding::note(why),
    }
}

fn known_hosts(config: &Config, around: &Surroundings, settings: &str) -> Vec<Finding> {
    let of_ssh = || {
        let all = ["userknownhostsfile", "globalknownhostsfile"].into_iter();
        let texts = all.flat_map(|key| values(settings, key)).flat_map(str::split_whitespace);
        paths(around, texts.map(str::to_owned))
    };
    let files = config.openssh.known_hosts.as_ref().map_or_else(of_ssh, |file| vec![file.clone()]);
    let mut findings = Vec::new();
    let mut lines = 0;
    for file in files.iter().filter(|file| file.exists()) {
        match std::fs::read(file) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let keys =
                    text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).count();
                lines += keys;
                findings.push(Finding::good(format!(
                    "{} knows {}",
                    file.display(),
                    words::count(keys, "key")
                )));
            }
            Err(error) => {
                findings.push(Finding::bad(format!("{} cannot be read: {error}", file.display())));
                return findings;
            }
        }
    }
    if lines == 0 {
        let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let found = format!("no host key is known ({}), and an unknown one is refused", names.join(", "));
        let fix = "log in once by hand (`ssh USER@HOST`) and compare the fingerprint with the host's own";
        findings.push(Finding::note(found).fix(fix));
    }
    findings
}
