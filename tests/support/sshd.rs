//! A throw-away SSH server on loopback, with keys of its own. Works as root and as a plain user (who then can log in only
//! as that user).
//!
//! The test listens itself, on a port that the system gives, and starts one `sshd -i` for each connection. So no port
//! can be taken by somebody in between, and the test knows the processes of each connection and when they end.

use std::ffi::OsString;
use std::fs::Permissions;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tempfile::TempDir;

/// The server. Dropping it ends the connections and removes its files.
pub struct Sshd {
    /// Its keys, and those of its clients.
    pub(crate) dir: TempDir,
    address: SocketAddr,
    connections: Arc<Mutex<Vec<Child>>>,
    stopped: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

/// What may differ.
#[derive(Debug, Clone, Default)]
pub struct SshdSpec {
    /// A command that the login shell runs in the stead of what the client asked for; that is in
    /// `$SSH_ORIGINAL_COMMAND`.
    pub force_command: Option<String>,
    /// Further lines of sshd_config.
    pub config: String,
    /// Kinds of further host keys, as ssh-keygen names them; the one of ed25519 is always there.
    pub host_keys: &'static [&'static str],
    /// Users that this server alone knows, beside those of the machine. Only root can have such, see [`can_have_users`].
    pub users: &'static [&'static str],
}

impl Sshd {
    /// Starts it.
    ///
    /// # Errors
    /// Why no SSH server can run here.
    pub fn start(spec: &SshdSpec) -> Result<Self, String> {
        let sshd = program("sshd").ok_or("there is no sshd (Debian: apt install openssh-server)")?;
        let keygen = program("ssh-keygen").ok_or("there is no ssh-keygen")?;
        // sshd run as root insists on this folder, which the service of the distribution makes at boot.
        if user() == "root" && !Path::new("/run/sshd").is_dir() {
            std::fs::create_dir("/run/sshd").map_err(|error| format!("cannot make /run/sshd: {error}"))?;
        }
        let dir = tempfile::tempdir().map_err(|error| format!("cannot make a folder: {error}"))?;
        for key in ["host", "other_host", "client", "stranger"] {
            make_key(&keygen, &dir.path().join(key), "")?;
        }
        for kind in spec.host_keys {
            make_key_of(&keygen, &dir.path().join(format!("host_{kind}")), kind, "")?;
        }
        std::fs::create_dir(dir.path().join("home"))
            .map_err(|error| format!("cannot make a folder: {error}"))?;
        let config = dir.path().join("sshd_config");
        write(&config, &sshd_config(dir.path(), spec))?;
        if !spec.users.is_empty() {
            add_users(dir.path(), spec.users)?;
        }
        write(&dir.path().join("authorized_keys"), &read(&dir.path().join("client.pub"))?)?;
        let checked = Command::new(&sshd).arg("-t").arg("-f").arg(&config).output();
        let checked = checked.map_err(|error| format!("cannot run sshd: {error}"))?;
        if !checked.status.success() {
            return Err(format!("sshd refuses to run: {}", String::from_utf8_lossy(&checked.stderr)));
        }
        let socket = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("cannot listen: {error}"))?;
        let address = socket.local_addr().map_err(|error| format!("cannot listen: {error}"))?;
        let (connections, stopped) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let listener = std::thread::spawn({
            let (connections, stopped) = (Arc::clone(&connections), Arc::clone(&stopped));
            let words = words(dir.path(), &sshd, &config, spec);
            move || listen(&socket, &words, &connections, &stopped)
        });
        Ok(Self { dir, address, connections, stopped, listener: Some(listener) })
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The private key that it accepts.
    pub fn identity(&self) -> PathBuf {
        self.dir.path().join("client")
    }

    /// A private key that it does not accept.
    pub fn stranger(&self) -> PathBuf {
        self.dir.path().join("stranger")
    }

    /// Lets users in that do not own its folder.
    pub fn open_to_all(&self) {
        let mode = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        mode(self.dir.path(), 0o755);
        mode(&self.dir.path().join("authorized_keys"), 0o644);
    }

    /// A known_hosts file with its key.
    pub fn known_hosts(&self) -> PathBuf {
        self.known_hosts_of("known", &format!("{} {}", self.name(), self.host_key("host")))
    }

    /// A known_hosts file that has the text.
    pub fn known_hosts_of(&self, name: &str, text: &str) -> PathBuf {
        self.file(&format!("known_hosts_{name}"), &format!("{text}\n"))
    }

