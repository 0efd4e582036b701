//! Stories: what was saved, what then ran, what came back, what the host looked like.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use uphaul_core::driver::{Drive, DriveEnd, Event, Observer, Ports, Reach, drive, stop_pair};
use uphaul_core::evidence::{Evidence, Patterns};
use uphaul_core::ids::Revision;
use uphaul_core::machine::{Action, Command, Input, Observation, Outcome, Reason, State};
use uphaul_core::plan::Plan;
use uphaul_core::ports::{RemoteExecutor, Target};

use crate::faults::{Fault, Faults, FaultyExecutor};
use crate::memory::{CountingClock, MemoryJournal};

/// A host that a story is told of.
pub trait HostSide: Send + Sync {
    /// What is checked out, installed and running, by label.
    fn versions(&self) -> String;
    /// The label of a commit.
    fn label(&self, revision: &Revision) -> String;
    /// What reaches it.
    fn executor(&self) -> Arc<dyn RemoteExecutor>;
}

struct Teller {
    host: Arc<dyn HostSide>,
    journal: Arc<MemoryJournal>,
    plan: Plan,
    faults: Arc<Faults>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    text: String,
    seq: u32,
    /// The line of a command that was begun and has not answered.
    open: Option<String>,
}

impl Teller {
    /// Puts labels in place of hashes, which differ from machine to machine.
    fn label(&self, text: String) -> String {
        let labelled = text.split(' ').map(|part| {
            let bare = part.trim_end_matches(',');
            bare.parse().map_or_else(|_| part.to_owned(), |hash| part.replace(bare, &self.host.label(&hash)))
        });
        labelled.collect::<Vec<_>>().join(" ")
    }

    /// Ends the open line with what came back and what the host looks like now.
    fn answer(&self, told: &mut Told, outcome: &str) {
        if let Some(line) = told.open.take() {
            let line = format!("{line}{:<34} {}", outcome, self.host.versions());
            let _infallible = writeln!(told.text, "{}", line.trim_end());
        }
    }

    fn remark(&self, text: &str) {
        let mut told = self.told.lock().expect("no panic");
        let _infallible = writeln!(told.text, "     -- {text} --");
    }

    fn crashed(&self) {
        let outcome = match self.faults.last() {
            Some(Fault::CrashBefore) => "CRASH before effect",
            Some(_) | None => "CRASH after effect",
        };
        let mut told = self.told.lock().expect("no panic");
        self.answer(&mut told, outcome);
    }
}

impl Observer for Teller {
    fn tell(&self, event: &Event<'_>) {
        let Event::Moved { input, state, .. } = event else { return };
        let mut told = self.told.lock().expect("no panic");
        let outcome = self.label(came_back(input));
        self.answer(&mut told, &outcome);
        if let Some(evidence) = self.journal.entries().last().and_then(|entry| entry.evidence.clone()) {
            let _infallible = writeln!(told.text, "     -- {} --", seen(&evidence));
        }
        told.seq += 1;
        let seq = told.seq;
        match Command::for_state(&self.plan, state) {
            Some(command) => {
                let runs = self.label(words(&command.action));
                told.open = Some(format!("{seq:>3}  {:<22} {runs:<14} ", state.to_string()));
            }
            None => {
                let end = self.label(ending(state));
                let _infallible = writeln!(told.text, "{seq:>3}  {}", end.trim_end());
            }
        }
    }
}

/// What was read of a failure, by name; what it says differs from host to host.
fn seen(evidence: &Evidence) -> String {
    let names: Vec<&str> = evidence.parts.iter().map(|part| part.name.as_str()).collect();
    match &evidence.trouble {
        None => format!("evidence: {}", names.join(", ")),
        Some(why) => format!("no evidence: {why}"),
    }
}

fn words(action: &Action) -> String {
    match action {
        Action::Preflight => "check host".into(),
        Action::Record => "read and pin".into(),
        Action::Fetch(to) => format!("fetch {to}"),
        Action::Arm(to) => format!("arm {to}"),
        Action::Checkout(to) => format!("checkout {to}"),
        Action::Install => "install".into(),
        Action::Restart => "restart".into(),
        Action::Verify(to) => format!("verify {to}"),
        Action::Confirm => "confirm".into(),
    }
}

fn came_back(input: &Input) -> String {
    match input {
        Input::Start => String::new(),
        Input::Succeeded(Observation::AlreadyThere) => "ok, already there".into(),
        Input::Succeeded(Observation::Previous(previous)) if previous.healthy => {
            format!("ok, {}", previous.revision)
        }
        Input::Succeeded(Observation::Previous(previous)) => format!("ok, {} (ill)", previous.revision),
        Input::Succeeded(Observation::Rebooted) => "rebooted since the restart".into(),
        Input::Succeeded(Observation::Unarmed { .. }) => "ok, without a switch".into(),
        Input::Succeeded(Observation::Nothing) => "ok".into(),
        Input::Failed(Reason::CalledOff { .. }) => "not begun: called off".into(),
        Input::Failed(reason) => format!("FAILED {}", reason_line(reason)),
        Input::Interrupted => "LOST, reached again".into(),
        Input::Unreachable { detail } => format!("LOST, {detail}"),
        Input::HostReverted(_) => "the host went back by itself".into(),
        Input::Superseded { .. } => "SUPERSEDED".into(),
    }
}

