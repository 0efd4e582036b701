//! A booted host, and what a test may do to it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use super::access::{make_key, ssh_config};
use super::origin::{Origin, rules};
use super::shell::{self, quote, wait_until};
use super::slot::Slot;
use super::spec::{HostSpec, Unit, must_write};
use super::{base, scripts};

/// Long, since the machine may be busy with a compiler and with other hosts.
const BOOT: Duration = Duration::from_secs(180);

/// A host. It and all that belongs to it are gone when it is dropped, and when the test process is killed.
pub struct Host {
    // Dropped after the supervising script has ended.
    pub(super) slot: Slot,
    script: Child,
    orders: Option<ChildStdin>,
    pub(super) spec: HostSpec,
}

impl Host {
    pub(super) fn boot(spec: HostSpec, origin: Option<&Origin>) -> Self {
        let base = base();
        let slot = Slot::take();
        let client = slot.dir.join("client");
        if let Err(error) = std::fs::create_dir(&client) {
            panic!("{}: {error}", client.display());
        }
        let host_key = make_key(&client.join("host_key"), "");
        let identity = make_key(&client.join("id"), "");
        must_write(&client.join("known_hosts"), &format!("{} {host_key}", slot.address));
        must_write(&client.join("ssh_config"), &ssh_config(&slot, &client));
        spec.prepare(&slot.dir, &slot.name, &slot.address, &identity, origin.is_some());

        let mut script = Command::new("setsid")
            .args(["unshare", "--mount", "--propagation", "private", "sh"])
            .arg(scripts().join("host.sh"))
            .arg("run")
            .arg(&slot.dir)
            .args([&slot.name, &slot.address])
            .arg(base)
            .args(&spec.srv)
            .stdin(Stdio::piped())
            .stdout(slot.share())
            .stderr(Stdio::from(log(&slot.dir.join("supervisor"))))
            .spawn()
            .unwrap_or_else(|e| panic!("host.sh: {e}"));
        let orders = script.stdin.take();
        let mut host = Self { slot, script, orders, spec };
        host.wait_booted();
        if let Some(origin) = origin {
            host.install_service(origin);
        }
        host
    }

    fn install_service(&mut self, origin: &Origin) {
        let depth = if self.spec.shallow { "--depth 1" } else { "" };
        self.as_user("deploy", &format!("git clone --quiet {depth} {} /srv/app", origin.url())).ok();
        for command in &self.spec.after_clone {
            self.as_user("deploy", &format!("cd /srv/app && {command}")).ok();
        }
        self.as_user("deploy", "cd /srv/app && /usr/local/lib/bun/bun install").ok();
        let unit = if self.spec.unit == Unit::Socket { "app.socket" } else { "app.service" };
        if !self.spec.user_unit {
            self.root(&format!("systemctl enable --quiet --now {unit}")).ok();
        } else if self.root("test -e /var/lib/systemd/linger/deploy").success() {
            self.root("systemctl start user@1000.service").ok();
            self.as_user("deploy", &format!("systemctl --user enable --quiet --now {unit}")).ok();
        }
        for unit in &self.spec.units {
            self.root(&format!("systemctl enable --quiet --now {unit}")).ok();
        }
    }

    /// Waits until the service answers /health with 200.
    pub fn wait_healthy(&self) {
        wait_until("the service is healthy", Duration::from_secs(60), || {
            self.http("/health").filter(|(status, _)| *status == 200)
        });
    }

    // Doing things to it.

    /// Drops every packet to and from its sshd: what is connected hangs. The host itself goes on.
    pub fn cut(&self) {
        rules("-I", self.address(), 22);
    }

    /// Undoes `cut`.
    pub fn heal(&self) {
        rules("-D", self.address(), 22);
    }

    /// Waits until a file is there on the host, then cuts it off.
    pub fn cut_on_file(&self, path: &str, limit: Duration) {
        self.wait_file(path, limit);
        self.cut();
    }

    /// Kills every ssh session: what is connected sees the connection end. Gives how many processes that were.
    pub fn kill_sshd_sessions(&self) -> usize {
        let sessions: Vec<String> = self
            .processes("sshd: ")
            .into_iter()
            .filter(|(_, args)| args.starts_with("sshd: ") && !args.contains("[listener]"))
            .map(|(pid, _)| pid.to_string())
            .collect();
        if !sessions.is_empty() {
            // One may have ended by itself meanwhile, or with the other of its pair.
            self.root(&format!("kill -KILL {}", sessions.join(" ")));
        }
        sessions.len()
    }

    /// Reboots it from inside, cleanly, and waits until it is up again.
    pub fn reboot(&mut self) {
        let boot = self.begin_reboot();
        self.wait_rebooted(&boot);
    }

    /// Begins such a reboot, and gives the id of the boot that ends.
    pub fn begin_reboot(&self) -> String {
        let boot = self.root("cat /proc/sys/kernel/random/boot_id").ok();
        self.root("systemctl reboot --no-block").ok();
        boot
    }

    /// Waits until it is up again, in another boot than this.
    pub fn wait_rebooted(&mut self, before: &str) {
        wait_until("the host reboots", BOOT, || (self.boot_id()? != before).then_some(()));
        self.wait_booted();
    }

    /// Kills sshd, its listener and all its sessions, as a crash would; systemd starts it again. Waits for that.
    pub fn crash_sshd(&self) {
        let main = self.unit_property("ssh.service", "MainPID");
        self.root("pkill -KILL -x sshd").ok();
        wait_until("systemd starts sshd again", Duration::from_secs(60), || {
            let now = self.unit_property("ssh.service", "MainPID");
            (now != main && now != "0" && self.sshd_answers()).then_some(())
        });
    }

