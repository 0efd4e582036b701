//! A toy host: just enough of one to be brought into the middle, and as deceptive as a real one. It does not see
//! that a service runs with the dependencies of another version, so the order of the steps has to be right by itself.

use crate::machine::{PrepareStep, RollbackStep, Step, UpdateStep};

/// What the tree, or the dependencies, are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Version {
    Previous,
    Target,
    /// Half one and half the other.
    Torn,
}

/// What the service was started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Runs {
    Previous,
    Target,
    /// A tree with the dependencies of another one; it looks healthy.
    Mixed,
    Nothing,
}

/// The dead-man's switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Switch {
    Off,
    Armed,
    Confirmed,
    /// It acted, and went all of the way back.
    Reverted,
    /// It acted, and failed in the middle.
    Botched,
}

/// When the service was restarted in a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Since {
    Never,
    ThisBoot,
    OlderBoot,
}

/// How far a job came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Reached {
    /// Nothing was done.
    Before,
    /// It was ended in the middle.
    Half,
    /// All was done.
    After,
}

/// The result of a job, kept under the name of its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Job {
    None,
    Ok,
    Rebooted,
    Failed,
}

/// How a job goes that begins now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum How {
    Well,
    /// It fails, having come this far.
    Fails(Reached),
}

/// What the host tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Ok,
    Failed,
    Rebooted,
    Reverted,
    Superseded,
}

/// The host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Host {
    pub(super) tree: Version,
    pub(super) installed: Version,
    pub(super) runs: Runs,
    pub(super) switch: Switch,
    /// Whether a run of somebody else has taken the host.
    pub(super) taken: bool,
    /// Whether the driver of now has been given its number.
    pub(super) knows_driver: bool,
    /// Whether anything of the running service was touched.
    pub(super) touched: bool,
    since: [Since; 2],
    jobs: Jobs,
    /// A job that goes on though nobody waits for it, and how it will end.
    pending: Option<(Step, How)>,
}

/// The results of all steps, two bits each, so that a host is small and quick to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Jobs(u32);

impl Jobs {
    fn of(self, step: Step) -> Job {
        match self.0 >> (2 * number(step)) & 3 {
            0 => Job::None,
            1 => Job::Ok,
            2 => Job::Rebooted,
            _ => Job::Failed,
        }
    }

    fn keep(&mut self, step: Step, job: Job) {
        let place = 2 * number(step);
        self.0 = self.0 & !(3 << place) | (job as u32) << place;
    }
}

/// Each step's own number, 0 to 13.
pub(super) fn number(step: Step) -> u32 {
    match step {
        Step::Prepare(step) => step as u32,
        Step::Update(step) => 2 + step as u32,
        Step::Rollback(step) => 9 + step as u32,
    }
}

fn phase_of(step: Step) -> usize {
    usize::from(matches!(step, Step::Rollback(_)))
}

impl Host {
    pub(super) const NEW: Self = Self {
        tree: Version::Previous,
        installed: Version::Previous,
        runs: Runs::Previous,
        switch: Switch::Off,
        taken: false,
        knows_driver: false,
        touched: false,
        since: [Since::Never; 2],
        jobs: Jobs(0),
        pending: None,
    };

    /// Runs the command of a step to its end, as the runner and the job on the host do it: number, lock, the job of
    /// before, its result, the switch, and then the job. `knows_reverted`: the driver was told so already.
    pub(super) fn perform(&mut self, step: Step, how: How, knows_reverted: bool) -> Told {
        if step == Step::Prepare(PrepareStep::Preflight) {
            return if how == How::Well { Told::Ok } else { Told::Failed };
        }
        if self.taken {
            return Told::Superseded;
        }
        self.knows_driver = true;
        self.finish_pending();
        if let Some(told) = self.switch_says(step, knows_reverted) {
            return told;
        }
        if self.jobs.of(step) == Job::None {
            let job = self.run(step, how);
            self.jobs.keep(step, job);
        }
        match self.jobs.of(step) {
            Job::Ok => Told::Ok,
            Job::Rebooted => Told::Rebooted,
            Job::Failed | Job::None => Told::Failed,
        }
    }

    /// Once the switch has acted, a driver that does not know it is told so and does nothing.
    fn switch_says(&self, step: Step, knows_reverted: bool) -> Option<Told> {
        let confirm =
            matches!(step, Step::Update(UpdateStep::Confirm) | Step::Rollback(RollbackStep::Confirm));
        let says = self.switch_acted() && (confirm || !knows_reverted);
        says.then_some(Told::Reverted)
    }

    pub(super) fn switch_acted(&self) -> bool {
        matches!(self.switch, Switch::Reverted | Switch::Botched)
    }

    /// Begins a job that nobody waits for.
    pub(super) fn begin(&mut self, step: Step, how: How, knows_reverted: bool) {
        if self.taken || step == Step::Prepare(PrepareStep::Preflight) {
            return;
        }
        self.knows_driver = true;
        self.finish_pending();
        if self.jobs.of(step) == Job::None && self.switch_says(step, knows_reverted).is_none() {
            self.pending = Some((step, how));
        }
    }

    pub(super) fn finish_pending(&mut self) {
        if let Some((step, how)) = self.pending.take() {
            let job = self.run(step, how);
            self.jobs.keep(step, job);
        }
    }

    fn run(&mut self, step: Step, how: How) -> Job {
        match how {
            How::Fails(reached) => {
                self.effect(step, reached);
                Job::Failed
            }
            How::Well => match step {
                Step::Update(UpdateStep::Verify) => self.verify(0, Version::Target),
                Step::Rollback(RollbackStep::Verify) => self.verify(1, Version::Previous),
                Step::Prepare(_) | Step::Update(_) | Step::Rollback(_) => {
                    self.effect(step, Reached::After);
                    Job::Ok
                }
            },
        }
    }

