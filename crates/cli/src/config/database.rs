//! The address of the database. A password in it is never shown.

use std::fmt;
use std::path::Path;

use crate::surroundings::Surroundings;

/// The address of the database. [`fmt::Display`] and [`fmt::Debug`] leave the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Reads an address. The file of a SQLite database is below `base` where it is relative.
    pub(crate) fn parse(text: &str, base: &Path, around: &Surroundings) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("sqlite:") {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.contains('?') {
                return Err(format!("{text:?} has a `?`; a SQLite database takes no options"));
            }
            if path == ":memory:" {
                return Err("a database in memory keeps no record; name a file".to_owned());
            }
            if path.is_empty() || path.ends_with('/') {
                return Err(format!("{text:?} names no file"));
            }
            let path = around.absolute(path, base)?;
            let path = path.to_str().ok_or("the path of the database is not UTF-8")?;
            return Ok(Self(format!("sqlite:{path}")));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self(text.to_owned()));
        }
        let masked = mask(text);
        Err(format!(
            "expected a URL such as \"sqlite:uphaul.db\" or \"postgres://user@host/name\", found {masked:?}"
        ))
    }

    /// The address with its password, for the one who connects.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a password stands in it.
    pub fn has_password(&self) -> bool {
        mask(&self.0) != self.0
    }

    /// The file of a SQLite database.
    pub fn file(&self) -> Option<&Path> {
        self.0.strip_prefix("sqlite:").map(Path::new)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// The text with the passwords of a URL replaced: `user:PASSWORD@` and any option whose name has `password` in it.
pub(crate) fn mask(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return mask_misspelt(text) };
    // A password may have an unescaped `@`, `/` or `?`: everything up to the last `@` of all is user information.
    // Where that takes in a part of the options, too much is hidden, which does no harm.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, rest),
    };
    let user = user.map(|user| match user.split_once(':') {
        Some((user, _)) => format!("{user}:***@"),
        None => format!("{user}@"),
    });
    let (host, options) = match rest.split_once('?') {
        Some((host, options)) => (host, Some(options)),
        None => (rest, None),
    };
    let option = |option: &str| match option.split_once('=') {
        Some((name, _)) if name.to_lowercase().contains("password") => format!("{name}=***"),
        Some(_) | None => option.to_owned(),
    };
    let options = options.map(|all| format!("?{}", all.split('&').map(option).collect::<Vec<_>>().join("&")));
    format!("{scheme}://{}{host}{}", user.unwrap_or_default(), options.unwrap_or_default())
}

/// The same of what may be a URL without its `//`.
fn mask_misspelt(text: &str) -> String {
    match (text.split_once(':'), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((user, rest)))
            if scheme.starts_with("postgres") && user.len() > scheme.len() =>
        {
            format!("{scheme}:***@{rest}")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked() {
        for (url, shown) in [
            ("postgres://u:secret@h/db", "postgres://u:***@h/db"),
            ("postgres://u:se@cret@h:5/db?sslmode=require", "postgres://u:***@h:5/db?sslmode=require"),
            ("postgres://u:se/cr@h/db", "postgres://u:***@h/db"),
            ("postgres://u:s@e/c?r@h/db", "postgres://u:***@h/db"),
            (
                "postgres://u@h/db?password=x&a=b&sslpassword=y",
                "postgres://u@h/db?password=***&a=b&sslpassword=***",
            ),
            ("mysql://u:secret@h/db", "mysql://u:***@h/db"),
            ("sqlite:uphaul.db", "sqlite:uphaul.db"),
            ("plain", "plain"),
            ("postgres:u:secret@h/db", "postgres:***@h/db"),
            ("git@h:x", "git@h:x"),
        ] {
            assert_eq!(mask(url), shown);
        }
    }

    #[test]
    fn sqlite_files_are_found_below_the_file_that_names_them() {
        let around = Surroundings {
            vars: [("HOME".to_owned(), "/home/o".to_owned())].into(),
            ..Surroundings::default()
        };
        let base = Path::new("/etc/uphaul");
        for (text, url) in [
            ("sqlite:uphaul.db", "sqlite:/etc/uphaul/uphaul.db"),
            ("sqlite:///var/x.db", "sqlite:/var/x.db"),
            ("sqlite:~/x.db", "sqlite:/home/o/x.db"),
        ] {
            assert_eq!(DatabaseUrl::parse(text, base, &around).unwrap().expose(), url);
        }
        for bad in [
            "sqlite:",
            "sqlite::memory:",
            "sqlite:~other/x",
            "sqlite:x?mode=ro",
            "uphaul.db",
            "mysql://u:p@h/x",
        ] {
            let error = DatabaseUrl::parse(bad, base, &around).unwrap_err();
            assert!(!error.contains(":p@"), "{error}");
        }
    }
}
