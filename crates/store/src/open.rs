//! Opens the record: the URL, the file and its permissions, the layout.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::Access;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqliteConnection, SqlitePool};

use crate::db::{Conn, Store, cause};
use crate::error::{Cause, StoreError};
use crate::layout;

const DOING: &str = "open the record";
/// How long another process may hold the lock before an operation gives up.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How long a write waits for its turn in this process before it gives up.
const TURN_WAIT: Duration = Duration::from_secs(30);
/// How many connections read.
const READERS: u32 = 4;
/// The log of SQLite is cut back to this many bytes once it was carried over into the database.
const WAL_BYTES: &str = "67108864";
/// How often the change to WAL is tried again while another process has the file.
const WAL_RETRY: Duration = Duration::from_millis(20);

/// Held while a file is made. When any handle of a file is closed, the system drops all locks that this process
/// has on it: nobody here may have opened the database before the handle that made it is closed.
static MAKING: Mutex<()> = Mutex::new(());

/// Where the record is.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Memory,
    File(PathBuf),
}

impl Store {
    /// Opens the record at `sqlite:PATH`, `sqlite://PATH` or `sqlite::memory:`; the path is taken as it stands. A
    /// missing file is made for this user alone, its folder as well. Its layout is brought up to this build's.
    ///
    /// # Errors
    /// [`StoreError::Url`], or [`StoreError::Unusable`] with one of [`Cause`]; nothing was written to a database that is not
    /// Uphaul's, or of a newer Uphaul.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_waiting(url, LOCK_WAIT).await
    }

    /// The same, with another wait for locks.
    pub(crate) async fn open_waiting(url: &str, lock_wait: Duration) -> Result<Self, StoreError> {
        match parse(url)? {
            Place::Memory => open_memory(lock_wait).await,
            Place::File(path) => open_file(&path, lock_wait).await,
        }
    }
}

fn parse(url: &str) -> Result<Place, StoreError> {
    let bad = |why: String| Err(StoreError::Url(why));
    // What follows the scheme is never repeated: it may hold a password.
    let Some((scheme, rest)) = url.split_once(':') else {
        return bad("it must begin with `sqlite:`, for example `sqlite:uphaul.db`".into());
    };
    match scheme {
        "sqlite" => {}
        "postgres" | "postgresql" => {
            return bad("this build has no Postgres yet; use `sqlite:PATH`".into());
        }
        _ => return bad(format!("{:?} is not known; use `sqlite:PATH`", cut(scheme))),
    }
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path == ":memory:" {
        return Ok(Place::Memory);
    }
    if path.is_empty() || path.ends_with('/') {
        return bad(format!("{:?} names no file", cut(path)));
    }
    if path.contains('\0') {
        return bad("the path has a NUL".into());
    }
    if path.contains('?') {
        return bad(format!("{:?} has a `?`; options are not understood in it", cut(path)));
    }
    if path.starts_with('~') {
        return bad(format!("`~` is not understood in {:?}; write the whole path", cut(path)));
    }
    Ok(Place::File(PathBuf::from(path)))
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A record that is being opened, for its errors.
struct Opening {
    place: String,
    lock_wait: Duration,
}

impl Opening {
    fn unusable(&self, cause: Cause) -> StoreError {
        StoreError::Unusable { place: self.place.clone(), doing: DOING, cause }
    }

    fn told(&self, error: &sqlx::Error) -> StoreError {
        self.unusable(cause(error, self.lock_wait, TURN_WAIT))
    }

    fn store(self, writer: SqlitePool, reader: SqlitePool) -> Store {
        Store { writer, reader, place: self.place, lock_wait: self.lock_wait, turn_wait: TURN_WAIT }
    }
}

async fn open_memory(lock_wait: Duration) -> Result<Store, StoreError> {
    let opening = Opening { place: "SQLite in memory".into(), lock_wait };
    // The database lives in its one connection, so that one is also read from.
    let options = with_pragmas(SqliteConnectOptions::new().in_memory(true), lock_wait);
    let pool = pool(1).connect_with(options).await.map_err(|error| opening.told(&error))?;
    let mut conn = pool.acquire().await.map_err(|error| opening.told(&error))?;
    layout::bring_up(&mut conn, lock_wait).await.map_err(|cause| opening.unusable(cause))?;
    drop(conn);
    Ok(opening.store(pool.clone(), pool))
}

async fn open_file(path: &Path, lock_wait: Duration) -> Result<Store, StoreError> {
    let path = std::path::absolute(path).map_err(|why| StoreError::Url(why.to_string()))?;
    let place = format!("SQLite file {}", path.display());
    let opening = Opening { place, lock_wait };
    make(&path).and_then(|()| check_rights(&path)).map_err(|cause| opening.unusable(cause))?;
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(false);
    let options = with_pragmas(options, lock_wait);
    let mut conn = SqliteConnection::connect_with(&options).await.map_err(|error| opening.told(&error))?;
    let ready = prepare(&mut conn, lock_wait).await;
    let closed = conn.close().await;
    ready.map_err(|cause| opening.unusable(cause))?;
    closed.map_err(|error| opening.told(&error))?;
    let writer = pool(1).connect_with(options.clone()).await.map_err(|error| opening.told(&error))?;
    let reader = pool(READERS).connect_lazy_with(options.pragma("query_only", "ON"));
    Ok(opening.store(writer, reader))
}

/// Looks before it writes anything: a database that is not ours stays as it is, to the byte.
async fn prepare(conn: &mut Conn, lock_wait: Duration) -> Result<(), Cause> {
    layout::check(conn, lock_wait).await?;
    use_wal(conn, lock_wait).await?;
    layout::bring_up(conn, lock_wait).await
}

/// SQLite does not wait for other processes when it changes to WAL, so this does.
async fn use_wal(conn: &mut Conn, lock_wait: Duration) -> Result<(), Cause> {
    let began = Instant::now();
    loop {
        let mode = sqlx::query_scalar::<_, String>("PRAGMA journal_mode = WAL").fetch_one(&mut *conn).await;
        let told = match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(Cause::NoSharedMemory),
            Err(error) => cause(&error, lock_wait, TURN_WAIT),
        };
        if !matches!(told, Cause::Locked { .. }) || began.elapsed() >= lock_wait {
            return Err(told);
        }
        tokio::time::sleep(WAL_RETRY).await;
    }
}

