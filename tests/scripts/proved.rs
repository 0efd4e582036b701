//! What an answer is worth: how old it may be, whose it is, and whether it could be given at all.

use super::*;

use uphaul_core::plan::{Health, Manager};

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

/// Verifies with a status command whose second call ends as told.
fn verified_where_the_second_status(ends: &str) -> Input {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    let status =
        format!("echo >>.git/asked; [ $(wc -l <.git/asked) = 2 ] || {{ echo pid 7; exit; }}; {ends}");
    hand.plan.service.manager =
        Manager::Commands { restart: "rm -f .git/asked".parse().unwrap(), status: status.parse().unwrap() };
    hand.plan.service.health = None;
    (hand.plan.limits.probe_s, hand.plan.limits.verify_s, hand.plan.limits.healthy_s) = (1, 60, 1);
    hand.up_to(UpdateStep::Restart);
    hand.update(UpdateStep::Verify)
}

#[test]
fn a_status_that_does_not_come_is_asked_for_again() {
    let proved = verified_where_the_second_status("sleep 600");
    assert_eq!(proved, Input::Succeeded(Observation::Nothing));
    let failed = found(verified_where_the_second_status("echo no process; exit 1"));
    assert!(failed.contains("it ran and does not any more: the status command says"), "{failed}");
    assert!(failed.contains("no process"), "{failed}");
}

#[test]
fn one_answer_is_no_time_of_health_however_long_it_took() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    // Twice as long for one answer as it has to be healthy.
    let slow = "echo >>.git/asked; sleep 2";
    hand.plan.service.health = Some(Health::Command(slow.parse().unwrap()));
    (hand.plan.limits.probe_s, hand.plan.limits.verify_s, hand.plan.limits.healthy_s) = (20, 60, 1);
    hand.up_to(UpdateStep::Restart);
    let asked = rig.checkout().join(".git/asked");
    let _ = std::fs::remove_file(&asked);
    assert_eq!(hand.update(UpdateStep::Verify), Input::Succeeded(Observation::Nothing));
    let times = std::fs::read_to_string(&asked).unwrap().lines().count();
    assert!(times >= 2, "asked {times} times");
}

/// Verifies for 2 s, with a health command that is only good when they are over, and ends as told when it is asked again.
fn verified_late(rig: &Rig, then: &str) -> Input {
    let mut hand = Hand::new(rig, "v2", 1);
    hand.up_to(UpdateStep::Restart);
    let slow = format!("echo >>.git/asked; sleep 2; [ $(wc -l <.git/asked) = 1 ] || {{ {then}; }}");
    hand.plan.service.health = Some(Health::Command(slow.parse().unwrap()));
    (hand.plan.limits.probe_s, hand.plan.limits.verify_s, hand.plan.limits.healthy_s) = (20, 2, 1);
    hand.update(UpdateStep::Verify)
}

#[test]
fn who_is_healthy_when_the_time_is_over_may_show_that_it_stays_so() {
    let rig = Rig::new();
    assert_eq!(verified_late(&rig, "true"), Input::Succeeded(Observation::Nothing));
    let rig = Rig::new();
    let told = found(verified_late(&rig, "echo gone; exit 4"));
    assert!(told.contains("not healthy for 1 s within 2 s: health command: exit 4 gone"), "{told}");
}

/// How often a service that is always healthy is asked before it is so for a second, where the host tells its uptime in this
/// form of printf (seconds and hundredths), begins 0.9 s after its boot, and an answer takes 0.3 s.
fn asked_where_uptime_is(form: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let stubs = r#"
        tell() { printf "$FORM\n" "$(($1 / 100))" "$(($1 % 100))" >uptime; echo "$1" >real; }
        probe() { tell "$(($(cat real) + 30))"; echo >>asked; }
        sleep() { :; }; read_switch() { s_run='' s_state=''; }; boot() { echo boot; }
        head_now() { echo to; }; identity() { echo 7; }; put_back() { :; }; result() { echo "$1"; }; fail() { echo "$1"; exit 3; }
        kept=. U_TO=to U_RUN=run U_STATE=. U_PHASE=update U_MANAGER=commands U_VERIFY_S=60 U_HEALTHY_S=1
        tell 90
    "#;
    let verify = include_str!("../../crates/core/src/script/sh/verify.sh").replace("/proc/uptime", "uptime");
    let mut sh = std::process::Command::new("sh");
    sh.arg("-c").arg(format!("{stubs}\n{verify}")).env("FORM", form).current_dir(folder.path());
    let output = sh.output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "head\n", "{:?}", String::from_utf8(output.stderr));
    std::fs::read_to_string(folder.path().join("asked")).unwrap().lines().count()
}

#[test]
fn a_second_is_a_second_in_every_form_of_uptime() {
    // The first answer was there at 1.2 s: what is asked at 2.4 s is the first that is a second later.
    assert_eq!(asked_where_uptime_is("%d.%02d 5.00"), 6);
    // In whole seconds, as containers are told it (lxcfs, by its version), only what is asked at 3.0 s surely is.
    for whole in ["%d.00 5.00%.0s", "%d.0 5.0%.0s", "%d 5%.0s"] {
        assert_eq!(asked_where_uptime_is(whole), 8, "{whole}");
    }
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
    // Arm carries the scripts of the switch, too: what is left for the environment is less.
    hand.plan.deadman = Some(uphaul_core::plan::Deadman { window_s: 300 });
    hand.plan.service.env = long(60_000);
    let problems = hand.preflight().problems;
    let told = problems.iter().find(|problem| problem.code == "too-large").unwrap();
    assert!(told.found.contains("bytes more than a command can carry"), "{told:?}");
    assert!(told.fix.contains("service.env"), "{told:?}");
}
