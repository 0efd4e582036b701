//! Leases: one driver a host.
//!
//! A lease is never lost by time alone. It goes to another when the holder's process is seen to be dead, or when
//! somebody has watched it stand still for its whole length; both are a compare-and-swap on (token, beat). A holder
//! that was stopped and wakes finds at its next write that its token is gone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uphaul_core::ids::HostName;
use uphaul_core::ports::LeaseToken;

use crate::conn::{Conn, Query, query};
use crate::db::{Fault, Store};
use crate::error::StoreError;
use crate::lease::{LeaseRow, Owner};
use crate::patience::{read, write};
use crate::{hosts, rows, sql};

/// How often a host is asked for when it changes hands between looking and taking; then whoever was seen last holds it.
const TRIES_MAX: u32 = 8;
/// How many heartbeats are written at once, so that transitions of other hosts get between them.
const BEATS_AT_ONCE: usize = 500;

impl Store {
    /// Takes a host, if it is free, or `gone` says that the process of its holder is dead, or the database itself that its
    /// lease has expired (that is then taken over). Otherwise answers who holds it. `length` is how long an observer must see the lease stand still.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHost`], or the database cannot be written.
    pub async fn acquire(
        &self,
        host: &HostName,
        owner: &Owner,
        length: Duration,
        gone: &(dyn Fn(&LeaseRow) -> bool + Sync),
    ) -> Result<Result<LeaseToken, LeaseRow>, StoreError> {
        const DOING: &str = "take a host";
        for left in (0..TRIES_MAX).rev() {
            let token = new_token(host).map_err(|fault| self.told(DOING, fault))?;
            let taken = write!(self, DOING, |conn| take(conn, &token, owner, length))?;
            let row = match taken {
                Ok(()) => return Ok(Ok(token)),
                Err(row) => row,
            };
            // Looked at outside of the transaction: it may be slow, and the swap notices what changed meanwhile.
            if !row.expired && !gone(&row) {
                return Ok(Err(row));
            }
            if let Some(token) = self.take_over(&row, owner, length).await? {
                return Ok(Ok(token));
            }
            if left == 0 {
                return Ok(Err(row));
            }
        }
        Err(StoreError::TooMany { what: "tries to take a host", max: TRIES_MAX as usize })
    }

    /// Takes a host from the holder of `seen`, unless anything was written under that lease since, or it ended. For one
    /// who watched `seen` stand still for its length on a clock that nobody sets, or was told to by a person.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn take_over(
        &self,
        seen: &LeaseRow,
        owner: &Owner,
        length: Duration,
    ) -> Result<Option<LeaseToken>, StoreError> {
        const DOING: &str = "take a host over";
        let token = new_token(&seen.token.host).map_err(|fault| self.told(DOING, fault))?;
        let taken = write!(self, DOING, |conn| swap(conn, seen, &token, owner, length))?;
        Ok(taken.then_some(token))
    }

    /// Says that the holder of these leases lives, and answers those that it has lost.
    ///
    /// # Errors
    /// The database cannot be written; some of the heartbeats may have been.
    pub async fn heartbeat(&self, tokens: &[LeaseToken], at_us: i64) -> Result<Vec<LeaseToken>, StoreError> {
        const DOING: &str = "renew leases";
        let mut lost = Vec::new();
        // In one order: two who renew leases of the same hosts wait for each other, and not in a circle.
        let mut tokens = tokens.to_vec();
        tokens.sort_by(|a, b| a.host.cmp(&b.host));
        for some in tokens.chunks(BEATS_AT_ONCE) {
            lost.extend(write!(self, DOING, |conn| beat_all(conn, some, at_us))?);
        }
        Ok(lost)
    }

    /// Gives a host back. One that was lost already is no error.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn release(&self, lease: &LeaseToken) -> Result<(), StoreError> {
        const DOING: &str = "give a host back";
        write!(self, DOING, |conn| async {
            let query = query(sql::RELEASE).bind(lease.host.as_str()).bind(&lease.token);
            query.execute(conn).await?;
            Ok(())
        })
    }

    /// Who holds a host.
    ///
    /// # Errors
    /// The database cannot be read, or the row makes no sense.
    pub async fn lease_of(&self, host: &HostName) -> Result<Option<LeaseRow>, StoreError> {
        const DOING: &str = "read who holds a host";
        read!(self, DOING, |conn| find(conn, host))
    }

    /// All leases, by host. At most one a host.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn leases(&self) -> Result<Vec<LeaseRow>, StoreError> {
        const DOING: &str = "read who holds which host";
        read!(self, DOING, |conn| all(conn))
    }
}

