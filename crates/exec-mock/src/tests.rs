//! Uphaul's own commands, sent to a simulated host one by one.

use std::collections::BTreeMap;
use std::time::Duration;

use uphaul_core::ids::{Attempt, Fence, Revision, RunId, Seq};
use uphaul_core::machine::{
    Action, Command, Input, Observation, PrepareStep, RollbackStep, Step, UpdateStep,
};
use uphaul_core::plan::{
    Dirty, Goal, Health, HostFacts, Limits, Manager, PLAN_VERSION, Plan, Policy, Scope, Service,
};
use uphaul_core::ports::{ExecError, ExecErrorKind, Output, RemoteCommand, RemoteExecutor, Target};
use uphaul_core::script::{self, Answer, Context, JobState};

use crate::{Cut, Door, Fault, MockExecutor, MockFleet, MockHost, Moment, Release, Version, What};

/// A fleet of one, and a run that sends to it.
struct Bench {
    fleet: MockFleet,
    v1: Revision,
    v2: Revision,
    plan: Plan,
    run: RunId,
    settled: Vec<RunId>,
}

impl Bench {
    fn new(second: Release) -> Self {
        let fleet = MockFleet::new();
        let v1 = fleet.release("v1", Release::good());
        let v2 = fleet.release("v2", second);
        fleet.branch("main", &v2);
        fleet.host("web-1", MockHost::at(&v1));
        let plan = plan(&v1, &v2);
        Self { fleet, v1, v2, plan, run: RunId::from_bits(1), settled: Vec::new() }
    }

    fn target(&self) -> Target {
        Target {
            name: "web-1".parse().unwrap(),
            address: "192.0.2.1".into(),
            port: None,
            user: None,
            host_key: None,
            connect_timeout: Duration::from_secs(5),
        }
    }

    async fn run(&self, command: &RemoteCommand) -> Result<Output, ExecError> {
        MockExecutor::new(self.fleet.clone()).connect(&self.target()).await?.run(command).await
    }

    fn words(&self, step: Step, action: Action, fence: Option<u64>) -> (RemoteCommand, Command) {
        let command = Command { step, attempt: Attempt::FIRST, action };
        let fence = fence.map(Fence);
        let context = Context {
            run: &self.run,
            seq: Seq(1),
            fence,
            owner: "ann@desk (pid 7)",
            settled: &self.settled,
            knows_reverted: false,
        };
        (script::lower(&self.plan, &command, &context), command)
    }

    async fn answer(&self, step: Step, fence: Option<u64>) -> Answer {
        let (words, _) = self.words(step, self.action(step), fence);
        Answer::of(&self.run(&words).await.unwrap()).unwrap()
    }

    async fn send(&self, step: Step, fence: Option<u64>) -> Input {
        let (words, command) = self.words(step, self.action(step), fence);
        let answer = Answer::of(&self.run(&words).await.unwrap()).unwrap();
        if step == PREFLIGHT {
            script::preflight_of(&self.plan, &answer).input(&self.plan)
        } else {
            answer.input(&command)
        }
    }

    fn action(&self, step: Step) -> Action {
        match step {
            Step::Prepare(PrepareStep::Preflight) => Action::Preflight,
            Step::Prepare(PrepareStep::Record) => Action::Record,
            Step::Update(UpdateStep::Fetch) => Action::Fetch(self.v2.clone()),
            Step::Update(UpdateStep::Arm) => Action::Arm(self.v1.clone()),
            Step::Update(UpdateStep::Checkout) => Action::Checkout(self.v2.clone()),
            Step::Update(UpdateStep::Verify) => Action::Verify(self.v2.clone()),
            Step::Rollback(RollbackStep::Checkout) => Action::Checkout(self.v1.clone()),
            Step::Rollback(RollbackStep::Verify) => Action::Verify(self.v1.clone()),
            Step::Update(UpdateStep::Install) | Step::Rollback(RollbackStep::Install) => Action::Install,
            Step::Update(UpdateStep::Restart) | Step::Rollback(RollbackStep::Restart) => Action::Restart,
            Step::Update(UpdateStep::Confirm) | Step::Rollback(RollbackStep::Confirm) => Action::Confirm,
        }
    }

