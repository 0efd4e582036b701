//! Many simulated hosts and their origin, shared by the executor and by whoever plans and looks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use uphaul_core::ids::Revision;
use uphaul_core::ports::{ExecError, ExecErrorKind, RemoteCommand};

use crate::fault::Fault;
use crate::happen::{End, Happened, befall, transcript_line};
use crate::host::{Door, Live, Order, Service, Version};
use crate::origin::{Origin, Release, revision_of};

/// What a host is like when it joins.
#[derive(Debug, Clone, Default)]
pub struct MockHost {
    /// The commit that it is at and runs; without one it is at what the record says when it is first asked, or at the
    /// origin's first commit.
    pub at: Option<Revision>,
    /// Why its health check fails whatever it runs, where it does.
    pub ill: Option<String>,
    /// Tracked files that somebody changed by hand.
    pub dirty: Vec<String>,
    /// Values of the preflight's report that are another on this host; none leaves the key out. For example
    /// `("space_kib", Some("10"))`, or `("remote_code", Some("128"))`.
    pub preflight: BTreeMap<String, Option<String>>,
}

impl MockHost {
    /// One that is at a commit, which runs and is healthy.
    pub fn at(revision: &Revision) -> Self {
        Self { at: Some(revision.clone()), ..Self::default() }
    }
}

#[derive(Debug, Default)]
struct Shared {
    hosts: Mutex<BTreeMap<String, Arc<Mutex<Live>>>>,
    origin: Mutex<Origin>,
    crash: Notify,
    /// Whether a host that nobody made joins when it is first reached.
    open: bool,
}

