//! Placeholders of paths, unit names and URLs: `{name}`, `{address}` and `{label.KEY}` of the host.

use std::net::Ipv6Addr;

use uphaul_core::plan::HostFacts;

/// Where a value goes, and so what a placeholder may not bring in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Into {
    /// A path: no `/`.
    Path,
    /// A unit name.
    Unit,
    /// A URL or `host:port`: nothing that has a meaning in a URL; an IPv6 address is put in brackets.
    Url,
}

enum Part<'a> {
    Text(&'a str),
    Name,
    Address,
    Label(&'a str),
}

fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((word, tail)) = after.split_once('}') else {
            return Err("has a `{` without its `}`".to_owned());
        };
        parts.push(Part::Text(before));
        parts.push(match word {
            "name" => Part::Name,
            "address" => Part::Address,
            _ => match word.strip_prefix("label.").filter(|key| !key.is_empty()) {
                Some(key) => Part::Label(key),
                None => {
                    let known = "{name}, {address} and {label.KEY}";
                    return Err(format!("has the unknown placeholder {{{word}}}; known are {known}"));
                }
            },
        });
        rest = tail;
    }
    if rest.contains('}') {
        return Err("has a `}` without its `{`".to_owned());
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

/// Checks the placeholders of `text`. Says whether it has any.
pub(crate) fn check(text: &str) -> Result<bool, String> {
    Ok(parts(text)?.iter().any(|part| !matches!(part, Part::Text(_))))
}

/// Puts the host's values in. The error reads after "KEY: ".
pub(crate) fn fill(text: &str, into: Into, host: &HostFacts) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    for part in parts(text)? {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Name => filled.push_str(&safe("{name}", host.name.as_str(), into)?),
            Part::Address => filled.push_str(&safe("{address}", &host.address, into)?),
            Part::Label(key) => match host.labels.get(key) {
                Some(value) => filled.push_str(&safe(&format!("{{label.{key}}}"), value, into)?),
                None => {
                    return Err(format!("{text:?} needs the label `{key}`, which the host does not have"));
                }
            },
        }
    }
    Ok(filled)
}

/// Refuses a value that would change the shape of what it is put into.
fn safe(placeholder: &str, value: &str, into: Into) -> Result<String, String> {
    let refused = match into {
        Into::Path => "/",
        Into::Unit => "",
        Into::Url => "/?#@:[]%\\ ",
    };
    if into == Into::Url && value.parse::<Ipv6Addr>().is_ok() {
        return Ok(format!("[{value}]"));
    }
    match value.chars().find(|c| refused.contains(*c)) {
        Some(c) => Err(format!("{placeholder} is {value:?}, which has {c:?} and so cannot stand here")),
        None if value.is_empty() => Err(format!("{placeholder} is empty")),
        None => Ok(value.to_owned()),
    }
}

/// The placeholder in a shell text, where none may stand. `${name}` is the shell's own and is left alone.
pub(crate) fn in_command(text: &str) -> Option<String> {
    for (at, _) in text.match_indices('{') {
        let ours = text.get(at + 1..).and_then(|rest| rest.split_once('}')).map(|(word, _)| word);
        let Some(word) = ours else { continue };
        let placeholder = word == "name" || word == "address" || word.starts_with("label.");
        if placeholder && !text.get(..at).is_some_and(|before| before.ends_with('$')) {
            return Some(format!("{{{word}}}"));
        }
    }
    None
}

/// The variable in which a command finds what the placeholder stands for.
pub(crate) fn variable_of(placeholder: &str) -> String {
    let word = placeholder.trim_matches(['{', '}']);
    let name = word.replace('.', "_").to_uppercase();
    format!("UPHAUL_{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> HostFacts {
        HostFacts {
            name: "web-1".parse().unwrap(),
            address: "fd00::1".to_owned(),
            labels: [("tier".to_owned(), "a".to_owned()), ("evil".to_owned(), "../x".to_owned())].into(),
        }
    }

    #[test]
    fn placeholders_are_filled() {
        let fill = |text, into| fill(text, into, &host());
        assert_eq!(fill("/srv/{name}/{label.tier}", Into::Path).unwrap(), "/srv/web-1/a");
        assert_eq!(fill("http://{address}:3000/", Into::Url).unwrap(), "http://[fd00::1]:3000/");
        assert_eq!(fill("app@{name}.service", Into::Unit).unwrap(), "app@web-1.service");
    }

    #[test]
    fn placeholders_that_cannot_be_filled_say_why() {
        for (text, said) in [
            ("/srv/{label.region}", "needs the label `region`"),
            ("/srv/{label.evil}", "has '/'"),
            ("/srv/{host}", "unknown placeholder {host}"),
            ("/srv/{name", "without its `}`"),
            ("/srv/name}", "without its `{`"),
            ("/srv/{label.}", "unknown placeholder"),
        ] {
            let error = fill(text, Into::Path, &host()).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn commands_may_use_braces_but_no_placeholders() {
        assert_eq!(in_command("awk '{print $1}' ${name} {a,b} ${address}"), None);
        assert_eq!(in_command("echo {name}"), Some("{name}".to_owned()));
        assert_eq!(in_command("x {label.tier-b}"), Some("{label.tier-b}".to_owned()));
        assert_eq!(variable_of("{label.tier-b}"), "UPHAUL_LABEL_TIER_B");
    }
}