/// The time of day, to be shown and for nothing else. Before 1970 it is 0.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) async fn find(conn: &mut Conn, host: &HostName) -> Result<Option<LeaseRow>, Fault> {
    let row = query(sql::LEASE).bind(host.as_str()).fetch_optional(conn).await?;
    row.as_ref().map(rows::lease).transpose()
}

/// Renews a lease; false where it is lost. What is written after it in the same transaction is written while it holds.
async fn beat(conn: &mut Conn, lease: &LeaseToken, at_us: i64) -> Result<bool, Fault> {
    let query = query(sql::BEAT).bind(lease.host.as_str()).bind(&lease.token).bind(at_us);
    Ok(query.execute(conn).await? == 1)
}

/// Renews all of these, and answers those that are lost.
async fn beat_all(conn: &mut Conn, leases: &[LeaseToken], at_us: i64) -> Result<Vec<LeaseToken>, Fault> {
    let mut lost = Vec::new();
    for lease in leases {
        if !beat(conn, lease, at_us).await? {
            lost.push(lease.clone());
        }
    }
    Ok(lost)
}

/// Renews a lease, or says who has it.
pub(crate) async fn hold(conn: &mut Conn, lease: &LeaseToken, at_us: i64) -> Result<(), Fault> {
    if beat(conn, lease, at_us).await? {
        return Ok(());
    }
    let by = find(conn, &lease.host).await?.map(Box::new);
    Err(StoreError::LeaseLost { host: lease.host.clone(), by }.into())
}

/// Takes a free host under this token, or answers who has it.
async fn take(
    conn: &mut Conn,
    token: &LeaseToken,
    owner: &Owner,
    length: Duration,
) -> Result<Result<(), LeaseRow>, Fault> {
    let host = &token.host;
    for _ in 0..TRIES_MAX {
        // A host that is held is there, so only a free one need be looked for.
        if let Some(row) = find(conn, host).await? {
            // Taken by the try before this one, whose answer was lost.
            return Ok(if row.token == *token { Ok(()) } else { Err(row) });
        }
        hosts::existing(conn, host).await?;
        hosts::pin(conn, host).await?;
        match taking(sql::TAKE, token, owner, length, now(conn).await?).execute(conn).await {
            Ok(1) => return Ok(Ok(())),
            // Somebody else was faster: only a database that lets two write at once comes here, and round again.
            Ok(_) => {}
            Err(error) if is_gone(&error) => return Err(StoreError::NoSuchHost(host.clone()).into()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::TooMany { what: "tries to take a host", max: TRIES_MAX as usize }.into())
}

/// The host was removed while its lease was being written.
fn is_gone(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|answer| answer.is_foreign_key_violation())
}

/// Whether the host is held under this token now.
async fn swap(
    conn: &mut Conn,
    seen: &LeaseRow,
    token: &LeaseToken,
    owner: &Owner,
    length: Duration,
) -> Result<bool, Fault> {
    let query = taking(sql::TAKE_OVER, token, owner, length, now(conn).await?);
    if query.bind(&seen.token.token).bind(seen.beat).execute(conn).await? == 1 {
        return Ok(true);
    }
    // Taken by the try before this one, whose answer was lost.
    Ok(find(conn, &token.host).await?.is_some_and(|row| row.token == *token))
}

async fn all(conn: &mut Conn) -> Result<Vec<LeaseRow>, Fault> {
    query(sql::LEASES).fetch_all(conn).await?.iter().map(rows::lease).collect()
}

/// The time that leases are written with: of the server where there is one.
async fn now(conn: &mut Conn) -> Result<i64, Fault> {
    if conn.is_postgres() { Ok(query(sql::NOW).fetch_one(conn).await?.number("now")?) } else { Ok(now_us()) }
}

/// A token that nobody has had.
fn new_token(host: &HostName) -> Result<LeaseToken, Fault> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|why| Fault::Unreadable {
        what: "the random numbers of this system".into(),
        why: why.to_string(),
    })?;
    Ok(LeaseToken { host: host.clone(), token: format!("{:032x}", u128::from_be_bytes(bytes)) })
}

/// `$1` to `$12` of both ways to take a host.
fn taking(text: &'static str, token: &LeaseToken, owner: &Owner, length: Duration, at_us: i64) -> Query {
    let length_us = i64::try_from(length.as_micros()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    query(text)
        .bind(token.host.as_str())
        .bind(&token.token)
        .bind(&owner.user)
        .bind(&owner.machine)
        .bind(i64::from(owner.pid))
        .bind(i64::try_from(owner.pid_started).unwrap_or(i64::MAX))
        .bind(&owner.boot_id)
        .bind(&owner.machine_id)
        .bind(&owner.pid_namespace)
        .bind(length_us)
        .bind(at_us)
        .bind(at_us.saturating_add(length_us))
}
