//! What each transition does to the five version columns, a page for each way a run can end.

use uphaul_core::ids::Revision;
use uphaul_core::machine::{Input, Observation, Reason};
use uphaul_core::plan::Goal;
use uphaul_store::Host;

use crate::Record;
use crate::cast::{
    Driver, failed, host, name, ok, pending, plan, previous, replayed, until_checkout, version,
};

/// Runs that script on a host that was updated from 1 to 2, and shows its row after each line of it.
async fn page(record: Record, title: &str, goal: Goal, target: char, script: Vec<Input>) {
    let store = record.store();
    store.add_hosts(&[host("web-1")], 0).await.unwrap();
    store.observe(&name("web-1"), &version('1'), 1_000_000).await.unwrap();
    let mut first = Driver::begin(&store, "ana", pending(1, plan("web-1", '2'))).await;
    first.tell_all(crate::cast::all_the_way('1')).await;
    first.leave().await;

    let mut lines = vec![format!("{:<26} {}", "transition", head()), line("before", &row(&record).await)];
    let mut asked = plan("web-1", target);
    asked.goal = goal;
    let mut driver = Driver::begin(&store, "ben", pending(2, asked)).await;
    lines.push(line("created", &row(&record).await));
    for input in script {
        driver.at_us += 100_000_000;
        driver.tell(input).await.unwrap();
        let state = format!("{} {}", driver.record.seq.0, driver.record.state);
        lines.push(line(&state, &row(&record).await));
    }
    assert_eq!(replayed(&store, &driver.record.id).await, driver.record.state);
    insta::with_settings!({
        description => title,
        omit_expression => true,
        prepend_module_to_snapshot => false,
        snapshot_path => "snapshots",
    }, {
        insta::assert_snapshot!(format!("columns_{}", title.replace(' ', "_")), lines.join("\n"));
    });
}

async fn row(record: &Record) -> Host {
    record.store().host(&name("web-1")).await.unwrap().unwrap()
}

fn head() -> String {
    format!(
        "{:<16} {:<8} {:<8} {:<8} {:>6} {:>6}",
        "status", "target", "current", "previous", "last", "proved"
    )
}

fn line(when: &str, host: &Host) -> String {
    let digit = |revision: &Option<Revision>| match revision {
        Some(revision) => revision.short()[..1].to_owned(),
        None => "-".to_owned(),
    };
    let seconds = |us: Option<i64>| us.map_or("-".to_owned(), |us| format!("{} s", us / 1_000_000));
    format!(
        "{when:<26} {:<16} {:<8} {:<8} {:<8} {:>6} {:>6}",
        host.update_status.as_deref().unwrap_or("-"),
        digit(&host.target_version),
        digit(&host.current_version),
        digit(&host.previous_version),
        seconds(host.last_update_at_us),
        seconds(host.proved_at_us),
    )
}

pub async fn updated(record: Record) {
    page(record, "updated", Goal::Update, '3', crate::cast::all_the_way('2')).await;
}

/// What was not healthy is not proved: only the target is, at the end.
pub async fn updated_with_a_sick_previous_version(record: Record) {
    let script = vec![Input::Start, ok(), previous('2', false), ok(), ok(), ok(), ok(), ok()];
    page(record, "updated with a sick previous version", Goal::Update, '3', script).await;
}

/// It goes from 2 to 2; the version to go back to stays 1.
pub async fn forced_onto_the_version_it_has(record: Record) {
    page(record, "forced onto the version it has", Goal::Update, '2', crate::cast::all_the_way('2')).await;
}

pub async fn unchanged(record: Record) {
    let script = vec![Input::Start, Input::Succeeded(Observation::AlreadyThere)];
    page(record, "unchanged", Goal::Update, '2', script).await;
}

pub async fn aborted(record: Record) {
    let script = vec![Input::Start, ok(), previous('2', true), failed()];
    page(record, "aborted", Goal::Update, '3', script).await;
}

pub async fn rolled_back(record: Record) {
    let mut script = until_checkout('2');
    script.extend([ok(), ok(), ok(), failed(), ok(), ok(), ok(), ok()]);
    page(record, "rolled back", Goal::Update, '3', script).await;
}

pub async fn needs_attention(record: Record) {
    let mut script = until_checkout('2');
    script.extend([ok(), failed(), failed()]);
    page(record, "needs attention", Goal::Update, '3', script).await;
}

pub async fn superseded(record: Record) {
    let mut script = until_checkout('2');
    script.push(Input::Superseded { by: "another".into() });
    page(record, "superseded", Goal::Update, '3', script).await;
}

pub async fn parked_and_back(record: Record) {
    let mut script = until_checkout('2');
    script.push(Input::Unreachable { detail: "no route".into() });
    script.push(Input::Interrupted);
    script.push(Input::Failed(Reason::HostReverted { note: Some("went back".into()) }));
    page(record, "parked and back", Goal::Update, '3', script).await;
}

pub async fn a_rollback_by_hand(record: Record) {
    page(record, "a rollback by hand", Goal::Rollback, '1', crate::cast::all_the_way('2')).await;
}
