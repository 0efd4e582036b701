//! What `update`, `rollback` and `resume` share: the question, the signals, the progress, the recap.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use uphaul_core::driver::{Stop, StopHandle, StopLevel, stop_pair};
use uphaul_core::ids::HostName;
use uphaul_store::Outage;

use crate::context::Context;
use crate::engine::{Engine, Job};
use crate::error::CliError;
use crate::exit::{Exit, RunEnd};
use crate::output::Output;
use crate::render::Progress;
use crate::select;

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
    engine.store.check_writable("begin")?;
    let (handle, stop) = stop_pair();
    let signals = tokio::spawn(listen(handle, context.output.clone()));
    let exit = drive_until(&context.output, engine, hosts, job, &stop, |_| ()).await;
    signals.abort();
    Ok(exit)
}

/// The same under a stop of the caller's, who is told of each host that is not worked on any more.
pub(super) async fn drive_until(
    output: &Output,
    engine: &Engine,
    hosts: Vec<HostName>,
    job: Job,
    stop: &Stop,
    over: impl Fn(&HostName) + Send + Sync + 'static,
) -> Exit {
    let progress = Progress::new(output, hosts.len());
    let ended = progress.clone();
    let done = move |end: &RunEnd| {
        ended.host(&end.host).end(end);
        over(&end.host);
    };
    let told = progress.clone();
    let outage = Box::new(move |outage: Outage<'_>| told.outage(outage));
    let ends = engine.work(hosts, job, Arc::new(progress.clone()), stop, outage, done).await;
    progress.finish(&ends)
}

/// Ctrl-C, SIGTERM or SIGHUP: once to begin no new host, twice to stop at once.
pub(super) async fn listen(handle: StopHandle, output: Output) {
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

/// The hosts that were asked for.
pub(crate) async fn hosts_of(
    store: &uphaul_store::Store,
    chosen: &[String],
) -> Result<Vec<uphaul_store::Host>, CliError> {
    select(&store.hosts().await?, chosen)
}
