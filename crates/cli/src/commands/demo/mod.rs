//! `uphaul demo`: six hosts on this machine, a good version, a broken one, and one whose install fails.
//!
//! The hosts are folders and the service is a small process of this program, but everything between is the real
//! thing: the commands that are shown are run as children, with the driver, the scripts and the database that real
//! hosts have.

pub(crate) mod service;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// The hosts of the demo.
const HOSTS: [&str; 6] = ["amsterdam", "berlin", "cordoba", "dakar", "edinburgh", "faro"];

/// Show an update, a broken version and a failing install on six throw-away hosts of this machine
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Put everything below this folder, which must not exist yet
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, args: &DemoArgs) -> Result<Exit, CliError> {
    let demo = Demo::make(args.dir.as_deref())?;
    let told = demo.tell(context);
    demo.stop_services();
    told?;
    let dir = demo.dir.display();
    context.output.message(format!("The record is in {dir}/uphaul.db. Look on with:"));
    context.output.message(format!("  uphaul --config {dir}/uphaul.toml status"));
    context.output.message(format!("  uphaul --config {dir}/uphaul.toml history berlin"));
    context.output.message(format!("Its services are stopped; `rm -r {dir}` removes the rest."));
    Ok(Exit::Done)
}

struct Demo {
    dir: PathBuf,
    exe: PathBuf,
}

impl Demo {
    fn make(dir: Option<&Path>) -> Result<Self, CliError> {
        let dir = match dir {
            Some(dir) => {
                fs::create_dir(dir).map_err(|error| failed(&format!("make {}", dir.display()), &error))?;
                dir.canonicalize().map_err(|error| failed("find the folder", &error))?
            }
            None => {
                let made = tempfile::Builder::new().prefix("uphaul-demo-").tempdir();
                made.map_err(|error| failed("make a folder", &error))?.keep()
            }
        };
        let exe = std::env::current_exe().map_err(|error| failed("find this program", &error))?;
        let demo = Self { dir, exe };
        demo.origin()?;
        for name in HOSTS {
            let (from, to) = (demo.dir.join("origin"), demo.dir.join("hosts").join(name));
            demo.git(&demo.dir, &["clone", "--quiet", "--branch", "v1", &text(&from)?, &text(&to)?])?;
        }
        demo.configure()?;
        Ok(demo)
    }

    /// Four versions: two good ones, one that answers with errors, one that cannot be installed.
    fn origin(&self) -> Result<(), CliError> {
        let origin = self.dir.join("origin");
        for folder in ["origin/vendor", "hosts", "run"] {
            let path = self.dir.join(folder);
            fs::create_dir_all(&path).map_err(|error| failed(&format!("make {}", path.display()), &error))?;
        }
        self.git(&origin, &["init", "--quiet"])?;
        let install = "set -e\nrm -rf deps && mkdir deps && cp vendor/* deps/\necho \"installed $(ls deps | wc -l) packages\"\n";
        let broken_install =
            "echo 'resolving dependencies'\necho 'error: package left-pad@9.9.9 was not found' >&2\nexit 1\n";
        write(&origin.join("service.sh"), include_str!("service.sh"))?;
        write(&origin.join(".gitignore"), "deps/\n")?;
        write(&origin.join("vendor/greeting"), "hello\n")?;
        let versions = [
            ("v1", "ok", install, "Begin"),
            ("v2", "ok", install, "Say it louder"),
            ("v3", "broken", install, "Rewrite everything"),
            ("v4", "ok", broken_install, "Depend on something that is not there"),
        ];
        for (tag, health, install, subject) in versions {
            write(&origin.join("service.conf"), &format!("version={tag}\nhealth={health}\n"))?;
            write(&origin.join("install.sh"), install)?;
            self.git(&origin, &["add", "--all"])?;
            self.git(&origin, &["commit", "--quiet", "-m", subject])?;
            self.git(&origin, &["tag", tag])?;
        }
        Ok(())
    }

