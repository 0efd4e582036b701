//! Makes what a host said harmless: no terminal is written to by it, now or when it is read from the record.

use std::borrow::Cow;

/// Whether a terminal, or the eye, may be led astray by it.
fn is_unsafe(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        // Bidirectional marks reorder what stands around them; the two separators break lines.
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with control characters, but for newlines and tabs, as `\u{..}`.
pub fn harmless(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// The text on one line of at most `most` bytes, harmless.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let one = without_escapes(text).replace(['\n', '\r', '\t'], " ");
    let mut one = harmless(one.trim());
    one.truncate(one.floor_char_boundary(most));
    one
}

/// The text without colours and other sequences of a terminal, which would stand in the middle of what is to be masked,
/// and without the return that ends a line of HTTP.
pub(super) fn without_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains(['\u{1b}', '\r']) {
        return Cow::Borrowed(text);
    }
    let mut bare = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\u{1b}', Some('[')) => {
                // Parameters, then one letter; anything else was no sequence, and stays.
                let is_parameter = |c: &char| (' '..='?').contains(c) || *c == '[';
                while chars.next_if(is_parameter).is_some() {}
                chars.next_if(|c| ('@'..='~').contains(c));
            }
            ('\r', Some('\n') | None) => {}
            _ => bare.push(c),
        }
    }
    Cow::Owned(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_the_rest_is_shown() {
        let told = "\u{1b}[31mFAILED\u{1b}[0m ok\r\n\u{1b}[2J\u{1b}]0;owned\u{7}\tx\u{202e}y\u{9b}z\u{1b}";
        let bare = without_escapes(told);
        assert_eq!(harmless(&bare), "FAILED ok\n\\u{1b}]0;owned\\u{7}\tx\\u{202e}y\\u{9b}z\\u{1b}");
        assert!(matches!(without_escapes("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn nothing_that_a_terminal_obeys_comes_through() {
        for c in (0u32..0x3000).filter_map(char::from_u32) {
            assert!(!harmless(&c.to_string()).chars().any(is_unsafe), "{c:?}");
        }
    }
}
