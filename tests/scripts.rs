//! The scripts against a real `sh`, real git, and a stand-in for systemctl.

use std::process::{Command as Process, Stdio};

use uphaul_core::ids::Attempt;
use uphaul_core::ids::{Fence, RunId, Seq};
use uphaul_core::machine::{
    Action, Command, Input, Observation, PrepareStep, Previous, Reason, RollbackStep, Step, UpdateStep,
};
use uphaul_core::plan::{Dirty, Health, Plan};
use uphaul_core::ports::{Captured, Output, RemoteCommand};
use uphaul_core::script::{self, Answer, Context, Preflight};
use uphaul_tests::rig::Rig;

#[path = "scripts/clock.rs"]
mod clock;
#[path = "scripts/edits.rs"]
mod edits;
#[path = "scripts/endless.rs"]
mod endless;
#[path = "scripts/evidence.rs"]
mod evidence;
#[path = "scripts/odd.rs"]
mod odd;
#[path = "scripts/plan.rs"]
mod plan;
#[path = "scripts/proved.rs"]
mod proved;
#[path = "scripts/signed.rs"]
mod signed;
#[path = "scripts/switch.rs"]
mod switch;

/// Runs the words of a command as a login of the rig would.
fn run(rig: &Rig, words: &RemoteCommand) -> Answer {
    let child = Process::new(&words.argv[0])
        .args(&words.argv[1..])
        .env_clear()
        .envs(rig.login())
        .envs(&words.env)
        .stdin(Stdio::null())
        .output()
        .expect("sh runs");
    let captured = |bytes| Captured { bytes, dropped: 0 };
    let output = Output {
        code: child.status.code().unwrap_or(255),
        stdout: captured(child.stdout),
        stderr: captured(child.stderr),
    };
    match Answer::of(&output) {
        Ok(answer) => answer,
        Err(reason) => panic!("{reason}: {}", output.stderr.text()),
    }
}

/// A driver of one run, without a machine: it sends what it is told to send.
struct Hand<'a> {
    rig: &'a Rig,
    plan: Plan,
    run: RunId,
    fence: Option<Fence>,
    seq: Seq,
    settled: Vec<RunId>,
}

impl<'a> Hand<'a> {
    fn new(rig: &'a Rig, label: &str, bits: u64) -> Self {
        Self {
            rig,
            plan: rig.plan(label),
            run: RunId::from_bits(bits),
            fence: None,
            seq: Seq(1),
            settled: Vec::new(),
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            run: &self.run,
            seq: self.seq,
            fence: self.fence,
            owner: "ann@desk (pid 7)",
            settled: &self.settled,
            knows_reverted: false,
        }
    }

    fn send(&mut self, step: Step, action: Action) -> Input {
        let command = Command { step, attempt: Attempt::FIRST, action };
        let words = script::lower(&self.plan, &command, &self.context());
        let answer = run(self.rig, &words);
        self.fence = answer.fence().or(self.fence);
        answer.input(&command)
    }

    fn update(&mut self, step: UpdateStep) -> Input {
        let target = self.plan.target.clone();
        let action = match step {
            UpdateStep::Fetch => Action::Fetch(target),
            UpdateStep::Checkout => Action::Checkout(target),
            UpdateStep::Install => Action::Install,
            UpdateStep::Restart => Action::Restart,
            UpdateStep::Verify => Action::Verify(target),
            UpdateStep::Arm | UpdateStep::Confirm => panic!("no switch here"),
        };
        self.send(Step::Update(step), action)
    }

    fn rollback(&mut self, step: RollbackStep) -> Input {
        let previous = self.rig.revision("v1");
        let action = match step {
            RollbackStep::Checkout => Action::Checkout(previous),
            RollbackStep::Install => Action::Install,
            RollbackStep::Restart => Action::Restart,
            RollbackStep::Verify => Action::Verify(previous),
            RollbackStep::Confirm => panic!("no switch here"),
        };
        self.send(Step::Rollback(step), action)
    }

    fn record(&mut self) -> Input {
        self.send(Step::Prepare(PrepareStep::Record), Action::Record)
    }

    fn preflight(&self) -> Preflight {
        let answer = run(self.rig, &script::preflight(&self.plan, &self.context()));
        script::preflight_of(&self.plan, &answer)
    }

