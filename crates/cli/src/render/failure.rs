//! Why a step failed, with the last lines of what it printed and what to do.

use uphaul_core::machine::{Outcome, Reason, StepFailure};

use super::words;
use crate::output::{Line, Style};

/// How many of the last lines are shown; those before are counted.
pub(crate) const TAIL_LINES: usize = 12;
/// How many characters of one of them are shown.
const TAIL_CHARS: usize = 240;

/// A failed step: what came back, what it printed at the end, what to do.
pub(crate) fn failure(failure: &StepFailure, indent: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let name = words::step(failure.step);
    let mut texts = said(&failure.reason);
    let first = if texts.is_empty() { String::new() } else { texts.remove(0) };
    lines.push(Line::from(format!("{indent}cause: ")).styled(Style::Bad, format!("{name}: {first}")));
    lines.extend(texts.into_iter().map(|text| Line::from(format!("{indent}       {text}"))));
    lines.extend(tail(failure.reason.tail(), indent));
    lines.extend(fixes(&failure.reason, indent));
    lines
}

/// What came back, in as many lines as it has; of preflight's problems one line each.
fn said(reason: &Reason) -> Vec<String> {
    let text = match reason {
        Reason::Refused { problems } if problems.len() > 1 => {
            let heading = format!("{} would stop the update:", words::count(problems.len(), "thing"));
            let found = problems.iter().map(|problem| format!("- {}", problem.found.trim_end()));
            return std::iter::once(heading).chain(found.flat_map(lines_of)).collect();
        }
        Reason::Refused { problems } => problems.first().map(|p| p.found.clone()).unwrap_or_default(),
        Reason::Held { .. }
        | Reason::Exited { .. }
        | Reason::TimedOut { .. }
        | Reason::NotProved { .. }
        | Reason::Unreachable { .. }
        | Reason::AttemptsExhausted { .. }
        | Reason::HostReverted { .. }
        | Reason::CalledOff { .. }
        | Reason::Unexpected { .. } => reason.to_string(),
    };
    lines_of(text)
}

fn lines_of(text: String) -> Vec<String> {
    text.trim_end().lines().take(TAIL_LINES).map(str::to_owned).collect()
}

/// The last lines of what a command printed.
pub(crate) fn tail(text: &str, indent: &str) -> Vec<Line> {
    let all: Vec<&str> = text.trim_end().lines().collect();
    let skipped = all.len().saturating_sub(TAIL_LINES);
    let mut lines = Vec::new();
    if skipped > 0 {
        let more = words::count(skipped, "line");
        lines.push(Line::new().styled(Style::Dim, format!("{indent}  | ({more} before these)")));
    }
    for text in all.iter().skip(skipped) {
        let cut: String = text.chars().take(TAIL_CHARS).collect();
        let more = if cut.len() < text.len() { " ..." } else { "" };
        lines.push(Line::new().styled(Style::Dim, format!("{indent}  | ")).text(cut + more));
    }
    lines
}

fn fixes(reason: &Reason, indent: &str) -> Vec<Line> {
    let Reason::Refused { problems } = reason else { return Vec::new() };
    let fixes = problems.iter().filter(|problem| !problem.fix.trim().is_empty());
    fixes.flat_map(|problem| fix(&problem.fix, indent)).collect()
}

fn fix(text: &str, indent: &str) -> Vec<Line> {
    let heads = std::iter::once("fix:   ").chain(std::iter::repeat("       "));
    heads
        .zip(text.trim_end().lines())
        .map(|(head, text)| Line::from(indent).styled(Style::Good, head).text(text))
        .collect()
}

/// How a run ended that did not do what was asked: its causes, and what was done about them.
pub(crate) fn outcome(outcome: &Outcome, indent: &str) -> Vec<Line> {
    let (causes, done): (Vec<&StepFailure>, String) = match outcome {
        Outcome::Updated { .. } | Outcome::Unchanged => return Vec::new(),
        Outcome::Aborted { cause } => {
            (vec![cause], "nothing; the running service was not touched".to_owned())
        }
        Outcome::RolledBack { to, cause } => {
            (vec![cause], format!("taken back to {}, which was proved to run", to.short()))
        }
        Outcome::NeedsAttention { previous, was_healthy, causes } => {
            let ill = if *was_healthy { "" } else { ", which was not healthy before the run either" };
            let short = previous.short();
            let done =
                format!("tried to go back to {short}{ill}; what it runs now is not proved: look at the host");
            (causes.iter().collect(), done)
        }
        Outcome::Superseded { step, by } => {
            let texts = lines_of(by.clone());
            let at = format!("{indent}cause: {}: the run was taken from its driver, by", words::step(*step));
            let texts = texts.into_iter().map(|text| Line::from(format!("{indent}       {text}")));
            return std::iter::once(Line::from(at)).chain(texts).collect();
        }
    };
    let mut lines: Vec<Line> = causes.into_iter().flat_map(|cause| failure(cause, indent)).collect();
    lines.push(Line::from(format!("{indent}done:  {done}")));
    lines
}
