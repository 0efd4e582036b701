//! A run, told from its log: what was done when, and what came back.

use uphaul_core::machine::{Input, Observation, Reason, Running, State, Step};
use uphaul_core::plan::Goal;
use uphaul_store::{StoredEvent, StoredRun};

use super::{failure, table, words};
use crate::clock::{date_time, length, time_of_day};
use crate::output::{Line, Style};

/// The header of a run: who asked for what, and how it stands.
pub(crate) fn header(run: &StoredRun) -> Vec<Line> {
    let record = &run.record;
    let what = match record.plan.goal {
        Goal::Update => "update",
        Goal::Rollback => "rollback",
    };
    let target = &record.plan.target;
    let mut to = record.plan.reference.to_string();
    if to != target.as_str() {
        to = format!("{to} ({})", target.short());
    }
    let mut lines = vec![
        Line::new()
            .styled(Style::Bold, format!("run {}", record.id))
            .text(format!(": {what} {} to {to}", record.host)),
        Line::from(format!("asked for by {} at {}", run.requested_by, date_time(run.started_at_us))),
    ];
    if let Some(recorded) = &record.plan.recorded {
        lines.push(Line::from(format!("the record said that it ran {}", recorded.short())));
    }
    lines
}

/// The end of a run, or where it stands: the result, its causes, and what was done about them.
pub(crate) fn ending(run: &StoredRun) -> Vec<Line> {
    let state = &run.record.state;
    let State::Finished(outcome) = state else {
        let at = Line::new().styled(Style::Warn, format!("not finished: {}", words::state(state)));
        return vec![at, "  `uphaul resume` brings it to its end, unless somebody is at it now".into()];
    };
    let took = run.finished_at_us.map(|end| {
        let us = end.saturating_sub(run.started_at_us).max(0).unsigned_abs();
        format!(" after {}", length(std::time::Duration::from_micros(us)))
    });
    let style = words::style_of_status(outcome.word());
    let line = Line::new().styled(style, words::spaced(outcome.word()));
    let mut lines = vec![line.text(took.unwrap_or_default())];
    lines.extend(failure::outcome(outcome, "  "));
    lines
}

/// The transitions as rows: each step with the time at which it was begun, and what came back from it. A transition
/// closes one step and opens the next, so the answer to a step stands in the transition after it.
pub(crate) fn transitions(events: &[StoredEvent]) -> Vec<Line> {
    let mut rows = Vec::new();
    for (place, event) in events.iter().enumerate() {
        let answer = events.get(place + 1).map(|next| &next.input);
        let (name, attempt, parked) = match &event.state {
            State::Running(at) => (words::step(at.step()), at.attempt().0, false),
            State::Parked(at) => (words::step(at.step()), at.attempt().0, true),
            State::Pending | State::Finished(_) => continue,
        };
        let (style, mut said) = match answer {
            Some(answer) => told(answer),
            None => (Style::Warn, "no answer yet".to_owned()),
        };
        if let (Some(Input::Succeeded(Observation::Nothing)), Some(next)) = (answer, events.get(place + 1)) {
            said.push_str(&proof(next));
        }
        let (name, attempt) = match parked {
            true => ("waits for the host", String::new()),
            false => (name, attempt.to_string()),
        };
        rows.push(vec![
            table::styled(Style::Dim, time_of_day(event.at_us)),
            table::plain(name),
            table::plain(attempt),
            table::styled(style, said),
        ]);
        if let Some(back) = events.get(place + 1).and_then(|next| turn(&event.state, &next.state)) {
            rows.push(vec![table::plain(""), table::styled(Style::Warn, back)]);
        }
    }
    table::lines(&["time", "step", "attempt", "what came back"], &rows)
}

fn proof(event: &StoredEvent) -> String {
    event.proved.as_ref().map(|version| format!(", {} is proved", version.short())).unwrap_or_default()
}

/// The point at which a run turns back.
fn turn(from: &State, to: &State) -> Option<String> {
    let phase = |state: &State| match state {
        State::Running(at) | State::Parked(at) => Some(at.clone()),
        State::Pending | State::Finished(_) => None,
    };
    match (phase(from)?, phase(to)?) {
        (Running::Updating { .. }, Running::RollingBack { previous, .. }) => {
            Some(format!("-- back to {} --", previous.revision.short()))
        }
        _ => None,
    }
}

/// What came back, in a few words; the details stand at the end of the run.
pub(crate) fn told(input: &Input) -> (Style, String) {
    match input {
        Input::Start => (Style::Plain, "begun".to_owned()),
        Input::Succeeded(Observation::Nothing) => (Style::Good, "ok".to_owned()),
        Input::Succeeded(Observation::AlreadyThere) => {
            (Style::Good, "ok: it runs the target already".to_owned())
        }
        Input::Succeeded(Observation::Previous(previous)) => {
            let health = if previous.healthy { "healthy" } else { "not healthy" };
            (Style::Good, format!("ok: it runs {}, {health}", previous.revision.short()))
        }
        Input::Succeeded(Observation::Unarmed { why }) => {
            (Style::Warn, format!("ok: no dead-man's switch here: {}", first_line(why)))
        }
        Input::Succeeded(Observation::Rebooted) => {
            (Style::Warn, "the host was rebooted meanwhile".to_owned())
        }
        Input::Failed(reason) => (Style::Bad, format!("FAILED: {}", short(reason))),
        Input::Interrupted => (Style::Warn, "interrupted; the host is there again".to_owned()),
        Input::Unreachable { detail } => (Style::Warn, format!("unreachable: {}", first_line(detail))),
        // Whole: where the way back had begun already, its note stands nowhere else.
        Input::HostReverted(note) => (Style::Warn, Reason::HostReverted { note: note.clone() }.to_string()),
        Input::Superseded { by } => (Style::Bad, format!("taken over: {}", first_line(by))),
    }
}

/// A reason in one line.
pub(crate) fn short(reason: &Reason) -> String {
    match reason {
        Reason::Refused { problems } if problems.len() > 1 => {
            format!("{} would stop the update", words::count(problems.len(), "thing"))
        }
        Reason::Refused { .. }
        | Reason::Held { .. }
        | Reason::Exited { .. }
        | Reason::TimedOut { .. }
        | Reason::NotProved { .. }
        | Reason::Unreachable { .. }
        | Reason::AttemptsExhausted { .. }
        | Reason::HostReverted { .. }
        | Reason::CalledOff { .. }
        | Reason::Unexpected { .. } => first_line(&reason.to_string()),
    }
}

/// The first line, cut to what stands beside other columns.
pub(crate) fn first_line(text: &str) -> String {
    const CHARS: usize = 120;
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    match line.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line.trim_end_matches(':').to_owned(),
    }
}

/// The step that a state is in, for those that are in one.
pub(crate) fn step_of(state: &State) -> Option<Step> {
    match state {
        State::Running(at) | State::Parked(at) => Some(at.step()),
        State::Pending | State::Finished(_) => None,
    }
}
