//! What is told while runs go on: live lines on a terminal, plain lines elsewhere, one JSON object a line for scripts.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uphaul_core::driver::{Event, Observer};
use uphaul_core::ids::{HostName, RunId};
use uphaul_core::machine::{Input, Running, State};
use uphaul_store::Outage;

use super::frame::{Row, Total, frame};
use super::{recap, story, words};
use crate::clock::length;
use crate::exit::{Exit, RunEnd, worst};
use crate::output::{Line, Output, Style};

/// How often the live picture is drawn anew while nothing happens: the times in it go on.
const TICK: Duration = Duration::from_millis(250);

/// Tells what happens to the hosts of one command. Clones are handles of the same one; every call returns at once.
#[derive(Debug, Clone)]
pub struct Progress {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    output: Output,
    began: Instant,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    total: Total,
    /// Hosts at work, in the order in which they began.
    at_work: Vec<Working>,
    /// Ends when it is dropped.
    ticker: Option<Ticker>,
}

#[derive(Debug)]
struct Ticker {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone)]
struct Working {
    host: HostName,
    run: Option<RunId>,
    began: Instant,
    doing: String,
    style: Style,
    /// Going back, or lost: shown first where not all hosts fit.
    first: bool,
    note: String,
}

/// What is told of one host.
#[derive(Debug, Clone)]
pub struct HostProgress {
    progress: Progress,
    host: HostName,
}

impl Progress {
    /// Begins to tell of a command over this many hosts.
    pub fn new(output: &Output, hosts: usize) -> Self {
        let known = Known { total: Total { hosts, ..Total::default() }, ..Known::default() };
        let inner =
            Arc::new(Inner { output: output.clone(), began: Instant::now(), known: Mutex::new(known) });
        if output.is_live() {
            inner.lock().ticker = Some(Ticker::begin(&inner));
        }
        Self { inner }
    }

    /// The handle for one host. The host is at work from its first state or note on.
    pub fn host(&self, host: &HostName) -> HostProgress {
        HostProgress { progress: self.clone(), host: host.clone() }
    }

    /// The database is away, or back. While it is away nothing is performed on any host.
    pub fn outage(&self, outage: Outage<'_>) {
        let inner = &self.inner;
        let (event, notice) = match outage {
            Outage::Began { error, wait } => {
                let notice = format!("waiting for the database, at most {}: {error}", length(wait));
                (
                    json!({
                        "event": "database", "state": "away", "why": error.to_string(), "wait_ms": millis(wait),
                        "elapsed_ms": millis(inner.began.elapsed()),
                    }),
                    Some(notice),
                )
            }
            Outage::Ended => {
                let elapsed = millis(inner.began.elapsed());
                (json!({ "event": "database", "state": "back", "elapsed_ms": elapsed }), None)
            }
        };
        inner.lock().total.notice.clone_from(&notice);
        if inner.output.is_json() {
            inner.output.json(&event);
        } else if let Some(notice) = notice {
            inner.output.warning(&notice);
        } else {
            inner.output.message("the database is no longer waited for");
        }
    }

    /// Tells what became of all hosts, grouped by result, and gives the exit code. Nothing may be told after it.
    pub fn finish(&self, ends: &[RunEnd]) -> Exit {
        let exit = worst(ends);
        let elapsed = self.inner.began.elapsed();
        // Dropped outside of the lock: the thread that draws takes it once more.
        let ticker = self.inner.lock().ticker.take();
        drop(ticker);
        let output = &self.inner.output;
        output.end_drawing();
        if output.is_json() {
            let mut results: BTreeMap<&str, usize> = BTreeMap::new();
            for end in ends {
                *results.entry(end.word()).or_default() += 1;
            }
            output.json(&json!({
                "event": "summary", "hosts": ends.len(), "results": results, "exit_code": exit.code(),
                "elapsed_ms": millis(elapsed),
            }));
            return exit;
        }
        for line in recap::lines(ends, elapsed) {
            output.result(line);
        }
        exit
    }
}

impl HostProgress {
    /// The run moved.
    pub fn state(&self, run: Option<&RunId>, state: &State, note: Option<&str>) {
        let inner = &self.progress.inner;
        let note = note.map(story::first_line).unwrap_or_default();
        let working = {
            let mut known = inner.lock();
            let working = known.working(&self.host);
            working.run = run.cloned().or_else(|| working.run.take());
            working.doing = words::state(state);
            working.style = words::style_of_status(state.word());
            working.first = matches!(state, State::Parked(_) | State::Running(Running::RollingBack { .. }));
            working.note.clone_from(&note);
            working.clone()
        };
        let elapsed = working.began.elapsed();
        if inner.output.is_json() {
            return inner.output.json(&state_event(&working, state, &note, elapsed));
        }
        // The end of a run has a line of its own, with its time: `end` tells it.
        if inner.output.is_live() || state.is_finished() {
            return;
        }
        inner.plain(&working, elapsed);
    }

