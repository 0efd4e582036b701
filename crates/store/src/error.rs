//! What goes wrong with the record, for the person who has to act.

use std::time::Duration;

use uphaul_core::ids::{HostName, InvalidName, RunId};

use crate::lease::LeaseRow;

/// Why something could not be read from the record or written to it. Nothing was written then, except where a
/// variant says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The URL names no database that this build can open. It is not repeated: it may hold a password.
    #[error("database url: {0}")]
    Url(String),
    /// The database as a whole cannot be used.
    #[error("cannot {doing}: {place} {cause}")]
    Unusable {
        /// Where it is, without a password.
        place: String,
        /// What was tried.
        doing: &'static str,
        /// Why it did not work, and what to do next.
        cause: Cause,
    },
    /// Hosts of these names are there already.
    #[error("already in the record: {}; choose other names, or change them by `uphaul hosts edit`", names(.0))]
    HostExists(Vec<HostName>),
    /// These names were given more than once.
    #[error("given more than once: {}; keep one of each", names(.0))]
    GivenTwice(Vec<HostName>),
    /// There is no host of this name.
    #[error("there is no host {0} in the record; `uphaul hosts list` shows those that are")]
    NoSuchHost(HostName),
    /// Something about this host cannot be.
    #[error("host {host}: {why}")]
    InvalidHost {
        /// The host.
        host: HostName,
        /// What is wrong with it.
        why: InvalidName,
    },
    /// There would be more of them than the record takes.
    #[error("the record takes at most {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many it takes.
        max: usize,
    },
    /// The host has a run that is not finished.
    #[error("{host} has the run {run}, which is not finished; bring it to its end first: `uphaul resume`")]
    UnfinishedRun {
        /// The host.
        host: HostName,
        /// Its run.
        run: RunId,
    },
    /// Somebody drives the host.
    #[error("{0}; wait for it to end, or stop it")]
    Held(Box<LeaseRow>),
    /// The caller no longer holds the host, or never did.
    #[error("{}", lease_lost(.host, .by.as_deref()))]
    LeaseLost {
        /// The host.
        host: HostName,
        /// Who holds it now, if anybody does.
        by: Option<Box<LeaseRow>>,
    },
    /// The run is not one that can be created.
    #[error("the run {run} cannot be created: {why}")]
    BadRun {
        /// The run.
        run: RunId,
        /// What is wrong with it.
        why: String,
    },
    /// The record does not take this.
    #[error("{what} cannot be written: {why}")]
    Unwritable {
        /// What it is.
        what: String,
        /// Why, and what to do next.
        why: String,
    },
    /// The hosts are rows of another program.
    #[error(
        "cannot {doing}: the hosts are rows of the table that database.subscriptions names, and belong to the program \
         that keeps it; do it there"
    )]
    NotOurs {
        /// What was tried.
        doing: &'static str,
    },
    /// No copy was made.
    #[error("the record was not copied into {file}: {why}")]
    Backup {
        /// Where to.
        file: String,
        /// Why, and what to do next.
        why: String,
    },
    /// The record has something that this version of Uphaul cannot read.
    #[error("{place}: {what} cannot be read: {why}")]
    Unreadable {
        /// Where the record is.
        place: String,
        /// What it is.
        what: String,
        /// Why, and what to do next.
        why: String,
    },
}

