//! Who drives a host.

use std::fmt;
use std::time::{Duration, Instant};

use uphaul_core::ids::HostName;
use uphaul_core::ports::LeaseToken;

/// A process that may drive hosts, in enough words to tell later whether it is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The user it runs as.
    pub user: String,
    /// The name of its machine.
    pub machine: String,
    /// Its process id.
    pub pid: u32,
    /// When it was started, in clock ticks since its machine was (tells it from a later process of the same id); 0
    /// where that cannot be read.
    pub pid_started: u64,
    /// Changes with each start of its machine; empty where that cannot be read.
    pub boot_id: String,
    /// Tells machines of one name apart; empty where that cannot be read.
    pub machine_id: String,
    /// The namespace that its process id belongs to; empty where that cannot be read.
    pub pid_namespace: String,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{} (process {})", self.user, self.machine, self.pid)
    }
}

/// A lease, as the record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRow {
    /// The host and the token of this taking.
    pub token: LeaseToken,
    /// Who holds it.
    pub owner: Owner,
    /// Counts what the holder has written: heartbeats and transitions. One who watches it stand still for the
    /// lease's length, on a clock of its own that nobody sets, may take the host over.
    pub beat: i64,
    /// How long an observer must watch, in microseconds.
    pub length_us: i64,
    /// When it was taken, in microseconds since 1970; only shown.
    pub taken_at_us: i64,
    /// When the holder was last heard of, in microseconds since 1970; only shown.
    pub heartbeat_us: i64,
    /// When it was last expected to be renewed by, in microseconds since 1970; only shown.
    pub expires_at_us: i64,
    /// Nothing was heard of the holder for the lease's length, by the clock of the database itself. Postgres has one
    /// that is the same for all who use it; SQLite has none, and never says so: there somebody has to watch, see
    /// [`Watch`].
    pub expired: bool,
}

impl LeaseRow {
    /// The host.
    pub fn host(&self) -> &HostName {
        &self.token.host
    }
}

impl fmt::Display for LeaseRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is held by {}", self.token.host, self.owner)
    }
}

/// Somebody who watches a lease of which no clock can tell whether it has expired. The holder has lost it when nothing
/// was written under it for its whole length, on the watcher's own monotonic clock: nobody sets that one, and no clock
/// of another machine is asked.
#[derive(Debug, Clone)]
pub struct Watch {
    seen: LeaseRow,
    since: Instant,
}

/// What watching has shown so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// Nothing was written, and it may still be.
    Still,
    /// The holder writes, or has given the host back.
    Moved,
    /// Nothing was written for the whole length.
    Expired,
}

impl Watch {
    /// Begins to watch `seen`, which was just read.
    pub fn new(seen: LeaseRow, now: Instant) -> Self {
        Self { seen, since: now }
    }

    /// Looks at what was read at `now`. A lease that the database itself calls expired needs no watching.
    pub fn look(&self, row: Option<&LeaseRow>, now: Instant) -> Watched {
        let Some(row) = row else { return Watched::Moved };
        if (&row.token, row.beat) != (&self.seen.token, self.seen.beat) {
            return Watched::Moved;
        }
        let length = Duration::from_micros(u64::try_from(self.seen.length_us).unwrap_or_default());
        if row.expired || now.saturating_duration_since(self.since) >= length {
            return Watched::Expired;
        }
        Watched::Still
    }

    /// The lease as it was when the watch began; taking it over is refused when anything was written since.
    pub fn seen(&self) -> &LeaseRow {
        &self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(beat: i64, heartbeat_us: i64) -> LeaseRow {
        let owner = Owner {
            user: "ana".into(),
            machine: "desk".into(),
            pid: 7,
            pid_started: 11,
            boot_id: "boot".into(),
            machine_id: "machine".into(),
            pid_namespace: "pid:[1]".into(),
        };
        LeaseRow {
            token: LeaseToken { host: "web-1".parse().unwrap(), token: "t".into() },
            owner,
            beat,
            length_us: 30_000_000,
            taken_at_us: 0,
            heartbeat_us,
            expires_at_us: heartbeat_us + 30_000_000,
            expired: false,
        }
    }

    const HOUR_US: i64 = 3_600_000_000;

    /// The clocks of holder and watcher are injected: neither the hour that the holder's was set back nor the one that
    /// the watcher's was is looked at.
    #[test]
    fn a_holder_whose_clock_is_set_back_an_hour_loses_nothing() {
        let began = Instant::now();
        let watch = Watch::new(row(7, 2 * HOUR_US), began);
        // It beats; by its own clock that was an hour ago.
        let now = began + Duration::from_secs(29);
        assert_eq!(watch.look(Some(&row(8, HOUR_US)), now), Watched::Moved);
        assert_eq!(watch.look(Some(&row(8, HOUR_US)), now + Duration::from_secs(3600)), Watched::Moved);
    }

    #[test]
    fn a_lease_that_stands_still_expires_after_its_length_and_not_before() {
        let began = Instant::now();
        // By the wall clock it expired long ago: that is not asked.
        let watch = Watch::new(row(7, 0), began);
        let after = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(watch.look(Some(&row(7, 0)), began), Watched::Still);
        assert_eq!(watch.look(Some(&row(7, 0)), after(29)), Watched::Still);
        assert_eq!(watch.look(Some(&row(7, 0)), after(30)), Watched::Expired);
        assert_eq!(watch.look(None, after(30)), Watched::Moved);
        let mut another = row(7, 0);
        another.token.token = "u".into();
        assert_eq!(watch.look(Some(&another), after(30)), Watched::Moved);
    }

    #[test]
    fn what_the_database_calls_expired_is() {
        let began = Instant::now();
        let watch = Watch::new(row(7, 0), began);
        assert_eq!(watch.look(Some(&LeaseRow { expired: true, ..row(7, 0) }), began), Watched::Expired);
    }
}