    fn configure(&self) -> Result<(), CliError> {
        let dir = text(&self.dir)?;
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".into());
        let quoted = |value: &str| toml_edit::Value::from(value).to_string();
        let config = format!(
            "# Made by `uphaul demo`.\n[default.database]\nurl = {url}\n\n[default.executor]\nbackend = \"local\"\n\n\
             [default.service]\npath = {hosts}\ninstall = \"sh ./install.sh\"\n\n\
             [default.service.commands]\nrestart = \"sh ./service.sh restart\"\nstatus = \"sh ./service.sh status\"\n\n\
             [default.service.env]\nPATH = {path}\nDEMO_RUN = {run}\nDEMO_EXE = {exe}\n\n\
             [default.service.health]\nhttp = \"http://127.0.0.1:{{label.port}}/health\"\n\n\
             [default.timeouts]\nprobe = \"2s\"\nverify = \"4s\"\nhealthy = \"1s\"\n",
            url = quoted(&format!("sqlite:{dir}/uphaul.db")),
            hosts = quoted(&format!("{dir}/hosts/{{name}}")),
            path = quoted(&path),
            run = quoted(&format!("{dir}/run")),
            exe = quoted(&text(&self.exe)?),
        );
        write(&self.dir.join("uphaul.toml"), &config)?;
        let mut hosts = "name,address,port,user,labels\n".to_owned();
        for (name, port) in HOSTS.iter().zip(free_ports()?) {
            hosts.push_str(&format!("{name},localhost,,,port={port}\n"));
        }
        write(&self.dir.join("hosts.csv"), &hosts)
    }

    fn tell(&self, context: &Context) -> Result<(), CliError> {
        let say = |text: &str| {
            context.output.message("");
            context.output.message(format!("# {text}"));
        };
        say("Six hosts on this machine, each a git checkout and a small HTTP service at v1.");
        self.start_services()?;
        self.uphaul(context, &["hosts", "import", "hosts.csv"], 0)?;
        self.uphaul(context, &["version", "@all"], 0)?;
        say("A good version: fetched, checked out, installed, restarted, and healthy.");
        self.uphaul(context, &["update", "@all", "--to", "v2", "--yes"], 0)?;
        say("A broken version: it starts, and answers its health check with errors. Every host goes back.");
        self.uphaul(context, &["update", "@all", "--to", "v3", "--yes"], 3)?;
        say("A version whose install fails: the running service is never touched by it.");
        self.uphaul(context, &["update", "@all", "--to", "v4", "--yes"], 3)?;
        say("What the record says, and the story of one host.");
        self.uphaul(context, &["status"], 0)?;
        self.uphaul(context, &["history", "berlin"], 0)?;
        self.all_answer_with("v2")
    }

    fn start_services(&self) -> Result<(), CliError> {
        let ports = fs::read_to_string(self.dir.join("hosts.csv"))
            .map_err(|error| failed("read the hosts", &error))?;
        for line in ports.lines().skip(1) {
            let (name, port) =
                (line.split(',').next().unwrap_or_default(), line.rsplit('=').next().unwrap_or_default());
            let status = Command::new("sh")
                .args(["./service.sh", "restart"])
                .current_dir(self.dir.join("hosts").join(name))
                .env("DEMO_RUN", self.dir.join("run"))
                .env("DEMO_EXE", &self.exe)
                .env("UPHAUL_NAME", name)
                .env("UPHAUL_LABEL_PORT", port)
                .status();
            if !status.is_ok_and(|status| status.success()) {
                return Err(CliError::internal(format!("the service of {name} does not start")));
            }
            service::wait_for(port.parse().unwrap_or_default())?;
        }
        Ok(())
    }

