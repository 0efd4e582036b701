//! What `update`, `rollback` and `resume` share: the question, the signals, the progress, the recap.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use uphaul_core::driver::{Event, Observer, StopHandle, StopLevel, stop_pair};
use uphaul_core::ids::HostName;

use crate::context::Context;
use crate::engine::{Engine, Job};
use crate::error::CliError;
use crate::exit::{Exit, worst};
use crate::output::Output;

use super::update::PolicyArgs;

/// Asks whether to go on, where there is a person to ask: on a terminal, for more than one host, without `--yes`.
pub(crate) fn confirm(
    context: &Context,
    policy: &PolicyArgs,
    hosts: usize,
    question: &str,
) -> Result<bool, CliError> {
    let person = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if policy.yes || hosts < 2 || !person || context.output.is_json() {
        return Ok(true);
    }
    let fault = |error: std::io::Error| CliError::internal("cannot ask").cause(error.to_string());
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush()).map_err(fault)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(fault)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Drives the work on all hosts, shows it, and says what became of it.
pub(crate) async fn drive_all(
    context: &Context,
    engine: &Engine,
    hosts: Vec<HostName>,
    job: Job,
) -> Result<Exit, CliError> {
    let progress = Arc::new(Progress::new(&context.output, &hosts));
    let (handle, stop) = stop_pair();
    let signals = tokio::spawn(listen(handle, context.output.clone()));
    let observer = Arc::new(Watch(progress.clone()));
    let ends = engine.work(hosts, job, observer, &stop, |_| ()).await;
    signals.abort();
    progress.finish(&ends);
    Ok(worst(&ends))
}

/// Ctrl-C, SIGTERM or SIGHUP: once to begin no new host, twice to stop at once.
async fn listen(handle: StopHandle, output: Output) {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut streams: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    loop {
        let heard = streams.iter_mut().map(|stream| Box::pin(stream.recv()));
        futures::future::select_all(heard).await;
        match handle.level() {
            StopLevel::Run => {
                handle.ask(StopLevel::Drain);
                output.warning(
                    "stopping: no new host is begun, those begun are brought to their end (again: stop now)",
                );
            }
            StopLevel::Drain | StopLevel::Now => {
                handle.ask(StopLevel::Now);
                output.warning(
                    "stopping now: what was begun is left as it is; `uphaul resume` brings it to its end",
                );
            }
        }
    }
}

/// Tells the progress what the driver tells.
struct Watch(Arc<Progress>);

impl Observer for Watch {
    fn tell(&self, event: &Event<'_>) {
        match event {
            Event::Moved { host, state, .. } => self.0.moved(host, state),
            Event::Found { host, finding } => self.0.note(host, &finding.text),
            Event::Reconnecting { host, why } => {
                self.0.note(host, &format!("the connection is lost ({why}); trying again"));
            }
        }
    }
}

/// The hosts that were asked for.
pub(crate) async fn hosts_of(
    store: &uphaul_store::Store,
    chosen: &[String],
) -> Result<Vec<uphaul_store::Host>, CliError> {
    let all = store.hosts().await?;
    let wanted =
        |host: &uphaul_store::Host| chosen.iter().any(|one| one == "@all" || one == host.name.as_str());
    Ok(all.into_iter().filter(wanted).collect())
}

/// Plain lines while it runs, and a line a host at the end.
struct Progress(Output);

impl Progress {
    fn new(output: &Output, _: &[HostName]) -> Self {
        Self(output.clone())
    }
    fn moved(&self, host: &HostName, state: &uphaul_core::machine::State) {
        self.0.message(format!("{host}  {state}"));
    }
    fn note(&self, host: &HostName, text: &str) {
        self.0.message(format!("{host}  {text}"));
    }
    fn finish(&self, ends: &[crate::exit::RunEnd]) {
        for end in ends {
            self.0.result(format!("{}  {}", end.host, end.word()));
        }
    }
}
