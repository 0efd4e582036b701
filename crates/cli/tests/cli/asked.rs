//! What a person is asked for on a terminal: passphrases of keys. The terminal is one of util-linux's `script`, which a
//! person would not see; the host is a real sshd.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use uphaul_tests::sshd::{Sshd, SshdSpec, program, user};

use crate::env::TestEnv;

const PASSPHRASE: &str = "what nobody may read";
const LIMIT: Duration = Duration::from_secs(120);

/// A command on a terminal.
struct Typist {
    child: Child,
    stdin: ChildStdin,
    pieces: Receiver<Vec<u8>>,
    seen: String,
}

impl Typist {
    fn start(env: &TestEnv, args: &[&str]) -> Self {
        let inner = env.command(args);
        let words: Vec<_> = inner.get_args().map(|word| word.to_str().unwrap()).collect();
        let command = format!("tty; exec {} {}", env!("CARGO_BIN_EXE_uphaul"), words.join(" "));
        let mut script = Command::new(program("script").unwrap());
        script.args(["-q", "-e", "-E", "always", "-c", &command, "/dev/null"]).current_dir(env.work());
        script.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        script.env("TERM", "xterm").env("SHELL", "/bin/sh");
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, pieces) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stdout.read(&mut buffer) {
                let _ = sender.send(buffer[..n].to_vec());
            }
        });
        Self { child, stdin, pieces, seen: String::new() }
    }

    /// Types a line once a secret is asked for. A terminal drops what is typed before that.
    fn answer(&mut self, question: &str, text: &str) {
        let until = Instant::now() + LIMIT;
        while !self.seen.contains(question) {
            let left = until.saturating_duration_since(Instant::now());
            let piece = self.pieces.recv_timeout(left);
            let piece = piece.unwrap_or_else(|why| panic!("{why} before {question:?}: {}", self.seen));
            self.seen += &String::from_utf8_lossy(&piece);
        }
        let terminal = self.seen.lines().next().unwrap().trim().to_owned();
        loop {
            let state = Command::new("stty").args(["-a", "-F", &terminal]).output().unwrap();
            if String::from_utf8_lossy(&state.stdout).contains(" -echo ") {
                break;
            }
            assert!(Instant::now() < until, "nothing is read from {terminal}: {}", self.seen);
            std::thread::sleep(Duration::from_millis(10));
        }
        self.stdin.write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    /// What was on the terminal in all, and the exit code.
    fn ended(mut self) -> (String, Option<i32>) {
        let until = Instant::now() + LIMIT;
        // The output ends with the command; standard input stays open till then, as at a terminal.
        loop {
            match self.pieces.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(piece) => self.seen += &String::from_utf8_lossy(&piece),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(why) => panic!("{why}: {}", self.seen),
            }
        }
        let code = self.child.wait().unwrap().code();
        assert!(!self.seen.contains(PASSPHRASE), "it can be read: {}", self.seen);
        (self.seen, code)
    }
}

/// Two names of a server, and an ssh_config that names the key for both.
fn hosts(sshd: &Sshd, lines: &str) -> TestEnv {
    let env = TestEnv::new();
    let config = env.file("ssh_config", &format!("IdentityAgent none\nGlobalKnownHostsFile none\n{lines}"));
    let text = format!(
        "[default.executor]\nbackend = \"libssh2\"\n[default.executor.libssh2]\nconfig = {config:?}\nknown_hosts = {:?}\n\
         [default.service]\npath = \"/nowhere/app\"\nunit = \"app.service\"\ninstall = \"true\"\nhealth.command = \"true\"\n",
        sshd.known_hosts()
    );
    env.file("uphaul.toml", &text);
    for name in ["web-1", "web-2"] {
        let port = sshd.port().to_string();
        let said = env.run(&["hosts", "add", name, "127.0.0.1", "--port", &port, "--user", &user()]);
        assert_eq!(said.code, Some(0), "{said}");
    }
    env
}

/// With CI=true nothing may be left out.
fn sshd() -> Result<Sshd, String> {
    let script = program("script").and_then(|path| Command::new(path).arg("--version").output().ok());
    let sshd = if script.is_some_and(|said| String::from_utf8_lossy(&said.stdout).contains("util-linux")) {
        Sshd::start(&SshdSpec::default())
    } else {
        Err("there is no `script` of util-linux".to_owned())
    };
    if std::env::var("CI").as_deref() == Ok("true") { Ok(sshd.unwrap()) } else { sshd }
}

#[test]
fn a_key_of_the_ssh_config_is_asked_for_once_and_opens_each_host() {
    let sshd = match sshd() {
        Ok(sshd) => sshd,
        Err(why) => return println!("SKIPPED: {why}"),
    };
    for format in ["RFC4716", "PEM", "PKCS8"] {
        let key = sshd.identity_in("ecdsa", format, PASSPHRASE);
        let env = hosts(&sshd, &format!("IdentityFile {}\n", key.display()));
        let before = sshd.log().matches("Accepted publickey").count();
        let question = format!("passphrase of {}: ", key.display());
        let mut typist = Typist::start(&env, &["check", "web-1", "web-2"]);
        typist.answer(&question, PASSPHRASE);
        let (seen, _) = typist.ended();
        assert_eq!(seen.matches("passphrase of").count(), 1, "{seen}");
        // Both were looked at; that there is no service is another matter.
        assert_eq!(sshd.log().matches("Accepted publickey").count() - before, 2, "{seen}");
        assert!(!seen.contains("log in") && seen.contains("web-1") && seen.contains("web-2"), "{seen}");
        // Without a terminal nobody is asked, and it is said what to do.
        let said = env.run(&["check", "web-1"]);
        assert!(said.stdout.contains("encrypted") || said.stderr.contains("encrypted"), "{said}");
    }
}

#[test]
fn a_wrong_passphrase_ends_it_before_a_host_is_reached() {
    let sshd = match sshd() {
        Ok(sshd) => sshd,
        Err(why) => return println!("SKIPPED: {why}"),
    };
    let key = sshd.identity_in("ed25519", "RFC4716", PASSPHRASE);
    let env = hosts(&sshd, &format!("IdentityFile {}\n", key.display()));
    let mut typist = Typist::start(&env, &["check", "web-1", "web-2"]);
    typist.answer("passphrase of", "not that one");
    let (seen, code) = typist.ended();
    assert!(seen.contains("stays closed: the passphrase is wrong"), "{seen}");
    assert_eq!((code, sshd.connections()), (Some(5), 0), "{seen}");
}

#[test]
fn a_key_of_the_configuration_is_asked_for_in_every_format() {
    let sshd = match sshd() {
        Ok(sshd) => sshd,
        Err(why) => return println!("SKIPPED: {why}"),
    };
    for format in ["RFC4716", "PKCS8"] {
        let key = sshd.identity_in("ecdsa", format, PASSPHRASE);
        let env = hosts(&sshd, "");
        let text = std::fs::read_to_string(env.work().join("uphaul.toml")).unwrap();
        let table = "[default.executor.libssh2]\n";
        env.file("uphaul.toml", &text.replace(table, &format!("{table}identity = [{key:?}]\n")));
        let mut typist = Typist::start(&env, &["check", "web-1"]);
        typist.answer("passphrase of", PASSPHRASE);
        let (seen, _) = typist.ended();
        assert!(!seen.contains("log in"), "{seen}");
        assert!(sshd.log().contains("Accepted publickey"), "{}", sshd.log());
    }
}
