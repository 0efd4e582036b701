//! The table of hosts.

use std::collections::BTreeSet;

use uphaul_core::ids::{HostName, Revision};

use crate::conn::{Conn, query};
use crate::db::{Fault, Store};
use crate::error::StoreError;
use crate::host::{Host, HostEdit, Imported, NewHost, Observed};
use crate::patience::{read, write};
use crate::{HOSTS_MAX, journal, leases, rows, runs, sql};

/// The word of a host that was seen to run something else than the record said.
pub(crate) const DRIFTED: &str = "drifted";

impl Store {
    /// Adds hosts, all or none of them. `at_us` is kept as the time of their creation.
    ///
    /// # Errors
    /// [`StoreError::HostExists`] with all names that are there already, [`StoreError::GivenTwice`],
    /// [`StoreError::InvalidHost`], [`StoreError::TooMany`] past [`HOSTS_MAX`].
    pub async fn add_hosts(&self, hosts: &[NewHost], at_us: i64) -> Result<(), StoreError> {
        const DOING: &str = "add hosts";
        self.check_ours(DOING)?;
        check_all(hosts)?;
        write!(self, DOING, |conn| add(conn, hosts, at_us))
    }

    /// Adds the hosts that are not there, and gives the others this address, port, user and these labels. All or
    /// none. Settings and versions of a known host stay, and its pinned key where none is given.
    ///
    /// # Errors
    /// As [`Store::add_hosts`], without [`StoreError::HostExists`].
    pub async fn import_hosts(&self, hosts: &[NewHost], at_us: i64) -> Result<Imported, StoreError> {
        const DOING: &str = "import hosts";
        self.check_ours(DOING)?;
        check_all(hosts)?;
        write!(self, DOING, |conn| import(conn, hosts, at_us))
    }

    /// The host of this name. In a table of another program, where no row has the name any more: the row that its unfinished
    /// run keeps to.
    ///
    /// # Errors
    /// The database cannot be read, or the row makes no sense.
    pub async fn host(&self, name: &HostName) -> Result<Option<Host>, StoreError> {
        const DOING: &str = "read a host";
        read!(self, DOING, |conn| find(conn, name))
    }

    /// All hosts, by name.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        const DOING: &str = "read the hosts";
        read!(self, DOING, |conn| all(conn))
    }

    /// Changes a host, and answers what it is now. Allowed while a run is under way: that run keeps the plan it has.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHost`], [`StoreError::InvalidHost`].
    pub async fn edit_host(&self, name: &HostName, edit: &HostEdit) -> Result<Host, StoreError> {
        const DOING: &str = "change a host";
        if edit.address.is_some() || edit.port.is_some() || edit.user.is_some() {
            self.check_ours("change how a host is reached")?;
        }
        write!(self, DOING, |conn| change(conn, name, edit))
    }

    /// Takes a host out of the record; its history stays. With `force` also one with an unfinished run or a lease:
    /// the run ends as `superseded`, saying so, and whoever drives it finds at its next transition that it has lost the
    /// host, and leaves it as it is then.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHost`]; without `force` [`StoreError::Held`] and [`StoreError::UnfinishedRun`].
    pub async fn remove_host(&self, name: &HostName, force: bool) -> Result<(), StoreError> {
        const DOING: &str = "remove a host";
        self.check_ours(DOING)?;
        write!(self, DOING, |conn| remove(conn, name, force))
    }

    /// Records that the host was proved to run `seen`, outside of any run. When the record said something else, the
    /// host's status becomes `drifted`. While a run is not finished nothing is written, see [`Observed::in_run`].
    ///
    /// # Errors
    /// [`StoreError::NoSuchHost`].
    pub async fn observe(
        &self,
        host: &HostName,
        seen: &Revision,
        at_us: i64,
    ) -> Result<Observed, StoreError> {
        const DOING: &str = "record what a host runs";
        write!(self, DOING, |conn| observe(conn, host, seen, at_us))
    }
}