    /// Sends the steps as the driver that holds number 1, each of which has to succeed.
    async fn do_all(&self, steps: &[Step]) {
        for step in steps {
            let input = self.send(*step, (*step != RECORD).then_some(1)).await;
            assert!(matches!(input, Input::Succeeded(_)), "{step}: {input:?}");
        }
    }
}

const PREFLIGHT: Step = Step::Prepare(PrepareStep::Preflight);
const RECORD: Step = Step::Prepare(PrepareStep::Record);
const FETCH: Step = Step::Update(UpdateStep::Fetch);
const CHECKOUT: Step = Step::Update(UpdateStep::Checkout);
const INSTALL: Step = Step::Update(UpdateStep::Install);
const RESTART: Step = Step::Update(UpdateStep::Restart);
const VERIFY: Step = Step::Update(UpdateStep::Verify);
const OK: Input = Input::Succeeded(Observation::Nothing);

fn plan(from: &Revision, to: &Revision) -> Plan {
    Plan {
        version: PLAN_VERSION,
        goal: Goal::Update,
        reference: "main".parse().unwrap(),
        target: to.clone(),
        origin: None,
        recorded: Some(from.clone()),
        attempts_max: 3,
        signers: None,
        deadman: None,
        host: HostFacts {
            name: "web-1".parse().unwrap(),
            address: "192.0.2.1".into(),
            labels: BTreeMap::new(),
        },
        service: Service {
            path: "/srv/app".parse().unwrap(),
            user: None,
            manager: Manager::Systemd { scope: Scope::System, units: vec!["app.service".parse().unwrap()] },
            install: "bun install".parse().unwrap(),
            before_restart: None,
            env: BTreeMap::new(),
            health: Some(Health::Http("http://127.0.0.1:3000/health".parse().unwrap())),
            submodules: false,
            keep: Vec::new(),
        },
        limits: Limits::default(),
        policy: Policy::default(),
    }
}

fn snapshot(name: &str, text: &str) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, text);
    });
}

#[tokio::test]
async fn transcript_of_an_update_and_its_way_back() {
    let bench = Bench::new(Release::ill("503"));
    bench.do_all(&[PREFLIGHT, RECORD, FETCH, CHECKOUT]).await;
    bench.fleet.plan("web-1", Fault::job("update-Install", What::Lose(Cut::GoesOn)));
    let (install, _) = bench.words(INSTALL, Action::Install, Some(1));
    assert_eq!(bench.run(&install).await.unwrap_err().kind, ExecErrorKind::Lost);
    bench.do_all(&[INSTALL, RESTART]).await;
    assert!(matches!(bench.send(VERIFY, Some(1)).await, Input::Failed(_)));
    for step in [RollbackStep::Checkout, RollbackStep::Install, RollbackStep::Restart, RollbackStep::Verify] {
        assert_eq!(bench.send(Step::Rollback(step), Some(1)).await, OK);
    }
    let context = Context {
        run: &bench.run,
        seq: Seq(1),
        fence: Some(Fence(1)),
        owner: "ann",
        settled: &[],
        knows_reverted: false,
    };
    bench.run(&script::release(&bench.plan, &context)).await.unwrap();
    assert!(bench.fleet.is_wholly("web-1", &bench.v1));
    snapshot("transcript", &bench.fleet.transcript("web-1"));
}

