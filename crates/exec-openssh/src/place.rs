//! The private folder that holds control sockets, logs and configurations while Uphaul runs.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use uphaul_core::ports::ExecError;

use crate::local;

const PREFIX: &str = "uphaul-ssh-";
/// A socket's address has at most 108 bytes (104 on some systems), and ssh first binds a name that is 17 longer.
const SOCKET_MAX: usize = 104 - 1 - 17;
/// How long the names of the files in it may be: a number and `.sock`.
const FILE_MAX: usize = 16;
/// How many folders that others left behind are looked at when a new one is made.
const SWEEP_MAX: usize = 200;

/// A folder that only this user may enter. Removed with the last session.
#[derive(Debug)]
pub(crate) struct Place {
    dir: TempDir,
    next: AtomicU64,
    /// Locked as long as this process lives; so the next one can tell what is left over from what is in use.
    _lock: File,
}

impl Place {
    pub(crate) fn new() -> Result<Self, ExecError> {
        let mut refused = Vec::new();
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        for base in runtime.into_iter().chain([std::env::temp_dir(), PathBuf::from("/tmp")]) {
            match Self::within(&base) {
                Ok(place) => {
                    sweep(&base, place.dir.path());
                    return Ok(place);
                }
                Err(why) => refused.push(format!("{}: {why}", base.display())),
            }
        }
        Err(local(format!(
            "no folder can be made for ssh's control sockets ({}): set TMPDIR to a writable folder with a short name",
            refused.join("; ")
        )))
    }

    fn within(base: &Path) -> Result<Self, String> {
        // ssh reads `%` in the path of a socket, and its log messages end at a line.
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
        let text = base.to_str().filter(|text| text.starts_with('/') && text.chars().all(plain));
        let text = text.ok_or("not a plain absolute path")?;
        if text.len() + 1 + PREFIX.len() + 6 + 1 + FILE_MAX > SOCKET_MAX {
            return Err("too long for a socket's address".into());
        }
        let dir = tempfile::Builder::new()
            .prefix(PREFIX)
            .rand_bytes(6)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(base)
            .map_err(|error| error.to_string())?;
        let lock = locked(dir.path()).map_err(|error| format!("cannot lock in it: {error}"))?;
        Ok(Self { dir, next: AtomicU64::new(0), _lock: lock })
    }

    /// The files of a new session.
    pub(crate) fn files(&self) -> Files {
        let base = self.dir.path().join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        Files {
            socket: base.with_extension("sock"),
            log: base.with_extension("log"),
            config: base.with_extension("conf"),
            pinned: base.with_extension("pinned"),
        }
    }
}

/// The files of one session; removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Files {
    /// The control socket.
    pub(crate) socket: PathBuf,
    /// What ssh, and the ssh of a jump host, say.
    pub(crate) log: PathBuf,
    /// The configuration.
    pub(crate) config: PathBuf,
    /// A known_hosts with the one key that is pinned, if one is.
    pub(crate) pinned: PathBuf,
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in [&self.socket, &self.log, &self.config, &self.pinned] {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A lock file in the folder. It gets its name once it is locked, so nobody sees it free while its owner lives.
fn locked(dir: &Path) -> std::io::Result<File> {
    let file = File::create(dir.join("lock.new"))?;
    file.lock()?;
    std::fs::rename(dir.join("lock.new"), dir.join("lock"))?;
    Ok(file)
}

/// Removes the folders of processes that were killed. What cannot be removed is left to the next time.
fn sweep(base: &Path, own: &Path) {
    let Ok(uid) = std::fs::metadata(own).map(|data| data.uid()) else { return };
    let Ok(entries) = std::fs::read_dir(base) else { return };
    let ours = |path: &Path| {
        let name_fits = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        name_fits && std::fs::symlink_metadata(path).is_ok_and(|data| data.is_dir() && data.uid() == uid)
    };
    let folders = entries.flatten().map(|entry| entry.path()).filter(|path| path != own && ours(path));
    for folder in folders.take(SWEEP_MAX) {
        if let Ok(lock) = File::open(folder.join("lock"))
            && lock.try_lock().is_ok()
        {
            let _ = std::fs::remove_dir_all(&folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Place, sweep};

    #[test]
    fn a_folder_is_private_and_short() {
        use std::os::unix::fs::PermissionsExt;
        let place = Place::new().unwrap();
        let mode = std::fs::metadata(place.dir.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(place.files().socket.as_os_str().len() <= super::SOCKET_MAX);
        assert_ne!(place.files().socket, place.files().socket);
    }

    #[test]
    fn folders_that_ssh_cannot_name_are_refused() {
        let base = tempfile::tempdir().unwrap();
        let long = base.path().join("x".repeat(70));
        for bad in ["relative", "/tmp/with blank", "/tmp/100%", long.to_str().unwrap()] {
            assert!(Place::within(Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_dead_left_is_swept_and_the_living_are_not() {
        let base = tempfile::Builder::new().prefix("b").tempdir_in("/tmp").unwrap();
        let living = Place::within(base.path()).unwrap();
        let dead = Place::within(base.path()).unwrap();
        let left = dead.dir.path().to_owned();
        let Place { dir, _lock, .. } = dead;
        let kept = dir.keep();
        drop(_lock);
        let strange = base.path().join("uphaul-ssh-other");
        std::fs::create_dir(&strange).unwrap();
        let own = Place::within(base.path()).unwrap();
        sweep(base.path(), own.dir.path());
        assert_eq!(kept, left);
        assert!(!left.exists());
        assert!(living.dir.path().exists() && own.dir.path().exists() && strange.exists());
    }
}
