//! Looks at a record without changing it: for who asks whether all is well, and for a shell that completes words.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row, SqliteConnection};

use crate::adopted::Adopted;
use crate::db::Store;
use crate::error::StoreError;
use crate::open::{Place, parse};
use crate::{HOSTS_MAX, layout, postgres};

/// How new a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glance {
    /// There is none yet, and one can be made.
    Absent,
    /// It is empty or of an older Uphaul; whoever opens it brings it up.
    Behind {
        /// The number of its last migration, 0 if it has none.
        layout: i64,
        /// The number of the last one of this build.
        known: i64,
    },
    /// It is of this build or of a newer one; [`Store::open`] tells what is wrong with it, if anything is.
    Same {
        /// The number of its last migration.
        layout: i64,
    },
}

/// The number of the last migration that this build has.
pub fn layout_known() -> i64 {
    layout::known()
}

impl Store {
    /// Says how new a file is. Nothing is made, brought up or written.
    ///
    /// # Errors
    /// [`StoreError::Url`]: it cannot be looked at, or there is none and no folder for it.
    pub async fn glance(path: &Path) -> Result<Glance, StoreError> {
        if !path.exists() {
            return folder_of(path).map(|()| Glance::Absent);
        }
        let known = layout::known();
        let Ok(mut conn) = SqliteConnection::connect_with(&reading(path)).await else {
            // Opening it says why, and writes nothing before it has looked.
            return Ok(Glance::Same { layout: known });
        };
        let layout =
            sqlx::query_scalar("SELECT MAX(version) FROM uphaul_migrations").fetch_one(&mut conn).await;
        let tables: Result<i64, _> =
            sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_schema").fetch_one(&mut conn).await;
        let _unimportant = conn.close().await;
        Ok(match (layout, tables) {
            (Ok(layout), _) if layout < known => Glance::Behind { layout, known },
            (Ok(layout), _) => Glance::Same { layout },
            (Err(_), Ok(0)) => Glance::Behind { layout: 0, known },
            (Err(_), _) => Glance::Same { layout: known },
        })
    }

    /// The hosts, by name, with their labels. Nothing is made, brought up or written, and nobody is waited for longer than
    /// a blink, but a server: a shell asks this while a person types.
    ///
    /// # Errors
    /// Whatever the database says, and that there is none.
    pub async fn names(
        url: &str,
        adopted: Option<&Adopted>,
    ) -> Result<Vec<(String, BTreeMap<String, String>)>, String> {
        let told = |error: sqlx::Error| error.to_string();
        let limit = i64::try_from(HOSTS_MAX).unwrap_or(i64::MAX);
        let text = match adopted {
            Some(adopted) => adopted.names(),
            None => "SELECT name, labels FROM subscriptions ORDER BY name LIMIT $1".to_owned(),
        };
        // Composed of our own words, and of names that were checked and quoted.
        let query = AssertSqlSafe(text);
        match parse(url).map_err(|error| error.to_string())? {
            Place::Memory => Err("a record in memory is nobody else's".to_owned()),
            Place::File(path) => {
                let mut conn = SqliteConnection::connect_with(&reading(&path)).await.map_err(told)?;
                let rows = sqlx::query(query).bind(limit).fetch_all(&mut conn).await.map_err(told)?;
                let _unimportant = conn.close().await;
                Ok(rows.iter().filter_map(named).collect())
            }
            Place::Server(url) => {
                let options = postgres::options(&url).map_err(|error| error.to_string())?;
                let mut conn = PgConnection::connect_with(&options).await.map_err(told)?;
                let rows = sqlx::query(query).bind(limit).fetch_all(&mut conn).await.map_err(told)?;
                let _unimportant = conn.close().await;
                Ok(rows.iter().filter_map(named).collect())
            }
        }
    }
}

/// A name and its labels; what makes no sense is left out.
fn named<'r, R: Row>(row: &'r R) -> Option<(String, BTreeMap<String, String>)>
where
    &'static str: sqlx::ColumnIndex<R>,
    String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    let (name, labels) = (row.try_get::<String, _>("name").ok()?, row.try_get::<String, _>("labels").ok()?);
    Some((name, serde_json::from_str(&labels).unwrap_or_default()))
}

fn reading(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(Duration::from_millis(200))
}

/// Whether the file could be made: the nearest folder that is there takes files.
fn folder_of(path: &Path) -> Result<(), StoreError> {
    use rustix::fs::Access;
    let folder = path.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) if folder.is_dir() => Ok(()),
        Ok(()) => Err(StoreError::Url(format!("{} is not a folder", folder.display()))),
        Err(error) => {
            Err(StoreError::Url(format!("{} cannot be made: {}: {error}", path.display(), folder.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewHost;

    #[tokio::test]
    async fn a_glance_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/uphaul.db");
        assert_eq!(Store::glance(&path).await, Ok(Glance::Absent));
        let url = format!("sqlite:{}", path.display());
        assert!(Store::names(&url, None).await.is_err());
        assert!(!path.parent().unwrap().exists());

        let store = Store::open(&url).await.unwrap();
        let labels = BTreeMap::from([("tier".to_owned(), "edge".to_owned())]);
        let host = NewHost {
            name: "web-1".parse().unwrap(),
            address: "10.0.0.1".into(),
            port: None,
            user: None,
            host_key: None,
            labels: labels.clone(),
            settings: BTreeMap::new(),
        };
        store.add_hosts(&[host], 0).await.unwrap();
        assert_eq!(Store::glance(&path).await, Ok(Glance::Same { layout: layout_known() }));
        assert_eq!(Store::names(&url, None).await.unwrap(), [("web-1".to_owned(), labels)]);
        drop(store);

        let empty = folder.path().join("empty.db");
        std::fs::write(&empty, "").unwrap();
        assert_eq!(Store::glance(&empty).await, Ok(Glance::Behind { layout: 0, known: layout_known() }));
        assert_eq!(std::fs::metadata(&empty).unwrap().len(), 0);
        let other = folder.path().join("other.db");
        std::fs::write(&other, "no database at all, but long enough to be read as one by somebody").unwrap();
        assert!(matches!(Store::glance(&other).await, Ok(Glance::Same { .. })));
        assert!(matches!(Store::glance(&other.join("below")).await, Err(StoreError::Url(_))));
    }
}
