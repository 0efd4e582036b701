//! Opens the record: the URL, the file and its permissions, the layout.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::Access;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};

use crate::cause::{Waits, cause};
use crate::conn::{Conn, Link};
use crate::db::{Pools, Store};
use crate::error::{Cause, StoreError};
use crate::texts::Texts;
use crate::{layout, postgres};

pub(crate) const DOING: &str = "open the record";
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
pub(crate) enum Place {
    Memory,
    File(PathBuf),
    /// The URL as it was given.
    Server(String),
}

impl Store {
    /// Opens the record at `sqlite:PATH`, `sqlite://PATH` or `sqlite::memory:`, where the path is taken as it stands; or at
    /// `postgres://USER@HOST/NAME`, read as libpq does, with the password from there, PGPASSWORD or the passfile. A
    /// missing file is made for this user alone, its folder as well. Its layout is brought up to this build's.
    ///
    /// A file that may not be written to, and one that a newer Uphaul has laid out, is opened to be read; each write is
    /// then refused, see [`Store::check_writable`].
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
            Place::Server(url) => postgres::open(&url).await,
        }
    }
}

/// Opens a file that another program made; how that one keeps its log stays as it is.
pub(crate) async fn connect_file(path: &Path) -> Result<Store, StoreError> {
    let path = std::path::absolute(path).map_err(|why| StoreError::Url(why.to_string()))?;
    let opening = Opening::new(format!("SQLite file {}", path.display()), LOCK_WAIT);
    if !path.exists() {
        let detail = "there is no such file. Check database.url: it names the database of the other program";
        let table = "the database".to_owned();
        return Err(opening.unusable(Cause::Table { table, detail: detail.to_owned() }));
    }
    check_rights(&path).map_err(|cause| opening.unusable(cause))?;
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(false);
    let options = with_pragmas(options, LOCK_WAIT);
    let writer = pool(1).connect_with(options.clone()).await.map_err(|error| opening.told(&error))?;
    let reader = pool(READERS).connect_lazy_with(options.pragma("query_only", "ON"));
    Ok(opening.store(writer, reader))
}

