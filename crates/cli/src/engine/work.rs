//! The work on one host: take it, bring what a dead run left to its end, begin a run, drive it, give it back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uphaul_core::driver::{
    Drive, DriveEnd, Event, FleetEnd, Observer, Stop, StopLevel, drive_over, fleet_within,
};
use uphaul_core::ids::{HostName, Revision, RunId, Seq};
use uphaul_core::machine::{Input, Observation, Outcome, PrepareStep, Reason, State, Step, StepFailure};
use uphaul_core::plan::Goal;
use uphaul_core::ports::{Clock as _, LeaseToken, RunRecord};
use uphaul_core::script::reverts_within_s;
use uphaul_store::process::{is_alive_here, is_gone};
use uphaul_store::{Host, LeaseRow, StoredEvent, StoredRun, Tell, Watch, Watched};

use super::beat::Beat;
use super::masked::Masked;
use super::resolve::Resolved;
use super::{Engine, new_run_id};
use crate::clock::SystemClock;
use crate::error::CliError;
use crate::exit::{HostEnd, RunEnd};

/// How many finished runs of a host are known to be over; the claim of an older one has grown old by itself.
const SETTLED_MAX: u32 = 20;
/// How often a lease that is watched is read.
const WATCH_PAUSE: Duration = Duration::from_millis(500);

/// Where hosts are to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum To {
    /// All to one commit.
    Commit(Resolved),
    /// Each to what it ran before.
    Previous,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Why.
    pub(crate) goal: Goal,
    /// Where to.
    pub(crate) to: To,
    /// Whether a host that does not run what the record says is taken as it is.
    pub(crate) accept_drift: bool,
    /// Whether a host that is already there goes through the steps all the same.
    pub(crate) force: bool,
    /// Whether no dead-man's switch is set, whatever the configuration says.
    pub(crate) no_deadman: bool,
}

/// What to do with each host.
#[derive(Debug, Clone)]
pub(crate) enum Job {
    /// Begin a run, after what was left in the middle was brought to its end.
    Begin(Ask),
    /// Bring what was left in the middle to its end.
    Resume,
}

impl Job {
    /// What a run that was left in the middle is called off for, where this job does not want what that run wanted.
    fn calls_off(&self, left: &RunRecord) -> Option<Revision> {
        match self {
            Self::Begin(Ask { to: To::Commit(to), .. }) if to.commit != left.plan.target => {
                Some(to.commit.clone())
            }
            // Where "back" leads was shown before: that run comes to its own end.
            Self::Begin(_) | Self::Resume => None,
        }
    }
}

/// A run to drive, and what was asked for instead of it.
struct Wanted {
    record: RunRecord,
    called_off: Option<Revision>,
}

impl Engine {
    /// Runs of this host that are over.
    pub(super) async fn settled(&self, host: &HostName) -> Result<Vec<RunId>, CliError> {
        let runs = self.store.runs_of_host(host, SETTLED_MAX).await?;
        Ok(runs.into_iter().filter(|run| run.record.state.is_finished()).map(|run| run.record.id).collect())
    }

    /// Works on all of these hosts, some at a time. The order of the answer is theirs.
    pub(crate) async fn work(
        &self,
        hosts: Vec<HostName>,
        job: Job,
        observer: Arc<dyn Observer>,
        stop: &Stop,
        outage: Box<Tell>,
        done: impl Fn(&RunEnd) + Send + Sync + 'static,
    ) -> Vec<RunEnd> {
        let length = Duration::from_secs(self.config.fleet.lease_s.into());
        // A renewal that fails is tried again anyway, and must not wait for the ones before it.
        let beat = Arc::new(Beat::new(self.store.clone(), length));
        let wait = Duration::from_secs(self.config.fleet.database_wait_s.into());
        let patient = Self { store: self.store.patient(wait, outage), ..self.clone() };
        let shared = (patient, Arc::new(job), observer, stop.clone(), beat, Arc::new(done));
        let ends = fleet_within(hosts, &self.turns, stop, move |host| {
            let (engine, job, observer, stop, beat, done) = shared.clone();
            async move {
                let end = engine.one(&host, &job, observer, stop, &beat).await;
                done(&end);
                end
            }
        })
        .await;
        self.close_links().await;
        ends.into_iter().map(|(host, end)| ended(host, end)).collect()
    }

