//! The repository that the hosts fetch from, served by `git daemon` on a loopback address of its own.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::release::Release;
use super::shell::{self, Ran, wait_until};
use super::slot::Slot;
use super::{base, scripts};
use crate::signing::SigningKey;

const PORT: u16 = 9418;

/// A repository with its daemon. It has no commits until the first `commit`.
pub struct Origin {
    // Dropped after the daemon's script has ended.
    slot: Slot,
    script: Child,
    orders: Option<ChildStdin>,
}

impl Origin {
    /// An empty repository, served.
    pub fn start() -> Self {
        let _ = base();
        let slot = Slot::take();
        for repository in ["app.git", "sub.git"] {
            let path = slot.dir.join("git").join(repository);
            git(Command::new("git").args(["init", "--quiet", "--bare", "--initial-branch=main"]).arg(path))
                .ok();
        }
        let mut script = Command::new("setsid")
            .arg("sh")
            .arg(scripts().join("origin.sh"))
            .arg(&slot.dir)
            .args([&slot.name, &slot.address])
            .stdin(Stdio::piped())
            .stdout(slot.share())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("origin.sh: {e}"));
        let orders = script.stdin.take();
        let origin = Self { slot, script, orders };
        origin.wait_served(true);
        origin
    }

    /// The address that `cut` cuts off.
    pub fn address(&self) -> &str {
        &self.slot.address
    }

    /// What the hosts fetch from.
    pub fn url(&self) -> String {
        format!("git://{}/app.git", self.slot.address)
    }

    /// The same repository as a path on this machine, for clones that are not made on a host.
    pub fn path(&self) -> PathBuf {
        self.slot.dir.join("git/app.git")
    }

    /// A commit on top of `main`; gives its full hash.
    pub fn commit(&self, release: Release) -> String {
        self.commit_on("main", release)
    }

    /// A commit on top of a branch; gives its full hash.
    pub fn commit_on(&self, branch: &str, release: Release) -> String {
        self.git(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]).ok();
        let tree = self.slot.dir.join("tree");
        write_tree(&tree, &release);
        self.git(&["add", "--all"]).ok();
        if let Some(commit) = &release.submodule {
            self.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},vendor/sub")]).ok();
        }
        self.git(&["commit", "--quiet", "--allow-empty", "-m", &format!("Release {}", release.label)]).ok();
        let commit = self.git(&["rev-parse", "HEAD"]).ok();
        self.git(&["symbolic-ref", "HEAD", "refs/heads/main"]).ok();
        commit
    }

    /// A commit on top of `main` that is signed by a key; gives its full hash.
    pub fn signed_commit(&self, release: Release, key: &SigningKey) -> String {
        self.commit(release);
        self.signing(key, &["commit", "--quiet", "--amend", "--no-edit", "--allow-empty", "-S"]);
        self.git(&["rev-parse", "HEAD"]).ok()
    }

    /// A tag that is signed by a key.
    pub fn signed_tag(&self, name: &str, commit: &str, key: &SigningKey) {
        self.signing(key, &["tag", "--sign", "-m", name, name, commit]);
    }

    fn signing(&self, key: &SigningKey, arguments: &[&str]) {
        let options = key.git();
        let words: Vec<&str> = options.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        self.git(&words).ok();
    }

    /// A commit in the submodule's repository; gives its full hash, for `Release::submodule`.
    pub fn submodule_commit(&self, label: &str) -> String {
        let tree = self.slot.dir.join("sub-tree");
        write(&tree, "sub.txt", label);
        let sub = self.slot.dir.join("git/sub.git");
        repository(&sub, &tree, &["add", "--all"]).ok();
        repository(&sub, &tree, &["commit", "--quiet", "--allow-empty", "-m", label]).ok();
        repository(&sub, &tree, &["rev-parse", "HEAD"]).ok()
    }

    /// Points a branch at a commit: a new branch, or what others call a forced push.
    pub fn branch(&self, name: &str, commit: &str) {
        self.git(&["update-ref", &format!("refs/heads/{name}"), commit]).ok();
    }

    /// A lightweight tag.
    pub fn tag(&self, name: &str, commit: &str) {
        self.git(&["tag", "--force", name, commit]).ok();
    }

    /// An annotated tag; gives the hash of the tag itself, which is not the commit's.
    pub fn annotated_tag(&self, name: &str, commit: &str) -> String {
        self.git(&["tag", "--force", "--annotate", "-m", name, name, commit]).ok();
        self.git(&["rev-parse", &format!("refs/tags/{name}")]).ok()
    }

    /// Any git command in the bare repository.
    pub fn git(&self, arguments: &[&str]) -> Ran {
        repository(&self.path(), &self.slot.dir.join("tree"), arguments)
    }

    /// Drops every packet to and from the daemon: fetches hang.
    pub fn cut(&self) {
        rules("-I", &self.slot.address, PORT);
    }

    /// Undoes `cut`.
    pub fn heal(&self) {
        rules("-D", &self.slot.address, PORT);
    }

    /// Stops the daemon: fetches are refused.
    pub fn stop(&mut self) {
        self.order("off");
        self.wait_served(false);
    }

    /// Starts it again.
    pub fn start_again(&mut self) {
        self.order("on");
        self.wait_served(true);
    }

    fn order(&mut self, order: &str) {
        let sent = self.orders.as_mut().map(|o| writeln!(o, "{order}"));
        assert!(matches!(sent, Some(Ok(()))), "origin.sh is gone");
    }

    fn wait_served(&self, served: bool) {
        let address: SocketAddr = match format!("{}:{PORT}", self.slot.address).parse() {
            Ok(address) => address,
            Err(error) => panic!("{}: {error}", self.slot.address),
        };
        wait_until("git daemon starts or stops", Duration::from_secs(30), || {
            (TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_ok() == served).then_some(())
        });
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.script.wait();
    }
}