    fn up_to(&mut self, last: UpdateStep) {
        assert!(matches!(self.record(), Input::Succeeded(Observation::Previous(_))));
        for step in [
            UpdateStep::Fetch,
            UpdateStep::Checkout,
            UpdateStep::Install,
            UpdateStep::Restart,
            UpdateStep::Verify,
        ] {
            assert_eq!(self.update(step), Input::Succeeded(Observation::Nothing), "{step:?}");
            if step == last {
                return;
            }
        }
    }
}

/// Whether a process runs; one that only waits to be reaped does not.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim_start().starts_with('Z'))
}

fn found(input: Input) -> String {
    match input {
        Input::Failed(Reason::NotProved { found, .. }) => found,
        other => panic!("expected a failed proof, got {other:?}"),
    }
}

#[test]
fn a_good_update_goes_step_by_step() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    let report = hand.preflight();
    assert_eq!(report.problems, [], "preflight");
    assert!(report.healthy);
    let previous = Previous { revision: rig.revision("v1"), healthy: true };
    assert_eq!(hand.record(), Input::Succeeded(Observation::Previous(previous)));
    let mut seen = vec![rig.versions()];
    for step in [
        UpdateStep::Fetch,
        UpdateStep::Checkout,
        UpdateStep::Install,
        UpdateStep::Restart,
        UpdateStep::Verify,
    ] {
        assert_eq!(hand.update(step), Input::Succeeded(Observation::Nothing), "{step:?}");
        seen.push(rig.versions());
    }
    assert_eq!(seen, ["v1/v1/v1", "v1/v1/v1", "v2/v1/v1", "v2/v2/v1", "v2/v2/v2", "v2/v2/v2"]);
    assert_eq!(rig.git(&["rev-parse", "refs/uphaul/previous"]).trim(), rig.revision("v1").as_str());
    assert_eq!(rig.git(&["rev-parse", "refs/uphaul/target"]).trim(), rig.revision("v2").as_str());
}

#[test]
fn a_rollback_leads_back() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.up_to(UpdateStep::Restart);
    for step in [RollbackStep::Checkout, RollbackStep::Install, RollbackStep::Restart, RollbackStep::Verify] {
        assert_eq!(hand.rollback(step), Input::Succeeded(Observation::Nothing), "{step:?}");
    }
    assert_eq!(rig.versions(), "v1/v1/v1");
    assert!(!rig.checkout().join("only-in-v2").exists(), "no file of the target stays behind");
}

#[test]
fn a_step_that_was_done_is_not_done_again() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.install = "echo ran >> ../ran; cp version .installed".parse().unwrap();
    hand.up_to(UpdateStep::Install);
    assert_eq!(hand.update(UpdateStep::Install), Input::Succeeded(Observation::Nothing));
    assert_eq!(std::fs::read_to_string(rig.path().join("ran")).unwrap(), "ran\n");
}

#[test]
fn a_second_driver_is_told_who_holds_the_host() {
    let rig = Rig::new();
    let mut first = Hand::new(&rig, "v2", 1);
    first.up_to(UpdateStep::Fetch);
    let mut second = Hand::new(&rig, "v2", 2);
    let Input::Failed(Reason::Held { by }) = second.record() else { panic!("not held") };
    assert!(by.contains("ann@desk (pid 7)") && by.contains(first.run.as_str()), "{by}");
    assert!(second.preflight().held.is_some());
    assert_eq!(first.update(UpdateStep::Checkout), Input::Succeeded(Observation::Nothing));
}

#[test]
fn a_driver_that_was_overtaken_changes_nothing() {
    let rig = Rig::new();
    let mut ghost = Hand::new(&rig, "v2", 1);
    ghost.up_to(UpdateStep::Fetch);
    let mut next = Hand::new(&rig, "v2", 1);
    assert_eq!(next.update(UpdateStep::Fetch), Input::Succeeded(Observation::Nothing));
    assert!(next.fence > ghost.fence);
    assert!(matches!(ghost.update(UpdateStep::Checkout), Input::Superseded { .. }));
    assert_eq!(rig.versions(), "v1/v1/v1");
}