    async fn one(
        &self,
        host: &HostName,
        job: &Job,
        observer: Arc<dyn Observer>,
        stop: Stop,
        beat: &Beat,
    ) -> RunEnd {
        let began = Instant::now();
        let mut end = RunEnd::of(host.clone(), HostEnd::NotBegun);
        let lease = match self.take(host, job, observer.as_ref(), &stop).await {
            Ok(Ok(lease)) => lease,
            Ok(Err(row)) => {
                // In the middle of somebody's run is not "nothing changed".
                end.end = match self.store.unfinished_run_of(host).await {
                    Ok(Some(left)) if matches!(job, Job::Resume) => {
                        HostEnd::TakenOver { state: left.record.state, by: row.owner.to_string() }
                    }
                    Ok(_) | Err(_) => HostEnd::Ended(held(&row)),
                };
                end.elapsed = began.elapsed();
                return end;
            }
            Err(error) => {
                end.end = HostEnd::Broken { state: None, why: error.to_string() };
                return end;
            }
        };
        beat.add(&lease);
        if let Err(error) = self.under_lease(&lease, job, observer, stop, &mut end).await {
            end.end = HostEnd::Broken { state: None, why: one_line(&error) };
        }
        beat.remove(&lease);
        // A lease that cannot be given back is found to be dead by whoever wants the host next.
        let _grows_old = self.store.release(&lease).await;
        end.elapsed = began.elapsed();
        end
    }

    /// Takes the host in the database. Of a holder that is not known to be dead its lease is watched: until it is renewed,
    /// or for its whole length. Who begins something new does not look that closely at a process that is alive here.
    async fn take(
        &self,
        host: &HostName,
        job: &Job,
        observer: &dyn Observer,
        stop: &Stop,
    ) -> Result<Result<LeaseToken, LeaseRow>, CliError> {
        let length = Duration::from_secs(self.config.fleet.lease_s.into());
        let row = match self.store.acquire(host, &self.owner, length, &is_gone).await? {
            Ok(lease) => return Ok(Ok(lease)),
            Err(row) => row,
        };
        if matches!(job, Job::Begin(_)) && is_alive_here(&row) {
            return Ok(Err(row));
        }
        let what = format!("{row}; looking whether it is still at work");
        observer.tell(&Event::Waiting { host, what: &what });
        if !self.stands_still(&row, stop.clone()).await? {
            return Ok(Err(row));
        }
        Ok(self.store.take_over(&row, &self.owner, length).await?.ok_or(row))
    }

    /// Watches a lease until it is renewed, or has expired.
    async fn stands_still(&self, row: &LeaseRow, mut stop: Stop) -> Result<bool, CliError> {
        let watch = Watch::new(row.clone(), Instant::now());
        loop {
            let now = self.store.lease_of(row.host()).await?;
            match watch.look(now.as_ref(), Instant::now()) {
                Watched::Moved => return Ok(false),
                Watched::Expired => return Ok(true),
                Watched::Still => {}
            }
            tokio::select! {
                () = stop.reached(StopLevel::Drain) => return Ok(false),
                () = tokio::time::sleep(WATCH_PAUSE) => {}
            }
        }
    }

    async fn under_lease(
        &self,
        lease: &LeaseToken,
        job: &Job,
        observer: Arc<dyn Observer>,
        stop: Stop,
        end: &mut RunEnd,
    ) -> Result<(), CliError> {
        let Some(host) = self.store.host(&lease.host).await? else {
            return Err(CliError::store(format!("{} is not in the database any more", lease.host)));
        };
        if let Some(left) = self.store.unfinished_run_of(&lease.host).await? {
            let wanted = Wanted { called_off: job.calls_off(&left.record), record: left.record };
            self.drive(&host, lease, wanted, observer.clone(), stop.clone(), end).await?;
            let over = matches!(&end.end, HostEnd::Ended(State::Finished(_)));
            // What "back" means was shown before that run came to its end: whoever wants it still says so again.
            let back = matches!(job, Job::Begin(ask) if ask.to == To::Previous);
            if !over || back || matches!(job, Job::Resume) {
                return Ok(());
            }
        }
        let Job::Begin(ask) = job else { return Ok(()) };
        if stop.level() > StopLevel::Run {
            end.end = HostEnd::NotBegun;
            return Ok(());
        }
        // Read again: the run that was brought to its end has changed the row.
        let host = self.store.host(&lease.host).await?.unwrap_or(host);
        let record = self.begin(&host, lease, ask).await?;
        self.drive(&host, lease, Wanted { record, called_off: None }, observer, stop, end).await
    }

    async fn begin(&self, host: &Host, lease: &LeaseToken, ask: &Ask) -> Result<RunRecord, CliError> {
        let to = match &ask.to {
            To::Commit(to) => to.clone(),
            To::Previous => previous_of(host)?,
        };
        let plan = self.plan(host, ask, &to)?;
        let record = RunRecord {
            id: new_run_id()?,
            host: host.name.clone(),
            plan,
            seq: Seq(0),
            state: State::Pending,
        };
        self.store.create_run(lease, &record, &self.owner.to_string(), SystemClock.now_us()).await?;
        Ok(record)
    }

