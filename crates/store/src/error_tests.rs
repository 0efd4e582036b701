//! What a person is told when the record cannot be used.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tempfile::TempDir;
use uphaul_core::ids::HostName;

use crate::db::Pools;
use crate::host::NewHost;
use crate::{Outage, Store, StoreError};

/// How long these stories wait for a lock.
const WAIT: Duration = Duration::from_millis(60);

/// A page of what was told, with the folder's name taken out of it.
struct Page {
    folder: TempDir,
    text: String,
}

impl Page {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), text: String::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self, name: &str) -> String {
        format!("sqlite:{}", self.path(name).display())
    }

    async fn open(&self, name: &str) -> Result<Store, StoreError> {
        Store::open_waiting(&self.url(name), WAIT).await
    }

    /// Another program that has the file open.
    async fn other(&self, name: &str) -> SqliteConnection {
        SqliteConnection::connect(&format!("{}?mode=rwc", self.url(name))).await.unwrap()
    }

    fn told(&mut self, title: &str, error: StoreError) {
        let error = error.to_string().replace(&self.folder.path().display().to_string(), "[FOLDER]");
        let known = format!("this one knows {}", crate::layout_known());
        let error = error.replace(&known, "this one knows [KNOWN]");
        self.text += &format!("# {title}\n{error}\n\n");
    }

    /// Tries to open it, and sees that no byte of it was changed.
    async fn refused(&mut self, title: &str, name: &str) {
        let before = fs::read(self.path(name)).unwrap();
        let error = self.open(name).await.unwrap_err();
        assert!(before == fs::read(self.path(name)).unwrap(), "{title}: it was written to");
        self.told(title, error);
    }

    fn snapshot(self, name: &str) {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, self.text.trim_end());
        });
    }
}

fn host(name: &str) -> NewHost {
    let name: HostName = name.parse().unwrap();
    NewHost {
        address: name.to_string(),
        name,
        port: None,
        user: None,
        host_key: None,
        labels: Default::default(),
        settings: Default::default(),
    }
}

#[tokio::test]
async fn a_file_that_is_not_our_record_is_refused_and_left_as_it_is() {
    let mut page = Page::new();
    fs::write(page.path("text"), "to be or not to be\n".repeat(500)).unwrap();
    page.refused("another kind of file", "text").await;

    let mut other = page.other("theirs").await;
    other.execute("CREATE TABLE users (id INTEGER); INSERT INTO users VALUES (1)").await.unwrap();
    other.close().await.unwrap();
    page.refused("a database of another program", "theirs").await;

    page.open("differs").await.unwrap().close().await;
    let mut other = page.other("differs").await;
    other.execute("UPDATE uphaul_migrations SET checksum = x'00'").await.unwrap();
    other.close().await.unwrap();
    page.refused("another layout of the same number", "differs").await;

    fs::create_dir(page.path("folder")).unwrap();
    let error = page.open("folder").await.unwrap_err();
    page.told("a folder", error);
    let error = page.open("text/uphaul.db").await.unwrap_err();
    page.told("a file where the folder should be", error);
    std::os::unix::fs::symlink("nowhere", page.path("link")).unwrap();
    let error = page.open("link").await.unwrap_err();
    page.told("a link that leads nowhere", error);
    page.snapshot("errors_not_our_record");
}

/// What a newer Uphaul added is not known here, but what this one knows is still there: it is shown, and never written.
#[tokio::test]
async fn a_newer_layout_is_read_and_not_written() {
    let mut page = Page::new();
    let store = page.open("newer").await.unwrap();
    store.add_hosts(&[host("a")], 0).await.unwrap();
    store.close().await;
    let mut other = page.other("newer").await;
    other
        .execute("INSERT INTO uphaul_migrations VALUES (9999, 'of tomorrow', '', TRUE, x'00', 0)")
        .await
        .unwrap();
    other.execute("ALTER TABLE subscriptions ADD COLUMN of_tomorrow TEXT").await.unwrap();
    other.close().await.unwrap();
    let before = fs::read(page.path("newer")).unwrap();
    let store = page.open("newer").await.unwrap();
    assert_eq!(store.hosts().await.unwrap().len(), 1);
    let told = store.check_writable("update hosts").unwrap_err();
    page.told("said beforehand", told);
    let told = store.add_hosts(&[host("b")], 0).await.unwrap_err();
    page.told("said at a write", told);
    store.close().await;
    assert!(before == fs::read(page.path("newer")).unwrap(), "it was written to");
    page.snapshot("errors_newer");
}