fn check_all(hosts: &[NewHost]) -> Result<(), StoreError> {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&HostName> =
        hosts.iter().map(|host| &host.name).filter(|name| !seen.insert(*name)).collect();
    if !twice.is_empty() {
        return Err(StoreError::GivenTwice(twice.into_iter().cloned().collect()));
    }
    for host in hosts {
        host.check().map_err(|why| StoreError::InvalidHost { host: host.name.clone(), why })?;
    }
    Ok(())
}

/// Whether the host was added; false where the name is taken.
async fn insert(conn: &mut Conn, host: &NewHost, at_us: i64) -> Result<bool, Fault> {
    let done = query(sql::ADD_HOST)
        .bind(host.name.as_str())
        .bind(&host.address)
        .bind(host.port.map(i64::from))
        .bind(host.user.as_ref().map(|user| user.as_str()))
        .bind(rows::to_json("labels", &host.labels)?)
        .bind(rows::to_json("settings", &host.settings)?)
        .bind(at_us)
        .bind(host.host_key.as_ref().map(|key| key.as_str()))
        .execute(conn)
        .await?;
    Ok(done == 1)
}

async fn check_count(conn: &mut Conn) -> Result<(), Fault> {
    let hosts: i64 = query(sql::COUNT_HOSTS).fetch_one(conn).await?.number("hosts")?;
    if usize::try_from(hosts).is_ok_and(|hosts| hosts <= HOSTS_MAX) {
        return Ok(());
    }
    Err(StoreError::TooMany { what: "hosts", max: HOSTS_MAX }.into())
}

/// In one order, whoever adds them: two who add the same hosts at once then wait for each other, and not in a circle.
fn in_order(hosts: &[NewHost]) -> Vec<&NewHost> {
    let mut ordered: Vec<&NewHost> = hosts.iter().collect();
    ordered.sort_by(|a, b| a.name.cmp(&b.name));
    ordered
}

async fn add(conn: &mut Conn, hosts: &[NewHost], at_us: i64) -> Result<(), Fault> {
    let mut taken = Vec::new();
    for host in in_order(hosts) {
        if !insert(conn, host, at_us).await? {
            taken.push(host.name.clone());
        }
    }
    if !taken.is_empty() {
        return Err(StoreError::HostExists(taken).into());
    }
    check_count(conn).await
}

async fn import(conn: &mut Conn, hosts: &[NewHost], at_us: i64) -> Result<Imported, Fault> {
    let mut done = Imported::default();
    for new in in_order(hosts) {
        if insert(conn, new, at_us).await? {
            done.added += 1;
            continue;
        }
        lock(conn, &new.name).await?;
        let old = existing(conn, &new.name).await?;
        let mut host = old.clone();
        host.address.clone_from(&new.address);
        host.port = new.port;
        host.user.clone_from(&new.user);
        host.labels.clone_from(&new.labels);
        if new.host_key.is_some() {
            host.host_key.clone_from(&new.host_key);
        }
        if host == old {
            done.unchanged += 1;
        } else {
            update(conn, &host).await?;
            done.changed += 1;
        }
    }
    check_count(conn).await?;
    Ok(done)
}

async fn find(conn: &mut Conn, name: &HostName) -> Result<Option<Host>, Fault> {
    let rows = query(sql::HOST).bind(name.as_str()).fetch_all(conn).await?;
    match rows.as_slice() {
        [] => pinned(conn, name).await,
        [row] => rows::host(row).map(Some),
        _ => Err(twice(name)),
    }
}

/// The row that an unfinished run keeps to, where nothing is called that any more: renamed, or left out by the condition.
async fn pinned(conn: &mut Conn, name: &HostName) -> Result<Option<Host>, Fault> {
    if !conn.texts.adopted {
        return Ok(None);
    }
    let row = query(sql::PINNED_HOST).bind(name.as_str()).fetch_optional(conn).await?;
    row.as_ref().map(rows::host).transpose()
}

async fn all(conn: &mut Conn) -> Result<Vec<Host>, Fault> {
    let hosts: Vec<Host> =
        query(sql::HOSTS).fetch_all(conn).await?.iter().map(rows::host).collect::<Result<_, _>>()?;
    match hosts.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(twice(&pair[0].name)),
        None => Ok(hosts),
    }
}

