//! One simulated host: what it is, and what its commands do to it.

mod evidence;
mod job;
mod look;
mod order;
mod runner;
mod switch;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use uphaul_core::ids::Revision;

pub(crate) use look::resolve;
pub(crate) use order::Order;

use crate::fault::{Fault, Moment};
use crate::origin::{Origin, Start};

/// How many lines a transcript keeps; older ones are dropped and counted.
pub const TRANSCRIPT_MAX: usize = 500;

/// What the tree or the dependencies are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// This commit.
    Of(Revision),
    /// Half of one and half of another: something ended in the middle.
    Torn,
}

impl Version {
    pub(crate) fn shown(&self, origin: &Origin) -> String {
        match self {
            Self::Of(revision) => origin.label(revision),
            Self::Torn => "torn".into(),
        }
    }
}

/// The service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// It does not run.
    Down,
    /// It runs, as the process of this start.
    Up {
        /// The tree that it was started from.
        tree: Version,
        /// The dependencies that it was started with; it is healthy with any.
        installed: Version,
        /// Counts the starts.
        invocation: u32,
    },
}

/// How the host answers at its door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// It lets us in.
    Open,
    /// It cannot be reached.
    Away,
    /// It does not accept the user or the key.
    Auth,
    /// Its key is another than the known one.
    HostKey,
}

/// Who drives the host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claim {
    fence: u64,
    run: String,
    owner: String,
    boot: u32,
    up_s: u64,
    ttl_s: u64,
    /// The transition of the run with which it was taken.
    seq: u64,
    /// The last run that gave the host back.
    over: String,
}

/// How a job goes.
#[derive(Debug, Clone)]
pub(crate) enum How {
    Well,
    Fails { moment: Moment, code: i32, tail: String },
    Hangs,
}

/// What a job left.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ended {
    boot: u32,
    /// The uptime at its end, in seconds.
    up_s: u64,
    code: i32,
    /// The lines of its result.
    result: Vec<(String, String)>,
    /// The end of what it printed.
    tail: String,
}

/// What is kept of a run, phase by phase.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    /// The boot of the restart.
    restarted: BTreeMap<String, u32>,
    /// The start that the restart made.
    invocations: BTreeMap<String, u32>,
    /// The files changed by hand that the first checkout took aside.
    edits: Option<Vec<String>>,
}

/// All of a host.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) door: Door,
    pub(crate) head: Option<Revision>,
    /// Whether the tree is whole at `head`.
    pub(crate) whole: bool,
    pub(crate) installed: Version,
    pub(crate) service: Service,
    /// Makes the health check fail whatever runs.
    pub(crate) ill: Option<String>,
    pub(crate) dirty: Vec<String>,
    /// Keys of the preflight's report that are another on this host.
    pub(crate) preflight: BTreeMap<String, Option<String>>,
    pub(crate) claim: Claim,
    pub(crate) faults: Vec<Fault>,
    pub(crate) commands: u32,
    /// Goes on with each break of all connections.
    pub(crate) epoch: u32,
    pub(crate) transcript: VecDeque<String>,
    pub(crate) transcript_dropped: u32,
    previous_ref: Option<Revision>,
    boot: u32,
    up_s: u64,
    starts: u32,
    /// The results of jobs, by `RUN.STEP`.
    jobs: BTreeMap<String, Ended>,
    pending: Option<(Order, How)>,
    runs: BTreeMap<String, Kept>,
    switch: Option<switch::Switch>,
}

impl Live {
    pub(crate) fn new(at: Option<Revision>) -> Self {
        let mut live = Self {
            door: Door::Open,
            head: None,
            whole: true,
            installed: Version::Torn,
            service: Service::Down,
            ill: None,
            dirty: Vec::new(),
            preflight: BTreeMap::new(),
            claim: Claim::default(),
            faults: Vec::new(),
            commands: 0,
            epoch: 0,
            transcript: VecDeque::new(),
            transcript_dropped: 0,
            previous_ref: None,
            boot: 1,
            up_s: 3600,
            starts: 0,
            jobs: BTreeMap::new(),
            pending: None,
            runs: BTreeMap::new(),
            switch: None,
        };
        if let Some(revision) = at {
            live.settle_at(revision);
        }
        live
    }

    /// Is wholly at a commit, which runs.
    pub(crate) fn settle_at(&mut self, revision: Revision) {
        self.starts += 1;
        let version = Version::Of(revision.clone());
        let (tree, installed) = (version.clone(), version.clone());
        (self.head, self.whole, self.installed) = (Some(revision), true, version);
        self.service = Service::Up { tree, installed, invocation: self.starts };
    }

    pub(crate) fn tree(&self) -> Version {
        self.head.clone().filter(|_| self.whole).map_or(Version::Torn, Version::Of)
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.up_s = self.up_s.saturating_add(seconds);
    }

    /// Takes the host for a run of somebody else, whose claim lives for a day.
    pub(crate) fn take(&mut self, run: &str, by: &str) {
        let (fence, boot, up_s) = (self.claim.fence + 1, self.boot, self.up_s);
        let (run, owner) = (run.to_owned(), by.to_owned());
        self.claim = Claim { fence, run, owner, boot, up_s, ttl_s: 24 * 3600, ..Claim::default() };
    }

    /// Power off and on: what ran is cut in the middle, and the service starts as the host finds it.
    pub(crate) fn reboot(&mut self, origin: &Origin) {
        if let Some((order, _)) = self.pending.take() {
            self.tear(&order);
        }
        self.epoch += 1;
        self.boot += 1;
        self.up_s = 30;
        self.start(origin);
    }

    /// Starts the service from what is there.
    fn start(&mut self, origin: &Origin) {
        self.starts += 1;
        let tree = self.tree();
        let starts = match &tree {
            Version::Of(revision) => origin.of(revision).start == Start::Runs,
            Version::Torn => false,
        };
        let installed = self.installed.clone();
        self.service =
            if starts { Service::Up { tree, installed, invocation: self.starts } } else { Service::Down };
    }

    /// What is checked out, installed and running, by label: `v1/v1/v1`.
    pub(crate) fn versions(&self, origin: &Origin) -> String {
        let runs = match &self.service {
            Service::Down => "down".into(),
            Service::Up { tree, .. } => tree.shown(origin),
        };
        format!("{}/{}/{runs}", self.tree().shown(origin), self.installed.shown(origin))
    }

    pub(crate) fn note(&mut self, line: impl fmt::Display) {
        if self.transcript.len() == TRANSCRIPT_MAX {
            self.transcript.pop_front();
            self.transcript_dropped += 1;
        }
        self.transcript.push_back(line.to_string());
    }
}
