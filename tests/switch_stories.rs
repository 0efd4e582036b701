//! The stories of the dead-man's switch, told by the simulated host. (On real hosts: crates/cli/tests/hosts/switch.rs.)

use std::sync::Arc;

use uphaul_core::plan::Deadman;
use uphaul_exec_mock::{Cut, Fault, Moment, What};
use uphaul_tests::faults::Fault as CrashAt;
use uphaul_tests::simulated::SimulatedHost;
use uphaul_tests::story::{story, story_called_off};

async fn tell(name: &str, title: &str, faults: &[(&str, What)]) {
    let host = SimulatedHost::new();
    for (job, what) in faults {
        host.fleet.plan("web-1", Fault::job(*job, what.clone()));
    }
    let mut plan = host.plan("v2");
    plan.deadman = Some(Deadman { window_s: 300 });
    let told = story(title, Arc::new(host), plan, &[]).await;
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, description => title }, {
        insta::assert_snapshot!(name, told);
    });
}

/// A run that is resumed by somebody who wants another target; the controller has died at this job.
async fn tell_called_off(name: &str, title: &str, job: &str, crash: CrashAt) {
    let host = SimulatedHost::new();
    let mut plan = host.plan("v2");
    plan.deadman = Some(Deadman { window_s: 300 });
    let by = host.plan("v1").target;
    let told = story_called_off(title, Arc::new(host), plan, &[(job, crash)], by).await;
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, description => title }, {
        insta::assert_snapshot!(name, told);
    });
}

#[tokio::test]
async fn called_off_while_it_is_set() {
    let title = "called off while its switch is being set: it is set first, so that it is known";
    tell_called_off("switch_called_off_in_arm", title, "update-Arm", CrashAt::CrashAfter).await;
}

#[tokio::test]
async fn called_off_while_it_is_disarmed() {
    let title = "called off when it is proved, and its switch may be disarmed: it is updated";
    tell_called_off("switch_called_off_in_confirm", title, "update-Confirm", CrashAt::CrashBefore).await;
}

fn fails(moment: Moment) -> What {
    What::Fail { moment, code: 1, tail: "a planned failure".into() }
}

#[tokio::test]
async fn confirmed() {
    tell("switch_confirmed", "a good update disarms its switch over a fresh connection", &[]).await;
}

#[tokio::test]
async fn arm_fails() {
    let faults = [("update-Arm", fails(Moment::Before))];
    tell("switch_arm_fails", "the switch cannot be set: nothing was touched", &faults).await;
}

#[tokio::test]
async fn disarmed_by_a_rollback() {
    let faults = [("update-Verify", fails(Moment::After))];
    tell(
        "switch_disarmed_by_a_rollback",
        "verify fails: the rollback disarms the switch before it is over",
        &faults,
    )
    .await;
}

#[tokio::test]
async fn acted_in_the_install() {
    let faults = [("update-Install", What::Reverts(Cut::GoesOn))];
    tell("switch_acted_in_the_install", "cut off in the install for longer than the window", &faults).await;
}

#[tokio::test]
async fn acted_before_the_confirm() {
    let faults = [("update-Confirm", What::Reverts(Cut::Before))];
    tell(
        "switch_acted_before_the_confirm",
        "proved, but cut off for longer than the window before it was confirmed",
        &faults,
    )
    .await;
}

#[tokio::test]
async fn confirmed_and_the_answer_is_lost() {
    let faults = [("update-Confirm", What::Reverts(Cut::After))];
    tell(
        "switch_confirmed_and_lost",
        "confirmed, and the answer is lost for longer than the window",
        &faults,
    )
    .await;
}

#[tokio::test]
async fn acted_in_the_rollback() {
    let faults = [("update-Verify", fails(Moment::After)), ("rollback-Install", What::Reverts(Cut::GoesOn))];
    tell("switch_acted_in_the_rollback", "cut off in the rollback for longer than the window", &faults).await;
}

#[tokio::test]
async fn acted_and_the_host_is_rebooted() {
    let faults =
        [("update-Install", What::Reverts(Cut::GoesOn)), ("rollback-Verify", What::Reboot(Moment::Before))];
    tell(
        "switch_acted_and_rebooted",
        "the host has gone back by itself, and is rebooted while that is proved",
        &faults,
    )
    .await;
}

#[tokio::test]
async fn the_note_of_a_switch_is_masked_before_it_is_written() {
    let host = SimulatedHost::new();
    host.fleet.plan("web-1", Fault::job("update-Install", What::Reverts(Cut::GoesOn)));
    let mut plan = host.plan("v2");
    plan.deadman = Some(Deadman { window_s: 300 });
    // Nobody's password, but it stands in the note.
    plan.service.env.insert("PASSWORD".parse().unwrap(), "after its time".into());
    let told = story("a switch that tells a secret", Arc::new(host), plan, &[]).await;
    assert!(told.contains("begun 0 s [masked] was up"), "{told}");
    assert!(!told.contains("after its time"), "{told}");
}
