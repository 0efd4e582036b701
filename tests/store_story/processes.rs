//! Two processes and one record. The other process is this test binary, which plays the part named in its
//! environment; it says a line when it has got somewhere, and goes on when it is told a line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use uphaul_core::ids::RunId;
use uphaul_core::machine::Input;
use uphaul_store::process::{is_gone, this_owner};
use uphaul_store::{LeaseRow, Store};

use crate::cast::{
    Driver, LENGTH, all_the_way, host, name, ok, owner, pending, plan, replayed, until_checkout, version,
};
use crate::{Record, sqlite_file};

const PART: &str = "UPHAUL_STORY_PART";
const URL: &str = "UPHAUL_STORY_URL";
/// What the lines of a part begin with; the test harness prints lines of its own.
const MARK: &str = "story: ";

/// Another process; it dies with the story.
struct Other {
    child: Child,
    hears: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Other {
    fn playing(part: &str, record: &Record) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::the_other_process", "--nocapture"])
            .env(PART, part)
            .env(URL, record.url.as_ref().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (hears, says) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, hears, says }
    }

    /// Waits for its next line.
    fn says(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.says.read_line(&mut line).unwrap(), 0, "it ended without a word");
            if let Some((_, said)) = line.trim_end().split_once(MARK) {
                return said.to_owned();
            }
        }
    }

    fn go_on(&mut self) {
        self.hears.write_all(b"go on\n").unwrap();
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(line: &str) {
    println!("{MARK}{line}");
}

fn wait_for_a_word() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// Plays its part when it is the other process, and is nothing otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_process() {
    let Ok(part) = std::env::var(PART) else { return };
    let store = Store::open(&std::env::var(URL).unwrap()).await.unwrap();
    match part.as_str() {
        "driver" => drives_until_told(&store).await,
        "crowd" => drives_sixteen(&store).await,
        "restless" => drives_for_ever(&store).await,
        _ => panic!("no such part"),
    }
}

/// Takes web-1, drives its run to the checkout, waits, and writes one more transition.
async fn drives_until_told(store: &Store) {
    let lease = store.acquire(&name("web-1"), &this_owner(), LENGTH, &is_gone).await.unwrap().unwrap();
    let record = pending(1, plan("web-1", '2'));
    store.create_run(&lease, &record, "ana", 100_000_000).await.unwrap();
    let mut driver = Driver { store: store.clone(), lease, record, at_us: 100_000_000 };
    driver.tell_all(until_checkout('1')).await;
    say("at the checkout");
    wait_for_a_word();
    match driver.tell(ok()).await {
        Ok(()) => say("written"),
        Err(error) => say(&error.to_string()),
    }
}

async fn drives_sixteen(store: &Store) {
    say("open");
    wait_for_a_word();
    let first = u64::from(std::process::id()) << 8;
    let hosts: Vec<_> = (first..first + 16).map(|number| host(&format!("web-{number}"))).collect();
    store.add_hosts(&hosts, 0).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in first..first + 16 {
        let store = store.clone();
        tasks.spawn(async move {
            let run = pending(number, plan(&format!("web-{number}"), '2'));
            let mut driver = Driver::begin(&store, "ana", run).await;
            driver.tell_all(all_the_way('1')).await;
            driver.leave().await;
        });
    }
    tasks.join_all().await;
    say("done");
}

/// Four hosts, run after run, until somebody ends it.
async fn drives_for_ever(store: &Store) {
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..4 {
        let store = store.clone();
        tasks.spawn(async move {
            for number in 0.. {
                let run = pending(number << 8 | lane, plan(&format!("web-{lane}"), '2'));
                let mut driver = Driver::begin(&store, "ana", run).await;
                driver.tell_all(all_the_way('1')).await;
                driver.leave().await;
                say("a run has ended");
            }
        });
    }
    tasks.join_all().await;
}

async fn with_a_driver_at_the_checkout() -> (Record, Other) {
    let record = sqlite_file().await;
    record.store().add_hosts(&[host("web-1")], 0).await.unwrap();
    let mut other = Other::playing("driver", &record);
    assert_eq!(other.says(), "at the checkout");
    (record, other)
}

#[tokio::test]
async fn a_living_process_keeps_its_host() {
    let (record, mut other) = with_a_driver_at_the_checkout().await;
    let refused = record.store().acquire(&name("web-1"), &this_owner(), LENGTH, &is_gone).await.unwrap();
    assert_eq!(refused.unwrap_err().owner.pid, other.child.id());
    other.go_on();
    assert_eq!(other.says(), "written");
}

