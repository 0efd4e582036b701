//! Leases: one driver a host.
//!
//! A lease is never lost by time alone. It goes to another when the holder's process is seen to be dead, or when
//! somebody has watched it stand still for its whole length; both are a compare-and-swap on (token, beat). A holder
//! that was stopped and wakes finds at its next write that its token is gone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uphaul_core::ids::HostName;
use uphaul_core::ports::LeaseToken;

use crate::db::{Conn, Dialect, Fault, Store};
use crate::error::StoreError;
use crate::lease::{LeaseRow, Owner};
use crate::{rows, sql};

/// How often a host is asked for when it changes hands between looking and taking; then whoever was seen last holds it.
const TRIES_MAX: u32 = 8;
/// How many heartbeats are written at once, so that transitions of other hosts get between them.
const BEATS_AT_ONCE: usize = 500;

impl Store {
    /// Takes a host, if it is free or `gone` says that the process of its holder is dead (that is then taken over).
    /// Otherwise answers who holds it. `length` is how long an observer must see the lease stand still.
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
            let mut write = self.begin(DOING).await?;
            let taken = take(write.conn(), host, owner, length).await;
            let row = match self.end(DOING, write, taken).await? {
                Ok(token) => return Ok(Ok(token)),
                Err(row) => row,
            };
            // Looked at outside of the transaction: it may be slow, and the swap notices what changed meanwhile.
            if !gone(&row) {
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
        let mut write = self.begin(DOING).await?;
        let done = swap(write.conn(), seen, owner, length).await;
        self.end(DOING, write, done).await
    }

    /// Says that the holder of these leases lives, and answers those that it has lost.
    ///
    /// # Errors
    /// The database cannot be written; some of the heartbeats may have been.
    pub async fn heartbeat(&self, tokens: &[LeaseToken], at_us: i64) -> Result<Vec<LeaseToken>, StoreError> {
        const DOING: &str = "renew leases";
        let mut lost = Vec::new();
        for some in tokens.chunks(BEATS_AT_ONCE) {
            let mut write = self.begin(DOING).await?;
            let done = beat_all(write.conn(), some, at_us).await;
            lost.extend(self.end(DOING, write, done).await?);
        }
        Ok(lost)
    }

    /// Gives a host back. One that was lost already is no error.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn release(&self, lease: &LeaseToken) -> Result<(), StoreError> {
        const DOING: &str = "give a host back";
        let mut write = self.begin(DOING).await?;
        let query = sqlx::query::<Dialect>(sql::RELEASE).bind(lease.host.as_str()).bind(&lease.token);
        let done = query.execute(write.conn()).await.map(drop).map_err(Fault::Sql);
        self.end(DOING, write, done).await
    }

    /// Who holds a host.
    ///
    /// # Errors
    /// The database cannot be read, or the row makes no sense.
    pub async fn lease_of(&self, host: &HostName) -> Result<Option<LeaseRow>, StoreError> {
        const DOING: &str = "read who holds a host";
        let mut conn = self.read(DOING).await?;
        find(&mut conn, host).await.map_err(|fault| self.told(DOING, fault))
    }

    /// All leases, by host. At most one a host.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn leases(&self) -> Result<Vec<LeaseRow>, StoreError> {
        const DOING: &str = "read who holds which host";
        let mut conn = self.read(DOING).await?;
        let found = sqlx::query::<Dialect>(sql::LEASES).fetch_all(&mut *conn).await;
        let found = found.map_err(|error| self.told(DOING, error))?;
        let leases: Result<_, Fault> = found.iter().map(rows::lease).collect();
        leases.map_err(|fault| self.told(DOING, fault))
    }
}

/// The time of day, to be shown and for nothing else. Before 1970 it is 0.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) async fn find(conn: &mut Conn, host: &HostName) -> Result<Option<LeaseRow>, Fault> {
    let row = sqlx::query::<Dialect>(sql::LEASE).bind(host.as_str()).fetch_optional(conn).await?;
    row.as_ref().map(rows::lease).transpose()
}

/// Renews a lease; false where it is lost. What is written after it in the same transaction is written while it holds.
async fn beat(conn: &mut Conn, lease: &LeaseToken, at_us: i64) -> Result<bool, Fault> {
    let query = sqlx::query::<Dialect>(sql::BEAT).bind(lease.host.as_str()).bind(&lease.token).bind(at_us);
    Ok(query.execute(conn).await?.rows_affected() == 1)
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

async fn take(
    conn: &mut Conn,
    host: &HostName,
    owner: &Owner,
    length: Duration,
) -> Result<Result<LeaseToken, LeaseRow>, Fault> {
    // A host that is held is there, so only a free one need be looked for.
    if let Some(row) = find(conn, host).await? {
        return Ok(Err(row));
    }
    let known = sqlx::query::<Dialect>(sql::HOST).bind(host.as_str()).fetch_optional(&mut *conn).await?;
    if known.is_none() {
        return Err(StoreError::NoSuchHost(host.clone()).into());
    }
    let new = NewLease::of(host, owner, length)?;
    let taken = new.bind(sql::TAKE).execute(&mut *conn).await?;
    if taken.rows_affected() == 1 {
        return Ok(Ok(new.token));
    }
    // Only a database that lets two write at once comes here.
    let row = find(conn, host).await?;
    row.map(Err).ok_or_else(|| StoreError::LeaseLost { host: host.clone(), by: None }.into())
}

async fn swap(
    conn: &mut Conn,
    seen: &LeaseRow,
    owner: &Owner,
    length: Duration,
) -> Result<Option<LeaseToken>, Fault> {
    let new = NewLease::of(&seen.token.host, owner, length)?;
    let query = new.bind(sql::TAKE_OVER).bind(&seen.token.token).bind(seen.beat);
    let taken = query.execute(conn).await?.rows_affected() == 1;
    Ok(taken.then_some(new.token))
}

/// A lease that is about to be written.
struct NewLease<'a> {
    token: LeaseToken,
    owner: &'a Owner,
    length_us: i64,
    at_us: i64,
}

type Query<'q> = sqlx::query::Query<'q, Dialect, <Dialect as sqlx::Database>::Arguments>;

impl<'a> NewLease<'a> {
    fn of(host: &HostName, owner: &'a Owner, length: Duration) -> Result<Self, Fault> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).map_err(|why| Fault::Unreadable {
            what: "the random numbers of this system".into(),
            why: why.to_string(),
        })?;
        let token = LeaseToken { host: host.clone(), token: format!("{:032x}", u128::from_be_bytes(bytes)) };
        let length_us = i64::try_from(length.as_micros()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        Ok(Self { token, owner, length_us, at_us: now_us() })
    }

    /// Binds `$1` to `$12` of both ways to take a host.
    fn bind(&self, text: &'static str) -> Query<'_> {
        let owner = self.owner;
        sqlx::query::<Dialect>(text)
            .bind(self.token.host.as_str())
            .bind(&self.token.token)
            .bind(&owner.user)
            .bind(&owner.machine)
            .bind(i64::from(owner.pid))
            .bind(i64::try_from(owner.pid_started).unwrap_or(i64::MAX))
            .bind(&owner.boot_id)
            .bind(&owner.machine_id)
            .bind(&owner.pid_namespace)
            .bind(self.length_us)
            .bind(self.at_us)
            .bind(self.at_us.saturating_add(self.length_us))
    }
}