    fn verify(&self, phase: usize, to: Version) -> Job {
        if self.since[phase] == Since::OlderBoot {
            return Job::Rebooted;
        }
        // What the switch left half done is no proof, however healthy it looks.
        let whole = self.switch != Switch::Botched;
        if whole && self.tree == to && self.runs != Runs::Nothing { Job::Ok } else { Job::Failed }
    }

    fn effect(&mut self, step: Step, reached: Reached) {
        if reached == Reached::Before {
            return;
        }
        let whole = reached == Reached::After;
        match step {
            Step::Update(UpdateStep::Checkout) => self.check_out(Version::Target, whole),
            Step::Rollback(RollbackStep::Checkout) => self.check_out(Version::Previous, whole),
            Step::Update(UpdateStep::Install) | Step::Rollback(RollbackStep::Install) => {
                self.touched = true;
                self.installed = if whole { self.tree } else { Version::Torn };
            }
            Step::Update(UpdateStep::Restart) | Step::Rollback(RollbackStep::Restart) => {
                self.touched = true;
                self.runs = if whole { self.started() } else { Runs::Nothing };
                self.since[phase_of(step)] = Since::ThisBoot;
                let verify = if phase_of(step) == 0 {
                    Step::Update(UpdateStep::Verify)
                } else {
                    Step::Rollback(RollbackStep::Verify)
                };
                self.jobs.keep(verify, Job::None);
            }
            Step::Update(UpdateStep::Arm) if whole => self.switch = Switch::Armed,
            Step::Update(UpdateStep::Confirm) | Step::Rollback(RollbackStep::Confirm) if whole => {
                self.switch = Switch::Confirmed;
            }
            Step::Prepare(_) | Step::Update(_) | Step::Rollback(_) => {}
        }
    }

    fn check_out(&mut self, to: Version, whole: bool) {
        self.touched = true;
        self.tree = if whole { to } else { Version::Torn };
    }

    fn started(&self) -> Runs {
        match (self.tree, self.installed) {
            (Version::Previous, Version::Previous) => Runs::Previous,
            (Version::Target, Version::Target) => Runs::Target,
            _ => Runs::Mixed,
        }
    }

    /// The window of an armed switch is over. It keeps no result of this run's jobs: what they proved is void.
    pub(super) fn switch_fires(&mut self, well: bool) {
        self.finish_pending();
        if self.switch != Switch::Armed {
            return;
        }
        self.touched = true;
        self.jobs = Jobs(0);
        self.tree = Version::Previous;
        self.since = [Since::Never; 2];
        if well {
            (self.installed, self.runs) = (Version::Previous, Runs::Previous);
            self.switch = Switch::Reverted;
        } else {
            self.installed = Version::Torn;
            self.switch = Switch::Botched;
        }
    }

    /// Power off and on. What ran is cut in the middle; the service is started by the host as it finds it.
    pub(super) fn reboot(&mut self) {
        if let Some((step, _)) = self.pending.take() {
            self.effect(step, Reached::Half);
        }
        self.runs = self.started();
        for since in &mut self.since {
            if *since == Since::ThisBoot {
                *since = Since::OlderBoot;
            }
        }
        // The results of an older boot prove nothing of what was restarted or verified.
        for step in [UpdateStep::Restart, UpdateStep::Verify].map(Step::Update) {
            self.jobs.keep(step, Job::None);
        }
        for step in [RollbackStep::Restart, RollbackStep::Verify].map(Step::Rollback) {
            self.jobs.keep(step, Job::None);
        }
    }

    /// Cut in the middle of a command by a reboot.
    pub(super) fn reboot_during(&mut self, step: Step, reached: Reached, knows_reverted: bool) {
        match reached {
            Reached::Before => {}
            Reached::Half => self.begin(step, How::Well, knows_reverted),
            Reached::After => {
                self.perform(step, How::Well, knows_reverted);
            }
        }
        self.reboot();
    }

    /// All of the host in 52 bits, another one for each host.
    pub(super) fn packed(&self) -> u64 {
        let how = |how| match how {
            How::Well => 0,
            How::Fails(reached) => 1 + reached as u64,
        };
        let pending = self.pending.map_or(0, |(step, end)| 1 + u64::from(number(step)) * 4 + how(end));
        let parts = [
            (pending, 6),
            (self.tree as u64, 2),
            (self.installed as u64, 2),
            (self.runs as u64, 2),
            (self.switch as u64, 3),
            (self.since[0] as u64, 2),
            (self.since[1] as u64, 2),
            (self.taken.into(), 1),
            (self.knows_driver.into(), 1),
            (self.touched.into(), 1),
        ];
        parts.iter().fold(self.jobs.0.into(), |all, (part, bits)| all << bits | part)
    }

    pub(super) fn is_wholly(&self, version: Version) -> bool {
        let runs = match self.runs {
            Runs::Previous => Version::Previous,
            Runs::Target => Version::Target,
            Runs::Mixed | Runs::Nothing => Version::Torn,
        };
        (self.tree, self.installed, runs) == (version, version, version)
    }

    /// `tree/installed/runs`, for the stories.
    pub(super) fn shown(&self) -> String {
        let version = |version| match version {
            Version::Previous => "v1",
            Version::Target => "v2",
            Version::Torn => "torn",
        };
        let runs = match self.runs {
            Runs::Previous => "v1",
            Runs::Target => "v2",
            Runs::Mixed => "mixed",
            Runs::Nothing => "down",
        };
        format!("{}/{}/{runs}", version(self.tree), version(self.installed))
    }
}