#[tokio::test]
async fn a_record_that_somebody_else_holds_is_waited_for() {
    let mut page = Page::new();
    let mut other = page.other("new").await;
    other.execute("BEGIN EXCLUSIVE").await.unwrap();
    let error = page.open("new").await.unwrap_err();
    page.told("held while it is opened for the first time", error);

    let store = page.open("ours").await.unwrap();
    let mut other = page.other("ours").await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let error = store.add_hosts(&[host("a")], 0).await.unwrap_err();
    page.told("held while it is written to", error);
    // Reading, and opening what is laid out already, need no lock.
    assert!(store.hosts().await.unwrap().is_empty());
    page.open("ours").await.unwrap();
    other.execute("ROLLBACK").await.unwrap();
    store.add_hosts(&[host("a")], 0).await.unwrap();

    let one = one_writer(&page.url("ours"));
    let impatient = Store { pools: Pools::Sqlite { writer: one.clone(), reader: one }, ..store.clone() };
    let _first = loop {
        // The first connection takes longer than the pool waits when this machine has much to do.
        if let Ok(conn) = impatient.sqlite_writer().acquire().await {
            break conn;
        }
    };
    let error = impatient.add_hosts(&[host("b")], 0).await.unwrap_err();
    page.told("more writes of this process than it can take", error);

    store.clone().close().await;
    let error = store.hosts().await.unwrap_err();
    page.told("closed", error);
    page.snapshot("errors_held");
}

/// A pool that does not wait long for its turn.
fn one_writer(url: &str) -> sqlx::SqlitePool {
    let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
    options.acquire_timeout(Duration::from_millis(50)).connect_lazy(url).unwrap()
}

#[tokio::test]
async fn a_full_disk_loses_nothing() {
    let mut page = Page::new();
    let store = page.open("uphaul.db").await.unwrap();
    store.add_hosts(&[host("a")], 0).await.unwrap();
    // As SQLite itself finds a disk full: no page more than there are.
    let limit = |pages: &'static str| {
        let writer = store.sqlite_writer().clone();
        async move { writer.execute(pages).await.unwrap() }
    };
    limit("PRAGMA max_page_count = 1").await;
    let many: Vec<_> = (0..2_000).map(|number| host(&format!("web-{number}"))).collect();
    let error = store.add_hosts(&many, 0).await.unwrap_err();
    page.told("no room", error);
    assert_eq!(store.hosts().await.unwrap().len(), 1);
    limit("PRAGMA max_page_count = 1000000").await;
    store.add_hosts(&many, 0).await.unwrap();
    assert_eq!(store.hosts().await.unwrap().len(), 2_001);
    page.snapshot("errors_full");
}

/// A patient store, and what it has told of outages.
fn patient(store: &Store, wait: Duration) -> (Store, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let tell = move |outage: Outage<'_>| {
        let text = match outage {
            Outage::Began { error, .. } => error.to_string(),
            Outage::Ended => "ended".to_owned(),
        };
        tell.send(text).unwrap();
    };
    (store.patient(wait, Box::new(tell)), told)
}

/// A driver waits until the lock is gone, or there is room again, and then writes what it had to write, once.
#[tokio::test]
async fn a_patient_writer_outlasts_a_lock_and_a_full_disk() {
    let page = Page::new();
    let store = page.open("uphaul.db").await.unwrap();
    let (waiter, mut told) = patient(&store, Duration::from_secs(300));

    let mut other = page.other("uphaul.db").await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let writing = tokio::spawn(async move {
        waiter.add_hosts(&[host("a")], 0).await.unwrap();
        waiter
    });
    assert!(told.recv().await.unwrap().contains("is locked by another program"));
    other.execute("ROLLBACK").await.unwrap();
    let waiter = writing.await.unwrap();
    assert_eq!(told.recv().await.unwrap(), "ended");

    store.sqlite_writer().execute("PRAGMA max_page_count = 1").await.unwrap();
    let many: Vec<_> = (0..2_000).map(|number| host(&format!("web-{number}"))).collect();
    let writing = tokio::spawn(async move { waiter.add_hosts(&many, 0).await });
    assert!(told.recv().await.unwrap().contains("the disk is full"));
    store.sqlite_writer().execute("PRAGMA max_page_count = 1000000").await.unwrap();
    writing.await.unwrap().unwrap();
    assert_eq!(told.recv().await.unwrap(), "ended");
    assert_eq!(store.hosts().await.unwrap().len(), 2_001);
}

#[tokio::test]
async fn patience_has_an_end_and_is_not_for_what_no_waiting_mends() {
    let page = Page::new();
    let store = page.open("uphaul.db").await.unwrap();
    let (waiter, mut told) = patient(&store, Duration::from_millis(1));
    let mut other = page.other("uphaul.db").await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let error = waiter.add_hosts(&[host("a")], 0).await.unwrap_err();
    assert!(error.to_string().contains("is locked"), "{error}");
    other.execute("ROLLBACK").await.unwrap();
    let (waiter, mut nothing) = patient(&store, Duration::from_secs(300));
    waiter.add_hosts(&[host("a")], 0).await.unwrap();
    let error = waiter.add_hosts(&[host("a")], 0).await.unwrap_err();
    assert!(matches!(error, StoreError::HostExists(_)), "{error}");
    store.close().await;
    let error = waiter.hosts().await.unwrap_err();
    assert!(error.to_string().contains("was closed"), "{error}");
    drop(waiter);
    assert!(nothing.recv().await.is_none(), "nobody waited");
    while let Ok(text) = told.try_recv() {
        assert!(text.contains("is locked") || text == "ended", "{text}");
    }
}

