//! What a commit of the lab's service does, right or wrong.

/// How the service of a commit behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Serve {
    /// Healthy within a fraction of a second.
    #[default]
    Good,
    /// Ends with exit code 1 before it listens. Under `Unit::RestartAlways` this is a crash loop.
    ExitsAtOnce,
    /// Runs, and listens to nothing.
    Deaf,
    /// Runs, and /health answers 500.
    Sick,
    /// Healthy, and its /health answers 500 from this many seconds on.
    SickAfter(u32),
    /// /health answers 200, but only after this many seconds.
    SlowHealth(u32),
    /// Healthy, and ends with exit code 1 after this many seconds.
    DiesAfter(u32),
    /// Healthy, and takes this many seconds to end when told to.
    SlowStop(u32),
    /// Healthy, but never tells systemd that it is ready (for `Unit::Notify`).
    NeverReady,
}

/// How the install of a commit behaves. (`bun install` runs it from package.json.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Install {
    /// Done within a fraction of a second.
    #[default]
    Good,
    /// Exit code 1, and a line on stderr.
    Fails,
    /// Never ends: `Install::HANGS` sleeps.
    Hangs,
    /// Never ends, and has a child in a session of its own, `Install::HANGS_SETSID`.
    HangsSetsid,
    /// Takes this many seconds.
    Slow(u32),
    /// Changes the tracked file `bun.lock`, each time.
    RewritesLockfile,
    /// Writes this many bytes into `node_modules`.
    Writes(u64),
}

impl Install {
    /// The command line of the process that an install that hangs waits for.
    pub const HANGS: &'static str = "sleep 86401";
    /// The command line of the process that such an install has in a session of its own.
    pub const HANGS_SETSID: &'static str = "sleep 86402";
}

/// A commit to be made: a whole tree.
#[derive(Debug, Clone, Default)]
pub struct Release {
    pub(super) label: String,
    pub(super) serve: Serve,
    pub(super) install: Install,
    pub(super) files: Vec<(String, String)>,
    pub(super) many: u32,
    pub(super) filtered: u32,
    pub(super) submodule: Option<String>,
}

impl Release {
    /// A good one, whose /version answers `label`.
    pub fn good(label: &str) -> Self {
        assert!(!label.contains(['\n', '=', '"', '\\']), "not a label: {label:?}");
        Self { label: label.to_owned(), ..Self::default() }
    }

    /// With a service that behaves so.
    #[must_use]
    pub fn serve(self, serve: Serve) -> Self {
        Self { serve, ..self }
    }

    /// With an install that behaves so.
    #[must_use]
    pub fn install(self, install: Install) -> Self {
        Self { install, ..self }
    }

    /// With one more tracked file, or another text in one of the service's own.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// With this many more tracked files under `big/`, whose text differs from label to label.
    #[must_use]
    pub fn many_files(self, many: u32) -> Self {
        Self { many, ..self }
    }

    /// With this many tracked files under `slow/`, whose text differs from label to label and that git checks out
    /// slowly on a host where `Host::slow_checkout` was called.
    #[must_use]
    pub fn slow_files(self, filtered: u32) -> Self {
        Self { filtered, ..self }
    }

    /// With the submodule `vendor/sub` at a commit that `Origin::submodule_commit` gave.
    #[must_use]
    pub fn submodule(self, commit: &str) -> Self {
        Self { submodule: Some(commit.to_owned()), ..self }
    }

    /// The tracked file that says how this commit behaves.
    pub(super) fn describe(&self) -> String {
        let (serve, serve_seconds) = match self.serve {
            Serve::Good => ("good", 0),
            Serve::ExitsAtOnce => ("exits", 0),
            Serve::Deaf => ("deaf", 0),
            Serve::Sick => ("sick", 0),
            Serve::SickAfter(s) => ("sick-after", s),
            Serve::SlowHealth(s) => ("slow-health", s),
            Serve::DiesAfter(s) => ("dies", s),
            Serve::SlowStop(s) => ("slow-stop", s),
            Serve::NeverReady => ("never-ready", 0),
        };
        let (install, seconds, bytes) = match self.install {
            Install::Good => ("good", 0, 0),
            Install::Fails => ("fails", 0, 0),
            Install::Hangs => ("hangs", 0, 0),
            Install::HangsSetsid => ("hangs-setsid", 0, 0),
            Install::Slow(s) => ("slow", s, 0),
            Install::RewritesLockfile => ("rewrites", 0, 0),
            Install::Writes(b) => ("writes", 0, b),
        };
        format!(
            "label={}\nserve={serve}\nserve_seconds={serve_seconds}\ninstall={install}\ninstall_seconds={seconds}\n\
             install_bytes={bytes}\n",
            self.label
        )
    }
}
