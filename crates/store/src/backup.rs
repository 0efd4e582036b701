//! A copy of a SQLite record, made while others write on.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sqlx::{Executor as _, SqlitePool};

use crate::open::plain;

/// Copies into a file beside it first, and gives it its name when it is whole and on the disk.
pub(crate) async fn copy(reader: &SqlitePool, file: &Path) -> Result<(), String> {
    let mut name = file.file_name().ok_or("this is no name of a file")?.to_owned();
    name.push(".part");
    let part = file.with_file_name(name);
    if file.exists() {
        return Err("it is there already, and is not overwritten; give another name".into());
    }
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
    made.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return format!(
                "{} is there already, of a backup that goes on or was stopped; remove it",
                part.display()
            );
        }
        plain(&error)
    })?;
    let done = fill(reader, &part, file).await;
    if done.is_err() {
        let _it_was_ours = fs::remove_file(&part);
    }
    done
}

async fn fill(reader: &SqlitePool, part: &PathBuf, file: &Path) -> Result<(), String> {
    let text = part.to_str().ok_or("its name is not UTF-8")?;
    // One read transaction: a copy of one moment, whatever others write meanwhile.
    let told = |error: sqlx::Error| {
        error.as_database_error().map_or(error.to_string(), |answer| answer.message().to_owned())
    };
    let mut conn = reader.acquire().await.map_err(told)?;
    // SQLite takes the copy for a write of the record itself.
    conn.execute("PRAGMA query_only = OFF").await.map_err(told)?;
    let copied = sqlx::query("VACUUM INTO $1").bind(text).execute(&mut *conn).await;
    let only_reads = conn.execute("PRAGMA query_only = ON").await;
    copied.and(only_reads).map_err(told)?;
    let on_disk = || {
        fs::File::open(part)?.sync_all()?;
        // A link fails where a file of this name has come meanwhile; a rename would overwrite it.
        fs::hard_link(part, file)?;
        fs::remove_file(part)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(folder)?.sync_all()
    };
    on_disk().map_err(|error| plain(&error))
}