#[tokio::test]
async fn another_run_is_told_who_holds_the_host_and_the_overtaken_one_is_fenced() {
    let mut bench = Bench::new(Release::good());
    bench.do_all(&[RECORD, FETCH]).await;
    bench.run = RunId::from_bits(2);
    let held = bench.answer(RECORD, None).await;
    assert_eq!(held.state(), Some(JobState::Held));
    assert!(held.get("by").unwrap().contains("ann@desk"), "{held:?}");
    // A claim grows old, and one of a run that is known to be over is worth nothing.
    bench.settled = vec![RunId::from_bits(1)];
    assert_eq!(bench.answer(RECORD, None).await.fence(), Some(Fence(2)));
    bench.run = RunId::from_bits(1);
    assert_eq!(bench.answer(CHECKOUT, Some(1)).await.state(), Some(JobState::Fenced));
    assert_eq!(bench.fleet.tree("web-1"), Version::Of(bench.v1.clone()), "a fenced command did something");
    bench.settled.clear();
    bench.run = RunId::from_bits(3);
    assert_eq!(bench.answer(RECORD, None).await.state(), Some(JobState::Held));
    bench.fleet.pass("web-1", 3600);
    assert_eq!(bench.answer(RECORD, None).await.fence(), Some(Fence(3)));
}

#[tokio::test]
async fn a_job_is_found_again_and_runs_once() {
    let bench = Bench::new(Release::good());
    bench.do_all(&[RECORD, CHECKOUT]).await;
    bench.fleet.plan("web-1", Fault::fails("update-Install", Moment::After));
    assert!(matches!(bench.send(INSTALL, Some(1)).await, Input::Failed(_)));
    // The second attempt finds the result of the first, also as another driver of the same run.
    assert!(matches!(bench.send(INSTALL, None).await, Input::Failed(_)));
    assert_eq!(bench.fleet.installed("web-1"), Version::Of(bench.v2.clone()));
}

#[tokio::test]
async fn a_job_that_goes_on_ends_before_the_next_or_is_cut_by_a_reboot() {
    for reboots in [false, true] {
        let bench = Bench::new(Release::good());
        bench.do_all(&[RECORD, CHECKOUT]).await;
        bench.fleet.plan("web-1", Fault::next(What::Lose(Cut::GoesOn)));
        let (install, _) = bench.words(INSTALL, Action::Install, Some(1));
        bench.run(&install).await.unwrap_err();
        assert_eq!(bench.fleet.versions("web-1"), "v2/v1/v1");
        if reboots {
            bench.fleet.reboot("web-1");
            assert_eq!(bench.fleet.versions("web-1"), "v2/torn/v2");
        } else {
            bench.fleet.finish_jobs("web-1");
            assert_eq!(bench.fleet.versions("web-1"), "v2/v2/v1");
        }
        assert_eq!(bench.send(INSTALL, Some(1)).await, OK);
        assert_eq!(bench.fleet.installed("web-1"), Version::Of(bench.v2.clone()));
    }
}

#[tokio::test]
async fn a_reboot_voids_a_restart() {
    let bench = Bench::new(Release::good());
    bench.do_all(&[RECORD, CHECKOUT, INSTALL, RESTART, VERIFY]).await;
    bench.fleet.reboot("web-1");
    assert_eq!(bench.send(VERIFY, Some(1)).await, Input::Succeeded(Observation::Rebooted));
    bench.do_all(&[RESTART, VERIFY]).await;
    assert!(bench.fleet.is_wholly("web-1", &bench.v2));
}

#[tokio::test]
async fn releases_fail_as_they_are_made() {
    let cases = [
        (Release::no_install(7, "error: 404 left-pad"), INSTALL, "exit 7"),
        (Release { install: crate::Install::Hangs, ..Release::good() }, INSTALL, "no end after 120 s"),
        (
            Release { start: crate::Start::Fails { code: 1 }, ..Release::good() },
            RESTART,
            "systemctl restart app.service: exit 1",
        ),
        (Release::dies(), VERIFY, "app.service is failed (failed), result exit-code"),
        (Release::ill("503"), VERIFY, "not healthy for 5 s within 60 s: http://127.0.0.1:3000/health: 503"),
    ];
    for (release, fails, why) in cases {
        let bench = Bench::new(release);
        for step in [RECORD, FETCH, CHECKOUT, INSTALL, RESTART, VERIFY] {
            let input = bench.send(step, (step != RECORD).then_some(1)).await;
            if step == fails {
                let Input::Failed(reason) = input else { panic!("{step}: {input:?}") };
                assert_eq!(reason.to_string(), why);
                break;
            }
            assert!(matches!(input, Input::Succeeded(_)), "{step}: {input:?}");
        }
    }
}

