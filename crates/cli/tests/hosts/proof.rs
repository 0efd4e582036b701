//! What must hold at the end of a scenario, of the host and of the record.

use std::time::Duration;

use uphaul_tests::lab::{Host, wait_until};

use super::operator::Operator;

/// The processes of deploy that may be there when nothing is going on.
const USUAL: [&str; 8] =
    ["server.ts", "sshd: ", "(sd-pam)", "systemd --user", "dbus-daemon", "ps -u", "sftp-server", "<defunct>"];

impl Operator {
    /// The host went from one commit to another, and the record says so.
    #[track_caller]
    pub(crate) fn is_updated(&self, host: &Host, from: &str, to: &str) {
        self.is("updated", host, to, to);
        assert_eq!(self.row().previous_version.as_ref().map(|v| v.as_str()), Some(from));
    }

    /// The host is back on `at`, and the record says so; `target` is where it should have gone.
    #[track_caller]
    pub(crate) fn is_rolled_back(&self, host: &Host, at: &str, target: &str) {
        self.is("rolled_back", host, at, target);
    }

    /// The host was not touched, and the record says so.
    #[track_caller]
    pub(crate) fn is_aborted(&self, host: &Host, at: &str, target: &str) {
        self.is("aborted", host, at, target);
    }

    /// How the last run ended; the host runs `at`, wholly, healthy and recorded; nothing of the run is left anywhere.
    #[track_caller]
    pub(crate) fn is(&self, outcome: &str, host: &Host, at: &str, target: &str) {
        let log = self.log();
        let run = self.run_of(0);
        assert_eq!(run.record.state.word(), outcome, "{log:?}\n{}", self.causes());
        assert!(run.finished_at_us.is_some());
        assert_eq!(run.record.plan.target.as_str(), target);
        self.row_says(outcome, Some(at), target);
        runs(host, at);
        self.left_nothing(host);
    }

    /// The columns of the row. (previous_version only says something after an update.)
    #[track_caller]
    pub(crate) fn row_says(&self, status: &str, current: Option<&str>, target: &str) {
        let row = self.row();
        assert_eq!(row.update_status.as_deref(), Some(status));
        assert_eq!(row.current_version.as_ref().map(|v| v.as_str()), current);
        assert_eq!(row.target_version.as_ref().map(|v| v.as_str()), Some(target));
        assert!(row.last_update_at_us.is_some());
    }

    /// No lease, no process of a job and no unit of one, no connection.
    #[track_caller]
    pub(crate) fn left_nothing(&self, host: &Host) {
        assert_eq!(self.leases(), 0, "a lease is left");
        nothing_runs(host);
        let units = "systemctl list-units --all --plain --no-legend 'uphaul-*' | cut -d' ' -f1";
        wait_until("the end of the jobs' units", Duration::from_secs(20), || {
            host.root(units).ok().is_empty().then_some(())
        });
        let folder = self.path("").display().to_string();
        // One that was killed leaves a master, which ends when nobody has talked to it for 10 s.
        wait_until("the end of ssh's masters", Duration::from_secs(40), || {
            masters(&folder).is_empty().then_some(())
        });
    }
}

/// The host runs this commit, wholly, and is healthy.
#[track_caller]
pub(crate) fn runs(host: &Host, commit: &str) {
    assert_eq!(host.head(), commit);
    assert_eq!(host.dirty(), "");
    let release = host.as_user("deploy", &format!("git -C /srv/app show {commit}:release")).ok();
    let label = release.lines().find_map(|line| line.strip_prefix("label=")).unwrap_or_default();
    assert_eq!(host.running_version().as_deref(), Some(label));
    // It answers 500 where the dependencies are of another commit than the code.
    assert_eq!(host.http("/health").map(|(status, _)| status), Some(200));
}

/// No process of deploy but the service. Those of the end of a job may take a moment, and the sessions of a connection that was
/// cut go when the other side has given it up: 20 s, and more on a busy machine.
#[track_caller]
pub(crate) fn nothing_runs(host: &Host) {
    let strays = || -> Vec<String> {
        let list = host.root("ps -u deploy -ww -o pid=,args=").stdout;
        let usual = |line: &&str| !USUAL.iter().any(|usual| line.contains(usual));
        list.lines().filter(usual).map(str::to_owned).collect()
    };
    let mut last = Vec::new();
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        last = strays();
        if last.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("processes are left: {last:#?}");
}

/// The processes of this machine that name the folder: those of ssh, whose sockets and configurations are there.
fn masters(folder: &str) -> Vec<String> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let lines = processes.flatten().filter_map(|process| {
        let line = std::fs::read(process.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(folder)).collect()
}

/// How many connections sshd has let in so far, and how many commands they have run. The host must have been made
/// with `sshd("LogLevel VERBOSE")`.
pub(crate) fn connections_and_commands(host: &Host) -> (usize, usize) {
    host.root("journalctl --sync").ok();
    let log = host.root("journalctl -o cat --no-pager -t sshd").ok();
    let count = |begin: &str| log.lines().filter(|line| line.starts_with(begin)).count();
    (count("Accepted publickey for deploy"), count("Starting session: command for deploy"))
}
