//! What was seen of a failure, as a page.

use uphaul_core::evidence::{Cut, Part};
use uphaul_store::StoredEvidence;

use super::words;
use crate::clock::time_of_day;
use crate::output::{Line, Style};

/// All of it: each thing that was asked, and what came back.
pub(crate) fn lines(seen: &StoredEvidence) -> Vec<Line> {
    let evidence = &seen.evidence;
    let heading = Line::new().styled(Style::Bad, format!("{} failed", words::step(evidence.step)));
    let mut lines =
        vec![heading.text(format!("; seen at {}, before anything else was done:", time_of_day(seen.at_us)))];
    if let Some(why) = &evidence.trouble {
        let what = if evidence.parts.is_empty() { "it could not be read" } else { "not all could be read" };
        lines.push(Line::from("  ").styled(Style::Warn, format!("{what}: {why}")));
    }
    lines.extend(evidence.parts.iter().flat_map(part));
    lines
}

fn part(part: &Part) -> Vec<Line> {
    let mut heading = Line::from("  ").styled(Style::Bold, part.name.as_str());
    if !part.how.is_empty() {
        heading = heading.styled(Style::Dim, format!("  ({})", part.how));
    }
    let line = |text: &str| Line::new().styled(Style::Dim, "    | ").text(text);
    let missing = |text: &str| Line::new().styled(Style::Dim, format!("    | ({text})"));
    let mut lines = vec![heading];
    match part.cut {
        Some(Cut::Tail) => lines.push(missing("what came before is not kept")),
        None if part.text.is_empty() => lines.push(missing("nothing")),
        Some(Cut::Head) | None => {}
    }
    lines.extend(part.text.lines().map(line));
    if part.cut == Some(Cut::Head) {
        lines.push(missing("what comes after is not kept"));
    }
    lines
}