    /// Something worth saying that is no move.
    pub fn note(&self, note: &str) {
        let inner = &self.progress.inner;
        let working = {
            let mut known = inner.lock();
            let working = known.working(&self.host);
            working.note = story::first_line(note);
            working.clone()
        };
        let elapsed = working.began.elapsed();
        if inner.output.is_json() {
            let (host, run) = (&working.host, &working.run);
            inner.output.json(&json!({
                "event": "note", "host": host, "run": run, "note": note, "elapsed_ms": millis(elapsed),
            }));
        } else if !inner.output.is_live() {
            inner.plain(&working, elapsed);
        }
    }

    /// The work on the host is over.
    pub fn end(&self, end: &RunEnd) {
        let inner = &self.progress.inner;
        {
            let mut known = inner.lock();
            known.at_work.retain(|working| working.host != self.host);
            *known.total.ended.entry(end.word()).or_default() += 1;
        }
        if inner.output.is_json() {
            return inner.output.json(&end_event(end));
        }
        let mut line = Line::new().text(format!("{:<12}  ", end.host.as_str()));
        line = line.styled(words::style_of(end.exit()), format!("{:<20}  ", words::spaced(end.word())));
        line = line.text(format!("{:>12}", length(end.elapsed)));
        if let Some(target) = end.target.as_ref().filter(|_| end.exit() == Exit::Done) {
            line = line.text(format!("  {}", target.short()));
        }
        inner.output.message(line);
    }
}

impl Observer for Progress {
    fn tell(&self, event: &Event<'_>) {
        match event {
            Event::Moved { host, run, input, state } => {
                let note = match input {
                    Input::Failed(reason) => Some(format!("failed: {}", story::short(reason))),
                    Input::Unreachable { .. } | Input::HostReverted(_) | Input::Superseded { .. } => {
                        Some(story::told(input).1)
                    }
                    Input::Start | Input::Succeeded(_) | Input::Interrupted => None,
                };
                self.host(host).state(Some(run), state, note.as_deref());
            }
            Event::Found { host, finding } => self.host(host).note(&finding.text),
            Event::Reconnecting { host, why } => {
                self.host(host).note(&format!("the connection is lost, trying again: {why}"));
            }
            Event::Waiting { host, what } => self.host(host).note(what),
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plain(&self, working: &Working, elapsed: Duration) {
        let line = Line::new().text(format!("{:<12}  ", working.host.as_str()));
        let line = line.styled(working.style, format!("{:<20}  ", working.doing));
        self.output.message(line.text(format!("{:>12}  {}", length(elapsed), working.note)));
    }

    fn draw(&self) {
        let lines = {
            let known = self.lock();
            let (first, rest): (Vec<&Working>, Vec<&Working>) = known.at_work.iter().partition(|w| w.first);
            let row = |working: &&Working| Row {
                host: working.host.to_string(),
                doing: working.doing.clone(),
                style: working.style,
                elapsed: working.began.elapsed(),
                note: working.note.clone(),
            };
            let rows: Vec<Row> = first.iter().chain(&rest).map(row).collect();
            let total = Total { elapsed: self.began.elapsed(), ..known.total.clone() };
            let (height, width) = self.output.terminal_size();
            frame(&rows, &total, height, width)
        };
        self.output.draw(&lines);
    }
}

impl Known {
    fn working(&mut self, host: &HostName) -> &mut Working {
        let place = self.at_work.iter().position(|working| working.host == *host).unwrap_or_else(|| {
            self.at_work.push(Working {
                host: host.clone(),
                run: None,
                began: Instant::now(),
                doing: "connecting".to_owned(),
                style: Style::Plain,
                first: false,
                note: String::new(),
            });
            self.at_work.len() - 1
        });
        &mut self.at_work[place]
    }
}

impl Ticker {
    fn begin(inner: &Arc<Inner>) -> Self {
        let (stop, stopped) = mpsc::channel::<()>();
        let inner: Weak<Inner> = Arc::downgrade(inner);
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let Some(inner) = inner.upgrade() else { return };
                inner.draw();
            }
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take().filter(|t| t.thread().id() != std::thread::current().id()) {
            // A picture that could not be drawn is no reason to fail.
            let _ = thread.join();
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn state_event(working: &Working, state: &State, note: &str, elapsed: Duration) -> Value {
    let attempt = match state {
        State::Running(at) | State::Parked(at) => Some(at.attempt().0),
        State::Pending | State::Finished(_) => None,
    };
    json!({
        "event": "state",
        "host": working.host,
        "run": working.run,
        "state": state.word(),
        "step": story::step_of(state).map(|step| step.to_string()),
        "attempt": attempt,
        "note": if note.is_empty() { Value::Null } else { note.into() },
        "elapsed_ms": millis(elapsed),
    })
}

fn end_event(end: &RunEnd) -> Value {
    let outcome = match end.state() {
        Some(State::Finished(outcome)) => Some(outcome),
        Some(State::Pending | State::Running(_) | State::Parked(_)) | None => None,
    };
    json!({
        "event": "end",
        "host": end.host,
        "run": end.run,
        "target": end.target,
        "result": end.word(),
        "outcome": outcome,
        "exit_code": end.exit().code(),
        "reverts_within_s": end.reverts_within_s,
        "evidence": end.evidence,
        "elapsed_ms": millis(end.elapsed),
    })
}
