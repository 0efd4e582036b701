//! What the process was started with: environment, folder, home. Read once, so that everything else is a function of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The environment variables that are Uphaul's begin with this.
pub(crate) const PREFIX: &str = "UPHAUL_";

/// What the process was started with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// The environment; variables that are not UTF-8 are left out, but see `not_text`.
    pub(crate) vars: BTreeMap<String, String>,
    /// Names of `UPHAUL_` variables whose value is not UTF-8.
    pub(crate) not_text: Vec<String>,
    /// The folder that relative paths start from.
    pub(crate) cwd: PathBuf,
}

impl Surroundings {
    /// Reads those of this process.
    pub(crate) fn of_process() -> Self {
        let mut all = Self { cwd: std::env::current_dir().unwrap_or_default(), ..Self::default() };
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => {
                    all.vars.insert(name, value);
                }
                Err(_) if name.starts_with(PREFIX) => all.not_text.push(name),
                Err(_) => {}
            }
        }
        all
    }

    /// The variable, unless it is unset or empty.
    pub(crate) fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The home folder.
    pub(crate) fn home(&self) -> Option<&Path> {
        self.var("HOME").map(Path::new)
    }

    /// A folder of the XDG base directory specification: the variable where it is absolute (the specification says
    /// to ignore it otherwise), else the folder below home.
    pub(crate) fn xdg(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let set = self.var(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        set.or_else(|| self.home().map(|home| home.join(below_home)))
    }

    /// The path with `~/` as the home folder, and a relative one below `base`.
    pub(crate) fn absolute(&self, path: &str, base: &Path) -> Result<PathBuf, String> {
        let path = match path.strip_prefix('~') {
            Some("") => self.home().map(Path::to_path_buf),
            Some(rest) if rest.starts_with('/') => self.home().map(|home| home.join(&rest[1..])),
            Some(_) => return Err(format!("{path:?}: only `~/` is known, not the home of another user")),
            None => Some(base.join(path)),
        };
        path.ok_or_else(|| "`~` cannot be used: HOME is not set".to_owned())
    }
}
