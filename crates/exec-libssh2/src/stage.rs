//! How far a connection is, for whoever gives up on it.

use std::sync::{Mutex, PoisonError};

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Far {
    /// A name is looked up, or an address connected to.
    #[default]
    Nothing,
    /// There is a connection, and no SSH over it yet.
    Connected,
    /// The host is the one it should be.
    Greeted,
    /// A jump host is asked to connect to the next one.
    Jump,
}

impl Far {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing answered",
            Self::Connected => {
                "something accepted the connection, but did not finish the greeting of an SSH server"
            }
            Self::Greeted => "the host is there, but the log-in was not done",
            Self::Jump => "the jump host did not reach the next one",
        }
    }
}

/// The same, for two threads.
#[derive(Debug, Default)]
pub(crate) struct Stage(Mutex<Far>);

impl Stage {
    pub(crate) fn set(&self, far: Far) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = far;
    }

    pub(crate) fn get(&self) -> Far {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