#[tokio::test]
async fn a_damaged_record_is_told() {
    let mut page = Page::new();
    let store = page.open("uphaul.db").await.unwrap();
    let many: Vec<_> = (0..500).map(|number| host(&format!("web-{number}"))).collect();
    store.add_hosts(&many, 0).await.unwrap();
    store.close().await;
    let mut bytes = fs::read(page.path("uphaul.db")).unwrap();
    let (first, rest) = bytes.split_at_mut(4096);
    assert_eq!(first[..6], *b"SQLite");
    rest.fill(0xff);
    fs::write(page.path("uphaul.db"), bytes).unwrap();
    let error = match page.open("uphaul.db").await {
        Ok(store) => store.hosts().await.unwrap_err(),
        Err(error) => error,
    };
    page.told("damaged", error);
    page.snapshot("errors_damaged");
}

const FOLDER: &str = "UPHAUL_STORE_TEST_FOLDER";
const NOBODY: u32 = 65_534;

/// Root may do everything, so for root another user plays this: a copy of this program, in a folder of its own.
#[test]
fn a_user_without_the_rights_is_told_which() {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    use std::os::unix::process::CommandExt as _;

    let folder = TempDir::new().unwrap();
    let program = folder.path().join("program");
    // By a process of its own: what this one had open for writing, a child that another test begins just then might have
    // too, and a file that somebody may write to cannot be run.
    let mut copy = std::process::Command::new("cp");
    assert!(copy.arg(std::env::current_exe().unwrap()).arg(&program).status().unwrap().success());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let stage = folder.path().join("stage");
    fs::create_dir(&stage).unwrap();
    let mut command = std::process::Command::new(program);
    if rustix::process::getuid().is_root() {
        chown(&stage, Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    command.args(["--exact", "error_tests::without_the_rights", "--nocapture"]).env(FOLDER, &stage);
    let output = command.current_dir("/").output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    let (_, told) = told.split_once("<<<").unwrap();
    let (told, _) = told.split_once(">>>").unwrap();
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("errors_rights", told.trim());
    });
}

/// Plays the part of the other user when it is told to, and is nothing otherwise.
#[tokio::test]
async fn without_the_rights() {
    let Ok(stage) = std::env::var(FOLDER) else { return };
    let stage = Path::new(&stage);
    let mut text = String::new();
    let cases = [
        ("a file that may only be read", "read-only/uphaul.db", 0o400, 0o700),
        ("a file that may not be read", "closed/uphaul.db", 0o000, 0o700),
        ("a folder that may not be written to, with the file", "full-folder/uphaul.db", 0o600, 0o500),
        ("a folder that may not be written to, without it", "empty-folder/uphaul.db", 0, 0o500),
        ("a folder that may not be entered", "shut-folder/uphaul.db", 0, 0o000),
        ("a folder that cannot be made", "unmade/folder/uphaul.db", 0, 0o500),
    ];
    for (title, file, file_mode, folder_mode) in cases {
        let (file, folder) = (stage.join(file), stage.join(file.split_once('/').unwrap().0));
        let url = format!("sqlite:{}", file.display());
        fs::create_dir(&folder).unwrap();
        if file_mode != 0 || title.contains("not be read") {
            Store::open(&url).await.unwrap().close().await;
            set_mode(&file, file_mode);
        }
        set_mode(&folder, folder_mode);
        let told = match Store::open(&url).await {
            Ok(store) => {
                // It can be read all the same.
                assert!(store.hosts().await.unwrap().is_empty());
                let told = store.add_hosts(&[host("a")], 0).await.unwrap_err();
                store.close().await;
                told.to_string()
            }
            Err(error) => error.to_string(),
        };
        text += &format!("# {title}\n{}\n\n", told.replace(&stage.display().to_string(), "[FOLDER]"));
        set_mode(&folder, 0o700);
    }
    println!("<<<\n{text}>>>");
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn errors_that_need_no_stage_are_readable() {
    let names: Vec<HostName> = (1..=12).map(|number| format!("web-{number}").parse().unwrap()).collect();
    let run = uphaul_core::ids::RunId::from_bits(7);
    let mut page = Page::new();
    page.told("taken", StoreError::HostExists(names[..2].to_vec()));
    page.told("many taken", StoreError::HostExists(names.clone()));
    page.told("twice", StoreError::GivenTwice(names[..1].to_vec()));
    page.told("unknown", StoreError::NoSuchHost(names[0].clone()));
    page.told("too many", StoreError::TooMany { what: "hosts", max: crate::HOSTS_MAX });
    page.told("unfinished", StoreError::UnfinishedRun { host: names[0].clone(), run: run.clone() });
    page.told("lost to nobody", StoreError::LeaseLost { host: names[0].clone(), by: None });
    page.told("no such run", StoreError::BadRun { run, why: "its id is taken".into() });
    page.snapshot("errors_plain");
}
