//! The real binary, killed with SIGKILL at every command that it sends, before and after the command's effect, and
//! resumed: the host ends on the target or on the version before, proved, and the record says what the host runs.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on says so by a panic"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use uphaul_core::ids::{HostName, Revision};
use uphaul_store::{NewHost, Store};
use uphaul_tests::rig::Rig;

/// One host on this machine, its configuration and its record.
struct Stage {
    rig: Rig,
    dir: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        let stage = Self { rig: Rig::new(), dir: tempfile::tempdir().unwrap() };
        stage.rig.commit("v3", &[("ill", "yes\n")]);
        let config = format!(
            "[default.database]\nurl = \"sqlite:uphaul.db\"\n[default.executor]\nbackend = \"local\"\n\
             [default.service]\npath = \"{}\"\nunit = \"app.service\"\ninstall = \"cp version .installed\"\n\
             [default.service.health]\ncommand = \"test ! -e ill\"\n\
             [default.timeouts]\nverify = \"2s\"\nhealthy = \"1s\"\nrestart = \"30s\"\n",
            stage.rig.checkout().display()
        );
        std::fs::write(stage.dir.path().join("uphaul.toml"), config).unwrap();
        let host = NewHost {
            name: host(),
            address: "localhost".into(),
            port: None,
            user: None,
            host_key: None,
            labels: Default::default(),
            settings: Default::default(),
        };
        let store = stage.store().await;
        store.add_hosts(&[host], 0).await.unwrap();
        let v1 = stage.rig.revision("v1");
        store.observe(&self::host(), &v1, 0).await.unwrap();
        store.close().await;
        stage
    }

    async fn store(&self) -> Store {
        let url = format!("sqlite:{}", self.dir.path().join("uphaul.db").display());
        Store::open(&url).await.unwrap()
    }

    /// Runs the binary; with `kill`, one that will be killed at its n-th command.
    fn uphaul(&self, args: &[&str], kill: Option<(usize, &str)>) -> Output {
        let mut login = self.rig.login();
        if let Some((at, when)) = kill {
            let shim = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash");
            let path = login.get("PATH").cloned().unwrap_or_default();
            login.insert("PATH".into(), format!("{}:{path}", shim.display()));
            login.insert("KILL_AT".into(), at.to_string());
            login.insert("KILL_WHEN".into(), when.into());
            login.insert("KILL_DIR".into(), self.dir.path().display().to_string());
        }
        Command::new(env!("CARGO_BIN_EXE_uphaul"))
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .envs(login)
            .output()
            .expect("uphaul runs")
    }

    fn killed(&self) -> PathBuf {
        self.dir.path().join("killed")
    }

    /// What the record and the host say at the end of all.
    async fn check(&self, title: &str, expected: &[&str]) -> String {
        let store = self.store().await;
        let row = store.host(&host()).await.unwrap().expect("the host");
        assert!(
            store.unfinished_runs().await.unwrap().is_empty(),
            "{title}: something is left in the middle"
        );
        // Killed when all was written: the lease of a dead process is left, and holds nobody up.
        let left = store.leases().await.unwrap();
        assert!(left.iter().all(uphaul_store::process::is_gone), "{title}: a lease is left: {left:?}");
        let status = row.update_status.clone().unwrap_or_default();
        assert!(expected.contains(&status.as_str()), "{title}: ended {status}");
        let head: Revision = self.rig.git(&["rev-parse", "HEAD"]).trim().parse().unwrap();
        assert_eq!(row.current_version.as_ref(), Some(&head), "{title}: the record differs from the host");
        let versions = self.rig.versions();
        let parts: Vec<&str> = versions.split('/').collect();
        assert!(parts.iter().all(|part| *part == parts[0]), "{title}: {versions} is no one version");
        assert_eq!(self.rig.git(&["status", "--porcelain"]), "", "{title}: the tree is not clean");
        store.close().await;
        status
    }
}

fn host() -> HostName {
    "web-1".parse().unwrap()
}

/// Kills at each command in turn until a run is through before its turn comes.
async fn kill_everywhere(to: &str, when: &str, expected: &[&str]) {
    let mut ends = Vec::new();
    for at in 1.. {
        assert!(at < 40, "a run sends fewer commands than that");
        let stage = Stage::new().await;
        let title = format!("update to {to}, killed {when} command {at}");
        let first = stage.uphaul(&["update", "web-1", "--to", to], Some((at, when)));
        if !stage.killed().exists() {
            let text = String::from_utf8_lossy(&first.stderr).into_owned();
            assert!(at > 7, "the update sends at least 7 commands, not {at}: {text}");
            println!("{to} {when}: {at} commands, ends {ends:?}");
            return;
        }
        let resumed = stage.uphaul(&["resume"], None);
        // Killed before the run was in the database, or after its end: nothing is left to resume, and nothing to mend.
        let text = String::from_utf8_lossy(&resumed.stderr).into_owned();
        assert!(matches!(resumed.status.code(), Some(0 | 3)), "{title}: {:?}: {text}", resumed.status);
        let status =
            if at == 1 { continue_from_start(&stage).await } else { stage.check(&title, expected).await };
        ends.push(status);
    }
}

/// The first command only resolves the target: killed there, the host was never touched.
async fn continue_from_start(stage: &Stage) -> String {
    assert_eq!(stage.rig.versions(), "v1/v1/v1");
    "untouched".into()
}

#[tokio::test]
async fn a_good_update_killed_before_each_effect() {
    kill_everywhere("v2", "before", &["updated"]).await;
}

#[tokio::test]
async fn a_good_update_killed_after_each_effect() {
    kill_everywhere("v2", "after", &["updated"]).await;
}

#[tokio::test]
async fn a_rollback_killed_before_each_effect() {
    kill_everywhere("v3", "before", &["rolled_back"]).await;
}

#[tokio::test]
async fn a_rollback_killed_after_each_effect() {
    kill_everywhere("v3", "after", &["rolled_back"]).await;
}
