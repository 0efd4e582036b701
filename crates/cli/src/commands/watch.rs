//! `uphaul resume --watch`: what was left in the middle is taken up when its host is back, without anybody who asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use serde_json::json;
use tokio::task::{JoinError, JoinSet};
use uphaul_core::driver::{StopLevel, stop_pair};
use uphaul_core::ids::{HostName, RunId, Seq};
use uphaul_core::ports::Clock as _;
use uphaul_store::process::is_gone;
use uphaul_store::{Host, LeaseRow, StoredRun, Watch, Watched};

use super::drive::{drive_until, listen};
use super::resume::{Left, hosts_left, lost_words};
use crate::clock::{SystemClock, ago, length};
use crate::config::show_seconds;
use crate::context::Context;
use crate::engine::{Engine, Job};
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::words;

/// Takes up runs until it is asked to stop, each as soon as a look finds its host back, at most `limits.parallel` at once. A
/// database that is away for a while only delays it.
///
/// # Errors
/// What the very first look finds wrong: nothing was done yet.
pub(super) async fn watch(
    context: &Context,
    engine: &Engine,
    chosen: &[String],
    every: Duration,
) -> Result<Exit, CliError> {
    engine.store.check_writable("begin")?;
    let (handle, stop) = stop_pair();
    let signals = tokio::spawn(listen(handle, context.output.clone()));
    let mut watcher = Watcher::new(context, engine, chosen, every);
    watcher.begins();
    let mut first = true;
    // What was taken up goes on beside the looks, so that a host that takes long keeps no other waiting.
    let mut taken_up = JoinSet::new();
    let mut exit = Exit::Done;
    let mut asked = stop.clone();
    loop {
        // Hosts that do not answer may take long to look at, and a stop does not wait for them.
        let look = tokio::select! {
            biased;
            () = asked.reached(StopLevel::Drain) => break,
            look = watcher.ready() => look,
        };
        match look {
            Err(error) if first => {
                signals.abort();
                return Err(error);
            }
            Err(error) => watcher.delayed(&error),
            Ok(hosts) if hosts.is_empty() => {}
            Ok(hosts) => {
                let taken = watcher.busy.take(&hosts);
                let (output, engine, stop) = (context.output.without_picture(), engine.clone(), stop.clone());
                taken_up.spawn(async move {
                    let over = move |host: &HostName| taken.give_back(host);
                    drive_until(&output, &engine, hosts, Job::Resume, &stop, over).await
                });
            }
        }
        first = false;
        while let Some(end) = taken_up.try_join_next() {
            exit = code_of(context, end, exit);
        }
        tokio::select! {
            () = asked.reached(StopLevel::Drain) => break,
            () = tokio::time::sleep(every) => {}
        }
    }
    // To be stopped is how a watch ends. Only what it left in the middle then is worth a code of its own.
    while let Some(end) = taken_up.join_next().await {
        exit = code_of(context, end, exit);
    }
    signals.abort();
    Ok(exit)
}

/// What a part of the work ended with, if that is worth a code: it was stopped in the middle of a run.
fn code_of(context: &Context, end: Result<Exit, JoinError>, before: Exit) -> Exit {
    match end {
        Ok(Exit::Interrupted) => Exit::Interrupted,
        Ok(_) => before,
        Err(error) => {
            context.output.warning(&format!("a fault of Uphaul, and the watch goes on: {error}"));
            before
        }
    }
}

/// The hosts that this watch works on, or that wait for their turn: no look takes them up once more.
#[derive(Debug, Clone, Default)]
struct Busy(Arc<Mutex<BTreeSet<HostName>>>);

impl Busy {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<HostName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, hosts: &[HostName]) -> Taken {
        self.lock().extend(hosts.iter().cloned());
        Taken { busy: self.clone(), left: Mutex::new(hosts.iter().cloned().collect()) }
    }
}

/// Some of them, as one look took them up. Those that were not given back are free when this is dropped.
#[derive(Debug)]
struct Taken {
    busy: Busy,
    left: Mutex<BTreeSet<HostName>>,
}

impl Taken {
    fn give_back(&self, host: &HostName) {
        if self.left.lock().unwrap_or_else(PoisonError::into_inner).remove(host) {
            self.busy.lock().remove(host);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let left = std::mem::take(self.left.get_mut().unwrap_or_else(PoisonError::into_inner));
        self.busy.lock().retain(|host| !left.contains(host));
    }
}

/// What one look tells the next.
struct Watcher<'a> {
    context: &'a Context,
    engine: &'a Engine,
    chosen: &'a [String],
    every: Duration,
    busy: Busy,
    /// Leases of others, from when they were first seen as they are.
    leases: BTreeMap<HostName, Watch>,
    /// What was said already; forgotten with its run.
    said: BTreeSet<(RunId, Seq, String)>,
}

/// Why a run is not taken up now.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Waits {
    /// Somebody drives it, or it is not known yet that nobody does.
    Driven,
    /// Its host cannot be reached.
    Away(String),
    /// It has waited for longer than `limits.catch_up`.
    Expired,
    /// Its host is in the record no more.
    Lost,
}

impl<'a> Watcher<'a> {
    fn new(context: &'a Context, engine: &'a Engine, chosen: &'a [String], every: Duration) -> Self {
        let (busy, leases, said) = (Busy::default(), BTreeMap::new(), BTreeSet::new());
        Self { context, engine, chosen, every, busy, leases, said }
    }

