//! What a script answered.

use std::collections::BTreeMap;

use crate::ids::{Fence, Revision};
use crate::machine::{Action, Command, Input, Observation, Previous, Reason};
use crate::ports::Output;

/// How many characters of an answer's text are kept in a reason.
const TAIL_MAX: usize = 2000;
/// How many lines of it.
const TAIL_LINES: usize = 20;

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
        self.get("fence").and_then(|value| value.parse().ok()).map(Fence)
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
        let words: BTreeMap<&str, &str> = self.lines.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let word = |key: &str| words.get(key).copied().unwrap_or_default().to_owned();
        let unexpected = |detail: String| Input::Failed(Reason::Unexpected { detail });
        match self.state() {
            Some(JobState::Done) => self.done(command),
            Some(JobState::Held) => Input::Failed(Reason::Held { by: word("by") }),
            Some(JobState::Fenced) => Input::Superseded { by: word("by") },
            Some(JobState::Died) => {
                Input::Failed(Reason::NotProved { found: word("why"), tail: self.tail.clone() })
            }
            Some(JobState::Refused) => unexpected(word("why")),
            Some(JobState::Reverted) => Input::HostReverted,
            None => unexpected(format!("the host's answer to {} cannot be read", command.step)),
        }
    }

    fn done(&self, command: &Command) -> Input {
        let tail = self.tail.clone();
        let found = self.get("found").map(ToOwned::to_owned);
        let code = self.get("rc").and_then(|rc| rc.parse::<i32>().ok());
        match (code, found) {
            (Some(0), _) => self.succeeded(command),
            (Some(_), _) if self.get("fenced").is_some() => {
                Input::Superseded { by: self.get("fenced").unwrap_or_default().to_owned() }
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

    fn succeeded(&self, command: &Command) -> Input {
        match command.action {
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
                let why = self.get("unarmed").unwrap_or_default().to_owned();
                Input::Succeeded(Observation::Unarmed { why })
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

/// The last lines of a text, bounded, without trailing blanks.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    let kept = lines[from..].join("\n");
    let cut = kept.char_indices().rev().nth(TAIL_MAX).map_or(0, |(at, _)| at);
    kept[cut..].to_owned()
}
