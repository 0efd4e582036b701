//! The live picture: one line a host at work, and a total. A function of what is known and of the terminal's size.

use std::collections::BTreeMap;
use std::time::Duration;

use super::words;
use crate::clock::length;
use crate::output::{Line, Style};

/// A host at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) host: String,
    /// What it is doing.
    pub(crate) doing: String,
    /// How that looks.
    pub(crate) style: Style,
    /// How long it is at work.
    pub(crate) elapsed: Duration,
    /// What else is to be said.
    pub(crate) note: String,
}

/// How many hosts there are, and how many came to which result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Total {
    /// All hosts of this command.
    pub(crate) hosts: usize,
    /// Results by word.
    pub(crate) ended: BTreeMap<&'static str, usize>,
    /// How long the command is at work.
    pub(crate) elapsed: Duration,
    /// What all of it waits for, if it does.
    pub(crate) notice: Option<String>,
}

/// What most steps need, so that the columns do not jump when a host goes on to the next one.
const DOING_WIDTH: usize = "roll back: checkout".len();

/// The picture for a terminal of this size: it never has more lines than fit, and never a line that wraps, so that
/// it can be drawn over the one before.
pub(crate) fn frame(rows: &[Row], total: &Total, height: usize, width: usize) -> Vec<Line> {
    // One line for the total, one for the cursor, one for the hosts that do not fit.
    let room = height.saturating_sub(3 + usize::from(total.notice.is_some())).max(1);
    let name_width = rows.iter().map(|row| row.host.chars().count()).max().unwrap_or(0).min(40);
    let doing_width =
        rows.iter().map(|row| row.doing.chars().count()).max().unwrap_or(0).clamp(DOING_WIDTH, 40);
    let mut lines: Vec<Line> =
        rows.iter().take(room).map(|row| line(row, name_width, doing_width, width)).collect();
    if rows.len() > room {
        let hidden = format!("... and {} more at work", rows.len() - room);
        lines.push(Line::new().styled(Style::Dim, cut(&hidden, width)));
    }
    if let Some(notice) = &total.notice {
        lines.push(Line::new().styled(Style::Warn, cut(notice, width)));
    }
    lines.push(Line::new().styled(Style::Bold, cut(&total_text(rows.len(), total), width)));
    lines
}

fn line(row: &Row, name_width: usize, doing_width: usize, width: usize) -> Line {
    let name = cut(&format!("{:name_width$}  ", cut(&row.host, name_width)), width);
    let room = width.saturating_sub(name.chars().count());
    let doing = cut(&format!("{:doing_width$}  ", cut(&row.doing, doing_width)), room);
    let room = room.saturating_sub(doing.chars().count());
    let rest = cut(&format!("{:>12}  {}", seconds(row.elapsed), row.note), room);
    Line::new().text(name).styled(row.style, doing).text(rest)
}

/// Whole seconds: a picture that is drawn four times a second has no use for less.
fn seconds(elapsed: Duration) -> String {
    if elapsed.as_secs() == 0 { "0 s".to_owned() } else { length(elapsed) }
}

fn total_text(at_work: usize, total: &Total) -> String {
    let ended: usize = total.ended.values().sum();
    let waiting = total.hosts.saturating_sub(ended + at_work);
    let results = total.ended.iter().map(|(word, n)| format!("{n} {}", words::spaced(word)));
    let work = [(at_work, "at work"), (waiting, "waiting")];
    let work = work.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
    let parts: Vec<String> = results.chain(work).collect();
    format!("{ended} of {} ended: {}; {}", total.hosts, parts.join(", "), seconds(total.elapsed))
}

/// The text within a width; what is cut is shown to be.
fn cut(text: &str, width: usize) -> String {
    let text = crate::escape::line(text);
    if text.chars().count() <= width {
        return text.into_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    if width == 0 { String::new() } else { kept + "~" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize) -> Vec<Row> {
        let row = |i: usize| Row {
            host: format!("web-{i}"),
            doing: if i.is_multiple_of(3) { "roll back: install" } else { "install" }.to_owned(),
            style: Style::Plain,
            elapsed: Duration::from_secs(i as u64 * 7),
            note: if i == 1 { "the connection is lost, trying again".to_owned() } else { String::new() },
        };
        (0..n).map(row).collect()
    }

    fn total() -> Total {
        let ended = [("updated", 10), ("rolled_back", 2)].into();
        Total { hosts: 300, ended, elapsed: Duration::from_secs(63), notice: None }
    }

    #[test]
    fn hundreds_of_hosts_fit_any_terminal() {
        for height in [0, 1, 5, 24, 60] {
            for width in [0, 10, 80] {
                let lines = frame(&rows(300), &total(), height, width);
                assert!(lines.len() < height.max(4), "{} lines in {height}", lines.len());
                for line in lines {
                    assert!(line.width() <= width, "{:?} in {width}", line.render(false));
                }
            }
        }
    }

    #[test]
    fn the_picture_of_a_small_terminal() {
        let lines = frame(&rows(6), &total(), 7, 60);
        let text: Vec<String> = lines.iter().map(|line| line.render(false)).collect();
        insta::assert_snapshot!(text.join("\n"));
    }
}
