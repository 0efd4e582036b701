//! A Postgres of this machine, started for one test: as a user without rights, on a socket in its own folder. This file is
//! also part of the tests inside `uphaul-store`, so it needs nothing but the standard library and `tempfile`.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// A server; it ends with this value, and its data is gone.
#[derive(Debug)]
pub struct Postgres {
    server: Option<Child>,
    guard: Option<Child>,
    folder: TempDir,
    programs: PathBuf,
    settings: Vec<String>,
    port: u16,
}

/// Waits for the end of its input, which comes when the test process ends in whatever way, and ends the server then.
const GUARD: &str = r#"cat >/dev/null; kill -QUIT "$1"; rm -rf -- "$2""#;

/// An authority, and the certificate of a server at 127.0.0.1 that it has signed.
const CERTIFICATES: &str = r#"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=authority of a test" \
    -keyout ca.key -out ca.crt
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=server of a test" \
    -keyout server.key -out server.csr
printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' > server.ext
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.crt
chmod 600 server.key
"#;

/// Postgres refuses to run as root.
const NOBODY: u32 = 65_534;

/// Says that a test is left out for want of Postgres, or fails where one was asked for (`UPHAUL_TEST_POSTGRES=1`).
///
/// # Panics
/// Where one was asked for.
pub fn skip(why: &str) {
    assert!(std::env::var_os("UPHAUL_TEST_POSTGRES").is_none(), "Postgres was asked for, and {why}");
    println!("SKIPPED: no Postgres: {why}");
}

impl Postgres {
    /// Starts one, or says why there is none.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn start() -> Result<Self, String> {
        let mut postgres = Self::made()?;
        postgres.restart()?;
        Ok(postgres)
    }

    /// Starts one that takes connections over TLS on 127.0.0.1, by password, too. Its certificate names that address
    /// alone; the authority is in `ca.crt` in its folder.
    ///
    /// # Errors
    /// It or `openssl` is not installed, or does not start.
    pub fn start_tls() -> Result<Self, String> {
        let mut postgres = Self::made()?;
        let folder = postgres.folder.path().to_owned();
        let made = Command::new("sh").args(["-ec", CERTIFICATES]).current_dir(&folder).output();
        let made = made.map_err(|error| error.to_string())?;
        if !made.status.success() {
            return Err(format!("openssl: {}", String::from_utf8_lossy(&made.stderr)));
        }
        if is_root(&folder) {
            let key = folder.join("server.key");
            chown(key, Some(NOBODY), Some(NOBODY)).map_err(|error| error.to_string())?;
        }
        let rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(folder.join("data/pg_hba.conf"), rules).map_err(|error| error.to_string())?;
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        postgres.port = free.map_err(|error| error.to_string())?.port();
        let file = |name: &str| folder.join(name).display().to_string();
        postgres.settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", file("server.crt")),
            format!("ssl_key_file={}", file("server.key")),
        ];
        postgres.restart()?;
        Ok(postgres)
    }

    /// The port of its socket, and of 127.0.0.1 where it listens there.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Laid out, and not started.
    fn made() -> Result<Self, String> {
        let programs = programs().ok_or("initdb, postgres and psql are not installed")?;
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        if is_root(folder.path()) {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).map_err(|error| error.to_string())?;
        }
        let made = as_nobody(&programs.join("initdb"), folder.path())
            .args(["--auth=trust", "--username=uphaul", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(folder.path().join("data"))
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| error.to_string())?;
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)));
        }
        Ok(Self { server: None, guard: None, folder, programs, settings: Vec::new(), port: 5432 })
    }

    /// Starts it again, with the data that it had, and waits until it takes connections.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self) -> Result<(), String> {
        self.kill();
        let socket = self.folder.path().join(format!(".s.PGSQL.{}.lock", self.port));
        let _ = fs::remove_file(socket);
        let _ = fs::remove_file(self.folder.path().join("data/postmaster.pid"));
        let mut command = as_nobody(&self.programs.join("postgres"), self.folder.path());
        command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"]);
        command.args(["-p", &self.port.to_string()]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command.arg("-D").arg(self.folder.path().join("data")).arg("-k").arg(self.folder.path());
        let mut server = command.stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
        let said = server.stderr.take();
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard", &server.id().to_string()])
            .arg(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        self.server = Some(server);
        self.guard = Some(guard.map_err(|error| error.to_string())?);
        let mut log = String::new();
        let mut lines = said.into_iter().flat_map(|said| BufReader::new(said).lines());
        while let Some(Ok(line)) = lines.next() {
            if line.contains("ready to accept connections") {
                // It would end at a full pipe, or at a closed one.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(());
            }
            log += &format!("{line}\n");
        }
        Err(format!("postgres: {log}"))
    }

    /// Ends it as a power cut does: nothing is finished, no connection is said goodbye to.
    pub fn kill(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            let _ = guard.kill();
            let _ = guard.wait();
        }
        let Some(mut server) = self.server.take() else { return };
        let children = self.children(server.id());
        let _ = server.kill();
        let _ = server.wait();
        // Its backends notice by themselves, but not at once; a new server would refuse to start beside them.
        for pid in children {
            let _ = Command::new("kill").args(["-KILL", &pid]).stderr(Stdio::null()).status();
            while fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }

    /// The processes that this one has started, which are still its own.
    fn children(&self, parent: u32) -> Vec<String> {
        let parent = parent.to_string();
        let is_child = |pid: &String| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)) == Some(parent.as_str())
        };
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        pids.filter_map(|entry| entry.file_name().into_string().ok()).filter(is_child).collect()
    }

    /// The one that all tests of this process share, or why there is none. It ends with the process.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn shared() -> Result<&'static Self, String> {
        static SHARED: OnceLock<Result<Postgres, String>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref().map_err(Clone::clone)
    }

    /// Makes an empty database with a name of its own, and answers its URL.
    pub fn fresh(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("fresh_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.create(&name);
        self.url_of(&name)
    }

    /// The URL of its first database.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The URL of a database.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&port={}&user=uphaul", self.folder.path().display(), self.port)
    }

    /// The folder of its socket, and of what else a test keeps beside it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes an empty database.
    pub fn create(&self, database: &str) {
        self.run_alone(&format!("CREATE DATABASE {database} TEMPLATE template0"));
    }

    /// Runs one statement that takes no transaction.
    pub fn run_alone(&self, text: &str) {
        self.psql("template1", &["-c", text], "");
    }

    /// Runs this in one transaction in the first database, and answers what it printed.
    pub fn run(&self, text: &str) -> String {
        self.run_in("postgres", text)
    }

    /// Runs this in one transaction, and answers what it printed.
    pub fn run_in(&self, database: &str, text: &str) -> String {
        self.psql(database, &["-1"], &format!("{text};\n"))
    }

    fn psql(&self, database: &str, more: &[&str], text: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "uphaul", "-d", database])
            .args(["-p", &self.port.to_string()])
            .args(more)
            .arg("-h")
            .arg(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql starts");
        psql.stdin.take().expect("it has one").write_all(text.as_bytes()).expect("psql reads");
        let output = psql.wait_with_output().expect("psql ends");
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The folder that holds all of them: on the path, or where Debian puts them.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = debian.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders.extend(std::env::split_paths(&path));
    let complete =
        |folder: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).exists());
    folders.into_iter().find(complete)
}

/// Whether this process is root: what it makes is root's then.
fn is_root(made: &Path) -> bool {
    fs::metadata(made).is_ok_and(|meta| meta.uid() == 0)
        || fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn as_nobody(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
    if is_root(folder) {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
