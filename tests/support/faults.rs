//! An executor around another one, that does wrong what it was told to do wrong.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::Notify;
use uphaul_core::ports::{
    Captured, ExecError, ExecErrorKind, Output, RemoteCommand, RemoteExecutor, RemoteSession, Target,
};

/// What goes wrong with one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails and has done nothing.
    FailBefore,
    /// It does what it should, and then says that it failed.
    FailAfter,
    /// The controller dies before the command is sent.
    CrashBefore,
    /// The controller dies when the command was done and before it knows.
    CrashAfter,
    /// The connection is lost before the command is sent.
    LoseBefore,
    /// The connection is lost, and the command goes on to its end.
    LoseAfter,
    /// The connection is lost, the command goes on, and the host cannot be reached until it is healed.
    AwayAfter,
    /// The same, and the command was never sent.
    AwayBefore,
    /// The shell on the host that waits for the job is killed, and the job goes on to its end.
    KillAfter,
    /// Nothing goes wrong this time.
    None,
}

/// What is to go wrong: for each job, in the order of its begins.
#[derive(Debug, Default)]
pub struct Faults {
    planned: Mutex<BTreeMap<String, VecDeque<Fault>>>,
    away: Mutex<bool>,
    /// Is notified when the controller is to die.
    pub crash: Notify,
    happened: Mutex<Vec<Fault>>,
    connections: Mutex<usize>,
}

impl Faults {
    /// Plans faults: `("update-Install", Fault::FailBefore)`; the second of a job is for its second begin.
    pub fn plan(planned: &[(&str, Fault)]) -> Arc<Self> {
        let faults = Self::default();
        for (job, fault) in planned {
            faults.planned.lock().expect("no panic").entry((*job).to_owned()).or_default().push_back(*fault);
        }
        Arc::new(faults)
    }

    /// Lets the host be reached again.
    pub fn heal(&self) {
        *self.away.lock().expect("no panic") = false;
    }

    /// How many commands were sent so far.
    pub fn commands(&self) -> usize {
        self.happened.lock().expect("no panic").len()
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        *self.connections.lock().expect("no panic")
    }

    /// The last fault that happened.
    pub fn last(&self) -> Option<Fault> {
        self.happened.lock().expect("no panic").last().copied()
    }

    fn next(&self, job: &str) -> Fault {
        let mut planned = self.planned.lock().expect("no panic");
        let fault = planned.get_mut(job).and_then(VecDeque::pop_front).unwrap_or(Fault::None);
        self.happened.lock().expect("no panic").push(fault);
        fault
    }

    fn is_away(&self) -> bool {
        *self.away.lock().expect("no panic")
    }

    fn go_away(&self) {
        *self.away.lock().expect("no panic") = true;
    }
}

/// The executor.
pub struct FaultyExecutor {
    /// What does the work.
    pub inner: Arc<dyn RemoteExecutor>,
    /// What is to go wrong.
    pub faults: Arc<Faults>,
}

struct FaultySession {
    inner: Box<dyn RemoteSession>,
    faults: Arc<Faults>,
}

#[async_trait]
impl RemoteExecutor for FaultyExecutor {
    async fn connect(&self, target: &Target) -> Result<Box<dyn RemoteSession>, ExecError> {
        if self.faults.is_away() {
            return Err(ExecError::before(ExecErrorKind::Connect, "no route to the host"));
        }
        let inner = self.inner.connect(target).await?;
        *self.faults.connections.lock().expect("no panic") += 1;
        Ok(Box::new(FaultySession { inner, faults: self.faults.clone() }))
    }
}

#[async_trait]
impl RemoteSession for FaultySession {
    async fn run(&mut self, command: &RemoteCommand) -> Result<Output, ExecError> {
        let job = command.env.get("U_STEP").cloned().unwrap_or_default();
        let fault = self.faults.next(&job);
        let done = match fault {
            Fault::FailBefore | Fault::CrashBefore | Fault::LoseBefore | Fault::AwayBefore => None,
            Fault::FailAfter
            | Fault::CrashAfter
            | Fault::LoseAfter
            | Fault::AwayAfter
            | Fault::KillAfter
            | Fault::None => Some(self.inner.run(command).await?),
        };
        match fault {
            Fault::None => Ok(done.unwrap_or_default()),
            Fault::FailBefore | Fault::FailAfter => Ok(failed()),
            Fault::KillAfter => Ok(Output { code: 137, ..Output::default() }),
            Fault::CrashBefore | Fault::CrashAfter => {
                self.faults.crash.notify_one();
                std::future::pending().await
            }
            Fault::LoseBefore | Fault::LoseAfter => Err(lost()),
            Fault::AwayAfter | Fault::AwayBefore => {
                self.faults.go_away();
                Err(lost())
            }
        }
    }

    async fn close(self: Box<Self>) -> Result<(), ExecError> {
        self.inner.close().await
    }
}

fn lost() -> ExecError {
    ExecError::after(ExecErrorKind::Lost, "the connection was cut")
}

fn failed() -> Output {
    let stderr = Captured { bytes: b"a planned failure\n".to_vec(), dropped: 0 };
    Output { code: 1, stdout: Captured::default(), stderr }
}
