//! What kind of host a test wants, and how a host's file system is made ready before its first boot.

use std::fmt::Write as _;
use std::path::Path;

use super::host::Host;
use super::origin::Origin;
use super::shell::quote;

/// What `deploy` may do through sudo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rights {
    /// systemctl, systemd-run and journalctl, without a password.
    #[default]
    Full,
    /// Exactly `systemctl restart app.service` and `systemctl reset-failed app.service`, without a password.
    Minimal,
    /// No rule at all.
    None,
    /// The rules of `Full`, but each asks for a password.
    AsksPassword,
}

/// The unit that runs the service. All keep systemd's default start limits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Unit {
    /// `Type=simple`.
    #[default]
    Simple,
    /// `Type=notify`.
    Notify,
    /// Started by `app.socket`, which listens.
    Socket,
    /// `Type=simple`, `Restart=always`: with `Serve::ExitsAtOnce` a crash loop.
    RestartAlways,
    /// `Type=oneshot` without `RemainAfterExit`: it does nothing and is inactive afterwards.
    Oneshot,
    /// `Type=oneshot` with `RemainAfterExit`: it copies the file `release` to `/var/lib/app/served`.
    OneshotRemains,
    /// Text of one's own; `{address}` in it becomes the host's address.
    Text(String),
}

/// The login shell of `deploy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shell {
    /// dash.
    Sh,
    /// bash, what most have.
    #[default]
    Bash,
    /// fish.
    Fish,
    /// tcsh, of the csh family.
    Tcsh,
}

/// A host to be booted. Without more said: full rights, curl, wget and python3, bash, a system unit of `Type=simple`.
#[derive(Debug, Clone, Default)]
pub struct HostSpec {
    rights: Rights,
    pub(super) unit: Unit,
    pub(super) user_unit: bool,
    no_linger: bool,
    shell: Shell,
    without: Vec<String>,
    bun_at_home: bool,
    pub(super) srv: Option<String>,
    pub(super) shallow: bool,
    sshd: Vec<String>,
    files: Vec<(String, u32, String)>,
    pub(super) units: Vec<String>,
    pub(super) after_clone: Vec<String>,
}

impl HostSpec {
    /// The usual host.
    pub fn new() -> Self {
        Self::default()
    }

    /// What `deploy` may do through sudo.
    #[must_use]
    pub fn rights(self, rights: Rights) -> Self {
        Self { rights, ..self }
    }

    /// The kind of the unit.
    #[must_use]
    pub fn unit(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    /// The unit belongs to deploy's own systemd, which lingers.
    #[must_use]
    pub fn user_unit(self) -> Self {
        Self { user_unit: true, ..self }
    }

    /// A user unit that is written but cannot run, since deploy's systemd does not linger.
    #[must_use]
    pub fn user_unit_without_linger(self) -> Self {
        Self { user_unit: true, no_linger: true, ..self }
    }

    /// The login shell of `deploy`.
    #[must_use]
    pub fn shell(self, shell: Shell) -> Self {
        Self { shell, ..self }
    }

    /// Without these programs of /usr/bin or /usr/local/bin (`git`, `bun`, `flock`, ...).
    #[must_use]
    pub fn without(mut self, programs: &[&str]) -> Self {
        self.without.extend(programs.iter().map(|p| (*p).to_owned()));
        self
    }

    /// Without curl; wget, bash and python3 remain.
    #[must_use]
    pub fn without_curl(self) -> Self {
        self.without(&["curl"])
    }

    /// With bun in `~deploy/.bun/bin` and not on the PATH that a command over ssh gets.
    #[must_use]
    pub fn bun_at_home(self) -> Self {
        Self { bun_at_home: true, ..self }
    }

    /// With a file system of its own on /srv, of this size, for `Host::fill_disk`.
    #[must_use]
    pub fn small_disk(self, mebibytes: u32) -> Self {
        Self { srv: Some(format!("size={mebibytes}m,mode=0755")), ..self }
    }

    /// With a file system of its own on /srv that has this many inodes, for `Host::fill_inodes`.
    #[must_use]
    pub fn few_inodes(self, inodes: u32) -> Self {
        Self { srv: Some(format!("size=256m,nr_inodes={inodes},mode=0755")), ..self }
    }

    /// With /srv/app cloned at depth 1.
    #[must_use]
    pub fn shallow(self) -> Self {
        Self { shallow: true, ..self }
    }

    /// One line of sshd's configuration, before all others: `MaxSessions 1`, `MaxStartups 2:100:2`, ...
    #[must_use]
    pub fn sshd(mut self, line: &str) -> Self {
        self.sshd.push(line.to_owned());
        self
    }

    /// A file of the host, made by root before the first boot. `{address}` in it becomes the host's address.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, text: &str) -> Self {
        self.files.push((path.to_owned(), mode, text.to_owned()));
        self
    }

    /// One more system unit, enabled and started after the service's own. `{address}` becomes the host's address.
    #[must_use]
    pub fn more_unit(mut self, name: &str, text: &str) -> Self {
        self.units.push(name.to_owned());
        self.file(&format!("/etc/systemd/system/{name}"), 0o644, text)
    }

    /// A command that deploy runs in /srv/app after the clone and before the first install.
    #[must_use]
    pub fn after_clone(mut self, command: &str) -> Self {
        self.after_clone.push(command.to_owned());
        self
    }

    /// Boots it, with /srv/app a clone of `origin` that runs.
    pub fn boot(self, origin: &Origin) -> Host {
        Host::boot(self, Some(origin))
    }

    /// Boots it with an empty /srv and no service.
    pub fn boot_bare(self) -> Host {
        Host::boot(self, None)
    }

