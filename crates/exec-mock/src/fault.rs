//! What is to go wrong, and when. Each fault happens once.

use std::time::Duration;

/// Which command a fault waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The next one.
    Next,
    /// The n-th that reaches the host, from 1.
    Command(u32),
    /// The next one of this job: `prepare-Preflight`, `prepare-Record`, `update-Fetch`, ..., `rollback-Verify`,
    /// `release`, `resolve`.
    Job(String),
}

/// How far the effect of a command came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Nothing was done.
    Before,
    /// The tree, the dependencies or the service are torn.
    Half,
    /// All was done.
    After,
}

/// What a driver that is cut off leaves on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The command was never sent.
    Before,
    /// The job has ended; its answer is lost.
    After,
    /// The job goes on: it ends when the next command needs the host, or at [`crate::MockFleet::finish_jobs`].
    GoesOn,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The job fails.
    Fail {
        /// How far it comes.
        moment: Moment,
        /// Its exit code.
        code: i32,
        /// The last lines that it prints.
        tail: String,
    },
    /// The job does not end by itself: the host ends it at the step's own limit.
    Hang,
    /// The controller dies: the command never returns, and [`crate::MockFleet::crashed`] does.
    Crash(Cut),
    /// The connection is lost; the host can be reached again at once.
    Lose(Cut),
    /// The connection is lost, and the host stays away until [`crate::MockFleet::heal`].
    Away(Cut),
    /// The connection stays, and nothing comes back before the command's timeout. The job is done.
    Silent,
    /// The answer comes this late; later than the command's timeout, it is a timeout.
    Slow(Duration),
    /// The host loses its power and boots again.
    Reboot(Moment),
    /// The connection is lost for longer than the window of the host's switch, which takes it back; then the host can be
    /// reached again.
    Reverts(Cut),
    /// Another run takes the host before the command reaches it.
    Taken {
        /// Who, as the host will tell it.
        by: String,
    },
    /// The answer cannot be understood.
    Garbled,
    /// The command is not done, and ends so.
    Ends {
        /// Its exit code.
        code: i32,
        /// What it prints.
        stdout: Vec<u8>,
        /// What it complains.
        stderr: Vec<u8>,
    },
}

/// One planned fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub at: At,
    /// What.
    pub what: What,
}

impl Fault {
    /// A fault of the next command.
    pub fn next(what: What) -> Self {
        Self { at: At::Next, what }
    }

    /// A fault of the n-th command that reaches the host, from 1.
    pub fn command(n: u32, what: What) -> Self {
        Self { at: At::Command(n), what }
    }

    /// A fault of the next command of a job.
    pub fn job(job: impl Into<String>, what: What) -> Self {
        Self { at: At::Job(job.into()), what }
    }

    /// The job fails with exit code 1, having come this far.
    pub fn fails(job: impl Into<String>, moment: Moment) -> Self {
        Self::job(job, What::Fail { moment, code: 1, tail: "a planned failure".into() })
    }

    pub(crate) fn is_for(&self, number: u32, job: &str) -> bool {
        match &self.at {
            At::Next => true,
            At::Command(n) => *n == number,
            At::Job(name) => name == job,
        }
    }
}