/// Why a database cannot be used, and what to do next; reads after where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The file is of another kind.
    #[error("is not an SQLite database; it was left as it is. Give another path, or move the file away")]
    NotADatabase,
    /// The path names a folder.
    #[error("is a folder. Give the path of a file in it")]
    IsAFolder,
    /// The path names a symbolic link to nothing.
    #[error("is a link that leads nowhere. Remove it, or make what it leads to")]
    DanglingLink,
    /// The database is of another program.
    #[error(
        "is a database of another program (it has the table {table}); it was left as it is. Give another path"
    )]
    Foreign {
        /// One of its tables.
        table: String,
    },
    /// The database is of a newer version of Uphaul.
    #[error(
        "was written by a newer Uphaul (its layout is {found}, this one knows {known}); it was left as it is. \
         Install that version or a later one; this one can only read it"
    )]
    Newer {
        /// The number of its last migration.
        found: i64,
        /// The number of the last migration in this build.
        known: i64,
    },
    /// A migration ran there that had the same number and another text.
    #[error(
        "was laid out by another build of Uphaul (its migration {version} differs); it was left as it is. \
         Use the build that made it"
    )]
    Differs {
        /// The migration.
        version: i64,
    },
    /// A migration did not work.
    #[error("could not be brought to layout {version} ({detail}); it was left as it is")]
    Migration {
        /// The migration.
        version: i64,
        /// What the database said.
        detail: String,
    },
    /// It can be read and not written.
    #[error(
        "is read-only. Uphaul writes what it does before it does it: make the file and its folder writable"
    )]
    ReadOnly,
    /// It can be read, and nothing can be made in its folder.
    #[error(
        "is read-only: nothing may be made in its folder. Uphaul writes what it does before it does it: make the \
         folder writable"
    )]
    NothingBeside,
    /// The user may not open it.
    #[error(
        "may not be opened by this user ({detail}). Run as its owner, or change the permissions of {path}"
    )]
    NoPermission {
        /// What the permissions of must change.
        path: String,
        /// What is missing.
        detail: String,
    },
    /// The folder is not there and cannot be made, or no file can be made in it.
    #[error(
        "cannot be created in {folder}: {detail}. Make that a folder that this user can write to, or give \
         another path"
    )]
    Folder {
        /// The folder.
        folder: String,
        /// What the system said.
        detail: String,
    },
    /// Another process holds it.
    #[error(
        "is locked by another program; waited {}. Try again, or end what holds it open \
         (`fuser -v FILE` shows it)",
        seconds(*.waited)
    )]
    Locked {
        /// How long was waited.
        waited: Duration,
    },
    /// This process itself writes so much that one write did not get its turn.
    #[error("is busy with other writes of this process; waited {}. Try again with less at once", seconds(*.waited))]
    Busy {
        /// How long was waited.
        waited: Duration,
    },
    /// There is no room.
    #[error("has no room to grow (the disk is full). Make room, then try again: nothing was lost")]
    Full,
    /// The disk or its file system did not do what it was asked.
    #[error(
        "could not be read or written ({detail}). Look at the disk that it lies on (room, quota, the kernel's log), then \
         try again: nothing was lost"
    )]
    Disk {
        /// What the database said.
        detail: String,
    },
    /// The server ended what it was asked before it was done.
    #[error(
        "gave up what it was asked ({detail}). Try again; look at statement_timeout and \
         idle_in_transaction_session_timeout of this user, and at who cancels its statements"
    )]
    GivenUp {
        /// What it said.
        detail: String,
    },
    /// Its pages contradict each other.
    #[error("is damaged ({detail}). Copy it away before anything else, then restore a backup")]
    Damaged {
        /// What the database said.
        detail: String,
    },
    /// The file system lacks what is needed to write safely from several processes.
    #[error("lies on a file system without shared memory (NFS, for example). Give a path on a local disk")]
    NoSharedMemory,
    /// The server does not answer, or not yet.
    #[error("is away ({detail}). Look whether the server runs and can be reached from here")]
    Away {
        /// What came instead of an answer.
        detail: String,
    },
    /// The server does not know the user, or not by this password.
    #[error(
        "refused the login ({detail}). Check user and password: the URL, PGPASSWORD, or ~/.pgpass (only for you: \
         chmod 600)"
    )]
    Login {
        /// What it said.
        detail: String,
    },
    /// The server has no database of this name.
    #[error("is not there ({detail}). Create it: createdb NAME, or CREATE DATABASE")]
    NoDatabase {
        /// What it said.
        detail: String,
    },
    /// The user may not do that in this database.
    #[error(
        "does not let this user do that ({detail}). GRANT the right, or let the owner of the database run \
         `uphaul db migrate`"
    )]
    Forbidden {
        /// What it said.
        detail: String,
    },
    /// No safe connection could be made.
    #[error("could not be reached safely ({detail}). Check sslmode and sslrootcert in the URL")]
    Tls {
        /// What was wrong.
        detail: String,
    },
    /// The server takes no writes.
    #[error("is read-only (a standby, or set so). Give the URL of the primary")]
    Standby,
    /// The server has no room.
    #[error("has no room to grow ({detail}). Make room on the server, then try again: nothing was lost")]
    FullServer {
        /// What it said.
        detail: String,
    },
    /// Another transaction holds a row for too long.
    #[error(
        "has a row that another program holds; waited {}. Try again, or end that transaction (pg_stat_activity \
         shows it)",
        seconds(*.waited)
    )]
    LockedRows {
        /// How long was waited.
        waited: Duration,
    },
    /// The table of another program is not as it was described.
    #[error("has no table that serves: {table}: {detail}")]
    Table {
        /// The table.
        table: String,
        /// What is wrong with it, and what to do next.
        detail: String,
    },
    /// The table of another program lacks the columns, or Uphaul its own tables beside it.
    #[error(
        "has the table {table}, which Uphaul does not keep versions in yet. Look at what it would add, then add it: \
         `uphaul db adopt --plan`, `uphaul db adopt`"
    )]
    NotAdopted {
        /// The table.
        table: String,
    },
    /// Another transaction was in the way, again and again.
    #[error("had other transactions in the way again and again ({detail}). Try again with less at once")]
    Conflict {
        /// What it said.
        detail: String,
    },
    /// The store was closed.
    #[error("was closed by this process")]
    Closed,
    /// Anything else, in the words of the database.
    #[error("answered: {detail}")]
    Other {
        /// Its words.
        detail: String,
    },
}

