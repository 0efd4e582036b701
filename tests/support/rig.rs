//! A host that is a folder of this machine: real git, real scripts, a real `sh`, and a stand-in for systemctl.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use uphaul_core::ids::Revision;
use uphaul_core::plan::{
    Goal, Health, HostFacts, Limits, Manager, PLAN_VERSION, Plan, Policy, RestartLimit, Scope, Service,
};

use uphaul_core::ports::{ExecError, Output, RemoteCommand, RemoteExecutor, RemoteSession, Target};

use crate::signing::SigningKey;

/// An executor whose logins have this environment too.
pub struct LoginExecutor {
    /// What does the work.
    pub inner: Arc<dyn RemoteExecutor>,
    /// What a login adds.
    pub login: BTreeMap<String, String>,
}

struct LoginSession {
    inner: Box<dyn RemoteSession>,
    login: BTreeMap<String, String>,
}

#[async_trait]
impl RemoteExecutor for LoginExecutor {
    async fn connect(&self, target: &Target) -> Result<Box<dyn RemoteSession>, ExecError> {
        let inner = self.inner.connect(target).await?;
        Ok(Box::new(LoginSession { inner, login: self.login.clone() }))
    }
}

#[async_trait]
impl RemoteSession for LoginSession {
    async fn run(&mut self, command: &RemoteCommand) -> Result<Output, ExecError> {
        let mut command = command.clone();
        command.env.extend(self.login.clone());
        self.inner.run(&command).await
    }
    async fn close(self: Box<Self>) -> Result<(), ExecError> {
        self.inner.close().await
    }
}

/// An origin with some commits, a checkout of the first, and a service of the shim.
#[derive(Debug)]
pub struct Rig {
    dir: tempfile::TempDir,
}

impl Rig {
    /// An origin with `v1` and `v2`, and a checkout at `v1` whose service runs it, healthy.
    ///
    /// # Panics
    /// Where git or the file system does not do its part.
    pub fn new() -> Self {
        let rig = Self { dir: tempfile::tempdir().expect("a temporary folder") };
        for folder in ["home", "shim", "origin"] {
            std::fs::create_dir(rig.dir.path().join(folder)).expect("a folder");
        }
        git(rig.home(), &rig.origin(), &["init", "-q", "-b", "main"]);
        rig.commit("v1", &[("package", "1"), (".gitignore", ".installed\n")]);
        let (from, to) = (rig.origin(), rig.checkout());
        git(rig.home(), rig.dir.path(), &["clone", "-q", &path_text(&from), &path_text(&to)]);
        rig.shim_file("checkout", &path_text(&to));
        rig.shim_file("running", "v1\n");
        std::fs::write(to.join(".installed"), "v1\n").expect("writes the installed version");
        rig.commit("v2", &[("package", "2"), ("only-in-v2/file", "new\n")]);
        rig
    }

    /// The folder of everything.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The origin's work tree.
    pub fn origin(&self) -> PathBuf {
        self.dir.path().join("origin")
    }

    /// The checkout on the "host".
    pub fn checkout(&self) -> PathBuf {
        self.dir.path().join("app")
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Writes a file of the shim.
    pub fn shim_file(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join("shim").join(name), text).expect("writes a file of the shim");
    }

    /// Makes the health check fail, whatever runs, or lets it pass again.
    pub fn ill(&self, ill: bool) {
        let path = self.checkout().join("ill");
        if ill {
            std::fs::write(path, "").expect("writes a file");
        } else {
            std::fs::remove_file(path).expect("removes a file");
        }
    }

    /// Commits a version to the origin's main branch; its tag is the label.
    pub fn commit(&self, label: &str, files: &[(&str, &str)]) -> Revision {
        let origin = self.origin();
        for (name, text) in files.iter().chain(&[("version", format!("{label}\n").as_str())]) {
            let path = origin.join(name);
            std::fs::create_dir_all(path.parent().expect("has a parent")).expect("makes a folder");
            std::fs::write(path, text).expect("writes a file");
        }
        git(self.home(), &origin, &["add", "-A"]);
        git(self.home(), &origin, &["commit", "-q", "-m", &format!("make {label}")]);
        git(self.home(), &origin, &["tag", label]);
        self.revision(label)
    }