    /// Shows a command, runs it as a person would, and insists on its exit code.
    fn uphaul(&self, context: &Context, args: &[&str], expected: i32) -> Result<(), CliError> {
        context.output.message("");
        context.output.message(format!("$ uphaul {}", args.join(" ")));
        let status = Command::new(&self.exe)
            .args(args)
            .args(["--config", "uphaul.toml"])
            .current_dir(&self.dir)
            .env_remove("UPHAUL_PROFILE")
            .stdin(Stdio::null())
            .status()
            .map_err(|error| failed("run this program", &error))?;
        match status.code() {
            Some(code) if code == expected => Ok(()),
            code => {
                let code = code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
                Err(CliError::internal(format!(
                    "`uphaul {}` ended with {code}, not {expected}",
                    args.join(" ")
                ))
                .hint(format!("everything is kept in {}", self.dir.display())))
            }
        }
    }

    /// The demo says nothing that its services do not.
    fn all_answer_with(&self, version: &str) -> Result<(), CliError> {
        let hosts = fs::read_to_string(self.dir.join("hosts.csv"))
            .map_err(|error| failed("read the hosts", &error))?;
        for line in hosts.lines().skip(1) {
            let port = line.rsplit('=').next().and_then(|port| port.parse().ok()).unwrap_or_default();
            let answer = service::ask(port, "/version").unwrap_or_default();
            if !answer.ends_with(version) {
                let name = line.split(',').next().unwrap_or_default();
                return Err(CliError::internal(format!("{name} answers {answer:?}, not {version}")));
            }
        }
        Ok(())
    }

    /// Ends the processes that were begun, each by its own id.
    fn stop_services(&self) {
        for name in HOSTS {
            let Ok(pid) = fs::read_to_string(self.dir.join("run").join(format!("{name}.pid"))) else {
                continue;
            };
            let cmdline = fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
            let ours = String::from_utf8_lossy(&cmdline).contains("demo-service");
            if ours {
                let _gone_already = Command::new("kill").arg(pid.trim()).stderr(Stdio::null()).status();
            }
        }
    }

    fn git(&self, at: &Path, args: &[&str]) -> Result<(), CliError> {
        let output = Command::new("git")
            .args(args)
            .current_dir(at)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([("GIT_AUTHOR_NAME", "demo"), ("GIT_AUTHOR_EMAIL", "demo@example.com")])
            .envs([("GIT_COMMITTER_NAME", "demo"), ("GIT_COMMITTER_EMAIL", "demo@example.com")])
            .output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(CliError::internal(format!("git {} failed", args.join(" ")))
                .cause(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
            Err(error) => Err(failed("run git", &error).hint("the demo needs git on the PATH")),
        }
    }
}

/// Where ports are looked for: below those that systems give to connections, one of which could take a port between two starts
/// of a service (Linux begins at 32768, others at 49152).
const PORTS: std::ops::Range<u16> = 10_240..32_000;

/// A port for each host that nobody listens at now, from a random place on, so that two demos do not meet.
fn free_ports() -> Result<Vec<u16>, CliError> {
    let first = getrandom::u32()
        .map_err(|error| failed("choose ports", &std::io::Error::other(error.to_string())))?;
    let width = u32::from(PORTS.end - PORTS.start);
    let place = |n: u32| u16::try_from(u32::from(PORTS.start) + (first % width + n) % width);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports: Vec<u16> = (0..width).flat_map(place).filter(free).take(HOSTS.len()).collect();
    if ports.len() < HOSTS.len() {
        return Err(failed("find free ports", &std::io::ErrorKind::AddrInUse.into()));
    }
    Ok(ports)
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    fs::write(path, text).map_err(|error| failed(&format!("write {}", path.display()), &error))
}

fn text(path: &Path) -> Result<String, CliError> {
    let text = path.to_str().map(ToOwned::to_owned);
    text.ok_or_else(|| CliError::usage(format!("{} is not UTF-8", path.display())))
}

fn failed(what: &str, error: &std::io::Error) -> CliError {
    CliError::internal(format!("the demo cannot {what}")).cause(error.to_string())
}