fn reason_line(reason: &Reason) -> String {
    match reason {
        Reason::Refused { problems } => {
            problems.iter().map(|problem| problem.code.clone()).collect::<Vec<_>>().join(", ")
        }
        Reason::NotProved { .. } => "not proved".into(),
        Reason::CalledOff { .. } => "called off for another target".into(),
        Reason::Held { .. }
        | Reason::Exited { .. }
        | Reason::TimedOut { .. }
        | Reason::Unreachable { .. }
        | Reason::AttemptsExhausted { .. }
        | Reason::HostReverted { .. }
        | Reason::Unexpected { .. } => reason.to_string(),
    }
}

fn ending(state: &State) -> String {
    let State::Finished(outcome) = state else { return state.to_string() };
    let causes: Vec<String> = match outcome {
        Outcome::Updated { .. } | Outcome::Unchanged | Outcome::Superseded { .. } => Vec::new(),
        Outcome::Aborted { cause } | Outcome::RolledBack { cause, .. } => {
            vec![format!("{}: {}", cause.step, reason_line(&cause.reason))]
        }
        Outcome::NeedsAttention { causes, .. } => {
            causes.iter().map(|cause| format!("{}: {}", cause.step, reason_line(&cause.reason))).collect()
        }
    };
    format!("{state}  {}", causes.join("; "))
}

/// How often a story's driver may be started; a story that needs more is broken.
const DRIVERS_MAX: usize = 12;

/// Tells the story of one run with these faults: it is driven, and driven again after each crash, and when its host
/// is back.
///
/// # Panics
/// Where the run comes to no end.
pub async fn story(title: &str, host: Arc<dyn HostSide>, plan: Plan, planned: &[(&str, Fault)]) -> String {
    story_with(title, host, plan, Faults::plan(planned)).await
}

/// The same, for a test that looks at the faults afterwards.
///
/// # Panics
/// Where the run comes to no end.
pub async fn story_with(title: &str, host: Arc<dyn HostSide>, plan: Plan, faults: Arc<Faults>) -> String {
    story_until(title, host, plan, faults, None).await
}

/// The story of a run that is called off, for another target, by whoever resumes it.
///
/// # Panics
/// Where the run comes to no end.
pub async fn story_called_off(
    title: &str,
    host: Arc<dyn HostSide>,
    plan: Plan,
    planned: &[(&str, Fault)],
    by: Revision,
) -> String {
    story_until(title, host, plan, Faults::plan(planned), Some(by)).await
}

async fn story_until(
    title: &str,
    host: Arc<dyn HostSide>,
    plan: Plan,
    faults: Arc<Faults>,
    called_off: Option<Revision>,
) -> String {
    let journal = Arc::new(MemoryJournal::new(plan.clone()));
    let told = Mutex::new(Told::default());
    let teller = Arc::new(Teller {
        host: host.clone(),
        plan: plan.clone(),
        faults: faults.clone(),
        journal: journal.clone(),
        told,
    });
    let (_handle, stop) = stop_pair();
    let executor = Arc::new(FaultyExecutor { inner: host.executor(), faults: faults.clone() });
    let ports = Ports {
        reach: Reach { executor, starts: Arc::new(Semaphore::new(4)) },
        journal: journal.clone(),
        clock: Arc::new(CountingClock::default()),
        observer: teller.clone(),
        stop,
        mask: Patterns::default(),
    };
    let before = host.versions();
    for driver in 0..DRIVERS_MAX {
        if driver > 0 {
            teller.remark(if called_off.is_some() { "resume, for another target" } else { "resume" });
        }
        tokio::select! {
            biased;
            () = faults.crash.notified() => teller.crashed(),
            end = drive(&ports, one(&journal, &plan, called_off.clone().filter(|_| driver > 0))) => match end {
                DriveEnd::Ended(State::Finished(_)) => break,
                DriveEnd::Ended(State::Parked(_)) => { teller.remark("the host is back"); faults.heal(); }
                other => panic!("{title}: {other:?}"),
            },
        }
    }
    let record = journal.record();
    assert!(record.state.is_finished(), "{title}: no end after {DRIVERS_MAX} drivers: {}", record.state);
    assert_replays(&journal);
    let told = teller.told.lock().expect("no panic");
    let goes = format!("{} -> {}", before.split('/').next().unwrap_or_default(), host.label(&plan.target));
    format!(
        "{title}\nhost web-1  {goes}\n\nseq  saved state            then runs      {:<34} {}\n{}",
        "came back", "tree/installed/running", told.text
    )
}

fn one(journal: &MemoryJournal, plan: &Plan, called_off: Option<Revision>) -> Drive {
    let target = Target {
        name: plan.host.name.clone(),
        address: plan.host.address.clone(),
        port: None,
        user: None,
        host_key: None,
        connect_timeout: Duration::from_secs(5),
    };
    Drive {
        record: journal.record(),
        lease: journal.lease(),
        target,
        owner: "ann@desk (pid 7)".into(),
        settled: Vec::new(),
        reconnect: Duration::ZERO,
        called_off,
    }
}

/// The log tells the run again: the same inputs, by the same function, lead to the same states.
fn assert_replays(journal: &MemoryJournal) {
    let plan = journal.record().plan;
    let mut state = State::Pending;
    for entry in journal.entries() {
        let transition =
            uphaul_core::machine::step(&plan, &state, entry.input.clone()).expect("a legal input");
        assert_eq!(transition.to, entry.state, "the log and the machine disagree at {}", entry.seq.0);
        state = transition.to;
    }
}
