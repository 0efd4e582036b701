//! What an answer is worth: how old it may be, whose it is, and whether it could be given at all.

use super::*;

#[test]
fn a_proof_of_long_ago_is_made_anew() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.up_to(UpdateStep::Verify);
    rig.ill(true);
    // Whoever lost the answer asks again at once, and is told what was proved.
    assert_eq!(hand.update(UpdateStep::Verify), Input::Succeeded(Observation::Nothing));
    let job = rig.checkout().join(format!(".git/uphaul/jobs/{}.update-Verify", hand.run));
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let now: i64 = uptime.split('.').next().unwrap().parse().unwrap();
    std::fs::write(job.join("at"), format!("{}\n", now - 120)).unwrap();
    assert!(found(hand.update(UpdateStep::Verify)).contains("not healthy"), "it is not what was proved then");
    rig.ill(false);
    assert!(found(hand.update(UpdateStep::Verify)).contains("not healthy"), "and that is fresh again");
    std::fs::remove_file(job.join("at")).unwrap();
    assert_eq!(hand.update(UpdateStep::Verify), Input::Succeeded(Observation::Nothing), "of an unknown age");
}

#[test]
fn a_run_that_another_one_has_followed_is_superseded() {
    let rig = Rig::new();
    let mut first = Hand::new(&rig, "v2", 1);
    first.up_to(UpdateStep::Fetch);
    let mut second = Hand::new(&rig, "v2", 2);
    second.settled = vec![first.run.clone()];
    second.up_to(UpdateStep::Checkout);
    // A driver that has the number no more, as after a restart of the controller.
    first.fence = None;
    let Input::Superseded { by } = first.update(UpdateStep::Checkout) else { panic!("not superseded") };
    assert!(by.contains(second.run.as_str()), "{by}");
    assert!(matches!(first.rollback(RollbackStep::Checkout), Input::Superseded { .. }));
    assert_eq!(rig.versions(), "v2/v1/v1");
}

#[test]
fn a_switch_that_was_never_set_has_not_gone_back() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    let command =
        Command { step: Step::Prepare(PrepareStep::Record), attempt: Attempt::FIRST, action: Action::Record };
    let mut answer = run(&rig, &script::lower(&hand.plan, &command, &hand.context()));
    answer.lines = vec![("state".into(), "reverted".into())];
    assert!(matches!(answer.input(&command), Input::Failed(Reason::Unexpected { .. })));
    assert!(matches!(hand.record(), Input::Succeeded(_)));
}

#[test]
fn what_cannot_be_sent_later_is_told_before_anything_is_touched() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    let long = |len: usize| [("LONG".parse().unwrap(), "x".repeat(len))].into();
    hand.plan.service.env = long(20_000);
    assert_eq!(hand.preflight().problems, []);
    // The switch has all of it once more.
    hand.plan.deadman = Some(uphaul_core::plan::Deadman { window_s: 300 });
    hand.plan.service.env = long(50_000);
    let problems = hand.preflight().problems;
    let told = problems.iter().find(|problem| problem.code == "too-large").unwrap();
    assert!(told.found.contains("bytes more than a command can carry"), "{told:?}");
    assert!(told.fix.contains("service.env"), "{told:?}");
}