#[tokio::test]
async fn edits_by_hand_are_refused_or_kept_and_put_back() {
    let mut bench = Bench::new(Release::good());
    bench.fleet.edit("web-1", &["config.json"]);
    let Input::Failed(refused) = bench.send(PREFLIGHT, None).await else { panic!("not refused") };
    assert!(refused.to_string().contains("config.json"), "{refused}");
    bench.plan.policy.dirty = Dirty::Stash;
    assert_eq!(bench.send(PREFLIGHT, None).await, OK);
    bench.do_all(&[RECORD, CHECKOUT]).await;
    assert!(bench.fleet.edits("web-1").is_empty());
    assert_eq!(bench.send(Step::Rollback(RollbackStep::Checkout), Some(1)).await, OK);
    assert_eq!(bench.fleet.edits("web-1"), ["config.json"]);
}

#[tokio::test]
async fn preflight_finds_what_a_host_is_made_to_lack() {
    let bench = Bench::new(Release::good());
    let lacks = [("space_kib", Some("10")), ("probe_tool", None), ("remote_code", Some("128"))];
    let preflight = lacks.map(|(key, value)| (key.to_owned(), value.map(ToOwned::to_owned)));
    let host = MockHost { preflight: preflight.into(), ..MockHost::at(&bench.v1) };
    bench.fleet.host("web-1", host);
    let report = script::preflight_of(&bench.plan, &bench.answer(PREFLIGHT, None).await);
    let codes: Vec<&str> = report.problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes.len(), 3, "{codes:?}");
    assert!(codes.contains(&"disk") && codes.contains(&"remote"), "{codes:?}");
}

#[tokio::test]
async fn a_ref_is_resolved_and_a_commit_that_is_gone_is_named() {
    let bench = Bench::new(Release::good());
    let context = Context {
        run: &bench.run,
        seq: Seq(1),
        fence: None,
        owner: "ann",
        settled: &[],
        knows_reverted: false,
    };
    let main = script::resolve(&bench.plan, &context, &"main".parse().unwrap());
    let answer = Answer::of(&bench.run(&main).await.unwrap()).unwrap();
    assert_eq!(answer.get("commit"), Some(bench.v2.as_str()));
    bench.fleet.remove(&bench.v2);
    bench.do_all(&[RECORD]).await;
    let Input::Failed(reason) = bench.send(FETCH, Some(1)).await else { panic!("fetched what is gone") };
    assert!(reason.to_string().contains("force-pushed"), "{reason}");
}

#[tokio::test]
async fn doors_say_why_they_are_shut() {
    let bench = Bench::new(Release::good());
    let doors = [
        (Door::Away, ExecErrorKind::Connect),
        (Door::Auth, ExecErrorKind::Auth),
        (Door::HostKey, ExecErrorKind::HostKey),
    ];
    let executor = MockExecutor::new(bench.fleet.clone());
    for (door, kind) in doors {
        bench.fleet.door("web-1", door);
        let error = executor.connect(&bench.target()).await.err().unwrap();
        assert_eq!((error.kind, error.maybe_ran), (kind, false));
        assert!(error.detail.contains("web-1") && error.detail.contains("192.0.2.1"), "{error}");
    }
    bench.fleet.heal("web-1");
    let mut session = executor.connect(&bench.target()).await.unwrap();
    bench.fleet.reboot("web-1");
    let (record, _) = bench.words(RECORD, Action::Record, None);
    assert_eq!(session.run(&record).await.unwrap_err().kind, ExecErrorKind::Lost, "outlived a reboot");
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_late_or_never() {
    let bench = Bench::new(Release::good());
    let (record, _) = bench.words(RECORD, Action::Record, None);
    bench.fleet.plan("web-1", Fault::next(What::Slow(Duration::from_secs(3))));
    let began = tokio::time::Instant::now();
    assert!(bench.run(&record).await.is_ok());
    assert_eq!(began.elapsed().as_secs(), 3);
    bench.fleet.plan("web-1", Fault::next(What::Silent));
    let error = bench.run(&record).await.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Timeout, true));
    assert_eq!(began.elapsed(), Duration::from_secs(3) + record.timeout);
}

