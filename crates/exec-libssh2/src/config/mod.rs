//! ssh_config, for what people have in it. What cannot be done here and would change where or how we connect is an error
//! that names the backend openssh; it is never passed over.

pub(crate) mod options;
pub(crate) mod pattern;
pub(crate) mod tokens;
mod words;

use std::path::{Path, PathBuf};

use options::{Applied, Options};
use words::Line;

/// How deep files may include files, as in OpenSSH.
const DEPTH_MAX: usize = 16;
/// The most that one file may have.
const FILE_MAX: u64 = 4 * 1024 * 1024;
/// How many files may be read for one host.
const FILES_MAX: usize = 1024;

/// Where the configuration is.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// The one in the stead of the two below, as `ssh -F` has it.
    pub(crate) own: Option<PathBuf>,
    /// The user's home folder.
    pub(crate) home: PathBuf,
    /// The system's own folder, `/etc/ssh`.
    pub(crate) system: PathBuf,
    /// The user that runs Uphaul.
    pub(crate) local_user: String,
}

/// Reads the configuration for a host that the user calls `name`. What `given` has set counts before the files.
///
/// # Errors
/// The place and what is wrong there, or cannot be done.
pub(crate) fn read(files: &Files, name: &str, given: Options) -> Result<Options, String> {
    let mut reading = Reading {
        files,
        name,
        host: name.to_owned(),
        options: given,
        last: false,
        wants_last: false,
        read: 0,
    };
    reading.all()?;
    if reading.wants_last {
        // `Match final`: once more, with the name that was found, over what is set already.
        reading.last = true;
        reading.host = tokens::host_name(reading.options.hostname.as_deref(), name)?;
        reading.all()?;
    }
    Ok(reading.options)
}

struct Reading<'a> {
    files: &'a Files,
    /// What the user calls it.
    name: &'a str,
    /// What the patterns of `Host` are compared with.
    host: String,
    options: Options,
    last: bool,
    wants_last: bool,
    read: usize,
}

