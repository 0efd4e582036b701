//! A folder that is the whole of what the binary sees.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use uphaul_tests::lab::Host;

/// Mounted in a namespace of its own, /proc is gone with the process.
const ENTER: &str = r#"
mount -t proc proc "$1/proc" || exit 99
exec timeout --kill-after=5 240 chroot "$@"
"#;

const CONFIG: &str = r#"
[default.database]
url = "sqlite:/state/uphaul.db"
[default.executor]
backend = "libssh2"
[default.executor.libssh2]
identity = ["/key"]
known_hosts = "/known_hosts"
[default.service]
path = "/srv/app"
unit = "app.service"
install = "bun install"
[default.service.health]
http = "http://ADDRESS:3000/health"
[default.timeouts]
connect = "30s"
install = "60s"
verify = "60s"
healthy = "1s"
"#;

/// See above.
pub(crate) struct Root {
    folder: tempfile::TempDir,
    /// What to begin a command with: the binary, behind the emulator when there is one.
    program: &'static [&'static str],
}

/// What a command did.
pub(crate) struct Out {
    code: Option<i32>,
    said: String,
}

impl Root {
    /// Holds the binary, and what it needs to log in to the host; and the emulator, which must be a static file too.
    pub(crate) fn new(binary: &Path, emulator: Option<&Path>, host: &Host) -> Self {
        let program: &[_] = if emulator.is_some() { &["/emulator", "/uphaul"] } else { &["/uphaul"] };
        let folder = tempfile::Builder::new().prefix("uphaul-alone-").tempdir().unwrap();
        let root = Self { folder, program };
        for folder in ["proc", "etc", "state"] {
            fs::create_dir(root.path(folder)).unwrap();
        }
        root.install("uphaul", binary);
        if let Some(emulator) = emulator {
            root.install("emulator", emulator);
        }
        root.file("key", &fs::read_to_string(host.identity()).unwrap());
        fs::set_permissions(root.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
        root.file("uphaul.toml", &CONFIG.replace("ADDRESS", host.address()));
        root
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    fn install(&self, name: &str, from: &Path) {
        let copy = self.path(name);
        fs::copy(from, &copy).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Writes a file.
    pub(crate) fn file(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    /// Runs the binary to its end, which comes in four minutes at the latest.
    pub(crate) fn run(&self, args: &[&str]) -> Out {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", ENTER, "sh"])
            .arg(self.folder.path());
        let output = command.args(self.program).args(args).stdin(Stdio::null());
        let output = output.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/state");
        let output = output.env("LOGNAME", "operator").output().unwrap();
        let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        Out { code: output.status.code(), said: format!("uphaul {}\n{stdout}{stderr}", args.join(" ")) }
    }
}

impl Out {
    /// It ended with this code and said all of this.
    #[track_caller]
    pub(crate) fn ended(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.said);
        for words in said {
            assert!(self.said.contains(words), "{words:?} is not said: {}", self.said);
        }
    }
}

/// A known_hosts file that has the host's key under these names.
pub(crate) fn known_hosts(host: &Host, names: &[&str]) -> String {
    let line = fs::read_to_string(host.known_hosts()).unwrap();
    let (_, key) = line.split_once(' ').unwrap();
    format!("{} {key}", names.join(","))
}
