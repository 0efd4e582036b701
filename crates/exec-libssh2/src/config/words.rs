//! Lines of ssh_config, divided into words as OpenSSH does.

/// A line with something on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its number, from 1.
    pub(crate) number: usize,
    /// The first word, in small letters.
    pub(crate) keyword: String,
    /// The other words.
    pub(crate) args: Vec<String>,
}

/// Reads a line. Nothing: it is blank or a comment.
///
/// # Errors
/// A quote that does not end.
pub(crate) fn line(number: usize, text: &str) -> Result<Option<Line>, String> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let end = text.find(|c: char| c.is_whitespace() || c == '=' || c == '"').unwrap_or(text.len());
    let (keyword, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    Ok(Some(Line { number, keyword: keyword.to_lowercase(), args: split(rest)? }))
}

/// Divides into words: by blanks outside of quotes; `\` takes the meaning from a quote, a backslash or a blank; `#` at the
/// beginning of a word begins a comment.
fn split(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match (quote, c) {
            (None, '#') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if open == c => quote = None,
            (_, '\\')
                if next.is_some_and(|next| {
                    matches!(next, '"' | '\'' | '\\') || (quote.is_none() && next == ' ')
                }) =>
            {
                word.get_or_insert_default().extend(chars.next());
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("has a quote that does not end".into());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn words_are_those_of_openssh() {
        for (text, words) in [
            ("Host a b", &["host", "a", "b"] as &[&str]),
            ("  HostName = 10.0.0.1  ", &["hostname", "10.0.0.1"]),
            ("HostName=10.0.0.1", &["hostname", "10.0.0.1"]),
            ("IdentityFile \"~/a b\" # why", &["identityfile", "~/a b"]),
            ("IdentityFile ~/a\\ b", &["identityfile", "~/a b"]),
            ("User 'x y'", &["user", "x y"]),
            ("User x#y", &["user", "x#y"]),
            ("User \"a\\\"b\"", &["user", "a\"b"]),
            ("User", &["user"]),
        ] {
            let line = line(1, text).unwrap().unwrap();
            let own: Vec<&str> =
                [line.keyword.as_str()].into_iter().chain(line.args.iter().map(String::as_str)).collect();
            assert_eq!(own, words, "{text}");
        }
        assert_eq!(line(1, "  # x").unwrap(), None);
        assert_eq!(line(1, "").unwrap(), None);
        assert!(line(1, "User \"x").is_err());
    }
}
