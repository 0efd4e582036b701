//! The one function that makes a text a word of the shell.

/// Quotes a text for `sh`, so that it is read as exactly one word with exactly these bytes. A NUL cannot stand in any
/// word; callers refuse it before.
pub fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