/// Simulated hosts. Cheap to clone; all clones are the same fleet. A host costs a few kilobytes and no task.
///
/// Asking for a host that is not there is a fault of the test, and panics with its name.
#[derive(Debug, Clone, Default)]
pub struct MockFleet(Arc<Shared>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MockFleet {
    /// A fleet without hosts; one that nobody made cannot be reached.
    pub fn new() -> Self {
        Self::default()
    }

    /// A fleet that any host joins when it is first reached, at what the record says of it: for `--executor mock`,
    /// where the record is all that there is.
    pub fn open() -> Self {
        Self(Arc::new(Shared { open: true, ..Shared::default() }))
    }

    /// Adds a host, or puts a new one in its place.
    pub fn host(&self, name: impl Into<String>, host: MockHost) {
        let mut live = Live::new(host.at);
        (live.ill, live.dirty, live.preflight) = (host.ill, host.dirty, host.preflight);
        lock(&self.0.hosts).insert(name.into(), Arc::new(Mutex::new(live)));
    }

    /// Makes a commit known to the origin by its label, with a tag of that name. Commits are taken to follow each
    /// other in the order of their making. A commit that nobody made known is there too, and good.
    pub fn release(&self, label: &str, release: Release) -> Revision {
        lock(&self.0.origin).release(label, release)
    }

    /// Points a branch of the origin at a commit.
    pub fn branch(&self, name: &str, at: &Revision) {
        lock(&self.0.origin).branch(name, at);
    }

    /// Signs a commit by a key: the type and the public key, as a file of allowed signers has them. A commit that was made
    /// known has no signature before; one that nobody made known has any that is asked for. Tags have none here.
    pub fn sign(&self, revision: &Revision, key: &str) {
        lock(&self.0.origin).sign(revision, key);
    }

    /// Takes a commit from the origin, as a force-push does.
    pub fn remove(&self, revision: &Revision) {
        lock(&self.0.origin).remove(revision);
    }

    /// The commit that a label has, known or not.
    pub fn revision(&self, label: &str) -> Revision {
        revision_of(label)
    }

    /// The label of a commit; its first ten digits, where it has none.
    pub fn label(&self, revision: &Revision) -> String {
        lock(&self.0.origin).label(revision)
    }

    /// Plans a fault; they happen in the order in which they are planned.
    pub fn plan(&self, host: &str, fault: Fault) {
        self.with(host, |live, _| live.faults.push(fault));
    }

    /// The faults that have not happened.
    pub fn planned(&self, host: &str) -> Vec<Fault> {
        self.with(host, |live, _| live.faults.clone())
    }

    /// Opens or shuts the door of a host. Shutting it breaks the connections there are.
    pub fn door(&self, host: &str, door: Door) {
        self.with(host, |live, _| {
            live.epoch += u32::from(door != Door::Open);
            live.door = door;
        });
    }

    /// Lets a host be reached again.
    pub fn heal(&self, host: &str) {
        self.door(host, Door::Open);
    }

    /// Turns a host off and on.
    pub fn reboot(&self, host: &str) {
        self.with(host, |live, origin| live.reboot(origin));
    }

    /// Lets time pass on a host: claims grow old.
    pub fn pass(&self, host: &str, seconds: u64) {
        self.with(host, |live, _| live.pass(seconds));
    }

    /// Lets a job that goes on come to its end.
    pub fn finish_jobs(&self, host: &str) {
        self.with(host, |live, origin| live.finish_pending(origin));
    }

    /// Takes a host for another run, as a second database would.
    pub fn take(&self, host: &str, by: &str) {
        self.with(host, |live, _| live.take("otherrunother", by));
    }

    /// Makes the health check fail whatever runs, or pass again.
    pub fn ill(&self, host: &str, why: Option<&str>) {
        self.with(host, |live, _| live.ill = why.map(ToOwned::to_owned));
    }

    /// Changes tracked files by hand.
    pub fn edit(&self, host: &str, files: &[&str]) {
        self.with(host, |live, _| live.dirty.extend(files.iter().map(|file| (*file).to_owned())));
    }

    /// The tracked files that are changed.
    pub fn edits(&self, host: &str) -> Vec<String> {
        self.with(host, |live, _| live.dirty.clone())
    }

    /// What is checked out.
    pub fn tree(&self, host: &str) -> Version {
        self.with(host, |live, _| live.tree())
    }

    /// What is installed.
    pub fn installed(&self, host: &str) -> Version {
        self.with(host, |live, _| live.installed.clone())
    }

    /// What runs.
    pub fn service(&self, host: &str) -> Service {
        self.with(host, |live, _| live.service.clone())
    }

    /// What is checked out, installed and running, by label: `v1/v1/v1`.
    pub fn versions(&self, host: &str) -> String {
        self.with(host, |live, origin| live.versions(origin))
    }

    /// Whether a host is wholly at a commit: checked out, installed and running.
    pub fn is_wholly(&self, host: &str, revision: &Revision) -> bool {
        self.with(host, |live, _| {
            let at = Version::Of(revision.clone());
            let runs = matches!(&live.service, Service::Up { tree, installed, .. } if *tree == at && *installed == at);
            live.tree() == at && live.installed == at && runs
        })
    }

    /// Everything that was said to a host and what it answered, a line each; at most
    /// [`crate::TRANSCRIPT_MAX`] lines, the last ones.
    pub fn transcript(&self, host: &str) -> String {
        self.with(host, |live, _| {
            let mut text = String::new();
            if live.transcript_dropped > 0 {
                let _infallible =
                    writeln!(text, "(the first {} lines were dropped)", live.transcript_dropped);
            }
            for line in &live.transcript {
                let _infallible = writeln!(text, "{}", line.trim_end());
            }
            text
        })
    }

    /// How many commands have reached a host.
    pub fn commands(&self, host: &str) -> u32 {
        self.with(host, |live, _| live.commands)
    }

    /// The names of all hosts.
    pub fn names(&self) -> Vec<String> {
        lock(&self.0.hosts).keys().cloned().collect()
    }

    /// Returns when a planned crash of the controller has happened.
    pub async fn crashed(&self) {
        self.0.crash.notified().await;
    }

    fn find(&self, name: &str) -> Option<Arc<Mutex<Live>>> {
        let mut hosts = lock(&self.0.hosts);
        if self.0.open && !hosts.contains_key(name) {
            hosts.insert(name.to_owned(), Arc::new(Mutex::new(Live::new(None))));
        }
        hosts.get(name).cloned()
    }

    fn with<T>(&self, name: &str, what: impl FnOnce(&mut Live, &Origin) -> T) -> T {
        let Some(host) = self.find(name) else { panic!("the simulated fleet has no host {name}") };
        what(&mut lock(&host), &lock(&self.0.origin))
    }

    /// Knocks at a host's door; the number is that of its connections' age.
    pub(crate) fn knock(&self, name: &str, address: &str) -> Result<u32, ExecError> {
        let refused = |kind, why: &str| ExecError::before(kind, format!("host {name} ({address}): {why}"));
        let Some(host) = self.find(name) else {
            return Err(refused(ExecErrorKind::Connect, "the simulated fleet has no such host"));
        };
        let live = lock(&host);
        match live.door {
            Door::Open => Ok(live.epoch),
            Door::Away => Err(refused(ExecErrorKind::Connect, "no route to the host")),
            Door::Auth => Err(refused(ExecErrorKind::Auth, "permission denied (publickey)")),
            Door::HostKey => Err(refused(ExecErrorKind::HostKey, "the host key has changed")),
        }
    }

    /// Lets a command reach a host, with what was planned for it.
    pub(crate) fn happen(&self, name: &str, epoch: u32, command: &RemoteCommand) -> Happened {
        let Some(order) = Order::read(command) else {
            let words = command.argv.join(" ");
            let words: String = words.chars().take(80).collect();
            let why = format!("it is simulated and knows Uphaul's own commands alone, not {words:?}");
            return Happened::now(End::Error(ExecError::before(ExecErrorKind::Local, why)));
        };
        let happened = self.with(name, |live, origin| {
            if live.epoch != epoch {
                let why = "the connection was cut";
                return Happened::now(End::Error(ExecError::before(ExecErrorKind::Lost, why)));
            }
            if live.head.is_none() {
                let at = order.recorded.clone().unwrap_or_else(|| origin.first());
                live.settle_at(at);
            }
            live.commands += 1;
            live.pass(1);
            let number = live.commands;
            let planned = live.faults.iter().position(|fault| fault.is_for(number, &order.step));
            let what = planned.map(|place| live.faults.remove(place).what);
            let happened = befall(live, origin, &order, what.clone(), command.timeout);
            let versions = live.versions(origin);
            live.note(transcript_line(number, &order, &versions, what.as_ref(), &happened.end));
            happened
        });
        if matches!(happened.end, End::Never) {
            self.0.crash.notify_one();
        }
        happened
    }
}
