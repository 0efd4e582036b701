//! Where a value came from.

use std::path::PathBuf;

use figment::value::{Dict, Map};
use figment::{Metadata, Profile, Provider};
use serde::Serialize;

/// Where a value came from; later ones win.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "from", content = "name", rename_all = "snake_case")]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(String),
    /// A setting of the host itself.
    Host(String),
}

impl Origin {
    /// Whether its values are texts that have to be read, rather than values with a type.
    pub(crate) fn is_text(&self) -> bool {
        match self {
            Self::Default | Self::Variable(_) | Self::Flag(_) | Self::Host(_) => true,
            Self::File(_) => false,
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("built-in default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Host(name) => write!(f, "setting of host {name}"),
        }
    }
}

/// The values of one origin, as figment takes them.
pub(crate) struct Layer {
    /// Where they came from.
    pub(crate) origin: Origin,
    /// The values, by profile.
    pub(crate) values: Map<Profile, Dict>,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(self.values.clone())
    }
}
