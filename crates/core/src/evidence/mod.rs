//! What was seen of a failed restart or verify, before the way back made it go: read on the host by a script that
//! changes nothing, masked and bounded here, and written with the transition that tells of the failure.
//!
//! # Protocol
//!
//! The script prints `part=NAME`, `how=WHAT WAS ASKED`, perhaps `cut=head` or `cut=tail` (which end of it is there), then
//! each line of what came back after a blank. So nothing that a service prints can begin a part of its own.

mod mask;
mod text;

use serde::{Deserialize, Serialize};

pub use mask::{BadPattern, MASKED, Mask, PATTERNS_MAX, Patterns, is_told};
pub use text::harmless;
pub(crate) use text::one_line;

use crate::machine::Step;
use crate::ports::Output;

/// How many bytes the texts of one evidence have together; of what is beyond, the end is kept.
pub const EVIDENCE_BYTES_MAX: usize = 64 * 1024;
/// How many parts one has; those beyond are left out.
pub const PARTS_MAX: usize = 32;
/// How many bytes a name, what was asked, or what went wrong has.
const WORDS_MAX: usize = 1024;

/// What was seen of one failed step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The step that failed.
    pub step: Step,
    /// What was seen, in the order in which it was asked.
    pub parts: Vec<Part>,
    /// Why there is nothing, or not all of it.
    pub trouble: Option<String>,
}

/// One thing that was asked, and what came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is of: `journal app.service`.
    pub name: String,
    /// What was asked.
    pub how: String,
    /// Whether something is missing at its beginning or end.
    pub cut: Option<Cut>,
    /// What came back, without secrets and control characters; lines end with a newline.
    pub text: String,
}

/// Which end of a text is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// The beginning.
    Head,
    /// The end.
    Tail,
}

impl Evidence {
    /// None could be had.
    pub fn none(step: Step, why: &str, mask: &Mask) -> Self {
        Self { step, parts: Vec::new(), trouble: Some(words(why, mask)) }
    }

    /// Reads what the script printed.
    pub fn read(step: Step, output: &Output, mask: &Mask) -> Self {
        let mut trouble = Vec::new();
        if output.stdout.dropped > 0 {
            trouble.push(format!("{} bytes before these are missing", output.stdout.dropped));
        }
        if output.code != 0 {
            let said = output.stderr.text();
            trouble.push(format!("the script ended with exit {}: {}", output.code, said.trim()));
        }
        let raw = split(&output.stdout.text());
        if raw.is_empty() && trouble.is_empty() {
            trouble.push("the host's answer cannot be read".into());
        }
        if raw.len() > PARTS_MAX {
            trouble.push(format!("{} more parts are left out", raw.len() - PARTS_MAX));
        }
        let mut left = EVIDENCE_BYTES_MAX;
        let parts = raw.into_iter().take(PARTS_MAX).map(|part| {
            let part = part.finished(mask, left);
            left = left.saturating_sub(part.text.len());
            part
        });
        let parts = parts.collect();
        let trouble = Some(trouble.join("; ")).filter(|text| !text.is_empty()).map(|text| words(&text, mask));
        Self { step, parts, trouble }
    }
}

/// The parts as they came.
fn split(printed: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for line in printed.split('\n') {
        if let Some(name) = line.strip_prefix("part=") {
            parts.push(Part { name: name.to_owned(), how: String::new(), cut: None, text: String::new() });
            continue;
        }
        // What comes before the first part is the rest of one whose beginning was dropped.
        let Some(part) = parts.last_mut() else { continue };
        match line.split_once('=') {
            _ if line.starts_with(' ') => {
                part.text.push_str(&line[1..]);
                part.text.push('\n');
            }
            Some(("how", how)) => part.how = how.to_owned(),
            Some(("cut", "head")) => part.cut = Some(Cut::Head),
            Some(("cut", "tail")) => part.cut = Some(Cut::Tail),
            Some(_) | None => {}
        }
    }
    parts
}

