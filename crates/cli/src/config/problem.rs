//! One thing that is wrong with the configuration. All of them are collected before anybody is told.

use std::fmt;

use crate::error::CliError;

/// One thing that is wrong: where, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// A file with its line, a variable, a flag; empty where nothing was set at all.
    pub(crate) place: String,
    /// What is wrong, with the key in front.
    pub(crate) what: String,
}

impl Problem {
    /// A problem at a place.
    pub(crate) fn at(place: impl fmt::Display, what: impl Into<String>) -> Self {
        Self { place: place.to_string(), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.what)
        } else {
            write!(f, "{}: {}", self.place, self.what)
        }
    }
}

/// The error that tells all problems, those of a file in its order.
pub(crate) fn error(mut problems: Vec<Problem>) -> CliError {
    problems.sort_by_key(|problem| match problem.place.rsplit_once(':') {
        Some((file, line)) => (Some(file.to_owned()), line.parse::<usize>().ok()),
        None => (None, None),
    });
    let message = match problems.len() {
        1 => "the configuration has a problem".to_owned(),
        n => format!("the configuration has {n} problems"),
    };
    CliError::config(message)
        .causes(problems.iter().map(ToString::to_string))
        .hint("`uphaul init example.toml` writes every key, with its default and a comment")
}
