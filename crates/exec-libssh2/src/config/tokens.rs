//! What stands for something else in values of ssh_config: `~`, `%h` and the like, `${NAME}`.

use std::path::{Path, PathBuf};

/// What the tokens stand for.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    /// `%d`
    pub(crate) home: PathBuf,
    /// `%h`
    pub(crate) host: String,
    /// `%n`
    pub(crate) name: String,
    /// `%k`
    pub(crate) key_alias: String,
    /// `%p`
    pub(crate) port: u16,
    /// `%r`
    pub(crate) user: String,
    /// `%u`
    pub(crate) local_user: String,
}

impl Tokens {
    /// Replaces them in a path, also `~` and variables of the environment.
    pub(crate) fn path(&self, text: &str) -> Result<PathBuf, String> {
        path(&self.text(text)?, &self.home)
    }

    /// Replaces the tokens that begin with `%`.
    pub(crate) fn text(&self, text: &str) -> Result<String, String> {
        replace(text, |token| {
            Some(match token {
                'd' => self.home.display().to_string(),
                'h' => self.host.clone(),
                'k' => self.key_alias.clone(),
                'n' => self.name.clone(),
                'p' => self.port.to_string(),
                'r' => self.user.clone(),
                'u' => self.local_user.clone(),
                _ => return None,
            })
        })
    }
}

/// What the host is called on the network: `HostName` with its tokens, or the name.
pub(crate) fn host_name(hostname: Option<&str>, name: &str) -> Result<String, String> {
    let host = match hostname {
        Some(text) => replace(text, |token| (token == 'h').then(|| name.to_owned()))?,
        None => name.to_owned(),
    };
    Ok(host.to_lowercase())
}

fn replace(text: &str, value: impl Fn(char) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '%') {
            (c, false) => out.push(c),
            (_, true) => match chars.next() {
                Some('%') => out.push('%'),
                Some(token) => out.push_str(
                    &value(token)
                        .ok_or_else(|| format!("{text:?}: {}", super::cannot(&format!("%{token} there"))))?,
                ),
                None => return Err(format!("{text:?} ends with a single %")),
            },
        }
    }
    Ok(out)
}

/// Replaces `~/` and `${NAME}`.
pub(crate) fn path(text: &str, home: &Path) -> Result<PathBuf, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) =
            after.split_once('}').ok_or_else(|| format!("{text:?} has ${{ without its end"))?;
        let value = std::env::var(name);
        let value = value.map_err(|_| format!("{text:?}: the environment has no variable {name}"))?;
        out.push_str(before);
        out.push_str(&value);
        rest = after;
    }
    out.push_str(rest);
    match out.strip_prefix('~') {
        None => Ok(PathBuf::from(out)),
        Some("") => Ok(home.to_owned()),
        Some(rest) => match rest.strip_prefix('/') {
            Some(rest) => Ok(home.join(rest)),
            None => Err(format!("{text:?}: {}", super::cannot("the home of another user"))),
        },
    }
}