    /// Writes what the first boot needs into `dir`: files, and the script `prepare.sh` that puts them into the tree.
    /// `authorized` are public keys, `service` says whether there is one.
    pub(super) fn prepare(&self, dir: &Path, name: &str, address: &str, authorized: &str, service: bool) {
        let mut made = Vec::new();
        let mut script = String::from("cd ./\n");
        let mut put = |path: &str, mode: u32, owner: u32, text: &str| {
            made.push(text.replace("{address}", address));
            let from = dir.join(format!("file-{}", made.len()));
            let _ = writeln!(
                script,
                "install -D -m {mode:o} -o {owner} -g {owner} {} {}",
                quote(&from.to_string_lossy()),
                quote(&format!(".{path}"))
            );
        };

        put("/etc/hosts", 0o644, 0, &format!("127.0.0.1 localhost\n{{address}} {name}\n"));
        put("/etc/hostname", 0o644, 0, &format!("{name}\n"));
        let sshd = self.sshd.join("\n");
        put(
            "/etc/ssh/sshd_config.d/a-host.conf",
            0o644,
            0,
            &format!("{sshd}\nListenAddress {{address}}\nHostKey /etc/ssh/ssh_host_ed25519_key\n"),
        );
        let host_key = std::fs::read_to_string(dir.join("client/host_key")).unwrap_or_default();
        put("/etc/ssh/ssh_host_ed25519_key", 0o600, 0, &host_key);
        put("/home/deploy/.ssh/authorized_keys", 0o600, 1000, authorized);
        if let Some(rules) = self.sudoers() {
            put("/etc/sudoers.d/deploy", 0o440, 0, rules);
        }
        if service {
            for (path, text) in self.unit_files() {
                put(&path, 0o644, 0, &text);
            }
        }
        for (path, mode, text) in &self.files {
            put(path, *mode, 0, text);
        }

        script.push_str("install -d -o 1000 -g 1000 ./srv/app\n");
        if self.user_unit {
            script.push_str("chown -R 1000:1000 ./home/deploy/.config\n");
            if !self.no_linger {
                script.push_str("install -D /dev/null ./var/lib/systemd/linger/deploy\n");
            }
        }
        let shell = match self.shell {
            Shell::Sh => "/bin/sh",
            Shell::Bash => "/bin/bash",
            Shell::Fish => "/usr/bin/fish",
            Shell::Tcsh => "/usr/bin/tcsh",
        };
        let _ = writeln!(script, "sed -i 's,^\\(deploy:.*:\\)[^:]*$,\\1{shell},' ./etc/passwd");
        for program in &self.without {
            let _ = writeln!(script, "rm -f ./usr/bin/{program} ./usr/local/bin/{program}");
        }
        if self.bun_at_home {
            script.push_str("rm -f ./usr/local/bin/bun\n");
            script.push_str("install -d -o 1000 -g 1000 ./home/deploy/.bun ./home/deploy/.bun/bin\n");
            script.push_str("ln -s /usr/local/lib/bun/bun ./home/deploy/.bun/bin/bun\n");
        }
        for (i, text) in made.iter().enumerate() {
            must_write(&dir.join(format!("file-{}", i + 1)), text);
        }
        must_write(&dir.join("prepare.sh"), &script);
    }

    fn sudoers(&self) -> Option<&'static str> {
        match self.rights {
            Rights::Full => Some(
                "deploy ALL=(root) NOPASSWD: /usr/bin/systemctl, /usr/bin/systemd-run, /usr/bin/journalctl\n",
            ),
            Rights::Minimal => Some(
                "deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart app.service, \
                 /usr/bin/systemctl reset-failed app.service\n",
            ),
            Rights::None => None,
            Rights::AsksPassword => {
                Some("deploy ALL=(root) /usr/bin/systemctl, /usr/bin/systemd-run, /usr/bin/journalctl\n")
            }
        }
    }

    fn unit_files(&self) -> Vec<(String, String)> {
        let folder = if self.user_unit { "/home/deploy/.config/systemd/user" } else { "/etc/systemd/system" };
        let user = if self.user_unit { "" } else { "User=deploy\n" };
        let wanted = if self.user_unit { "default.target" } else { "multi-user.target" };
        let run = "ExecStart=/usr/local/lib/bun/bun server.ts";
        let (head, body) = match &self.unit {
            Unit::Text(text) => return vec![(format!("{folder}/app.service"), text.clone())],
            Unit::Simple => ("", format!("Type=simple\n{run}")),
            Unit::Notify => ("", format!("Type=notify\nNotifyAccess=all\n{run}")),
            Unit::Socket => ("Requires=app.socket\nAfter=app.socket\n", format!("Type=simple\n{run}")),
            Unit::RestartAlways => ("", format!("Type=simple\nRestart=always\n{run}")),
            Unit::Oneshot => ("", "Type=oneshot\nExecStart=true".to_owned()),
            Unit::OneshotRemains => {
                ("", "Type=oneshot\nRemainAfterExit=yes\nExecStart=cp release /var/lib/app/served".to_owned())
            }
        };
        let mut files = vec![(
            format!("{folder}/app.service"),
            format!(
                "[Unit]\nDescription=The service of the lab\n{head}\n[Service]\n{user}WorkingDirectory=/srv/app\n\
                 Environment=APP_ADDR={{address}} PORT=3000\n{body}\n\n[Install]\nWantedBy={wanted}\n"
            ),
        )];
        if self.unit == Unit::Socket {
            files.push((
                format!("{folder}/app.socket"),
                "[Socket]\nListenStream={address}:3000\n\n[Install]\nWantedBy=sockets.target\n".to_owned(),
            ));
        }
        files
    }
}

pub(super) fn must_write(path: &Path, text: &str) {
    if let Err(error) = std::fs::write(path, text) {
        panic!("{}: {error}", path.display());
    }
}