/// `FULL`: a transition must be on the disk before its command starts, also when this machine loses its power.
fn with_pragmas(options: SqliteConnectOptions, lock_wait: Duration) -> SqliteConnectOptions {
    options
        .busy_timeout(lock_wait)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", WAL_BYTES)
}

/// Connections stay open until the store is closed: they cost little, and one holds the database in memory.
fn pool(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(size)
        .acquire_timeout(TURN_WAIT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Makes the file where there is none, for this user alone. SQLite gives its other files the same permissions.
fn make(path: &Path) -> Result<(), Cause> {
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let no_file = |error: io::Error| {
        if error.kind() == io::ErrorKind::StorageFull {
            return Cause::Full;
        }
        Cause::Folder { folder: folder.display().to_string(), detail: plain(&error) }
    };
    match fs::symlink_metadata(path) {
        Ok(_) if path.exists() => return Ok(()),
        Ok(_) => return Err(Cause::DanglingLink),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(no_file(error)),
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(no_file)?;
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(no_file(error)),
    }
}

/// What the system said, without the number of the error.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// Asks the file system beforehand: SQLite says "unable to open" for many things, and opens what it may not write.
fn check_rights(path: &Path) -> Result<(), Cause> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let may = |path: &Path, access| rustix::fs::access(path, access).is_ok();
    let forbidden = |path: &Path, detail: &str| {
        Err(Cause::NoPermission { path: path.display().to_string(), detail: detail.to_owned() })
    };
    if path.is_dir() {
        return Err(Cause::IsAFolder);
    }
    if !may(path, Access::READ_OK) {
        return forbidden(path, "it may not be read");
    }
    if !may(path, Access::WRITE_OK) {
        return Err(Cause::ReadOnly);
    }
    if !may(folder, Access::WRITE_OK | Access::EXEC_OK) {
        return forbidden(folder, "nothing may be written beside it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_sqlite_name_a_file() {
        let file = |path: &str| Ok(Place::File(path.into()));
        assert_eq!(parse("sqlite:uphaul.db"), file("uphaul.db"));
        assert_eq!(parse("sqlite:/a/b c.db"), file("/a/b c.db"));
        assert_eq!(parse("sqlite:///a/%20.db"), file("/a/%20.db"));
        assert_eq!(parse("sqlite://a.db"), file("a.db"));
        assert_eq!(parse("sqlite::memory:"), Ok(Place::Memory));
        assert_eq!(parse("sqlite://:memory:"), Ok(Place::Memory));
    }

    #[test]
    fn other_urls_are_refused_and_no_password_is_repeated() {
        let urls = [
            "",
            "uphaul.db",
            "sqlite:",
            "sqlite://",
            "sqlite:/srv/",
            "sqlite:~/uphaul.db",
            "sqlite:a.db?mode=ro",
            "sqlite:a\0b",
            "postgres://ana:SECRET@db/uphaul",
            "postgresql://ana:SECRET@db/uphaul",
            "mysql://ana:SECRET@db/uphaul",
            "ana:SECRET@db/uphaul",
        ];
        let mut told = String::new();
        for url in urls {
            let error = parse(url).unwrap_err();
            told += &format!("{:40} {error}\n", url.escape_default().to_string());
        }
        assert_eq!(told.matches("SECRET").count(), 4, "only in the left column");
        insta::assert_snapshot!("urls_refused", told);
    }
}