    /// The hosts whose run can be taken up now: nobody drives it, it has not waited for too long, and they answer.
    async fn ready(&mut self) -> Result<Vec<HostName>, CliError> {
        // Read first: one that comes to its end in between is not in the record's answer any more.
        let busy = self.busy.lock().clone();
        let left = self.engine.unfinished().await?;
        let hosts = self.hosts(&left).await?;
        self.forget(&left);
        let mut free = Vec::new();
        for run in left {
            if busy.contains(&run.record.host) {
                continue;
            }
            let Some(host) = hosts.get(&run.record.host) else { continue };
            match self.waits(&run).await? {
                None => free.push((host, run)),
                Some(why) => self.say(&run, &why),
            }
        }
        let at_once = self.engine.config.fleet.parallel as usize;
        let probes = free.iter().map(|(host, _)| self.engine.answers(host));
        let answers: Vec<_> = futures::stream::iter(probes).buffered(at_once.max(1)).collect().await;
        let mut ready = Vec::new();
        for ((host, run), answer) in free.iter().zip(answers) {
            match answer {
                Ok(()) => ready.push(host.name.clone()),
                Err(why) => self.say(run, &Waits::Away(why)),
            }
        }
        Ok(ready)
    }

    async fn hosts(&mut self, left: &[StoredRun]) -> Result<BTreeMap<HostName, Host>, CliError> {
        let Left { hosts, lost } = hosts_left(self.engine, left, self.chosen).await?;
        lost.iter().for_each(|run| self.say(run, &Waits::Lost));
        Ok(crate::engine::by_name(&hosts))
    }

    async fn waits(&mut self, run: &StoredRun) -> Result<Option<Waits>, CliError> {
        let row = self.engine.store.lease_of(&run.record.host).await?;
        if driven(&mut self.leases, &run.record.host, row, Instant::now()) {
            return Ok(Some(Waits::Driven));
        }
        // By its begin: where it is now may be new each time that it was taken up in vain.
        let waited_us = SystemClock.now_us().saturating_sub(run.started_at_us);
        let catch_up_us = i64::from(self.engine.config.fleet.catch_up_s).saturating_mul(1_000_000);
        Ok((waited_us > catch_up_us).then_some(Waits::Expired))
    }

    /// What is kept is no more than what is left in the middle.
    fn forget(&mut self, left: &[StoredRun]) {
        let now: BTreeSet<_> = left.iter().map(|run| (run.record.id.clone(), run.record.seq)).collect();
        self.said.retain(|(run, seq, _)| now.contains(&(run.clone(), *seq)));
        let hosts: BTreeSet<_> = left.iter().map(|run| &run.record.host).collect();
        self.leases.retain(|host, _| hosts.contains(host));
    }

    /// Says why a run waits, once for each place that it is in.
    fn say(&mut self, run: &StoredRun, why: &Waits) {
        let (id, host) = (&run.record.id, &run.record.host);
        let begun = ago(run.started_at_us, SystemClock.now_us());
        let at = words::left(&run.record.state);
        let (word, text) = match why {
            Waits::Driven => return,
            Waits::Away(why) => {
                let every = length(self.every);
                (
                    "away",
                    format!("{host}: {at}, begun {begun}; looking every {every} whether it is back: {why}"),
                )
            }
            Waits::Lost => ("lost", lost_words(run)),
            Waits::Expired => {
                let limit = show_seconds(self.engine.config.fleet.catch_up_s);
                let next = format!("look at the host, then: uphaul resume {host}");
                (
                    "expired",
                    format!(
                        "{host}: {at}, begun {begun}, before limits.catch_up ({limit}); it stays so: {next}"
                    ),
                )
            }
        };
        if !self.said.insert((id.clone(), run.record.seq, word.to_owned())) {
            return;
        }
        let output = &self.context.output;
        if output.is_json() {
            output.json(&json!({
                "event": "waits", "host": host, "run": id, "why": word, "started_at_us": run.started_at_us, "note": text,
            }));
        } else {
            output.warning(&text);
        }
    }

    fn begins(&self) {
        let every = length(self.every);
        self.context
            .output
            .message(format!("watching: looking every {every} for runs to take up (Ctrl-C ends it)"));
    }

    fn delayed(&self, error: &CliError) {
        let every = length(self.every);
        self.context.output.warning(&format!("{error}; looking again in {every}"));
    }
}

/// Whether somebody drives the host, or it is not known yet that nobody does.
fn driven(
    leases: &mut BTreeMap<HostName, Watch>,
    host: &HostName,
    row: Option<LeaseRow>,
    now: Instant,
) -> bool {
    let Some(row) = row else {
        leases.remove(host);
        return false;
    };
    if row.expired || is_gone(&row) {
        return false;
    }
    match leases.get(host).map(|watch| watch.look(Some(&row), now)) {
        Some(Watched::Still) => true,
        Some(Watched::Expired) => false,
        Some(Watched::Moved) | None => {
            leases.insert(host.clone(), Watch::new(row, now));
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<HostName> {
        all.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_host_is_taken_up_once_until_it_is_given_back() {
        let busy = Busy::default();
        let [one, two] = [&["a", "b"][..], &["c"]].map(|some| busy.take(&names(some)));
        one.give_back(&names(&["a"])[0]);
        let again = busy.take(&names(&["a"]));
        // What the first gave back is the business of another now.
        one.give_back(&names(&["a"])[0]);
        drop(one);
        assert_eq!(*busy.lock(), names(&["a", "c"]).into_iter().collect());
        drop((two, again));
        assert!(busy.lock().is_empty());
    }
}
