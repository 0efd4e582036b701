//! What was seen of a failure is written with the transition that tells of it, and with no other.

use uphaul_core::evidence::{Cut, Evidence, Part};
use uphaul_core::machine::{RollbackStep, Step, UpdateStep};
use uphaul_core::ports::{Journal as _, JournalError};
use uphaul_store::{StoreError, StoredEvidence};

use crate::Record;
use crate::cast::{Driver, failed, host, name, ok, pending, plan, take, until_checkout};

fn seen(step: Step, text: &str) -> Evidence {
    let part = Part {
        name: "journal app.service".into(),
        how: "journalctl -b".into(),
        cut: Some(Cut::Tail),
        text: text.into(),
    };
    Evidence { step, parts: vec![part], trouble: None }
}

/// A run whose verify has failed, and nobody has written that yet.
async fn at_verify(record: &Record) -> Driver {
    record.store().add_hosts(&[host("web-1")], 0).await.unwrap();
    let mut driver = Driver::begin(&record.store(), "ana", pending(1, plan("web-1", '2'))).await;
    driver.tell_all(until_checkout('1')).await;
    driver.tell_all([ok(), ok(), ok()]).await;
    driver
}

pub async fn it_is_written_with_its_transition(record: Record) {
    let mut driver = at_verify(&record).await;
    let (store, run) = (record.another().await, driver.record.id.clone());
    assert_eq!(store.evidence(&run).await.unwrap(), []);
    assert!(!store.has_evidence(&run).await.unwrap());
    let verify = seen(Step::Update(UpdateStep::Verify), "a\u{0}b\n\"ä\"\n");
    driver.tell_with(failed(), Some(verify.clone())).await.unwrap();
    let first = StoredEvidence { seq: driver.record.seq, at_us: driver.at_us, evidence: verify };
    assert_eq!(store.evidence(&run).await.unwrap(), std::slice::from_ref(&first));
    assert!(store.has_evidence(&run).await.unwrap());
    driver.tell_all([ok(), ok(), ok()]).await;
    let none = Evidence {
        step: Step::Rollback(RollbackStep::Verify),
        parts: Vec::new(),
        trouble: Some("the connection was cut".into()),
    };
    driver.tell_with(failed(), Some(none.clone())).await.unwrap();
    assert!(driver.record.state.is_finished());
    let second = StoredEvidence { seq: driver.record.seq, at_us: driver.at_us, evidence: none };
    assert_eq!(store.evidence(&run).await.unwrap(), [first, second]);
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
    // It stays with the run when its host is removed.
    driver.leave().await;
    record.store().remove_host(&name("web-1"), false).await.unwrap();
    assert_eq!(store.evidence(&run).await.unwrap().len(), 2);
}

pub async fn what_is_not_written_leaves_none(record: Record) {
    let mut driver = at_verify(&record).await;
    let (store, run) = (record.store(), driver.record.id.clone());
    let evidence = seen(Step::Update(UpdateStep::Verify), "x\n");
    // A driver that was overtaken.
    let mut ghost = driver.next(failed());
    ghost.evidence = Some(evidence.clone());
    driver.tell_with(failed(), Some(evidence.clone())).await.unwrap();
    let told = store.append(&driver.lease, &ghost).await;
    assert!(matches!(told, Err(JournalError::TakenOver(_))), "{told:?}");
    assert_eq!(store.evidence(&run).await.unwrap().len(), 1, "once");
    // One that has lost its host.
    let mut late = driver.next(failed());
    late.evidence = Some(evidence.clone());
    store.release(&driver.lease).await.unwrap();
    let _other = take(&store, "web-1", "ben").await;
    let told = store.append(&driver.lease, &late).await;
    assert!(matches!(told, Err(JournalError::TakenOver(_))), "{told:?}");
    assert_eq!(store.evidence(&run).await.unwrap().len(), 1);
}

pub async fn what_is_too_large_is_refused_whole(record: Record) {
    let mut driver = at_verify(&record).await;
    let (store, run, before) = (record.store(), driver.record.id.clone(), driver.record.clone());
    let huge = seen(Step::Update(UpdateStep::Verify), &"x".repeat(uphaul_store::ENTRY_BYTES_MAX));
    let told = driver.tell_with(failed(), Some(huge)).await.unwrap_err().to_string();
    assert!(told.contains("the evidence of run"), "{told}");
    assert_eq!(store.run(&run).await.unwrap().unwrap().record, before);
    assert_eq!(store.evidence(&run).await, Ok::<_, StoreError>(Vec::new()));
}
