//! What the record does, told once and for every backend: a new one is one line at the end of this file.

use std::future::Future;

use tempfile::TempDir;
use uphaul_store::Store;
use uphaul_tests::postgres::Postgres;

#[path = "store_story/cast.rs"]
mod cast;
#[path = "store_story/columns.rs"]
mod columns;
#[path = "store_story/crowd.rs"]
mod crowd;
#[path = "store_story/evidence.rs"]
mod evidence;
#[path = "store_story/hosts.rs"]
mod hosts;
#[path = "store_story/leases.rs"]
mod leases;
#[path = "store_story/processes.rs"]
mod processes;
#[path = "store_story/runs.rs"]
mod runs;

/// A fresh record of one backend, gone at the end of its story.
pub struct Record {
    store: Store,
    /// Where another handle finds the same record; a record in memory has none.
    pub url: Option<String>,
    _folder: Option<TempDir>,
}

impl Record {
    /// The record.
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// Whether the backend has a clock that all its users share.
    pub fn has_a_clock(&self) -> bool {
        self.url.as_ref().is_some_and(|url| url.starts_with("postgres:"))
    }

    /// The record as another program has it open, where the backend can be opened twice.
    pub async fn another(&self) -> Store {
        match &self.url {
            Some(url) => Store::open(url).await.unwrap(),
            None => self.store(),
        }
    }
}

async fn sqlite_file() -> Record {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite:{}", folder.path().join("uphaul.db").display());
    Record { store: Store::open(&url).await.unwrap(), url: Some(url), _folder: Some(folder) }
}

async fn sqlite_memory() -> Record {
    Record { store: Store::open("sqlite::memory:").await.unwrap(), url: None, _folder: None }
}

/// None where this machine has no Postgres, which is said.
async fn postgres() -> Option<Record> {
    let server = match Postgres::shared() {
        Ok(server) => server,
        Err(why) => {
            uphaul_tests::postgres::skip(&why);
            return None;
        }
    };
    let url = server.fresh();
    Some(Record { store: Store::open(&url).await.unwrap(), url: Some(url), _folder: None })
}

async fn tell<R: Into<Option<Record>>, F: Future<Output = R>, S: Future<Output = ()>>(
    backend: F,
    story: impl FnOnce(Record) -> S,
) {
    if let Some(record) = backend.await.into() {
        story(record).await;
    }
}

macro_rules! stories {
    ($backend:ident: $($chapter:ident { $($story:ident)* })*) => {
        mod $backend {
            $(mod $chapter {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    crate::tell(crate::$backend(), crate::$chapter::$story).await;
                })*
            })*
        }
    };
}

/// Every story, on this backend.
macro_rules! every_story {
    ($backend:ident) => {
        stories! { $backend:
            hosts {
                hosts_come_back_as_they_were_added
                hosts_are_added_all_or_none
                an_import_adds_and_changes_and_keeps_versions
                an_edit_changes_what_it_names
                what_cannot_be_a_host_is_refused
                a_held_host_is_not_removed
                a_host_with_an_unfinished_run_is_not_removed
                a_removed_host_leaves_its_history
                a_host_removed_by_force_ends_its_run
                a_pending_run_is_ended_by_force_too
                what_is_seen_on_a_host_is_recorded
                what_is_seen_in_the_middle_of_a_run_is_not
            }
            columns {
                updated
                updated_with_a_sick_previous_version
                forced_onto_the_version_it_has
                unchanged
                aborted
                rolled_back
                needs_attention
                superseded
                parked_and_back
                a_rollback_by_hand
            }
            runs {
                a_new_run_says_what_was_asked_for
                a_run_needs_a_lease_that_holds
                an_unfinished_run_blocks_a_new_one
                a_run_that_makes_no_sense_is_refused
                the_log_replays_to_the_stored_state
                of_two_drivers_of_one_run_one_loses
                numbers_cannot_be_skipped_or_written_twice
                a_finished_run_takes_no_more
                a_driver_that_lost_its_lease_writes_nothing
                a_driver_without_a_lease_writes_nothing
                a_crash_leaves_what_was_written
                a_lease_of_another_host_writes_nothing
                a_transition_that_is_too_large_is_refused
                runs_are_listed_newest_first
            }
            evidence {
                it_is_written_with_its_transition
                what_is_not_written_leaves_none
                what_is_too_large_is_refused_whole
            }
            leases {
                a_free_host_is_taken_and_given_back
                a_held_host_names_its_holder
                a_host_of_a_dead_process_is_taken_over
                a_host_that_is_not_there_cannot_be_taken
                a_lease_that_stood_still_is_taken_over_once
                a_heartbeat_defeats_a_takeover
                a_transition_defeats_a_takeover
                a_heartbeat_tells_what_was_lost
                only_the_holder_gives_a_host_back
                time_alone_takes_nothing_away
                a_holder_whose_clock_is_set_back_loses_nothing
                an_expired_lease_is_taken_over_where_there_is_a_clock
                a_holder_that_ended_meanwhile_leaves_nothing_to_take_over
            }
            crowd {
                of_32_that_want_a_host_one_gets_it
                of_32_that_take_over_one_gets_it
                of_32_that_write_one_transition_one_does
                runs_of_32_hosts_do_not_disturb_each_other
                a_write_that_is_given_up_is_written_whole_or_not_at_all
            }
        }
    };
}

every_story!(sqlite_file);
every_story!(sqlite_memory);
every_story!(postgres);