#[test]
fn a_driver_that_slept_before_its_first_command_changes_nothing() {
    let rig = Rig::new();
    let mut first = Hand::new(&rig, "v2", 1);
    first.up_to(UpdateStep::Fetch);
    let mut next = Hand::new(&rig, "v2", 1);
    next.seq = Seq(5);
    assert_eq!(next.update(UpdateStep::Fetch), Input::Succeeded(Observation::Nothing));
    // One that loaded the run before that, and wakes only now.
    let mut slept = Hand::new(&rig, "v2", 1);
    slept.seq = Seq(4);
    assert!(matches!(slept.update(UpdateStep::Checkout), Input::Superseded { .. }));
    run(&rig, &script::release(&next.plan, &next.context()));
    slept.seq = Seq(9);
    assert!(matches!(slept.update(UpdateStep::Checkout), Input::Superseded { .. }), "the run is over here");
    let mut later = Hand::new(&rig, "v2", 2);
    later.up_to(UpdateStep::Fetch);
    run(&rig, &script::release(&later.plan, &later.context()));
    let refused = slept.update(UpdateStep::Checkout);
    assert!(matches!(refused, Input::Superseded { .. }), "{refused:?}");
    assert_eq!(rig.versions(), "v1/v1/v1");
}

#[test]
fn a_released_host_is_free() {
    let rig = Rig::new();
    let mut first = Hand::new(&rig, "v2", 1);
    first.up_to(UpdateStep::Fetch);
    let answer = run(&rig, &script::release(&first.plan, &first.context()));
    assert_eq!(answer.get("rc"), Some("0"));
    let mut second = Hand::new(&rig, "v2", 2);
    assert!(matches!(second.record(), Input::Succeeded(Observation::Previous(_))));
}

#[test]
fn an_install_that_fails_says_its_code_and_its_last_lines() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.install = "echo first; echo 'no such package' >&2; exit 7".parse().unwrap();
    hand.up_to(UpdateStep::Checkout);
    let Input::Failed(Reason::Exited { code, tail }) = hand.update(UpdateStep::Install) else {
        panic!("no failure")
    };
    assert_eq!((code, tail.as_str()), (7, "first\nno such package"));
}

#[test]
fn an_install_that_hangs_is_ended_with_its_children() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.limits.install_s = 1;
    hand.plan.service.install = "echo waiting; sleep 300 & echo $! > ../child; wait".parse().unwrap();
    hand.up_to(UpdateStep::Checkout);
    let Input::Failed(Reason::TimedOut { after_s, tail }) = hand.update(UpdateStep::Install) else {
        panic!("no limit")
    };
    assert_eq!(after_s, 1);
    assert!(tail.contains("waiting"), "{tail}");
    let child = std::fs::read_to_string(rig.path().join("child")).unwrap();
    assert!(!lives(child.trim()), "its child lives");
}

#[test]
fn an_endless_output_is_cut_and_its_end_is_kept() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.install =
        "head -c 3000000 /dev/zero | tr '\\0' 'x'; echo; echo the end; exit 1".parse().unwrap();
    hand.up_to(UpdateStep::Checkout);
    let Input::Failed(Reason::Exited { tail, .. }) = hand.update(UpdateStep::Install) else {
        panic!("no failure")
    };
    assert!(tail.ends_with("the end"), "{}", tail.len());
    assert!(tail.len() <= 2001);
}

#[test]
fn a_child_that_escapes_does_not_hold_the_step() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.install = "cp version .installed; setsid sleep 5 & echo $! > ../child".parse().unwrap();
    hand.up_to(UpdateStep::Install);
    assert_eq!(rig.versions(), "v2/v2/v1");
}

#[test]
fn a_service_that_dies_at_once_fails_the_proof() {
    let rig = Rig::new();
    rig.commit("v3", &[("dies", "yes")]);
    let mut hand = Hand::new(&rig, "v3", 1);
    hand.up_to(UpdateStep::Restart);
    assert!(found(hand.update(UpdateStep::Verify)).contains("app.service is failed"));
}

#[test]
fn a_service_that_does_not_answer_fails_the_proof_with_what_was_seen() {
    let rig = Rig::new();
    rig.commit("v3", &[("ill", "yes")]);
    let mut hand = Hand::new(&rig, "v3", 1);
    hand.plan.limits.verify_s = 1;
    hand.up_to(UpdateStep::Restart);
    assert!(found(hand.update(UpdateStep::Verify)).contains("health command: exit 1"));
}

