//! What a runner makes of a dead-man's switch, and what is kept for the way back. The state of the switch is written by
//! hand here: there is no systemd to run one. (On real hosts: crates/cli/tests/hosts/switch.rs.)

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use uphaul_core::plan::{Deadman, Manager};

use super::*;

fn armed(rig: &Rig) -> Hand<'_> {
    let mut hand = Hand::new(rig, "v2", 1);
    hand.plan.deadman = Some(Deadman { window_s: 300 });
    hand
}

fn state_file(rig: &Rig) -> PathBuf {
    rig.checkout().join(".git/uphaul/switch/state")
}

fn switch(rig: &Rig, run: &RunId, state: &str, fence: u64, before: u64) {
    std::fs::create_dir_all(state_file(rig).parent().unwrap()).unwrap();
    let text = format!("state={state}\nrun={run}\nfence={fence}\nbefore={before}\nnote=went back\n");
    std::fs::write(state_file(rig), text).unwrap();
}

/// What a driver is told of the switch that stands there.
fn went_back() -> Input {
    Input::HostReverted(Some("went back".into()))
}

/// The result of a job that came to an end before its runner asked.
fn ended(rig: &Rig, run: &RunId, step: &str, code: &str) {
    let job = rig.checkout().join(format!(".git/uphaul/jobs/{run}.{step}"));
    std::fs::create_dir_all(&job).unwrap();
    std::fs::write(job.join("rc"), code).unwrap();
}

fn number(rig: &Rig, number: u64) {
    let claim = rig.checkout().join(".git/uphaul/claim");
    let text = std::fs::read_to_string(&claim).unwrap();
    let text: Vec<String> = text
        .lines()
        .map(|line| if line.starts_with("fence=") { format!("fence={number}") } else { line.to_owned() })
        .collect();
    std::fs::write(claim, text.join("\n") + "\n").unwrap();
}

#[test]
fn an_arm_that_failed_leaves_nothing_that_acts() {
    let rig = Rig::new();
    let mut hand = armed(&rig);
    hand.up_to(UpdateStep::Fetch);
    // Its job had armed when it was killed.
    switch(&rig, &hand.run, "armed", 0, 0);
    ended(&rig, &hand.run, "update-Arm", "137");
    let back = Action::Arm(rig.revision("v1"));
    let told = hand.send(Step::Update(UpdateStep::Arm), back);
    assert!(matches!(told, Input::Failed(_)), "{told:?}");
    assert!(!state_file(&rig).exists(), "the run is over, and its switch would act");
}

#[test]
fn a_switch_that_acted_is_told_of_though_its_arm_failed() {
    let rig = Rig::new();
    let mut hand = armed(&rig);
    hand.up_to(UpdateStep::Fetch);
    let before = hand.fence.unwrap().0;
    switch(&rig, &hand.run, "reverted", before + 1, before);
    number(&rig, before + 1);
    ended(&rig, &hand.run, "update-Arm", "137");
    let back = Action::Arm(rig.revision("v1"));
    assert_eq!(hand.send(Step::Update(UpdateStep::Arm), back), went_back());
    assert!(state_file(&rig).exists());
}

#[test]
fn a_confirm_that_was_cut_off_after_its_mark_has_confirmed() {
    let rig = Rig::new();
    let mut hand = armed(&rig);
    hand.up_to(UpdateStep::Fetch);
    switch(&rig, &hand.run, "confirmed", 0, 0);
    ended(&rig, &hand.run, "update-Confirm", "124");
    let told = hand.send(Step::Update(UpdateStep::Confirm), Action::Confirm);
    assert_eq!(told, Input::Succeeded(Observation::Nothing));
    // One that failed before the mark has not.
    let mut other = armed(&rig);
    other.run = hand.run.clone();
    other.seq = Seq(2);
    switch(&rig, &hand.run, "armed", 0, 0);
    ended(&rig, &hand.run, "rollback-Confirm", "3");
    let told = other.send(Step::Rollback(RollbackStep::Confirm), Action::Confirm);
    assert!(matches!(told, Input::Failed(_)), "{told:?}");
}

#[test]
fn who_did_not_hear_that_the_host_went_back_is_told_again() {
    let rig = Rig::new();
    let mut hand = armed(&rig);
    hand.up_to(UpdateStep::Fetch);
    let fence = hand.fence;
    let before = fence.unwrap().0;
    switch(&rig, &hand.run, "reverted", before + 1, before);
    number(&rig, before + 1);
    for _ in 0..3 {
        // The connection was lost before the answer came, with the number in it.
        hand.fence = fence;
        assert_eq!(hand.update(UpdateStep::Checkout), went_back());
    }
    let mut next = armed(&rig);
    next.seq = Seq(4);
    assert_eq!(next.update(UpdateStep::Checkout), went_back());
    hand.fence = fence;
    let told = hand.update(UpdateStep::Checkout);
    assert!(matches!(told, Input::Superseded { .. }), "a later driver has the run: {told:?}");
}