impl Part {
    /// Without what nobody may see, and no longer than it may be.
    fn finished(self, mask: &Mask, max: usize) -> Self {
        let Self { name, how, mut cut, text } = self;
        let text = text::without_escapes(&text);
        // Half a line may end with half of what a pattern would know.
        let whole = match (cut, text.split_once('\n')) {
            (Some(Cut::Tail), Some((_, rest))) if !rest.is_empty() => rest,
            (Some(_), _) | (None, _) => &text,
        };
        let masked = mask.text(whole.trim_end_matches('\n'), cut);
        let mut text = harmless(&masked);
        if !text.is_empty() {
            text.push('\n');
        }
        if text.len() > max {
            let from = text.ceil_char_boundary(text.len() - max);
            text.drain(..from);
            cut = Some(Cut::Tail);
        }
        Self { name: words(&name, mask), how: words(&how, mask), cut, text }
    }
}

/// A text of one line, masked and bounded.
fn words(text: &str, mask: &Mask) -> String {
    let one = text::without_escapes(text).replace(['\n', '\r'], " ");
    let mut one = harmless(&mask.text(&one, None));
    one.truncate(one.floor_char_boundary(WORDS_MAX));
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::UpdateStep;
    use crate::ports::Captured;

    const VERIFY: Step = Step::Update(UpdateStep::Verify);

    fn read(printed: &[u8]) -> Evidence {
        let stdout = Captured { bytes: printed.to_vec(), dropped: 0 };
        Evidence::read(VERIFY, &Output { code: 0, stdout, stderr: Captured::default() }, &Mask::default())
    }

    #[test]
    fn parts_are_read_as_they_were_printed() {
        let evidence = read(
            b"part=unit app.service\nhow=systemctl show app.service\n Result=exit-code\n\n\npart=journal\nhow=x\n \
              cut=\n  part=not one\n how=no\n\n",
        );
        let names: Vec<&str> = evidence.parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["unit app.service", "journal"]);
        assert_eq!(evidence.parts[0].how, "systemctl show app.service");
        assert_eq!(evidence.parts[0].text, "Result=exit-code\n");
        assert_eq!(evidence.parts[1].text, "cut=\n part=not one\nhow=no\n");
        assert_eq!(evidence.trouble, None);
    }

    #[test]
    fn an_answer_that_makes_no_sense_says_so() {
        let evidence = read(b"Welcome! You have mail.\n");
        assert!(evidence.parts.is_empty());
        assert_eq!(evidence.trouble.as_deref(), Some("the host's answer cannot be read"));
        let output = Output {
            code: 127,
            stdout: Captured { bytes: b"of a part\npart=health\nhow=curl\n 500\n".to_vec(), dropped: 9 },
            stderr: Captured { bytes: b"sh: \x1b[31mno such thing\n".to_vec(), dropped: 0 },
        };
        let evidence = Evidence::read(VERIFY, &output, &Mask::default());
        assert_eq!(evidence.parts[0].text, "500\n");
        let told = "9 bytes before these are missing; the script ended with exit 127: sh: no such thing";
        assert_eq!(evidence.trouble.as_deref(), Some(told));
    }

    #[test]
    fn nothing_is_longer_than_it_may_be() {
        let line = format!(" {}\n", "ü".repeat(500));
        let printed: String = (0..PARTS_MAX + 9)
            .map(|n| format!("part={n}\nhow={}\n{}", "h".repeat(9999), line.repeat(40)))
            .collect();
        let evidence = read(printed.as_bytes());
        let bytes: usize = evidence.parts.iter().map(|part| part.text.len()).sum();
        assert!(bytes <= EVIDENCE_BYTES_MAX, "{bytes}");
        assert!(evidence.parts.iter().all(|part| part.how.len() <= WORDS_MAX));
        assert_eq!(evidence.parts.len(), PARTS_MAX);
        assert_eq!(evidence.trouble.as_deref(), Some("9 more parts are left out"));
        let cut: Vec<&Part> = evidence.parts.iter().filter(|part| part.cut == Some(Cut::Tail)).collect();
        assert!(!cut.is_empty());
    }

    #[test]
    fn half_a_line_at_the_beginning_is_left_out() {
        let evidence = read(b"part=journal\nhow=x\ncut=tail\n alf a line\n a whole one\n");
        assert_eq!(evidence.parts[0].text, "a whole one\n");
        // A service that prints no newline leaves nothing else.
        let evidence = read(b"part=journal\nhow=x\ncut=tail\n alf a line\n");
        assert_eq!(evidence.parts[0].text, "alf a line\n");
    }
}