    /// Cuts its power, in the middle of whatever it does, and leaves it off.
    pub fn cut_power(&mut self) {
        self.order("cut-power");
        self.wait_off();
    }

    /// Shuts it down cleanly and leaves it off.
    pub fn stop(&mut self) {
        self.order("off");
        self.wait_off();
    }

    /// Boots it again after `stop` or `cut_power`.
    pub fn start(&mut self) {
        self.order("on");
        self.wait_booted();
    }

    /// Fills the small disk of `HostSpec::small_disk` to its last byte, also where a job takes or frees some meanwhile.
    pub fn fill_disk(&self) {
        assert!(self.spec.srv.is_some(), "only a small disk may be filled: HostSpec::small_disk");
        let filled = (0..10).any(|_| {
            self.root("for bs in 64k 1k; do dd if=/dev/zero bs=$bs >>/srv/ballast 2>/dev/null; done");
            self.root("df --output=avail /srv | tail -n 1").ok() == "0"
        });
        assert!(filled, "{}", self.root("df /srv").stdout);
    }

    /// Uses up the inodes of `HostSpec::few_inodes`.
    pub fn fill_inodes(&self) {
        assert!(self.spec.srv.is_some(), "only few inodes may be used up: HostSpec::few_inodes");
        self.root("mkdir -p /srv/ballast.d && cd /srv/ballast.d && seq 100000 | xargs touch 2>/dev/null");
        assert_eq!(self.root("df --output=iavail /srv | tail -n 1").ok(), "0");
    }

    /// Undoes `fill_disk` and `fill_inodes`.
    pub fn free_disk(&self) {
        self.root("rm -rf /srv/ballast /srv/ballast.d").ok();
    }

    /// From now on git takes this long for each of a commit's `Release::slow_files`, and makes the file
    /// `/var/lib/app/checking-out` at the first: so a test can meet it in the middle of a checkout.
    pub fn slow_checkout(&self, each: Duration) {
        let filter = format!("touch /var/lib/app/checking-out; sleep {}; exec cat", each.as_secs_f64());
        self.as_user("deploy", &format!("git -C /srv/app config filter.slow.smudge {}", quote(&filter))).ok();
    }

    // How it is driven.

    /// Kills the script that looks after this host, as the machine's own accidents would.
    pub fn kill_supervisor(&self) {
        shell::run(Command::new("kill").args(["-KILL", &self.script.id().to_string()])).ok();
    }

    fn order(&mut self, order: &str) {
        let sent = self.orders.as_mut().map(|o| writeln!(o, "{order}"));
        assert!(matches!(sent, Some(Ok(()))), "the supervisor of {} is gone\n{}", self.name(), self.said());
    }

    /// The id, on this machine, of the host's systemd.
    pub(super) fn init(&self) -> Option<u32> {
        let outer = std::fs::read_to_string(self.slot.dir.join("nspawn.pid")).ok()?;
        let outer = outer.trim();
        // Its first children set the container up; then systemd is the only one.
        let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).ok()?;
        let init: u32 = children.split_whitespace().last()?.parse().ok()?;
        std::fs::read_to_string(format!("/proc/{init}/comm"))
            .is_ok_and(|c| c.trim() == "systemd")
            .then_some(init)
    }

    fn boot_id(&self) -> Option<String> {
        let ran = self.root("cat /proc/sys/kernel/random/boot_id");
        ran.success().then(|| ran.stdout.trim().to_owned())
    }

    fn is_off(&self) -> bool {
        std::fs::read_to_string(self.slot.dir.join("state")).is_ok_and(|s| s.starts_with("off"))
    }

    fn wait_off(&self) {
        wait_until("the host goes off", BOOT, || self.is_off().then_some(()));
    }

    fn wait_booted(&mut self) {
        let began = Instant::now();
        loop {
            // Blocks until the boot is over, but fails while there is nobody to ask.
            let state = self.root("systemctl is-system-running --wait").stdout;
            if ["running", "degraded"].contains(&state.trim()) && self.sshd_answers() {
                return;
            }
            let gone = self.script.try_wait().ok().flatten();
            if gone.is_some() || began.elapsed() > BOOT {
                panic!("{} does not boot: {gone:?}, it is {:?}\n{}", self.name(), state.trim(), self.said());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn sshd_answers(&self) -> bool {
        let Ok(address) = format!("{}:22", self.address()).parse::<SocketAddr>() else { return false };
        let limit = Duration::from_secs(5);
        let Ok(mut stream) = TcpStream::connect_timeout(&address, limit) else { return false };
        let mut banner = [0; 4];
        stream.set_read_timeout(Some(limit)).is_ok()
            && stream.read_exact(&mut banner).is_ok()
            && &banner == b"SSH-"
    }

    /// What the console and the supervisor said, for a failed test.
    pub fn said(&self) -> String {
        let tail = |name: &str| {
            let text = std::fs::read(self.slot.dir.join(name)).unwrap_or_default();
            let from = text.len().saturating_sub(4000);
            String::from_utf8_lossy(&text[from..]).into_owned()
        };
        format!("supervisor: {}\nconsole: {}", tail("supervisor"), tail("console"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let journal = self.root("journalctl --no-pager --boot -n 60 -o short-monotonic").stdout;
            eprintln!("{} at the end of a failed test:\n{}\n{journal}", self.name(), self.said());
        }
        // The end of its input is the end of the host.
        drop(self.orders.take());
        let _ = self.script.wait();
        if self.slot.dir.exists() {
            self.slot.clean();
        }
    }
}

fn log(path: &Path) -> std::fs::File {
    std::fs::File::create(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
