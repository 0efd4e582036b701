//! What a script answered.

use super::job_name;
use crate::evidence::one_line;
use crate::ids::{Fence, Revision, RunId};
use crate::machine::{Action, Command, Input, Observation, Previous, Reason, Step, UpdateStep};
use crate::ports::Output;

/// How many characters of an answer's text are kept in a reason.
const TAIL_MAX: usize = 2000;
/// How many lines of it.
const TAIL_LINES: usize = 20;
/// How many characters of a value that becomes part of a reason are kept.
const WORD_MAX: usize = 1000;
/// How many bytes of the note of a switch are kept. What it did and how late it began stand at its beginning.
const NOTE_MAX: usize = 512;
/// No host counts that far: it takes one number at each taking.
const FENCE_MAX: u64 = 1 << 48;

/// What became of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It has a result.
    Done,
    /// Somebody else holds the host; nothing was begun.
    Held,
    /// Somebody else has taken the host since; nothing was begun.
    Fenced,
    /// The job ended without a result.
    Died,
    /// It could not be begun.
    Refused,
    /// The dead-man's switch of this run took the host back, and this driver did not know; nothing was begun.
    Reverted,
}

/// The answer of a script, read but not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// All `key=value` lines, in order.
    pub lines: Vec<(String, String)>,
    /// The end of what the job printed.
    pub tail: String,
}

impl Answer {
    /// Reads an answer. It always can: what is no `key=value` line before the `--` is left out.
    pub fn read(text: &str) -> Self {
        let (head, tail) = match text.strip_prefix("--\n") {
            Some(tail) => ("", tail),
            None => text.split_once("\n--\n").unwrap_or((text, "")),
        };
        let pair = |line: &str| line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self { lines: head.lines().filter_map(pair).collect(), tail: last_lines(tail) }
    }

    /// The first value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.lines.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// All values of a key.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// The number that the host gave.
    pub fn fence(&self) -> Option<Fence> {
        self.get("fence").and_then(|value| value.parse().ok()).filter(|number| *number < FENCE_MAX).map(Fence)
    }