impl Reading<'_> {
    fn all(&mut self) -> Result<(), String> {
        let user_folder = self.files.home.join(".ssh");
        match &self.files.own {
            Some(own) => self.file(own, &user_folder, true, true, 0),
            None => {
                self.file(&user_folder.join("config"), &user_folder, false, true, 0)?;
                let system = self.files.system.clone();
                self.file(&system.join("ssh_config"), &system, false, true, 0)
            }
        }
    }

    /// Reads a file. `folder`: where what it includes by a relative name lies. `must`: it has to be there.
    fn file(
        &mut self,
        path: &Path,
        folder: &Path,
        must: bool,
        active: bool,
        depth: usize,
    ) -> Result<(), String> {
        let Some(text) = text_of(path, must)? else { return Ok(()) };
        self.read += 1;
        if self.read > FILES_MAX {
            return Err(format!("{}: more than {FILES_MAX} files of ssh_config", path.display()));
        }
        let mut active = active;
        let allowed = active;
        for (i, line) in text.lines().enumerate() {
            let told = |why: String| format!("{}:{}: {why}", path.display(), i + 1);
            let Some(line) = words::line(i + 1, line).map_err(told)? else { continue };
            match line.keyword.as_str() {
                "host" | "include" if line.args.iter().all(String::is_empty) => {
                    return Err(told(format!("{} has no value", line.keyword)));
                }
                "host" => {
                    active = allowed && pattern::words(line.args.iter().map(String::as_str), &self.host);
                }
                "match" => active = allowed && self.matches(&line).map_err(told)?,
                "include" if active => self.include(&line, path, folder, depth)?,
                _ if active => self.apply(&line).map_err(told)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn apply(&mut self, line: &Line) -> Result<(), String> {
        match self.options.apply(line) {
            Applied::Done => Ok(()),
            Applied::Wrong(why) => Err(why),
            Applied::Cannot(what) => Err(cannot(what)),
        }
    }

    fn include(&mut self, line: &Line, path: &Path, folder: &Path, depth: usize) -> Result<(), String> {
        let told = |why: String| format!("{}:{}: {why}", path.display(), line.number);
        if depth >= DEPTH_MAX {
            return Err(told(format!("files include files more than {DEPTH_MAX} deep")));
        }
        for arg in &line.args {
            let expanded = tokens::path(arg, &self.files.home).map_err(told)?;
            let wanted = folder.join(expanded);
            let wanted = wanted.to_str().ok_or_else(|| told("a name that is not UTF-8".into()))?;
            let found = glob::glob_with(&as_a_shell(wanted), AS_A_SHELL)
                .or_else(|_| glob::glob(&glob::Pattern::escape(wanted)));
            for file in found.into_iter().flatten().flatten() {
                self.file(&file, folder, false, true, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Whether all criteria of a `Match` are met. One that cannot be told is an error only where the others are met.
    fn matches(&mut self, line: &Line) -> Result<bool, String> {
        let mut args = line.args.iter();
        let mut met = true;
        let mut any = false;
        while let Some(word) = args.next() {
            // As in `Match final = host web1`.
            if any && word == "=" {
                continue;
            }
            any = true;
            let (not, criterion) = word.strip_prefix('!').map_or((false, word.as_str()), |rest| (true, rest));
            // `host=web*` is one word as well, and there may be blanks around.
            let (criterion, inside) = match criterion.split_once('=') {
                Some((criterion, value)) => {
                    (criterion, Some(value.to_owned()).filter(|text| !text.is_empty()))
                }
                None => (criterion, None),
            };
            let criterion = criterion.to_lowercase();
            let is = match criterion.as_str() {
                "all" => true,
                "canonical" => self.last,
                "final" => {
                    self.wants_last = true;
                    self.last
                }
                _ => {
                    let mut value =
                        || args.next().map(|word| word.strip_prefix('=').unwrap_or(word).to_owned());
                    let value = inside.or_else(|| value().filter(|text| !text.is_empty()).or_else(value));
                    let value = value.ok_or_else(|| format!("Match {criterion} has no value"))?;
                    if met { self.meets(&criterion, &value)? } else { false }
                }
            };
            met &= is != not;
        }
        if any { Ok(met) } else { Err("Match has no criterion".into()) }
    }

    fn meets(&self, criterion: &str, value: &str) -> Result<bool, String> {
        let local = self.files.local_user.as_str();
        match criterion {
            "host" => {
                let host = tokens::host_name(self.options.hostname.as_deref(), &self.host)?;
                Ok(pattern::list(value, &host))
            }
            "originalhost" => Ok(pattern::list(value, self.name)),
            "user" => Ok(pattern::words(value.split(','), self.options.user.as_deref().unwrap_or(local))),
            "localuser" => Ok(pattern::words(value.split(','), local)),
            "exec" | "localnetwork" | "tagged" | "command" | "version" | "sessiontype" => {
                Err(cannot(&format!("Match {criterion}")))
            }
            _ => Err(format!("Match has no criterion {criterion}")),
        }
    }
}

/// Names that begin with a dot are only meant where the dot is written.
const AS_A_SHELL: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// A pattern of a shell as one of the crate, which has a meaning of its own for two stars, and none for `\\`.
fn as_a_shell(pattern: &str) -> String {
    let mut text = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next().map(|c| glob::Pattern::escape(c.encode_utf8(&mut [0; 4])))),
            '*' if text.ends_with('*') => {}
            c => text.push(c),
        }
    }
    text
}

pub(crate) fn cannot(what: &str) -> String {
    format!(
        "the backend libssh2 cannot do {what}; the backend openssh can (`executor.backend = \"openssh\"`)"
    )
}

fn text_of(path: &Path, must: bool) -> Result<Option<String>, String> {
    let told = |why: String| Err(format!("the ssh_config {} cannot be read: {why}", path.display()));
    match std::fs::metadata(path) {
        Ok(data) if data.is_file() && data.len() > FILE_MAX => {
            return told(format!("it has more than {FILE_MAX} bytes"));
        }
        // As ssh: there is nothing to read in it.
        Ok(data) if data.is_dir() && !must => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must => return Ok(None),
        Err(error) => return told(error.to_string()),
    }
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) => told(error.to_string()),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
