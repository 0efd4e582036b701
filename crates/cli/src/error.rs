//! What a command says when it cannot do what it was asked.

use serde::Serialize;

use crate::exit::Exit;

/// The most causes that are printed; the rest is counted.
pub const CAUSES_MAX: usize = 50;

/// What kind of thing went wrong, and so the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The command line asks for something that is not there or makes no sense.
    Usage,
    /// The configuration.
    Config,
    /// The database.
    Store,
    /// A host, or the way to it.
    Host,
    /// A host that was reached cannot do what is asked of it.
    Refused,
    /// A fault of Uphaul.
    Internal,
}

/// An error for the person who has to act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    /// What kind of thing went wrong.
    pub kind: Kind,
    /// What was tried and did not work, in one line.
    pub message: String,
    /// What came back, the outermost first; or all of several faults.
    pub causes: Vec<String>,
    /// What to do next.
    pub hints: Vec<String>,
}

impl CliError {
    /// An error of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hints: Vec::new() }
    }

    /// The command line asks for something that is not there or makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// The configuration does not serve.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Kind::Config, message)
    }

    /// The database did not do its part.
    pub fn store(message: impl Into<String>) -> Self {
        Self::new(Kind::Store, message)
    }

    /// A host did not do its part.
    pub fn host(message: impl Into<String>) -> Self {
        Self::new(Kind::Host, message)
    }

    /// A host that was reached cannot do what is asked of it; nothing was changed.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// A fault of Uphaul.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// Adds a cause.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds causes; beyond [`CAUSES_MAX`] they are counted.
    #[must_use]
    pub fn causes(mut self, causes: impl IntoIterator<Item = String>) -> Self {
        let mut causes = causes.into_iter();
        self.causes.extend(causes.by_ref().take(CAUSES_MAX));
        match causes.count() {
            0 => self,
            more => self.cause(format!("and {more} more")),
        }
    }

    /// Adds the chain of sources of an error, the error itself first.
    #[must_use]
    pub fn because(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next.filter(|_| self.causes.len() < CAUSES_MAX) {
            let text = error.to_string();
            // Many errors repeat their source in their own text.
            if !self.causes.last().is_some_and(|last| last.ends_with(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The exit code that it leads to.
    pub fn exit(&self) -> Exit {
        match self.kind {
            Kind::Usage | Kind::Config => Exit::Usage,
            Kind::Store | Kind::Internal => Exit::Internal,
            Kind::Host => Exit::Unknown,
            Kind::Refused => Exit::Aborted,
        }
    }
}