/// Only a table of another program can have a name twice.
fn twice(name: &HostName) -> Fault {
    Fault::Unreadable { what: format!("host {name}"), why: "several rows have this name".into() }
}

/// Where the hosts are rows of another program's table: notes which row is meant, and makes what stands beside it.
pub(crate) async fn pin(conn: &mut Conn, name: &HostName) -> Result<(), Fault> {
    if !conn.texts.adopted {
        return Ok(());
    }
    let pinned = query(sql::PIN).bind(name.as_str()).bind(leases::now_us()).execute(conn).await?;
    if pinned == 1 {
        return Ok(());
    }
    // Nobody has the name now: the run goes on with its row.
    if query(sql::HOST).bind(name.as_str()).fetch_all(conn).await?.is_empty() {
        return Ok(());
    }
    let why =
        "another row has its name now, in the middle of a run; give the name back until the run has ended";
    Err(StoreError::Unwritable { what: format!("host {name}"), why: why.into() }.into())
}

/// Holds the row until the transaction ends: what is read of it now stays true.
async fn lock(conn: &mut Conn, name: &HostName) -> Result<(), Fault> {
    if conn.is_postgres() {
        query(sql::LOCK_HOST).bind(name.as_str()).fetch_optional(conn).await?;
    }
    Ok(())
}

pub(crate) async fn existing(conn: &mut Conn, name: &HostName) -> Result<Host, Fault> {
    find(conn, name).await?.ok_or_else(|| StoreError::NoSuchHost(name.clone()).into())
}

async fn update(conn: &mut Conn, host: &Host) -> Result<(), Fault> {
    query(sql::EDIT_HOST)
        .bind(host.name.as_str())
        .bind(&host.address)
        .bind(host.port.map(i64::from))
        .bind(host.user.as_ref().map(|user| user.as_str()))
        .bind(rows::to_json("labels", &host.labels)?)
        .bind(rows::to_json("settings", &host.settings)?)
        .bind(host.host_key.as_ref().map(|key| key.as_str()))
        .execute(conn)
        .await?;
    Ok(())
}

async fn change(conn: &mut Conn, name: &HostName, edit: &HostEdit) -> Result<Host, Fault> {
    existing(conn, name).await?;
    pin(conn, name).await?;
    lock(conn, name).await?;
    let host = existing(conn, name).await?;
    let host = host.edited(edit).map_err(|why| StoreError::InvalidHost { host: name.clone(), why })?;
    update(conn, &host).await?;
    Ok(host)
}

async fn remove(conn: &mut Conn, name: &HostName, force: bool) -> Result<(), Fault> {
    if conn.is_postgres() {
        query(sql::LOCK_LEASE).bind(name.as_str()).fetch_optional(conn).await?;
    }
    existing(conn, name).await?;
    if force {
        if let Some(run) = runs::unfinished_of(conn, name).await? {
            journal::end_without_host(conn, run.record).await?;
        }
    } else {
        if let Some(row) = leases::find(conn, name).await? {
            return Err(StoreError::Held(Box::new(row)).into());
        }
        if let Some(run) = runs::unfinished_id_of(conn, name).await? {
            return Err(StoreError::UnfinishedRun { host: name.clone(), run }.into());
        }
    }
    // The lease goes with the row.
    query(sql::REMOVE_HOST).bind(name.as_str()).execute(conn).await?;
    Ok(())
}

async fn observe(conn: &mut Conn, name: &HostName, seen: &Revision, at_us: i64) -> Result<Observed, Fault> {
    existing(conn, name).await?;
    pin(conn, name).await?;
    lock(conn, name).await?;
    let recorded = existing(conn, name).await?.current_version;
    let in_run = runs::unfinished_id_of(conn, name).await?;
    if in_run.is_none() {
        let drifted = recorded.as_ref().is_some_and(|recorded| recorded != seen);
        query(sql::OBSERVE)
            .bind(name.as_str())
            .bind(seen.as_str())
            .bind(at_us)
            .bind(drifted.then_some(DRIFTED))
            .execute(conn)
            .await?;
        if conn.texts.adopted {
            query(sql::PROVED).bind(name.as_str()).bind(at_us).execute(conn).await?;
        }
    }
    Ok(Observed { recorded, in_run })
}
