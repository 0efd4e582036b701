//! What became of the hosts, by result, the ones that need somebody last: there the eye ends up.

use std::collections::BTreeMap;
use std::time::Duration;

use uphaul_core::machine::State;

use super::{failure, words};
use crate::clock::length;
use crate::exit::{Exit, HostEnd, RunEnd};
use crate::output::{Line, Style};

/// How many different things are said of the hosts of one result; beyond, hosts are counted.
const TOLD_MAX: usize = 20;
/// How many hosts of one result are named; the rest is counted.
const NAMED_MAX: usize = 60;

/// The whole recap.
pub(crate) fn lines(ends: &[RunEnd], elapsed: Duration) -> Vec<Line> {
    let mut groups: BTreeMap<(Exit, &'static str), Vec<&RunEnd>> = BTreeMap::new();
    for end in ends {
        groups.entry((end.exit(), end.word())).or_default().push(end);
    }
    let mut lines = Vec::new();
    for ((exit, word), mut ends) in groups {
        ends.sort_by(|a, b| a.host.cmp(&b.host));
        lines.push(heading(exit, word, &ends));
        if ends.iter().any(|end| is_told(end)) {
            lines.extend(alike(&ends));
        } else {
            lines.push(Line::from(format!("  {}", names(&ends))));
        }
    }
    lines.push(total(ends, elapsed));
    lines
}

/// Whether there is more to say about a host than its name.
fn is_told(end: &RunEnd) -> bool {
    end.exit() != Exit::Done && !matches!(end.end, HostEnd::NotBegun | HostEnd::Gated { .. })
}

fn heading(exit: Exit, word: &str, ends: &[&RunEnd]) -> Line {
    let why = ends.iter().find_map(|end| match &end.end {
        HostEnd::Gated { why } => Some(format!(": {why}")),
        HostEnd::Ended(_)
        | HostEnd::Stopped(_)
        | HostEnd::TakenOver { .. }
        | HostEnd::Broken { .. }
        | HostEnd::NotBegun => None,
    });
    let line = Line::new().styled(words::style_of(exit), words::spaced(word));
    line.text(format!(" ({}){}", ends.len(), why.unwrap_or_default()))
}

fn names(ends: &[&RunEnd]) -> String {
    let shown: Vec<&str> = ends.iter().take(NAMED_MAX).map(|end| end.host.as_str()).collect();
    match ends.len().saturating_sub(NAMED_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Hosts of one result; those of which the same is to be said together, since a bad version fails alike everywhere.
fn alike(ends: &[&RunEnd]) -> Vec<Line> {
    let mut told: Vec<(Vec<Line>, Vec<&RunEnd>)> = Vec::new();
    for end in ends {
        let said = said(end);
        match told.iter().position(|(known, _)| *known == said) {
            Some(place) => told[place].1.push(end),
            None if told.len() < TOLD_MAX => told.push((said, vec![end])),
            None => {}
        }
    }
    let shown: usize = told.iter().map(|(_, hosts)| hosts.len()).sum();
    let mut lines = Vec::new();
    for (said, hosts) in told {
        let mut first = Line::from("  ").styled(Style::Bold, names(&hosts));
        if let Some(target) = hosts.first().and_then(|end| end.target.as_ref()) {
            first = first.text(format!("  to {}", target.short()));
        }
        let took = hosts.iter().map(|end| end.elapsed).max().unwrap_or_default();
        lines.push(first.text(format!("  after {}", length(took))));
        lines.extend(said);
        let told =
            hosts.iter().find(|end| end.evidence).or_else(|| hosts.iter().find(|end| end.run.is_some()));
        lines.extend(told.and_then(|end| more(end)));
    }
    if shown < ends.len() {
        lines.push(Line::from(format!("  and {} more", ends.len() - shown)));
    }
    lines
}

/// The command that tells more.
fn more(end: &RunEnd) -> Option<Line> {
    let flag = if end.evidence { " --evidence" } else { "" };
    Some(Line::from(format!("    more:  uphaul history {}{flag}", end.run.as_ref()?)))
}

/// What is to be said of a host that did not do what was asked.
fn said(end: &RunEnd) -> Vec<Line> {
    let mut lines = Vec::new();
    let indent = "    ";
    let at = |state: &State| format!("{indent}at:    {}", words::state(state));
    let more = |text: &str| Line::from(format!("{indent}done:  {text}"));
    match &end.end {
        HostEnd::Ended(State::Finished(outcome)) => lines.extend(failure::outcome(outcome, indent)),
        HostEnd::Ended(state) => {
            lines.push(at(state).into());
            lines.push(more("the run waits for the host; `uphaul resume` goes on with it"));
            lines.extend(meanwhile(end, indent));
        }
        HostEnd::Stopped(state) => {
            lines.push(at(state).into());
            lines.push(more("left as it is; `uphaul resume` brings it to its end"));
            lines.extend(meanwhile(end, indent));
        }
        HostEnd::TakenOver { state, by } => {
            lines.push(at(state).into());
            lines.push(more(&format!("left to the one who has the run now: {by}")));
            // It may have been taken by `unlock`, which gives it to nobody.
            lines.push(Line::from(format!(
                "{indent}next:  where nobody goes on with it, `uphaul resume` does"
            )));
        }
        HostEnd::Broken { state, why } => {
            lines.extend(state.as_ref().map(|state| at(state).into()));
            lines.push(Line::from(format!("{indent}cause: ")).styled(Style::Bad, why.as_str()));
            lines.push(more(match end.run {
                Some(_) => "nothing that is not in the record; `uphaul resume` goes on with it",
                None => "nothing; no run was begun",
            }));
        }
        HostEnd::NotBegun | HostEnd::Gated { .. } => {}
    }
    lines
}

/// What the host does when nobody comes.
fn meanwhile(end: &RunEnd, indent: &str) -> Option<Line> {
    let within = length(Duration::from_secs(end.reverts_within_s?.into()));
    Some(Line::from(format!(
        "{indent}else:  the host goes back by itself, beginning within {within} from now"
    )))
}

fn total(ends: &[RunEnd], elapsed: Duration) -> Line {
    let mut counts: BTreeMap<(Exit, &'static str), usize> = BTreeMap::new();
    for end in ends {
        *counts.entry((end.exit(), end.word())).or_default() += 1;
    }
    let mut line = Line::new().styled(Style::Bold, words::count(ends.len(), "host"));
    line = line.text(format!(" in {}: ", length(elapsed)));
    for (place, ((exit, word), n)) in counts.into_iter().enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        line = line.text(format!("{comma}{n} ")).styled(words::style_of(exit), words::spaced(word));
    }
    line
}
