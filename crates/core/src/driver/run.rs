//! The loop of one run.

use std::sync::Arc;
use std::time::Duration;

use super::commit::commit;
use super::perform::Performer;
use super::{Event, Link, Observer, Reach, Stop, StopLevel, evidence};
use crate::evidence::{Mask, Patterns};
use crate::ids::{Revision, RunId};
use crate::machine::{Input, Reason, State, step};
use crate::ports::{Clock, Journal, JournalError, LeaseToken, RunRecord, Target};

/// More transitions than any run can have (the exploration of the machine proves it); at the limit the driver
/// stops and says so, and the run stays resumable.
const TRANSITIONS_MAX: usize = 200;

/// What every run of a process shares.
#[derive(Clone)]
pub struct Ports {
    /// How hosts are reached.
    pub reach: Reach,
    /// Where transitions are written.
    pub journal: Arc<dyn Journal>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// How the driver is asked to stop.
    pub stop: Stop,
    /// What is masked in what hosts say, beside the values of `service.env`.
    pub mask: Patterns,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// One run to drive.
#[derive(Debug, Clone)]
pub struct Drive {
    /// Where it is.
    pub record: RunRecord,
    /// The right to drive it.
    pub lease: LeaseToken,
    /// How its host is reached.
    pub target: Target,
    /// Who drives, for the person who finds the host held.
    pub owner: String,
    /// Runs of this host that the record knows to be over.
    pub settled: Vec<RunId>,
    /// How long a lost host is tried before the run is parked.
    pub reconnect: Duration,
    /// What was asked for since this run was left in the middle. A run never changes its commit: it is called off at
    /// the first state that allows it, and ends aborted or rolled back.
    pub called_off: Option<Revision>,
}

/// How the driving ended, which is not always how the run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriveEnd {
    /// The run is over, or parked.
    Ended(State),
    /// It was asked to stop at once; the run can be resumed.
    Stopped(State),
    /// Another driver has the run now, and the record is its business.
    TakenOver {
        /// Where the run was when this driver lost it.
        state: State,
        /// Who has it.
        by: String,
    },
    /// The database or the driver itself failed; nothing was done that is not written. The run can be resumed.
    Broken {
        /// Where the run is.
        state: State,
        /// Why.
        why: String,
    },
}

/// Drives a run to its end.
pub async fn drive(ports: &Ports, drive: Drive) -> DriveEnd {
    let link = Link::new(ports.reach.clone(), drive.target.clone());
    drive_over(ports, drive, link).await
}

/// Drives a run to its end over a link to its host that may be open already. It is closed at the end.
pub async fn drive_over(ports: &Ports, mut drive: Drive, link: Link) -> DriveEnd {
    let mut performer = Performer {
        link,
        fence: None,
        owner: &drive.owner,
        settled: &drive.settled,
        observer: ports.observer.as_ref(),
        reconnect: drive.reconnect,
        mask: Mask::new(&drive.record.plan.service.env, ports.mask.clone()),
    };
    let mut stop = ports.stop.clone();
    let end = tokio::select! {
        biased;
        () = stop.reached(StopLevel::Now) => None,
        end = go_on(ports, &mut drive.record, &drive.lease, drive.called_off.as_ref(), &mut performer) => Some(end),
    };
    if let Some(DriveEnd::Ended(State::Finished(_))) = &end {
        performer.release(&drive.record).await;
    }
    performer.link.close().await;
    end.unwrap_or(DriveEnd::Stopped(drive.record.state))
}

async fn go_on(
    ports: &Ports,
    record: &mut RunRecord,
    lease: &LeaseToken,
    called_off: Option<&Revision>,
    performer: &mut Performer<'_>,
) -> DriveEnd {
    let Some(mut input) = first_input(&record.state, called_off, performer).await else {
        return DriveEnd::Ended(record.state.clone());
    };
    for _ in 0..TRANSITIONS_MAX {
        let transition = match step(&record.plan, &record.state, input.clone()) {
            Ok(transition) => transition,
            Err(illegal) => {
                return DriveEnd::Broken { state: record.state.clone(), why: illegal.to_string() };
            }
        };
        // Before the way back is written, and so before anything of it can begin.
        let evidence = match evidence::wanted(&transition) {
            Some(of) => Some(performer.evidence(record, of).await),
            None => None,
        };
        let (journal, clock) = (ports.journal.as_ref(), ports.clock.as_ref());
        let command = match commit(journal, clock, lease, record, transition, evidence).await {
            Ok(command) => command,
            Err(JournalError::TakenOver(by)) => {
                return DriveEnd::TakenOver { state: record.state.clone(), by };
            }
            Err(error) => return DriveEnd::Broken { state: record.state.clone(), why: error.to_string() },
        };
        let told = Event::Moved { host: &record.host, run: &record.id, input: &input, state: &record.state };
        ports.observer.tell(&told);
        match command {
            Some(command) => {
                // What is called off is not begun.
                input = match call_off(&record.state, called_off) {
                    Some(input) => input,
                    None => performer.perform(record, command).await,
                }
            }
            None => return DriveEnd::Ended(record.state.clone()),
        }
    }
    let why = format!("more than {TRANSITIONS_MAX} transitions; this is a fault of Uphaul");
    DriveEnd::Broken { state: record.state.clone(), why }
}

/// The end of a run that is not wanted any more, where its state allows it.
fn call_off(state: &State, called_off: Option<&Revision>) -> Option<Input> {
    let by = called_off.filter(|_| matches!(state, State::Running(at) if at.can_be_called_off()))?;
    Some(Input::Failed(Reason::CalledOff { by: by.clone() }))
}

/// What a loaded run is told first. One that was begun is told nothing before its host was reached again, so a host
/// that stays away uses no attempt up.
async fn first_input(
    state: &State,
    called_off: Option<&Revision>,
    performer: &mut Performer<'_>,
) -> Option<Input> {
    match state {
        State::Pending => Some(Input::Start),
        State::Running(_) => {
            let told = performer.reached_again().await;
            let back = told == Input::Interrupted;
            back.then(|| call_off(state, called_off)).flatten().or(Some(told))
        }
        State::Parked(_) => {
            Some(performer.reached_again().await).filter(|input| *input == Input::Interrupted)
        }
        State::Finished(_) => None,
    }
}