#[tokio::test]
async fn the_host_of_a_killed_process_is_resumed_at_once() {
    let (record, mut other) = with_a_driver_at_the_checkout().await;
    other.child.kill().unwrap();
    other.child.wait().unwrap();
    let store = record.store();
    let lease = store.acquire(&name("web-1"), &this_owner(), LENGTH, &is_gone).await.unwrap().unwrap();
    let loaded = store.unfinished_run_of(&name("web-1")).await.unwrap().unwrap().record;
    assert_eq!(loaded.state.to_string(), "update/Checkout#1");
    let mut driver = Driver { store: store.clone(), lease, record: loaded, at_us: 200_000_000 };
    driver.tell_all([Input::Interrupted, ok(), ok(), ok(), ok()]).await;
    assert_eq!(replayed(&store, &driver.record.id).await.word(), "updated");
    let host = store.host(&name("web-1")).await.unwrap().unwrap();
    assert_eq!(host.current_version, Some(version('2')));
}

/// The observer here did not watch for the lease's length: what it knows is that nothing was written since `seen`.
#[tokio::test]
async fn a_stopped_process_that_wakes_has_lost() {
    let (record, mut other) = with_a_driver_at_the_checkout().await;
    let store = record.store();
    other.signal("-STOP");
    let seen: LeaseRow = store.lease_of(&name("web-1")).await.unwrap().unwrap();
    assert!(!is_gone(&seen), "it is stopped, not dead");
    let lease = store.take_over(&seen, &owner("ben"), LENGTH).await.unwrap().unwrap();
    let loaded = store.unfinished_run_of(&name("web-1")).await.unwrap().unwrap().record;
    let mut driver = Driver { store: store.clone(), lease, record: loaded, at_us: 200_000_000 };
    driver.tell(Input::Interrupted).await.unwrap();
    other.signal("-CONT");
    other.go_on();
    assert_eq!(
        other.says(),
        "another driver has taken over: web-1 is held by ben@desk (process 7); \
         this process does not hold it any more"
    );
    assert_eq!(replayed(&store, &driver.record.id).await.to_string(), "update/Checkout#2");
    driver.tell_all([ok(), ok(), ok(), ok()]).await;
}

/// Two processes make one new record at once, lay it out, and write 16 hosts each.
#[tokio::test]
async fn two_processes_write_at_once() {
    let folder = tempfile::TempDir::new().unwrap();
    let url = format!("sqlite:{}", folder.path().join("new/folder/uphaul.db").display());
    let nobody = Store::open("sqlite::memory:").await.unwrap();
    let record = Record { store: nobody, url: Some(url.clone()), _folder: Some(folder) };
    let mut others = [Other::playing("crowd", &record), Other::playing("crowd", &record)];
    for other in &mut others {
        assert_eq!(other.says(), "open");
    }
    for other in &mut others {
        other.go_on();
    }
    for other in &mut others {
        assert_eq!(other.says(), "done");
    }
    let store = Store::open(&url).await.unwrap();
    let runs = store.recent_runs(100).await.unwrap();
    assert_eq!(runs.len(), 32);
    for run in runs {
        let id: RunId = run.record.id;
        assert_eq!(replayed(&store, &id).await.word(), "updated");
    }
}

/// It is killed wherever it is in its writing, five times over.
#[tokio::test]
async fn a_process_killed_while_it_writes_leaves_whole_transitions() {
    for runs in [1, 3, 5, 8, 13] {
        let record = sqlite_file().await;
        let hosts: Vec<_> = (0..4).map(|lane| host(&format!("web-{lane}"))).collect();
        record.store().add_hosts(&hosts, 0).await.unwrap();
        let mut other = Other::playing("restless", &record);
        for _ in 0..runs {
            other.says();
        }
        other.child.kill().unwrap();
        other.child.wait().unwrap();
        let store = record.another().await;
        let stored = store.recent_runs(1_000).await.unwrap();
        assert!(stored.len() >= runs);
        for run in stored {
            let state = replayed(&store, &run.record.id).await;
            if !state.is_finished() {
                let row = store.host(&run.record.host).await.unwrap().unwrap();
                assert_eq!(row.update_status.as_deref(), Some(state.word()));
            }
        }
    }
}
