//! Reads rows into types, and says which value makes no sense.

use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uphaul_core::ids::{HostName, RunId, Seq};
use uphaul_core::plan::PLAN_VERSION;
use uphaul_core::ports::{LeaseToken, RunRecord};

use crate::conn::Row;
use crate::db::Fault;
use crate::error::StoreError;
use crate::evidence::StoredEvidence;
use crate::host::{Host, check_address, check_port};
use crate::lease::{LeaseRow, Owner};
use crate::run::{StoredEvent, StoredRun};

/// A column, and whose it is.
struct Reader<'a> {
    row: &'a Row,
    of: String,
}

impl Reader<'_> {
    fn bad(&self, column: &str, why: impl ToString) -> Fault {
        Fault::Unreadable { what: format!("{column} of {}", self.of), why: why.to_string() }
    }

    fn text(&self, column: &str) -> Result<String, Fault> {
        Ok(self.row.text(column)?)
    }

    fn name<T: FromStr<Err: ToString>>(&self, column: &str) -> Result<T, Fault> {
        self.text(column)?.parse().map_err(|why: T::Err| self.bad(column, why))
    }

    fn name_opt<T: FromStr<Err: ToString>>(&self, column: &str) -> Result<Option<T>, Fault> {
        let text = self.row.text_opt(column)?;
        text.map(|text| text.parse().map_err(|why: T::Err| self.bad(column, why))).transpose()
    }

    fn number<T: TryFrom<i64, Error: ToString>>(&self, column: &str) -> Result<T, Fault> {
        let number = self.row.number(column)?;
        T::try_from(number).map_err(|why| self.bad(column, why.to_string()))
    }

    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, Fault> {
        serde_json::from_str(&self.text(column)?).map_err(|why| self.bad(column, why))
    }
}

/// A value as JSON. Everything that is stored can be written as JSON; if one day it cannot, nothing is written.
pub(crate) fn to_json<T: Serialize>(what: &str, value: &T) -> Result<String, Fault> {
    serde_json::to_string(value)
        .map_err(|why| StoreError::Unwritable { what: what.to_owned(), why: why.to_string() }.into())
}

pub(crate) fn host(row: &Row) -> Result<Host, Fault> {
    let name: HostName = Reader { row, of: "a host".into() }.name("name")?;
    let read = Reader { row, of: format!("host {name}") };
    let port = row.number_opt("port")?.map(u16::try_from).transpose().map_err(|why| read.bad("port", why))?;
    // Rows of another program's table were never checked, and an address may not be read as an option of ssh.
    let address = read.text("address")?;
    check_address(&address).and_then(|()| check_port(port)).map_err(|why| read.bad("address", why))?;
    Ok(Host {
        address,
        port,
        user: read.name_opt("login_user")?,
        host_key: read.name_opt("host_key")?,
        labels: read.json("labels")?,
        settings: read.json("settings")?,
        current_version: read.name_opt("current_version")?,
        target_version: read.name_opt("target_version")?,
        update_status: row.text_opt("update_status")?,
        previous_version: read.name_opt("previous_version")?,
        last_update_at_us: row.number_opt("last_update_at")?,
        proved_at_us: row.number_opt("proved_at")?,
        name,
    })
}

pub(crate) fn run(row: &Row) -> Result<StoredRun, Fault> {
    let read = Reader { row, of: format!("run {}", row.text("id")?) };
    let version = row.number("plan_version")?;
    let newer = |fault| match fault {
        Fault::Unreadable { what, .. } if version > i64::from(PLAN_VERSION) => {
            let why = format!(
                "a newer Uphaul wrote it (plan version {version}, this one knows {PLAN_VERSION}); install that one"
            );
            Fault::Unreadable { what, why }
        }
        Fault::Unreadable { .. } | Fault::Sql(_) | Fault::Store(_) => fault,
    };
    let record = RunRecord {
        id: read.name("id")?,
        host: read.name("host")?,
        plan: read.json("plan").map_err(newer)?,
        seq: Seq(read.number("seq")?),
        state: read.json("state").map_err(newer)?,
    };
    Ok(StoredRun {
        record,
        requested_by: read.text("requested_by")?,
        started_at_us: row.number("started_at")?,
        finished_at_us: row.number_opt("finished_at")?,
    })
}

pub(crate) fn event(row: &Row) -> Result<StoredEvent, Fault> {
    let read = Reader { row, of: format!("transition {}", row.number("seq")?) };
    Ok(StoredEvent {
        seq: Seq(read.number("seq")?),
        at_us: row.number("at")?,
        input: read.json("input")?,
        state: read.json("state")?,
        proved: read.name_opt("proved")?,
    })
}

pub(crate) fn evidence(run: &RunId, row: &Row) -> Result<StoredEvidence, Fault> {
    let read = Reader { row, of: format!("the evidence of run {run}, transition {}", row.number("seq")?) };
    Ok(StoredEvidence {
        seq: Seq(read.number("seq")?),
        at_us: row.number("at")?,
        evidence: read.json("seen")?,
    })
}

pub(crate) fn lease(row: &Row) -> Result<LeaseRow, Fault> {
    let read = Reader { row, of: "a lease".into() };
    let owner = Owner {
        user: read.text("owner_user")?,
        machine: read.text("owner_machine")?,
        pid: read.number("owner_pid")?,
        pid_started: read.number("owner_pid_started")?,
        boot_id: read.text("owner_boot_id")?,
        machine_id: read.text("owner_machine_id")?,
        pid_namespace: read.text("owner_pid_namespace")?,
    };
    Ok(LeaseRow {
        token: LeaseToken { host: read.name("host")?, token: read.text("token")? },
        owner,
        beat: row.number("beat")?,
        length_us: row.number("length")?,
        taken_at_us: row.number("taken_at")?,
        heartbeat_us: row.number("heartbeat_at")?,
        expires_at_us: row.number("expires_at")?,
        expired: row.number("expired")? != 0,
    })
}