#[test]
fn a_service_that_restarts_by_itself_fails_the_proof() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.up_to(UpdateStep::Restart);
    rig.shim_file("starts", "77");
    assert!(found(hand.update(UpdateStep::Verify)).contains("crash loop"));
}

#[test]
fn drift_is_refused_unless_it_is_accepted() {
    let rig = Rig::new();
    rig.git(&["fetch", "-q", "origin"]);
    rig.git(&["checkout", "-q", "--detach", rig.revision("v2").as_str()]);
    let mut hand = Hand::new(&rig, "v2", 1);
    assert_eq!(hand.preflight().problems[0].code, "drift");
    assert!(found(hand.record()).contains("the record says"));
    let mut accepting = Hand::new(&rig, "v2", 1);
    accepting.plan.policy.accept_drift = true;
    assert_eq!(accepting.preflight().problems, []);
}

#[test]
fn a_lock_of_a_git_that_died_in_this_run_goes_and_an_older_one_is_named() {
    let rig = Rig::new();
    let lock = rig.checkout().join(".git/index.lock");
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.up_to(UpdateStep::Checkout);
    std::fs::write(&lock, "").unwrap();
    assert_eq!(hand.preflight().problems[0].code, "index-lock");
    assert_eq!(hand.rollback(RollbackStep::Checkout), Input::Succeeded(Observation::Nothing));
    assert!(!lock.exists());
    let old = Rig::new();
    let mut hand = Hand::new(&old, "v2", 1);
    hand.up_to(UpdateStep::Fetch);
    std::fs::write(old.checkout().join(".git/index.lock"), "").unwrap();
    assert!(found(hand.update(UpdateStep::Checkout)).contains("index.lock"));
}

#[test]
fn refs_of_every_kind_resolve_to_one_commit() {
    let rig = Rig::new();
    let v1 = rig.revision("v1");
    let v2 = rig.revision("v2");
    let hand = Hand::new(&rig, "v2", 1);
    let resolve = |name: &str| {
        let answer = run(&rig, &script::resolve(&hand.plan, &hand.context(), &name.parse().unwrap()));
        answer.get("commit").map(ToOwned::to_owned).ok_or(answer.get("error").unwrap_or_default().to_owned())
    };
    assert_eq!(resolve("main"), Ok(v2.to_string()));
    assert_eq!(resolve("v1"), Ok(v1.to_string()));
    assert_eq!(resolve(v1.as_str()), Ok(v1.to_string()));
    assert_eq!(resolve(&v2.as_str()[..7]), Ok(v2.to_string()), "a tip's short hash");
    let v3 = rig.commit("v3", &[("more", "x")]);
    rig.commit("v4", &[("more", "y")]);
    std::process::Command::new("git").args(["tag", "-d", "v3"]).current_dir(rig.origin()).output().unwrap();
    assert_eq!(resolve(&v3.as_str()[..9]), Ok(v3.to_string()), "a short hash that is no tip and not here");
    assert!(resolve("nope").unwrap_err().contains("no branch and no tag nope"));
    assert!(resolve("abcdef123456").unwrap_err().contains("no commit that begins with"));
    assert_eq!(rig.versions(), "v1/v1/v1");
}

#[test]
fn no_exit_code_of_a_command_is_taken_for_another_driver() {
    for code in [97, 98, 124, 137] {
        let rig = Rig::new();
        let mut hand = Hand::new(&rig, "v2", 1);
        hand.plan.service.before_restart = Some(format!("exit {code}").parse().unwrap());
        hand.up_to(UpdateStep::Checkout);
        assert!(found(hand.update(UpdateStep::Install)).contains(&code.to_string()), "{code}");
    }
}

#[test]
fn a_migration_is_told_what_the_run_goes_back_to() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.recorded = None;
    hand.plan.service.install =
        "cp version .installed; printf %s \"$UPHAUL_PREVIOUS\" > ../previous".parse().unwrap();
    hand.up_to(UpdateStep::Install);
    assert_eq!(std::fs::read_to_string(rig.path().join("previous")).unwrap(), rig.revision("v1").as_str());
}