    async fn drive(
        &self,
        host: &Host,
        lease: &LeaseToken,
        wanted: Wanted,
        observer: Arc<dyn Observer>,
        stop: Stop,
        end: &mut RunEnd,
    ) -> Result<(), CliError> {
        let Wanted { record, called_off } = wanted;
        end.run = Some(record.id.clone());
        end.target = Some(record.plan.target.clone());
        let settled = self.settled(&host.name).await?;
        let one = Drive {
            record,
            lease: lease.clone(),
            target: self.target(host),
            owner: self.owner.to_string(),
            settled,
            reconnect: self.reconnect(),
            called_off,
        };
        let (run, plan) = (one.record.id.clone(), one.record.plan.clone());
        let observer = Masked::new(observer, self.mask(&plan));
        let ports = self.ports(self.reach(host)?, observer, stop);
        end.end = match drive_over(&ports, one, self.link(host)?).await {
            DriveEnd::Ended(state) => HostEnd::Ended(state),
            DriveEnd::Stopped(state) => HostEnd::Stopped(state),
            DriveEnd::TakenOver { state, by } => HostEnd::TakenOver { state, by },
            DriveEnd::Broken { state, why } => HostEnd::Broken { state: Some(state), why },
        };
        let left = match &end.end {
            HostEnd::Ended(State::Parked(at))
            | HostEnd::Stopped(State::Running(at) | State::Parked(at))
            | HostEnd::Broken { state: Some(State::Running(at) | State::Parked(at)), .. } => Some(at),
            HostEnd::Ended(_)
            | HostEnd::Stopped(_)
            | HostEnd::Broken { .. }
            | HostEnd::TakenOver { .. }
            | HostEnd::NotBegun
            | HostEnd::Gated { .. } => None,
        };
        let nothing_failed_late = matches!(
            &end.end,
            HostEnd::Ended(State::Finished(
                Outcome::Updated { .. } | Outcome::Unchanged | Outcome::Aborted { .. }
            ))
        );
        // What cannot be read is not promised.
        end.evidence = !nothing_failed_late && self.store.has_evidence(&run).await.unwrap_or(false);
        end.reverts_within_s = match left.and_then(|at| reverts_within_s(&plan, at)) {
            Some(within_s) if self.has_switch(&run).await => Some(within_s),
            Some(_) | None => None,
        };
        Ok(())
    }

    /// Whether the run's host could have a switch. Where the log cannot be read, none is promised.
    async fn has_switch(&self, run: &RunId) -> bool {
        let unarmed =
            |event: &StoredEvent| matches!(event.input, Input::Succeeded(Observation::Unarmed { .. }));
        self.store.events(run).await.is_ok_and(|events| !events.iter().any(unarmed))
    }

    /// The hosts that a run was left in the middle on.
    pub(crate) async fn unfinished(&self) -> Result<Vec<StoredRun>, CliError> {
        Ok(self.store.unfinished_runs().await?)
    }
}

/// Where a rollback by hand leads.
pub(crate) fn previous_of(host: &Host) -> Result<Resolved, CliError> {
    let Some(commit) = host.previous_version.clone() else {
        return Err(CliError::usage(format!("{}: no previous version is recorded", host.name))
            .hint(format!("name one: uphaul rollback {} --to REF", host.name)));
    };
    let reference = commit.as_str().parse();
    let reference =
        reference.map_err(|error: uphaul_core::ids::InvalidName| CliError::internal(error.to_string()))?;
    Ok(Resolved { reference, commit, kind: String::new(), origin: None, seen_from: None })
}

/// A host that somebody else holds is left as it is; nothing is written, since the record is theirs.
fn held(row: &LeaseRow) -> State {
    let step = Step::Prepare(PrepareStep::Preflight);
    State::Finished(Outcome::Aborted {
        cause: StepFailure { step, reason: Reason::Held { by: row.owner.to_string() } },
    })
}

fn ended(host: HostName, end: FleetEnd<RunEnd>) -> RunEnd {
    match end {
        FleetEnd::Done(end) => end,
        FleetEnd::NotBegun => RunEnd::of(host, HostEnd::NotBegun),
        FleetEnd::Panicked(why) => {
            let why = format!("a fault of Uphaul ended this host's task: {why}");
            RunEnd::of(host, HostEnd::Broken { state: None, why })
        }
    }
}

fn one_line(error: &CliError) -> String {
    let mut text = error.message.clone();
    for cause in &error.causes {
        text.push_str(": ");
        text.push_str(cause);
    }
    text
}