pub(crate) fn parse(url: &str) -> Result<Place, StoreError> {
    let bad = |why: String| Err(StoreError::Url(why));
    // What follows the scheme is never repeated: it may hold a password.
    let Some((scheme, rest)) = url.split_once(':') else {
        return bad("it must begin with `sqlite:` or `postgres://`, for example `sqlite:uphaul.db`".into());
    };
    match scheme {
        "sqlite" => {}
        "postgres" | "postgresql" => return Ok(Place::Server(url.to_owned())),
        _ => {
            let scheme = cut(scheme);
            return bad(format!("{scheme:?} is not known; use `sqlite:PATH` or `postgres://USER@HOST/NAME`"));
        }
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

/// A record that is being opened.
struct Opening {
    place: String,
    waits: Waits,
}

impl Opening {
    fn new(place: String, lock_wait: Duration) -> Self {
        Self { place, waits: Waits { lock: lock_wait, turn: TURN_WAIT, remote: false } }
    }

    fn unusable(&self, cause: Cause) -> StoreError {
        StoreError::Unusable { place: self.place.clone(), doing: DOING, cause }
    }

    fn told(&self, error: &sqlx::Error) -> StoreError {
        self.unusable(cause(error, self.waits))
    }

    fn store(&self, writer: SqlitePool, reader: SqlitePool) -> Store {
        Store::new(Pools::Sqlite { writer, reader }, self.place.clone(), self.waits, Texts::sqlite())
    }
}

async fn open_memory(lock_wait: Duration) -> Result<Store, StoreError> {
    let opening = Opening::new("SQLite in memory".into(), lock_wait);
    // The database lives in its one connection, so that one is also read from.
    let options = with_pragmas(SqliteConnectOptions::new().in_memory(true), lock_wait);
    let pool = pool(1).connect_with(options).await.map_err(|error| opening.told(&error))?;
    let store = opening.store(pool.clone(), pool);
    let mut conn = store.conn().await.map_err(|error| opening.told(&error))?;
    layout::bring_up(&mut conn, opening.waits).await.map_err(|cause| opening.unusable(cause))?;
    drop(conn);
    Ok(store)
}

async fn open_file(path: &Path, lock_wait: Duration) -> Result<Store, StoreError> {
    let path = std::path::absolute(path).map_err(|why| StoreError::Url(why.to_string()))?;
    let opening = Opening::new(format!("SQLite file {}", path.display()), lock_wait);
    match make(&path).and_then(|()| check_rights(&path)) {
        Ok(()) => {}
        Err(cause @ (Cause::ReadOnly | Cause::NothingBeside)) => {
            return open_to_read(&path, opening, cause).await;
        }
        Err(cause) => return Err(opening.unusable(cause)),
    }
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(false);
    let options = with_pragmas(options, lock_wait);
    // Its one connection is closed again before the others are made: what it has prepared, they find.
    let first = pool(1).connect_with(options.clone()).await.map_err(|error| opening.told(&error))?;
    let store = opening.store(first.clone(), first.clone());
    let ready = match store.conn().await {
        Ok(mut conn) => prepare(&mut conn, opening.waits).await,
        Err(error) => Err(cause(&error, opening.waits)),
    };
    first.close().await;
    let before = match ready {
        Ok(layout::Layout::Behind(before)) => before,
        Ok(layout::Layout::Same) => layout::known(),
        Err(cause @ Cause::Newer { .. }) => return open_to_read(&path, opening, cause).await,
        Err(cause) => return Err(opening.unusable(cause)),
    };
    let writer = pool(1).connect_with(options.clone()).await.map_err(|error| opening.told(&error))?;
    let reader = pool(READERS).connect_lazy_with(options.pragma("query_only", "ON"));
    Ok(Store { layout_before: before, ..opening.store(writer, reader) })
}

/// Opens a record that cannot be written, and says why at each write. It must be one that can be read: laid out, and by
/// this build or a newer one.
async fn open_to_read(path: &Path, opening: Opening, why: Cause) -> Result<Store, StoreError> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(false).read_only(true);
    // Where nobody writes there is no log beside the file, and where nothing may be made beside it SQLite must be told
    // that it need not look for one.
    let still = !with_ending(path, "-wal").exists();
    let options = options.immutable(still && !may_make_beside(path));
    let options = options.busy_timeout(opening.waits.lock).pragma("query_only", "ON");
    let reader = pool(READERS).connect_lazy_with(options);
    let mut store = opening.store(reader.clone(), reader);
    let mut conn = store.read(DOING).await?;
    match layout::check(&mut conn, opening.waits).await {
        Ok(layout::Layout::Same) | Err(Cause::Newer { .. }) => {}
        Ok(layout::Layout::Behind(_)) => return Err(opening.unusable(why)),
        Err(cause) => return Err(opening.unusable(cause)),
    }
    drop(conn);
    store.read_only = Some(Arc::new(why));
    Ok(store)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn may_make_beside(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(Path::new("/"));
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// Looks before it writes anything: a database that is not ours stays as it is, to the byte.
async fn prepare(conn: &mut Conn, waits: Waits) -> Result<layout::Layout, Cause> {
    layout::check(conn, waits).await?;
    use_wal(conn, waits).await?;
    layout::bring_up(conn, waits).await
}

/// SQLite does not wait for other processes when it changes to WAL, so this does.
async fn use_wal(conn: &mut Conn, waits: Waits) -> Result<(), Cause> {
    let Link::Sqlite(conn) = &mut conn.link else { return Ok(()) };
    let began = Instant::now();
    loop {
        let mode = sqlx::query_scalar::<_, String>("PRAGMA journal_mode = WAL").fetch_one(&mut **conn).await;
        let told = match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(Cause::NoSharedMemory),
            Err(error) => cause(&error, waits),
        };
        if !matches!(told, Cause::Locked { .. }) || began.elapsed() >= waits.lock {
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
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// Asks the file system beforehand: SQLite says "unable to open" for many things, and opens what it may not write.
fn check_rights(path: &Path) -> Result<(), Cause> {
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
    if !may_make_beside(path) {
        return Err(Cause::NothingBeside);
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
        assert_eq!(
            parse("postgresql://ana@db/uphaul"),
            Ok(Place::Server("postgresql://ana@db/uphaul".into()))
        );
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
            "mysql://ana:SECRET@db/uphaul",
            "ana:SECRET@db/uphaul",
        ];
        let mut told = String::new();
        for url in urls {
            let error = parse(url).unwrap_err();
            told += &format!("{:40} {error}\n", url.escape_default().to_string());
        }
        assert_eq!(told.matches("SECRET").count(), 2, "only in the left column");
        insta::assert_snapshot!("urls_refused", told);
    }
}