/// An install that works on the way there alone, and on the way back has removed `folder` before it fails.
fn fails_on_the_way_back(folder: &str) -> String {
    format!("cp version .installed; [ \"$(cat version)\" = v2 ] || {{ rm -rf {folder}; exit 1; }}")
}

#[track_caller]
fn goes_back(hand: &mut Hand<'_>) {
    hand.up_to(UpdateStep::Restart);
    for step in [RollbackStep::Checkout, RollbackStep::Install, RollbackStep::Restart, RollbackStep::Verify] {
        assert_eq!(hand.rollback(step), Input::Succeeded(Observation::Nothing), "{step:?}");
    }
}

#[test]
fn a_kept_folder_that_is_a_link_comes_back() {
    let rig = Rig::new();
    let shared = rig.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("module"), "x").unwrap();
    symlink("../shared", rig.checkout().join("modules")).unwrap();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.keep = vec!["modules".parse().unwrap()];
    hand.plan.service.install = fails_on_the_way_back("modules").parse().unwrap();
    goes_back(&mut hand);
    assert!(rig.checkout().join("modules/module").exists());
}

#[test]
fn tracked_files_of_a_kept_folder_are_those_of_the_previous_commit() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.keep = ["only-in-v2", "package"].map(|path| path.parse().unwrap()).into();
    hand.plan.service.install = fails_on_the_way_back("only-in-v2 package").parse().unwrap();
    goes_back(&mut hand);
    assert!(!rig.checkout().join("only-in-v2/file").exists(), "a file of the target is back");
    assert_eq!(std::fs::read_to_string(rig.checkout().join("package")).unwrap(), "1");
}

/// Its time was up this many seconds ago.
fn overdue(rig: &Rig, seconds: i64) {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let up = std::fs::read_to_string("/proc/uptime").unwrap();
    let up: i64 = up.split('.').next().unwrap().parse().unwrap();
    let text = format!("boot={}\nat={}\nwindow=300\n", boot.trim(), up - seconds);
    std::fs::write(state_file(rig).with_file_name("deadline"), text).unwrap();
}

#[test]
fn a_switch_that_is_overdue_and_does_not_run_is_given_up_when_asked_for() {
    let rig = Rig::new();
    let hand = armed(&rig);
    let gone = RunId::from_bits(9);
    let fix = || run(&rig, &script::fix(&hand.plan, &hand.context()));
    let active = |state: &str| std::fs::write(rig.path().join("shim/active"), state).unwrap();
    for state in ["armed", "reverting"] {
        switch(&rig, &gone, state, 0, 0);
        // It may have its time yet; it may be late; it may run.
        for (seconds, unit) in [(-50, "inactive"), (500, "inactive"), (5000, "active"), (5000, "activating")]
        {
            overdue(&rig, seconds);
            active(unit);
            let told = fix();
            assert!(told.get("fault").is_some_and(|fault| fault.contains(gone.as_str())), "{told:?}");
            let held = hand.preflight().held.unwrap();
            assert!(!held.contains("in -") && !held.contains("--fix"), "{held}");
            assert_eq!(held.contains("overdue"), seconds > 0, "{held}");
        }
        active("inactive");
        let held = hand.preflight().held.unwrap();
        assert!(held.contains("is overdue by 5") && held.contains("its unit does not run"), "{held}");
        let told = fix();
        assert!(told.get("fixed").is_some_and(|fixed| fixed.contains("half updated")), "{told:?}");
        assert_eq!(hand.preflight().held, None);
    }
}

/// Sets the switch of this run as Arm does, but for its unit; its time was up a second ago.
fn set(hand: &Hand<'_>) -> RemoteCommand {
    let (rig, to) = (hand.rig, hand.rig.revision("v1"));
    switch(rig, &hand.run, "armed", 0, 0);
    overdue(rig, 1);
    let step = Step::Update(UpdateStep::Arm);
    let arm = Command { step, attempt: Attempt::FIRST, action: Action::Arm(to.clone()) };
    let mut words = script::lower(&hand.plan, &arm, &hand.context());
    let text =
        |parts: &[&str]| parts.iter().map(|part| format!("{}\n", words.env[*part])).collect::<String>();
    let place = state_file(rig).parent().unwrap().to_owned();
    for (name, body) in
        [("checkout", "U_REVERT_CHECKOUT"), ("install", "U_REVERT_INSTALL"), ("restart", "U_REVERT_RESTART")]
    {
        std::fs::write(place.join(name), text(&["U_LIB", "U_SHARED", body])).unwrap();
    }
    for name in ["try1", "try2", "try3"] {
        std::fs::write(place.join(name), "").unwrap();
    }
    words.argv = vec!["sh".into(), "-c".into(), text(&["U_LIB", "U_SWITCH"])];
    let state = place.parent().unwrap().display().to_string();
    for (key, value) in
        [("U_PHASE", "rollback"), ("U_STEP", "switch"), ("U_TO", to.as_str()), ("U_STATE", &state)]
    {
        words.env.insert(key.into(), value.into());
    }
    words
}