impl Cause {
    /// Whether it may pass without a change of the configuration: it is worth waiting for somebody to mend it.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Away { .. }
            | Self::Locked { .. }
            | Self::LockedRows { .. }
            | Self::Conflict { .. }
            | Self::Busy { .. }
            | Self::Full
            | Self::FullServer { .. }
            // A quota that is used up is told so, too.
            | Self::Disk { .. }
            | Self::GivenUp { .. }
            // A server that has just become the standby, and its successor is not known yet.
            | Self::Standby => true,
            Self::NotADatabase
            | Self::IsAFolder
            | Self::DanglingLink
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Differs { .. }
            | Self::Migration { .. }
            | Self::ReadOnly
            | Self::NothingBeside
            | Self::NoPermission { .. }
            | Self::Folder { .. }
            | Self::Damaged { .. }
            | Self::NoSharedMemory
            | Self::Login { .. }
            | Self::NoDatabase { .. }
            | Self::Forbidden { .. }
            | Self::Tls { .. }
            | Self::Table { .. }
            | Self::NotAdopted { .. }
            | Self::Closed
            | Self::Other { .. } => false,
        }
    }
}

/// How many names a message shows; the rest is counted.
const NAMES_SHOWN: usize = 10;

fn names(hosts: &[HostName]) -> String {
    let shown: Vec<&str> = hosts.iter().take(NAMES_SHOWN).map(HostName::as_str).collect();
    match hosts.len().saturating_sub(NAMES_SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn seconds(time: Duration) -> String {
    if time.subsec_millis() == 0 {
        return format!("{} s", time.as_secs());
    }
    format!("{} ms", time.as_millis())
}

fn lease_lost(host: &HostName, by: Option<&LeaseRow>) -> String {
    match by {
        Some(row) => format!("{row}; this process does not hold it any more"),
        None => format!("{host} is not held by this process any more, nor by another; take it again"),
    }
}