#[tokio::test]
async fn a_crash_is_told_and_the_command_never_returns() {
    let bench = Bench::new(Release::good());
    bench.fleet.plan("web-1", Fault::command(1, What::Crash(Cut::After)));
    let (record, _) = bench.words(RECORD, Action::Record, None);
    tokio::select! {
        biased;
        _ = bench.run(&record) => panic!("a dead controller was answered"),
        () = bench.fleet.crashed() => {}
    }
    assert!(bench.fleet.planned("web-1").is_empty());
}

#[tokio::test]
async fn what_is_not_a_command_of_uphaul_is_refused() {
    let bench = Bench::new(Release::good());
    let (mut record, _) = bench.words(RECORD, Action::Record, None);
    record.env.remove("U_ACTION");
    let error = bench.run(&record).await.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Local, false));
}

#[tokio::test]
async fn an_open_fleet_has_every_host_at_what_the_record_says() {
    let bench = Bench::new(Release::good());
    let fleet = MockFleet::open();
    let (record, command) = bench.words(RECORD, Action::Record, None);
    let mut session = MockExecutor::new(fleet.clone()).connect(&bench.target()).await.unwrap();
    let input = Answer::of(&session.run(&record).await.unwrap()).unwrap().input(&command);
    let Input::Succeeded(Observation::Previous(previous)) = input else { panic!("{input:?}") };
    assert_eq!((previous.revision, previous.healthy), (bench.v1.clone(), true));
    let unknown = plan(&bench.v1, &fleet.revision("main"));
    let unknown = Plan { recorded: None, ..unknown };
    let context = Context {
        run: &bench.run,
        seq: Seq(1),
        fence: None,
        owner: "ann",
        settled: &[],
        knows_reverted: false,
    };
    let preflight = script::preflight(&unknown, &context);
    let mut target = bench.target();
    target.name = "web-2".parse().unwrap();
    let mut session = MockExecutor::new(fleet).connect(&target).await.unwrap();
    let answer = Answer::of(&session.run(&preflight).await.unwrap()).unwrap();
    let report = script::preflight_of(&unknown, &answer);
    assert!(!report.already_there(&unknown), "a host that nobody knows is at the target already");
    let closed = MockExecutor::new(MockFleet::new()).connect(&bench.target()).await.err().unwrap();
    assert_eq!(closed.kind, ExecErrorKind::Connect);
}

#[tokio::test]
async fn the_end_of_a_long_answer_is_kept() {
    let bench = Bench::new(Release::good());
    let (mut preflight, _) = bench.words(PREFLIGHT, Action::Preflight, None);
    preflight.output_max = 6;
    let output = bench.run(&preflight).await.unwrap();
    assert_eq!(output.stdout.bytes, b"end=1\n".get(..6).unwrap());
    assert!(output.stdout.dropped > 100);
}

#[test]
fn a_transcript_is_bounded() {
    let mut live = crate::host::Live::new(None);
    for line in 0..crate::TRANSCRIPT_MAX + 10 {
        live.note(line);
    }
    assert_eq!((live.transcript.len(), live.transcript_dropped), (crate::TRANSCRIPT_MAX, 10));
}