/// Has the switch act, after so many seconds; it is killed before the line that begins so.
fn acts(rig: &Rig, words: &RemoteCommand, after: &str, cut: &str) -> std::process::Child {
    let text = &words.argv[2];
    let line = format!("\n{}", if cut.is_empty() { "U_NEVER" } else { cut });
    assert_eq!(text.matches(&line).count(), usize::from(!cut.is_empty()), "{cut}");
    let script = format!("sleep {after}\n{}", text.replace(&line, &format!("\nkill -9 $${line}")));
    Process::new("sh")
        .args(["-c", &script])
        .env_clear()
        .envs(rig.login())
        .envs(&words.env)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// The note of the switch as a driver is told of it.
#[track_caller]
fn note_of(told: &Input) -> &str {
    let Input::HostReverted(Some(note)) = told else { panic!("{told:?}") };
    note
}

/// The first writes of a try, in order.
const TRY: [&str; 4] = [
    "rm -f \"$W/try$tries\"",
    "mark_switch reverting \"$U_RUN\" \"$fence\" \"$before\" \"its",
    "write_claim \"$fence\"",
    "kept=$S",
];

#[test]
fn a_switch_that_is_cut_off_between_two_writes_overtakes_no_driver() {
    for (at, cut) in TRY.into_iter().enumerate() {
        let rig = Rig::new();
        let mut hand = armed(&rig);
        hand.up_to(UpdateStep::Restart);
        let words = set(&hand);
        acts(&rig, &words, "0", cut).wait().unwrap();
        let mut again = acts(&rig, &words, "2", "");
        let told = hand.update(UpdateStep::Verify);
        if at < 2 {
            // It is armed as before, and was put off.
            assert_eq!(told, Input::Succeeded(Observation::Nothing), "{cut}");
            again.kill().unwrap();
            again.wait().unwrap();
        } else {
            again.wait().unwrap();
            let note = note_of(&told);
            let words = format!("went back to {} at try 2, begun ", rig.revision("v1"));
            assert!(note.starts_with(&words) && note.contains(" s after its time was up"), "{cut}: {note}");
            let written = std::fs::read_to_string(state_file(&rig)).unwrap();
            assert!(written.ends_with(&format!("note={note}\n")), "{cut}: {note} is not of {written}");
            assert_eq!(rig.versions(), "v1/v1/v1");
        }
    }
}

#[test]
fn a_switch_that_never_goes_on_overtakes_no_driver() {
    let rig = Rig::new();
    let mut hand = armed(&rig);
    hand.up_to(UpdateStep::Restart);
    let words = set(&hand);
    acts(&rig, &words, "0", TRY[3]).wait().unwrap();
    acts(&rig, &words, "0", TRY[2]).wait().unwrap();
    let action = Action::Verify(rig.revision("v2"));
    let command = Command { step: Step::Update(UpdateStep::Verify), attempt: Attempt::FIRST, action };
    let mut words = script::lower(&hand.plan, &command, &hand.context());
    words.env.insert("U_WAIT_S".into(), "2".into());
    let told = run(&rig, &words).input(&command);
    let note = note_of(&told);
    assert!(note.starts_with("its try 2, begun ") && note.ends_with("was cut off; it was cut off"), "{note}");
    // The answer was lost; it is told again.
    assert_eq!(hand.update(UpdateStep::Verify), told);
}

#[test]
fn a_job_that_begins_when_the_switch_has_its_mark_and_not_its_number_does_nothing() {
    let rig = Rig::new();
    let mut hand = armed(&rig);
    hand.up_to(UpdateStep::Verify);
    switch(&rig, &hand.run, "armed", 0, 0);
    let step = Step::Update(UpdateStep::Confirm);
    let command = Command { step, attempt: Attempt::FIRST, action: Action::Confirm };
    let mut words = script::lower(&hand.plan, &command, &hand.context());
    let begins = "\nbegin_unit || begin_session";
    let mark = "\nmark_switch reverting \"$U_RUN\" 99 \"$U_FENCE\" x";
    words.argv[2] = words.argv[2].replace(begins, &format!("{mark}{begins}"));
    assert_eq!(note_of(&run(&rig, &words).input(&command)), "x");
    assert!(std::fs::read_to_string(state_file(&rig)).unwrap().contains("state=reverting"));
}

#[test]
fn a_try_that_failed_is_made_again_later_and_one_that_was_cut_off_at_once() {
    let rig = Rig::new();
    let mut hand = armed(&rig);
    // Its install fails on the way back, until something else has passed.
    hand.plan.service.install =
        "[ \"$(cat version)\" = v2 ] || test -e ../passed && cp version .installed".parse().unwrap();
    std::fs::write(rig.path().join("passed"), "").unwrap();
    hand.up_to(UpdateStep::Install);
    std::fs::remove_file(rig.path().join("passed")).unwrap();
    let mut words = set(&hand);
    // The waiting is written down, not waited for.
    words.argv[2] =
        format!("sleep() {{ echo \"$1\" >>\"$U_STATE/slept\"; command sleep 0.05; }}\n{}", words.argv[2]);
    let slept = || {
        let all = std::fs::read_to_string(rig.checkout().join(".git/uphaul/slept")).unwrap_or_default();
        let long = |line: &&str| line.parse::<u32>().is_ok_and(|seconds| seconds >= 30);
        all.lines().filter(long).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let note = || std::fs::read_to_string(state_file(&rig)).unwrap();
    assert_eq!(acts(&rig, &words, "0", "").wait().unwrap().code(), Some(1));
    assert!(slept().is_empty(), "{:?}", slept());
    assert!(note().contains("note=try 1") && note().contains("failed at install"), "{}", note());
    acts(&rig, &words, "0", TRY[3]).wait().unwrap();
    assert_eq!(slept(), ["30"]);
    assert!(note().contains("was cut off"), "{}", note());
    std::fs::write(rig.path().join("passed"), "").unwrap();
    assert_eq!(acts(&rig, &words, "0", "").wait().unwrap().code(), Some(0));
    assert_eq!(slept(), ["30"], "it was cut off, and waited all the same");
    assert!(note().contains("state=reverted") && note().contains("at try 3"), "{}", note());
    // And where nothing passes, the last try is later still.
    set(&hand);
    std::fs::remove_file(rig.path().join("passed")).unwrap();
    std::fs::remove_file(rig.checkout().join(".git/uphaul/slept")).unwrap();
    for _ in 0..3 {
        assert_eq!(acts(&rig, &words, "0", "").wait().unwrap().code(), Some(1));
    }
    assert_eq!(slept(), ["30", "120"]);
    assert_eq!(acts(&rig, &words, "0", "").wait().unwrap().code(), Some(0));
    assert!(note().contains("state=failed"), "{}", note());
}

/// What preflight says of there being no switch.
fn no_switch(hand: &Hand<'_>, change: &dyn Fn(&mut RemoteCommand)) -> Option<String> {
    let mut words = script::preflight(&hand.plan, &hand.context());
    change(&mut words);
    let report = script::preflight_of(&hand.plan, &run(hand.rig, &words));
    report.findings.into_iter().find(|finding| finding.code == "no-switch").map(|finding| finding.text)
}

#[test]
fn a_host_that_can_have_no_switch_is_told_of_before_it_is_touched() {
    let rig = Rig::new();
    let mut hand = armed(&rig);
    // A user who is not root, and a mount that is read-only or not.
    let bin = rig.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let program = |name: &str, text: &str| {
        std::fs::write(bin.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    program("id", "case $1 in -u) echo 1000 ;; *) echo deploy ;; esac");
    let path = format!("{}:{}", bin.display(), rig.login()["PATH"]);
    let by_user = |words: &mut RemoteCommand| {
        words.env.insert("PATH".into(), path.clone());
    };
    program("findmnt", "echo rw,relatime,errors=remount-ro");
    assert_eq!(no_switch(&hand, &by_user), None);
    program("findmnt", "echo ro,nosuid,relatime");
    let told = no_switch(&hand, &by_user).unwrap();
    assert!(told.starts_with("there is no dead-man's switch: /etc/systemd/system is read-only"), "{told}");
    // Nothing is said where none was asked for, and where its folder is not there yet.
    let nowhere = |words: &mut RemoteCommand| {
        words.argv[2] = words.argv[2].replace("unit_dir=/etc/systemd/system", "unit_dir=/tmp/no/such/folder");
    };
    assert_eq!(no_switch(&hand, &nowhere), None);
    hand.plan.deadman = None;
    assert_eq!(no_switch(&hand, &by_user), None);
    hand.plan.service.manager =
        Manager::Commands { restart: "true".parse().unwrap(), status: "true".parse().unwrap() };
    let told = no_switch(&hand, &|_| ()).unwrap();
    assert!(told.starts_with("there is no dead-man's switch: service.commands has none"), "{told}");
}