/// Adds or removes the rules that drop all packets of one port of one address.
pub(super) fn rules(verb: &str, address: &str, port: u16) {
    let port = port.to_string();
    for (end, side) in [("-d", "--dport"), ("-s", "--sport")] {
        let mut command = Command::new("iptables");
        command.args(["-w", "60", verb, "INPUT", end, address, "-p", "tcp", side, &port, "-j", "DROP"]);
        shell::run(&mut command).ok();
    }
}

/// Git without anything that this machine's user has configured.
pub(super) fn git(command: &mut Command) -> Ran {
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Lab").env(format!("GIT_{who}_EMAIL"), "lab@example.org");
    }
    shell::run(
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", "/nonexistent"),
    )
}

fn repository(bare: &Path, tree: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(bare).arg("--work-tree").arg(tree).args(["-c", "gc.auto=0"]);
    git(command.args(arguments).current_dir(if tree.is_dir() { tree } else { bare }))
}

fn write(tree: &Path, path: &str, text: &str) {
    let path = tree.join(path);
    let folder = path.parent().unwrap_or(tree);
    if let Err(error) = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text)) {
        panic!("{}: {error}", path.display());
    }
}

/// The whole tree of a commit, nothing of the one before.
fn write_tree(tree: &Path, release: &Release) {
    if let Err(error) = std::fs::remove_dir_all(tree).or_else(|e| if tree.exists() { Err(e) } else { Ok(()) })
    {
        panic!("{}: {error}", tree.display());
    }
    for (path, text) in [
        ("package.json", include_str!("../../lab/app/package.json")),
        ("bun.lock", include_str!("../../lab/app/bun.lock")),
        ("server.ts", include_str!("../../lab/app/server.ts")),
        ("install.sh", include_str!("../../lab/app/install.sh")),
        (".gitignore", include_str!("../../lab/app/gitignore")),
        ("lib/greet/package.json", include_str!("../../lab/app/lib/greet/package.json")),
    ] {
        write(tree, path, text);
    }
    write(tree, "release", &release.describe());
    write(tree, "lib/greet/index.js", &format!("module.exports = () => \"{}\";\n", release.label));
    for i in 0..release.many {
        write(tree, &format!("big/{}/{i}.txt", i / 500), &format!("{} {i}\n", release.label));
    }
    for i in 0..release.filtered {
        write(tree, &format!("slow/{i}.txt"), &format!("{} {i}\n", release.label));
    }
    if release.filtered > 0 {
        write(tree, ".gitattributes", "slow/* filter=slow\n");
    }
    if release.submodule.is_some() {
        write(tree, ".gitmodules", "[submodule \"sub\"]\n\tpath = vendor/sub\n\turl = ../sub.git\n");
    }
    for (path, text) in &release.files {
        write(tree, path, text);
    }
}