    /// A file of its folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        write(&path, text).unwrap();
        path
    }

    /// How known_hosts names it.
    pub fn name(&self) -> String {
        format!("[127.0.0.1]:{}", self.port())
    }

    /// The public half of `host` or `other_host`, as in known_hosts.
    pub fn host_key(&self, key: &str) -> String {
        let text = read(&self.dir.path().join(format!("{key}.pub"))).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// The fingerprint of the host's key, `SHA256:...`.
    pub fn fingerprint(&self) -> String {
        let mut keygen = Command::new(program("ssh-keygen").unwrap());
        let output = keygen.arg("-lf").arg(self.dir.path().join("host.pub")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).split(' ').nth(1).unwrap().to_owned()
    }

    /// How many connections it has had.
    pub fn connections(&self) -> usize {
        self.lock().len()
    }

    /// Whether a connection is open still.
    pub fn has_open(&self) -> bool {
        self.lock().iter_mut().any(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        for process in self.processes() {
            signal(process, "KILL");
        }
    }

    /// Makes all connections silent, as a dead network does.
    pub fn freeze(&self) {
        for process in self.processes() {
            signal(process, "STOP");
        }
    }

    /// What the server wrote down.
    pub fn log(&self) -> String {
        read(&self.dir.path().join("log")).unwrap_or_default()
    }

    /// The processes of sshd itself for the open connections, not what they run.
    fn processes(&self) -> Vec<u32> {
        let mut found = Vec::new();
        for child in self
            .lock()
            .iter_mut()
            .filter_map(|child| matches!(child.try_wait(), Ok(None)).then(|| child.id()))
        {
            found.push(child);
            found.extend(children(child).into_iter().filter(|pid| command_of(*pid).starts_with("sshd")));
        }
        found
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Child>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        self.cut();
        for child in self.lock().iter_mut() {
            let _ = child.wait();
        }
    }
}

/// The program for one connection, and its words.
fn words(dir: &Path, sshd: &Path, config: &Path, spec: &SshdSpec) -> Vec<OsString> {
    let mut words = Vec::new();
    if !spec.users.is_empty() {
        // A table of users of its own, which nobody else sees, so that the machine stays as it is.
        words.extend(UNSHARE.iter().map(OsString::from));
        words.extend(["sh", "-c", "mount --bind \"$0\" /etc/passwd && exec \"$@\""].map(OsString::from));
        words.push(dir.join("passwd").into());
    }
    words.extend([sshd.into(), "-i".into(), "-f".into(), config.into(), "-E".into(), dir.join("log").into()]);
    words
}

const UNSHARE: &[&str] = &["unshare", "--mount", "--propagation", "private"];

/// Whether a server can have [`SshdSpec::users`] here.
pub fn can_have_users() -> bool {
    let mut unshare = Command::new(UNSHARE[0]);
    let done = unshare.args(&UNSHARE[1..]).arg("true").stderr(Stdio::null()).status();
    user() == "root" && done.is_ok_and(|status| status.success())
}

fn add_users(dir: &Path, users: &[&str]) -> Result<(), String> {
    let mut table = read(Path::new("/etc/passwd"))?;
    for (i, user) in users.iter().enumerate() {
        // Numbers that no distribution gives away (beyond 60000, below those of dynamic users).
        let number = 60_500 + i;
        table += &format!("{user}:x:{number}:{number}::{}/home:/bin/sh\n", dir.display());
    }
    let path = dir.join("passwd");
    write(&path, &table)?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).map_err(|error| error.to_string())
}

fn listen(socket: &TcpListener, words: &[OsString], connections: &Mutex<Vec<Child>>, stopped: &AtomicBool) {
    for stream in socket.incoming().flatten() {
        if stopped.load(Ordering::SeqCst) {
            return;
        }
        let (Ok(copy), Some((program, words))) = (stream.try_clone(), words.split_first()) else { continue };
        let mut command = Command::new(program);
        command.args(words).stderr(Stdio::null());
        command.stdin(OwnedFd::from(stream)).stdout(OwnedFd::from(copy));
        if let Ok(child) = command.spawn() {
            connections.lock().unwrap_or_else(PoisonError::into_inner).push(child);
        }
    }
}

/// HOME is a folder of the test's own: Debian's bash reads ~/.bashrc for a command by SSH too, and what the developer has
/// there may be slow, or anything.
fn sshd_config(dir: &Path, spec: &SshdSpec) -> String {
    let dir = dir.display();
    let keys: String = spec.host_keys.iter().map(|kind| format!("HostKey {dir}/host_{kind}\n")).collect();
    let force = spec.force_command.as_ref().map_or_else(String::new, |text| format!("ForceCommand {text}\n"));
    format!(
        "HostKey {dir}/host\n{keys}AuthorizedKeysFile {dir}/authorized_keys {dir}/authorized_keys_%u\nPidFile none\nUsePAM no\nStrictModes no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
         PrintMotd no\nLogLevel VERBOSE\nSetEnv HOME={dir}/home\n{force}{}",
        spec.config
    )
}

/// The user that runs the tests.
pub fn user() -> String {
    let output = Command::new("id").arg("-un").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// A program, by the PATH and the folders of the system's own.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    path.split(':').map(|dir| Path::new(dir).join(name)).find(|file| file.is_file())
}

/// Sends a signal to one process.
pub fn signal(process: u32, name: &str) {
    let _ =
        Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).stderr(Stdio::null()).status();
}

/// The processes whose command line has the text.
pub fn processes_with(text: &str) -> Vec<u32> {
    all_processes().into_iter().filter(|pid| command_of(*pid).contains(text)).collect()
}

fn all_processes() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn command_of(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

pub(crate) fn children(parent: u32) -> Vec<u32> {
    let of = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().nth(1).and_then(|text| text.parse().ok()) == Some(parent)
    };
    let direct: Vec<u32> = all_processes().into_iter().filter(of).collect();
    let deeper = direct.iter().flat_map(|pid| children(*pid)).collect::<Vec<_>>();
    direct.into_iter().chain(deeper).collect()
}

pub(crate) fn make_key(keygen: &Path, path: &Path, passphrase: &str) -> Result<(), String> {
    make_key_of(keygen, path, "ed25519", passphrase)
}

pub(crate) fn make_key_of(keygen: &Path, path: &Path, kind: &str, passphrase: &str) -> Result<(), String> {
    let mut command = Command::new(keygen);
    command.args(["-q", "-t", kind, "-C", "throw-away", "-N", passphrase, "-f"]).arg(path);
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("cannot run ssh-keygen: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    let written = std::fs::File::create(path).and_then(|mut file| {
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())
    });
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

pub(crate) fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}