    /// Signs the last commit by a key, which makes it another one; its tag is the label.
    pub fn sign(&self, label: &str, key: &SigningKey) -> Revision {
        let [c, format, d, signer] = key.git();
        let sign = [&c, &format, &d, &signer, "commit", "-q", "--amend", "--no-edit", "-S"];
        git(self.home(), &self.origin(), &sign);
        git(self.home(), &self.origin(), &["tag", "-f", label]);
        self.revision(label)
    }

    /// The commit of a label.
    pub fn revision(&self, label: &str) -> Revision {
        let text = git(self.home(), &self.origin(), &["rev-parse", &format!("{label}^{{commit}}")]);
        text.trim().parse().expect("a revision")
    }

    /// Runs git in the checkout, and says what it printed.
    pub fn git(&self, args: &[&str]) -> String {
        git(self.home(), &self.checkout(), args)
    }

    /// The environment that a login to this "host" has.
    pub fn login(&self) -> BTreeMap<String, String> {
        let shim = Path::new(env!("CARGO_MANIFEST_DIR")).join("support/shim");
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into());
        [
            ("PATH", format!("{}:{path}", shim.display())),
            ("HOME", path_text(&self.home())),
            ("UPHAUL_SHIM", path_text(&self.dir.path().join("shim"))),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// What is checked out, installed and running, by label: `v1/v1/v1`.
    pub fn versions(&self) -> String {
        let read =
            |path: PathBuf| std::fs::read_to_string(path).unwrap_or_else(|_| "-".into()).trim().to_owned();
        let installed = read(self.checkout().join(".installed"));
        let tree = self.git(&["show", "HEAD:version"]).trim().to_owned();
        format!("{tree}/{installed}/{}", read(self.dir.path().join("shim/running")))
    }

    /// A plan that takes the host to a label, with limits that let a test be quick.
    pub fn plan(&self, label: &str) -> Plan {
        let mut plan = plan_of(&self.revision("v1"), &self.revision(label));
        plan.reference = label.parse().expect("a safe word");
        plan.service.path = path_text(&self.checkout()).parse().expect("a safe word");
        plan
    }
}

/// A plan from one commit to another, with limits that let a test be quick.
///
/// # Panics
/// Never: its words are safe.
pub fn plan_of(from: &Revision, to: &Revision) -> Plan {
    let parse = "a safe word";
    Plan {
        version: PLAN_VERSION,
        goal: Goal::Update,
        reference: "main".parse().expect(parse),
        target: to.clone(),
        origin: None,
        recorded: Some(from.clone()),
        attempts_max: 3,
        signers: None,
        deadman: None,
        host: HostFacts {
            name: "web-1".parse().expect(parse),
            address: "localhost".into(),
            labels: BTreeMap::new(),
        },
        service: Service {
            path: "/srv/app".parse().expect(parse),
            user: None,
            manager: Manager::Systemd {
                scope: Scope::System,
                units: vec!["app.service".parse().expect(parse)],
            },
            install: "cp version .installed".parse().expect(parse),
            before_restart: None,
            env: BTreeMap::new(),
            health: Some(Health::Command("test ! -e ill".parse().expect(parse))),
            submodules: false,
            keep: Vec::new(),
        },
        limits: Limits {
            connect_s: 5,
            git_s: 30,
            install_s: 30,
            before_restart_s: 30,
            restart: RestartLimit::Seconds(30),
            probe_s: 5,
            verify_s: 3,
            healthy_s: 0,
        },
        policy: Policy::default(),
    }
}

impl Default for Rig {
    fn default() -> Self {
        Self::new()
    }
}

fn path_text(path: &Path) -> String {
    path.to_str().expect("a temporary folder with a plain name").to_owned()
}

/// Runs git without the user's own configuration.
fn git(home: PathBuf, at: &Path, args: &[&str]) -> String {
    let std::process::Output { status, stdout, stderr } = Command::new("git")
        .args(args)
        .current_dir(at)
        .env("HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([("GIT_AUTHOR_NAME", "t"), ("GIT_AUTHOR_EMAIL", "t@example.com")])
        .envs([("GIT_COMMITTER_NAME", "t"), ("GIT_COMMITTER_EMAIL", "t@example.com")])
        .output()
        .expect("git runs");
    assert!(status.success(), "git {args:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).into_owned()
}
