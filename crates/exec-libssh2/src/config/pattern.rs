//! The patterns of OpenSSH: `*` and `?`, lists divided by commas, and `!` before what is not meant.

/// Whether a pattern means the text. Letters are compared as they are.
pub(crate) fn one(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut in_text) = (0, 0);
    // Where the last `*` stands, and what it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(c) if *c == '?' || *c == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            Some(_) | None => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                in_text = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// Whether a list, divided by commas, means the host name; big and small letters are the same.
pub(crate) fn list(patterns: &str, name: &str) -> bool {
    let (patterns, name) = (patterns.to_lowercase(), name.to_lowercase());
    words(patterns.split(','), &name)
}

/// Whether some patterns mean the text: one does, and none with a `!` does.
pub(crate) fn words<'a>(patterns: impl Iterator<Item = &'a str>, text: &str) -> bool {
    let mut meant = false;
    for pattern in patterns.map(str::trim) {
        match pattern.strip_prefix('!') {
            Some(not) if one(not, text) => return false,
            Some(_) => {}
            None => meant |= one(pattern, text),
        }
    }
    meant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_openssh_says() {
        for (pattern, text, meant) in [
            ("web1", "web1", true),
            ("web1", "web10", false),
            ("web?", "web1", true),
            ("web?", "web", false),
            ("*", "", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("**", "x", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(one(pattern, text), meant, "{pattern} {text}");
        }
    }

    #[test]
    fn a_list_with_a_no_in_it_says_no() {
        assert!(list("a,WEB*", "web1"));
        assert!(!list("web*,!web1", "web1"));
        assert!(!list("!web1,web*", "web1"));
        assert!(!list("!web2", "web1"));
        assert!(list("[127.0.*]:22", "[127.0.0.1]:22"));
    }
}
