//! Keys that commits and tags are signed by.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A pair of keys for signatures by SSH.
#[derive(Debug, Clone)]
pub struct SigningKey {
    path: PathBuf,
}

impl SigningKey {
    /// Makes one in a folder; the name is its file's and its comment.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn make(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path);
        assert!(keygen.status().expect("ssh-keygen runs").success(), "{}", path.display());
        Self { path }
    }

    /// The type of the key and the key.
    ///
    /// # Panics
    /// Where its file is gone.
    pub fn public(&self) -> String {
        let file = self.path.with_extension("pub");
        let text = std::fs::read_to_string(&file).expect("a public key");
        text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// A line of allowed signers, with options or none.
    pub fn line(&self, options: &str) -> String {
        format!("t@example.com {options} {}\n", self.public())
    }

    /// What git is to be told before its command, so that it signs by this key.
    pub fn git(&self) -> [String; 4] {
        let key = format!("user.signingkey={}", self.path.display());
        ["-c".into(), "gpg.format=ssh".into(), "-c".into(), key]
    }
}
