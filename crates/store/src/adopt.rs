//! Opens a record whose hosts are rows of a table of another program, and adds to that table what it lacks.

use std::sync::Arc;

use crate::adopted::{Adopted, Columns};
use crate::conn::Conn;
use crate::db::{Store, Write};
use crate::error::{Cause, StoreError};
use crate::open::{DOING, Place, connect_file, parse};
use crate::texts::Texts;
use crate::{layout, postgres};

impl Store {
    /// Opens a record whose hosts are rows of a table of another program.
    ///
    /// # Errors
    /// As [`Store::open`]; [`Cause::Table`] when the table is not as it was described, [`Cause::NotAdopted`] before
    /// [`Store::adopt`].
    pub async fn open_adopted(url: &str, adopted: &Adopted) -> Result<Self, StoreError> {
        let (mut store, mut conn, columns) = beside(url, adopted).await?;
        let unusable = |cause: Cause| store.unusable(DOING, cause);
        let missing = adopted.missing(&columns, conn.is_postgres());
        let found = layout::check(&mut conn, store.waits).await;
        if !missing.is_empty() || found == Ok(layout::Layout::Behind(0)) {
            return Err(unusable(Cause::NotAdopted { table: adopted.table.to_string() }));
        }
        match layout::bring_up(&mut conn, store.waits).await {
            Ok(layout::Layout::Behind(before)) => store.layout_before = before,
            Ok(layout::Layout::Same) => {}
            Err(why @ Cause::Newer { .. }) => store.read_only = Some(Arc::new(why)),
            Err(why) => return Err(unusable(why)),
        }
        drop(conn);
        Ok(store)
    }

    /// The statements that [`Store::adopt`] would run; nothing is written.
    ///
    /// # Errors
    /// As [`Store::open_adopted`].
    pub async fn plan_adoption(url: &str, adopted: &Adopted) -> Result<Vec<String>, StoreError> {
        let (store, mut conn, columns) = beside(url, adopted).await?;
        let found = layout::check(&mut conn, store.waits).await;
        let found = found.map_err(|cause| store.unusable(DOING, cause))?;
        let mut statements = adopted.missing(&columns, conn.is_postgres());
        statements.extend(layout::statements(&conn, found));
        Ok(statements)
    }

    /// Adds to the table what it lacks of the five columns, and makes the tables that Uphaul keeps beside it; all or
    /// nothing. Answers what was run.
    ///
    /// # Errors
    /// As [`Store::open_adopted`].
    pub async fn adopt(url: &str, adopted: &Adopted) -> Result<Vec<String>, StoreError> {
        const DOING: &str = "adopt the table";
        let statements = Self::plan_adoption(url, adopted).await?;
        let (store, mut conn, columns) = beside(url, adopted).await?;
        let missing = adopted.missing(&columns, conn.is_postgres());
        let told = |error: sqlx::Error| store.told(DOING, error);
        let begin = if conn.is_postgres() { postgres::BEGIN } else { "BEGIN IMMEDIATE" };
        conn.run(begin.to_owned()).await.map_err(told)?;
        let mut write = Write::of(conn);
        for statement in missing {
            write.conn().run(statement).await.map_err(told)?;
        }
        let ready = layout::in_transaction(write.conn(), store.waits).await;
        ready.map_err(|cause| store.unusable(DOING, cause))?;
        store.end(DOING, write, Ok(())).await?;
        store.close().await;
        Ok(statements)
    }
}

/// Connects to a database of another program, and sees that its table is as it was described.
async fn beside(url: &str, adopted: &Adopted) -> Result<(Store, Conn, Columns), StoreError> {
    let mut store = match parse(url)? {
        Place::Server(url) => postgres::connect(&url).await?,
        Place::Memory => return Err(StoreError::Url("a database in memory has no table to adopt".into())),
        Place::File(path) => connect_file(&path).await?,
    };
    let mut conn = store.conn().await.map_err(|error| store.told(DOING, error))?;
    let columns = adopted.describe(&mut conn).await.map_err(|fault| store.told(DOING, fault))?;
    let postgres = conn.is_postgres();
    adopted.check(&columns, postgres).map_err(|cause| store.unusable(DOING, cause))?;
    store.texts = Texts::adopted(adopted, &columns, postgres);
    conn.texts = store.texts.clone();
    Ok((store, conn, columns))
}
