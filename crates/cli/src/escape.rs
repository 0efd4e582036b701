//! Makes text safe to print: a host, a file or a person may send anything, and a terminal obeys control characters.

use std::borrow::Cow;

/// Whether a terminal, or the eye, may be led astray by it.
fn is_unsafe(c: char) -> bool {
    // Bidirectional marks reorder what stands around them; the two separators break lines.
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line, with what is not safe as `\u{..}`; a tab becomes blanks.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\t' => safe.push_str("    "),
            c if is_unsafe(c) => safe.extend(c.escape_default()),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// JSON text with what is not safe as `\uXXXX`. Outside of strings JSON has none of it, so the value stays the same.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if is_unsafe(c) => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_comes_through() {
        assert_eq!(line("plain ü ✓"), "plain ü ✓");
        assert_eq!(line("a\x1b[2Jb\rc\nd\te\u{9b}f\u{202e}g"), "a\\u{1b}[2Jb\\rc\\nd    e\\u{9b}f\\u{202e}g");
        for c in (0u32..0x3000).filter_map(char::from_u32) {
            assert!(!line(&c.to_string()).chars().any(is_unsafe), "{c:?}");
        }
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({ "text": "a\u{9b}b\u{202e}c\u{7f}\n" });
        let text = serde_json::to_string(&value).unwrap();
        let safe = json(&text);
        assert!(!safe.chars().any(is_unsafe), "{safe}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
    }
}