    /// Whether this is the one answer to this command of this run, from a host that gave `fence` before. An answer that was
    /// kept, made up, or glued to another is none, whatever it says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn is_for(&self, run: &RunId, step: Step, fence: Option<Fence>) -> Result<(), Reason> {
        let wrong = |what: String| {
            let detail = format!("the host's answer to {step} cannot be believed: {what}");
            Err(Reason::Unexpected { detail })
        };
        for (key, expected) in [("run", run.as_str()), ("step", &job_name(step))] {
            match self.get(key) {
                Some(found) if found == expected => {}
                Some(found) => return wrong(format!("it is for the {key} {}", cut(found, 80))),
                None => return wrong(format!("it does not say for which {key} it is")),
            }
        }
        if let Some(twice) =
            ["run", "step", "state", "fence", "rc", "head"].iter().find(|key| self.all(key).count() > 1)
        {
            return wrong(format!("it says `{twice}` more than once"));
        }
        match (self.get("fence").is_some(), self.fence(), fence) {
            (true, None, _) => wrong("its number cannot be read".into()),
            (_, Some(now), Some(before)) if now < before => {
                wrong(format!("it goes back from number {} to {}", before.0, now.0))
            }
            _ => Ok(()),
        }
    }

    /// What became of the job.
    pub fn state(&self) -> Option<JobState> {
        match self.get("state")? {
            "done" => Some(JobState::Done),
            "held" => Some(JobState::Held),
            "fenced" => Some(JobState::Fenced),
            "died" => Some(JobState::Died),
            "refused" => Some(JobState::Refused),
            "reverted" => Some(JobState::Reverted),
            _ => None,
        }
    }

    /// What the machine is told.
    pub fn input(&self, command: &Command) -> Input {
        let word = |key: &str| cut(self.get(key).unwrap_or_default(), WORD_MAX);
        let unexpected = |detail: String| Input::Failed(Reason::Unexpected { detail });
        match self.state() {
            Some(JobState::Done) => self.done(command),
            Some(JobState::Held) => Input::Failed(Reason::Held { by: word("by") }),
            Some(JobState::Fenced) => Input::Superseded { by: word("by") },
            Some(JobState::Died) => {
                Input::Failed(Reason::NotProved { found: word("why"), tail: self.tail.clone() })
            }
            Some(JobState::Refused) => unexpected(word("why")),
            // Before Arm there is no switch that could have acted.
            Some(JobState::Reverted) if command.step <= Step::Update(UpdateStep::Fetch) => {
                unexpected("the host says that its switch went back, and none was set".into())
            }
            Some(JobState::Reverted) => {
                let note = one_line(self.get("by").unwrap_or_default(), NOTE_MAX);
                Input::HostReverted(Some(note).filter(|note| !note.is_empty()))
            }
            None => unexpected(format!("the host's answer to {} cannot be read", command.step)),
        }
    }

    fn done(&self, command: &Command) -> Input {
        let tail = self.tail.clone();
        let found = self.get("found").map(|found| cut(found, WORD_MAX));
        let code = self.get("rc").and_then(|rc| rc.parse::<i32>().ok());
        match (code, found) {
            (Some(0), _) => self.succeeded(command),
            (Some(_), _) if self.get("fenced").is_some() => {
                Input::Superseded { by: cut(self.get("fenced").unwrap_or_default(), WORD_MAX) }
            }
            (Some(_), _) if self.get("timed_out").is_some() => {
                let after_s = self.get("timed_out").and_then(|s| s.parse().ok()).unwrap_or_default();
                Input::Failed(Reason::TimedOut { after_s, tail })
            }
            (Some(_), Some(found)) => Input::Failed(Reason::NotProved { found, tail }),
            (Some(code), None) => Input::Failed(Reason::Exited { code, tail }),
            (None, _) => {
                Input::Failed(Reason::Unexpected { detail: "the host's answer has no exit code".into() })
            }
        }
    }

    /// A success is believed when the answer has what proves it.
    fn succeeded(&self, command: &Command) -> Input {
        match &command.action {
            Action::Record => {
                let previous = self.get("previous").and_then(|text| text.parse::<Revision>().ok());
                match previous {
                    Some(revision) => {
                        let healthy = self.get("healthy") == Some("1");
                        Input::Succeeded(Observation::Previous(Previous { revision, healthy }))
                    }
                    None => Input::Failed(Reason::Unexpected {
                        detail: "the host names no commit as its own".into(),
                    }),
                }
            }
            Action::Verify(_) if self.get("rebooted").is_some() => Input::Succeeded(Observation::Rebooted),
            Action::Arm(_) if self.get("unarmed").is_some() => {
                let why = cut(self.get("unarmed").unwrap_or_default(), WORD_MAX);
                Input::Succeeded(Observation::Unarmed { why })
            }
            Action::Checkout(to) | Action::Verify(to) if self.get("head") != Some(to.as_str()) => {
                let head = cut(self.get("head").unwrap_or("nothing"), 80);
                let found = format!(
                    "the host says that it succeeded, and names {head} as what is checked out, not {to}"
                );
                Input::Failed(Reason::NotProved { found, tail: self.tail.clone() })
            }
            Action::Preflight
            | Action::Fetch(_)
            | Action::Arm(_)
            | Action::Checkout(_)
            | Action::Install
            | Action::Restart
            | Action::Verify(_)
            | Action::Confirm => Input::Succeeded(Observation::Nothing),
        }
    }

    /// Reads what a command printed; a script that failed as a whole has its complaint for an answer.
    pub fn of(output: &Output) -> Result<Self, Reason> {
        let answer = Self::read(&output.stdout.text());
        if output.code == 0 || answer.state().is_some() {
            return Ok(answer);
        }
        Err(Reason::Exited { code: output.code, tail: last_lines(&output.stderr.text()) })
    }
}

/// The first characters of a value.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// The last lines of a text, bounded, without trailing blanks.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    let kept = lines[from..].join("\n");
    let cut = kept.char_indices().rev().nth(TAIL_MAX).map_or(0, |(at, _)| at);
    kept[cut..].to_owned()
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
