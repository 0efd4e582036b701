//! Addresses. Each host and each origin has a slot: a number, from it a loopback address, a name and a folder, and a
//! locked file that makes it nobody else's. The lock is held by the test process and by the script that supervises the
//! host, so a slot whose lock is free has no living owner, and what lies there is what a killed one left.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{scripts, shell};

const SLOTS: u32 = 4000;

pub(super) struct Slot {
    lock: File,
    /// `uphaul-lab-N`: the container's name and its control groups'.
    pub(super) name: String,
    /// `127.1.X.Y`.
    pub(super) address: String,
    /// Removed by the script that supervises what runs here.
    pub(super) dir: PathBuf,
}

fn state() -> PathBuf {
    std::env::var_os("UPHAUL_LAB_STATE").map_or_else(|| PathBuf::from("/var/lib/uphaul-lab"), PathBuf::from)
}

fn must<T>(result: std::io::Result<T>, path: &Path) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

impl Slot {
    /// A free slot, its folder empty.
    pub(super) fn take() -> Self {
        // Start anywhere: an address that was just given back is not at once another host's.
        let seed = std::time::UNIX_EPOCH.elapsed().map_or(0, |t| t.subsec_micros());
        (0..SLOTS)
            .find_map(|i| Self::try_take((seed + i) % SLOTS))
            .unwrap_or_else(|| panic!("all {SLOTS} addresses of the lab are in use"))
    }

    fn try_take(number: u32) -> Option<Self> {
        let locks = state().join("locks");
        must(std::fs::create_dir_all(&locks), &locks);
        let path = locks.join(number.to_string());
        let lock = must(File::options().create(true).append(true).open(&path), &path);
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return None,
            Err(TryLockError::Error(error)) => panic!("{}: {error}", path.display()),
        }
        let slot = Self {
            lock,
            name: format!("uphaul-lab-{number}"),
            address: format!("127.1.{}.{}", number / 250, number % 250 + 1),
            dir: state().join(number.to_string()),
        };
        if slot.dir.exists() {
            slot.clean();
        }
        must(std::fs::create_dir_all(&slot.dir), &slot.dir);
        Some(slot)
    }

    /// A descriptor for a supervising script to keep: it holds the lock as long as the script lives.
    pub(super) fn share(&self) -> Stdio {
        Stdio::from(must(self.lock.try_clone(), &self.dir))
    }

    /// Removes what a killed supervisor left here.
    pub(super) fn clean(&self) {
        let script = scripts().join("host.sh");
        let cleaned = shell::run(
            Command::new("sh").arg(script).arg("clean").arg(&self.dir).args([&self.name, &self.address]),
        );
        if !cleaned.success() || self.dir.exists() {
            eprintln!("the lab could not clean {}: {}", self.dir.display(), cleaned.stderr);
        }
    }
}

/// Removes what killed test processes left behind, if their own supervisors could not.
pub(super) fn sweep() {
    let Ok(entries) = std::fs::read_dir(state()) else { return };
    for entry in entries.flatten() {
        let number = entry.file_name().to_str().and_then(|n| n.parse().ok());
        if let Some(slot) = number.and_then(Slot::try_take) {
            let _ = std::fs::remove_dir_all(&slot.dir);
        }
    }
}
