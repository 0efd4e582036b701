//! What a client of a host needs, and what a test may see of the host without going through it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::host::Host;
use super::shell::{self, Ran, quote, wait_until};
use super::slot::Slot;
use super::spec::must_write;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Host {
    // What a client of it needs.

    /// Its loopback address; sshd is on port 22, the service on port 3000.
    pub fn address(&self) -> &str {
        &self.slot.address
    }

    /// Its name, also that of its control groups.
    pub fn name(&self) -> &str {
        &self.slot.name
    }

    /// A known_hosts file with its key.
    pub fn known_hosts(&self) -> PathBuf {
        self.client("known_hosts")
    }

    /// A known_hosts file with another key for its address.
    pub fn wrong_known_hosts(&self) -> PathBuf {
        let path = self.client("wrong_known_hosts");
        if !path.exists() {
            let key = make_key(&self.client("wrong_host_key"), "");
            must_write(&path, &format!("{} {key}", self.address()));
        }
        path
    }

    /// An empty known_hosts file.
    pub fn empty_known_hosts(&self) -> PathBuf {
        let path = self.client("empty_known_hosts");
        must_write(&path, "");
        path
    }

    /// The private key of `deploy`.
    pub fn identity(&self) -> PathBuf {
        self.client("id")
    }

    /// A private key that the host does not know.
    pub fn wrong_identity(&self) -> PathBuf {
        let path = self.client("wrong_id");
        if !path.exists() {
            make_key(&path, "");
        }
        path
    }

    /// A private key that the host knows, encrypted with this passphrase. (One key a passphrase.)
    pub fn encrypted_identity(&self, passphrase: &str) -> PathBuf {
        let path = self.client("encrypted_id");
        if !path.exists() {
            let public = make_key(&path, passphrase);
            let line = quote(public.trim());
            self.root(&format!("echo {line} >>/home/deploy/.ssh/authorized_keys")).ok();
        }
        path
    }

    /// A configuration for `ssh -F`; it knows the host by its name and by its address.
    pub fn ssh_config(&self) -> PathBuf {
        self.client("ssh_config")
    }

    fn client(&self, name: &str) -> PathBuf {
        self.slot.dir.join("client").join(name)
    }

    // Looking into it, not over ssh.

    /// Runs a command as root on the host, not over ssh.
    pub fn root(&self, command: &str) -> Ran {
        self.enter("root", "/root", command)
    }

    /// Runs a command as a user on the host, not over ssh and not by the login shell.
    pub fn as_user(&self, user: &str, command: &str) -> Ran {
        let home = format!("/home/{user}");
        let inner = format!(
            "export XDG_RUNTIME_DIR=/run/user/$(id -u {user}); exec runuser -u {user} -- sh -c {}",
            quote(&format!("cd; {command}"))
        );
        self.enter(user, &home, &inner)
    }

    /// The words that run a command as `deploy` on the host, not over ssh, for a program that is given them. They are
    /// of this boot.
    pub fn entry(&self) -> Vec<String> {
        let init = self.init().unwrap_or_else(|| panic!("{} is off", self.name()));
        let init = init.to_string();
        let enter = ["nsenter", "-t", &init, "-m", "-u", "-i", "-p", "-C", "--"];
        let path = format!("PATH={PATH}");
        let clean = ["/usr/bin/env", "-i", &path, "HOME=/home/deploy", "USER=deploy"];
        let user = ["runuser", "-u", "deploy", "--"];
        [&enter[..], &clean, &user].concat().into_iter().map(ToOwned::to_owned).collect()
    }

    fn enter(&self, user: &str, home: &str, command: &str) -> Ran {
        let Some(init) = self.init() else {
            return Ran { code: None, stdout: String::new(), stderr: "the host is off".into() };
        };
        let (user, home) = (format!("USER={user}"), format!("HOME={home}"));
        // A host that shuts down stops all its processes before it ends them, and nsenter then stops itself like its
        // child and would never go on: it is told to, once a second, until it has ended.
        let awake = "nsenter \"$@\" & p=$!; while kill -s CONT $p 2>/dev/null; do sleep 1; done & wait $p";
        shell::run(
            Command::new("sh")
                .args(["-c", awake, "sh"])
                .args(["-t", &init.to_string(), "-m", "-u", "-i", "-p", "-C", "--"])
                .args(["/usr/bin/env", "-i", &user, &home, &format!("PATH={PATH}"), "sh", "-c", command]),
        )
    }

    /// Runs a command over plain ssh, as `deploy` and by the login shell.
    pub fn ssh(&self, command: &str) -> Ran {
        shell::run(Command::new("ssh").arg("-F").arg(self.ssh_config()).args([self.name(), command]))
    }

    /// The commit that /srv/app is at.
    pub fn head(&self) -> String {
        self.as_user("deploy", "git -C /srv/app rev-parse HEAD").ok()
    }

    /// The tracked files of /srv/app that differ from its commit, as `git status` says it.
    pub fn dirty(&self) -> String {
        self.as_user("deploy", "git --no-optional-locks -C /srv/app status --porcelain --untracked-files=no")
            .ok()
    }

    /// The label of the commit that the service runs, or None if it does not answer.
    pub fn running_version(&self) -> Option<String> {
        self.http("/version").filter(|(status, _)| *status == 200).map(|(_, text)| text.trim().to_owned())
    }

    /// Asks the service for a page: status and text, or None if there is no answer within 10 s.
    pub fn http(&self, path: &str) -> Option<(u16, String)> {
        let address: SocketAddr = format!("{}:3000", self.address()).parse().ok()?;
        let limit = Duration::from_secs(10);
        let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
        stream.set_read_timeout(Some(limit)).ok()?;
        let host = self.address();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split_whitespace().nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
    }

    /// The command lines on the host that contain `pattern`, with their ids there.
    pub fn processes(&self, pattern: &str) -> Vec<(u32, String)> {
        let list = self.root("ps -e -ww -o pid=,args=").ok();
        list.lines()
            .filter_map(|line| line.trim_start().split_once(' '))
            .filter(|(_, args)| args.contains(pattern) && !args.starts_with("ps -e"))
            .filter_map(|(pid, args)| Some((pid.parse().ok()?, args.trim().to_owned())))
            .collect()
    }

    /// What the installs wrote: a line `start LABEL` and a line `end LABEL` each.
    pub fn installs(&self) -> Vec<String> {
        self.root("cat /var/lib/app/installs 2>/dev/null").stdout.lines().map(str::to_owned).collect()
    }

    /// One property of a unit, as `systemctl show` gives it.
    pub fn unit_property(&self, unit: &str, property: &str) -> String {
        let (unit, property) = (quote(unit), quote(property));
        if self.spec.user_unit {
            self.as_user("deploy", &format!("systemctl --user show --value -p {property} {unit}")).ok()
        } else {
            self.root(&format!("systemctl show --value -p {property} {unit}")).ok()
        }
    }

    /// Waits until a file is there.
    pub fn wait_file(&self, path: &str, limit: Duration) {
        let path_here = self.path(path);
        wait_until(&format!("{path} on the host"), limit, || path_here.exists().then_some(()));
    }

    /// A path of the host as one of this machine, while the host is on.
    pub fn path(&self, path: &str) -> PathBuf {
        let init = self.init().unwrap_or_else(|| panic!("{} is off", self.name()));
        PathBuf::from(format!("/proc/{init}/root")).join(path.trim_start_matches('/'))
    }
}

/// Makes a key pair and gives its public line.
pub(super) fn make_key(path: &Path, passphrase: &str) -> String {
    let args = ["-q", "-t", "ed25519", "-C", "lab", "-N", passphrase, "-f"];
    shell::run(Command::new("ssh-keygen").args(args).arg(path)).ok();
    let public = path.with_extension("pub");
    std::fs::read_to_string(&public).unwrap_or_else(|e| panic!("{}: {e}", public.display()))
}

pub(super) fn ssh_config(slot: &Slot, client: &Path) -> String {
    let client = client.display();
    format!(
        "Host {} {address}\n  HostName {address}\n  Port 22\n  User deploy\n  IdentityFile {client}/id\n  \
         IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {client}/known_hosts\n  \
         GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  UpdateHostKeys no\n  BatchMode yes\n  \
         ConnectTimeout 30\n",
        slot.name,
        address = slot.address
    )
}
