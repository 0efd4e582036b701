//! Files of the checkout that somebody, or the install, has changed or put there.

use super::*;

#[test]
fn edits_by_hand_are_refused_by_name() {
    let rig = Rig::new();
    std::fs::write(rig.checkout().join("package"), "mine\n").unwrap();
    let report = Hand::new(&rig, "v2", 1).preflight();
    let problem = &report.problems[0];
    assert_eq!(problem.code, "dirty-tree");
    assert!(problem.found.contains("package"), "{}", problem.found);
}

#[test]
fn edits_by_hand_come_back_with_a_rollback() {
    for dirty in [Dirty::Stash, Dirty::Discard] {
        let rig = Rig::new();
        std::fs::write(rig.checkout().join("package"), "mine\n").unwrap();
        let mut hand = Hand::new(&rig, "v2", 1);
        hand.plan.policy.dirty = dirty;
        hand.up_to(UpdateStep::Restart);
        assert_eq!(std::fs::read_to_string(rig.checkout().join("package")).unwrap(), "2");
        assert_eq!(hand.rollback(RollbackStep::Checkout), Input::Succeeded(Observation::Nothing));
        assert_eq!(std::fs::read_to_string(rig.checkout().join("package")).unwrap(), "mine\n");
        let stashed = rig.git(&["stash", "list"]).lines().count();
        assert_eq!(stashed, usize::from(dirty == Dirty::Stash), "{dirty:?}");
    }
}

#[test]
fn edits_made_after_the_preflight_are_kept() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.up_to(UpdateStep::Fetch);
    std::fs::write(rig.checkout().join("package"), "mine\n").unwrap();
    assert!(found(hand.update(UpdateStep::Checkout)).contains("since the preflight"));
    assert_eq!(hand.rollback(RollbackStep::Checkout), Input::Succeeded(Observation::Nothing));
    assert_eq!(std::fs::read_to_string(rig.checkout().join("package")).unwrap(), "mine\n");
}

#[test]
fn an_untracked_file_in_the_way_is_named_before_anything_is_touched() {
    let rig = Rig::new();
    std::fs::create_dir(rig.checkout().join("only-in-v2")).unwrap();
    std::fs::write(rig.checkout().join("only-in-v2/file"), "mine\n").unwrap();
    let mut hand = Hand::new(&rig, "v2", 1);
    assert!(matches!(hand.record(), Input::Succeeded(_)));
    assert!(found(hand.update(UpdateStep::Fetch)).contains("only-in-v2/file"));
    assert_eq!(
        hand.preflight().problems[0].code,
        "in-the-way",
        "now that the target is here, preflight sees it too"
    );
    assert_eq!(std::fs::read_to_string(rig.checkout().join("only-in-v2/file")).unwrap(), "mine\n");
}

#[test]
fn an_untracked_file_where_a_folder_must_be_is_in_the_way() {
    let rig = Rig::new();
    std::fs::write(rig.checkout().join("only-in-v2"), "mine\n").unwrap();
    let mut hand = Hand::new(&rig, "v2", 1);
    assert!(matches!(hand.record(), Input::Succeeded(_)));
    assert!(found(hand.update(UpdateStep::Fetch)).contains("only-in-v2"));
}

#[test]
fn an_install_that_rewrites_a_tracked_file_is_undone_after_the_proof() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.install =
        "cp version .installed; echo \"lock $(cat version)\" > package".parse().unwrap();
    hand.up_to(UpdateStep::Verify);
    assert_eq!(rig.git(&["status", "--porcelain", "--untracked-files=no"]), "");
    assert_eq!(std::fs::read_to_string(rig.checkout().join("package")).unwrap(), "2");
}

#[test]
fn what_an_install_left_behind_is_not_taken_for_edits() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.install = "cp version .installed; echo lock > package".parse().unwrap();
    hand.up_to(UpdateStep::Install);
    assert_eq!(hand.preflight().dirty, [] as [String; 0]);
    std::fs::write(rig.checkout().join("package"), "mine\n").unwrap();
    assert_eq!(hand.preflight().dirty, [" M package"]);
}

#[test]
fn edits_survive_a_checkout_that_never_touched_anything() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.up_to(UpdateStep::Fetch);
    std::fs::write(rig.checkout().join("package"), "mine\n").unwrap();
    std::fs::write(rig.checkout().join(".git/index.lock"), "").unwrap();
    assert!(found(hand.update(UpdateStep::Checkout)).contains("index.lock"));
    assert_eq!(hand.rollback(RollbackStep::Checkout), Input::Succeeded(Observation::Nothing));
    assert_eq!(std::fs::read_to_string(rig.checkout().join("package")).unwrap(), "mine\n");
}

#[test]
fn edits_that_git_was_told_not_to_see_are_refused() {
    let rig = Rig::new();
    rig.git(&["update-index", "--assume-unchanged", "package"]);
    std::fs::write(rig.checkout().join("package"), "mine\n").unwrap();
    let mut hand = Hand::new(&rig, "v2", 1);
    assert_eq!(hand.preflight().problems[0].code, "hidden-edits");
    hand.up_to(UpdateStep::Fetch);
    assert!(found(hand.update(UpdateStep::Checkout)).contains("package"));
    assert_eq!(hand.rollback(RollbackStep::Checkout), Input::Succeeded(Observation::Nothing));
    assert_eq!(std::fs::read_to_string(rig.checkout().join("package")).unwrap(), "mine\n");
}

#[test]
fn edits_that_do_not_apply_do_not_keep_the_old_service_down() {
    let rig = Rig::new();
    std::fs::write(rig.checkout().join("mine"), "mine\n").unwrap();
    rig.git(&["add", "mine"]);
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.policy.dirty = Dirty::Stash;
    hand.plan.service.install = "cp version .installed; echo in the way > mine".parse().unwrap();
    hand.up_to(UpdateStep::Restart);
    for step in [RollbackStep::Checkout, RollbackStep::Install, RollbackStep::Restart] {
        assert_eq!(hand.rollback(step), Input::Succeeded(Observation::Nothing), "{step:?}");
    }
    assert!(found(hand.rollback(RollbackStep::Verify)).contains("refs/uphaul/edits/"));
    assert_eq!(rig.versions(), "v1/v1/v1");
}
