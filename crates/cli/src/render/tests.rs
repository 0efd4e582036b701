//! Pages: what people are shown of a run and of many hosts.

use std::time::Duration;

use uphaul_core::ids::{Attempt, HostName, Revision, RunId, Seq};
use uphaul_core::machine::{
    Input, Observation, Outcome, PrepareStep, Previous, Problem, Reason, RollbackStep, Running, State, Step,
    StepFailure, UpdateStep,
};
use uphaul_core::plan::{Deadman, Goal, HostFacts, Limits, Manager, Plan, Policy, Scope, Service};
use uphaul_core::ports::RunRecord;
use uphaul_core::script::reverts_within_s;
use uphaul_store::{StoredEvent, StoredRun};

use super::{recap, story};
use crate::exit::{HostEnd, RunEnd};
use crate::output::Line;

fn text(lines: Vec<Line>) -> String {
    lines.iter().map(|line| line.render(false)).collect::<Vec<_>>().join("\n")
}

fn revision(digit: char) -> Revision {
    digit.to_string().repeat(40).parse().unwrap()
}

fn previous() -> Previous {
    Previous { revision: revision('a'), healthy: true }
}

fn run_id() -> RunId {
    "abcdefghijkl".parse().unwrap()
}

fn plan() -> Plan {
    Plan {
        version: 1,
        goal: Goal::Update,
        reference: "main".parse().unwrap(),
        target: revision('b'),
        origin: None,
        recorded: Some(revision('a')),
        attempts_max: 3,
        signers: None,
        deadman: None,
        host: HostFacts { name: "web-1".parse().unwrap(), address: "10.0.0.1".into(), labels: [].into() },
        service: Service {
            path: "/srv/app".parse().unwrap(),
            user: None,
            manager: Manager::Systemd { scope: Scope::System, units: vec!["app.service".parse().unwrap()] },
            install: "bun install".parse().unwrap(),
            before_restart: None,
            env: [].into(),
            health: None,
            submodules: false,
            keep: Vec::new(),
        },
        limits: Limits::default(),
        policy: Policy::default(),
    }
}

fn updating(step: UpdateStep, attempt: u8) -> State {
    State::Running(Running::Updating { step, attempt: Attempt(attempt), previous: previous() })
}

fn back(step: RollbackStep) -> State {
    State::Running(Running::RollingBack {
        step,
        attempt: Attempt::FIRST,
        previous: previous(),
        cause: install_failed(),
        failures: Vec::new(),
        reverted: false,
    })
}

fn install_failed() -> StepFailure {
    let lines: Vec<String> = (1..=20).map(|n| format!("line {n} of bun")).collect();
    let tail = lines.join("\n") + "\nerror: lockfile had changes, but lockfile is frozen\x1b[31m\n";
    StepFailure { step: Step::Update(UpdateStep::Install), reason: Reason::Exited { code: 1, tail } }
}

fn refused() -> StepFailure {
    let problem = |code: &str, found: &str, fix: &str| Problem {
        code: code.into(),
        found: found.into(),
        fix: fix.into(),
    };
    let problems = vec![
        problem("disk", "12 MB are free on /srv, 200 MB are needed", "make room on /srv"),
        problem(
            "sudo",
            "deploy may not restart app.service",
            "put this line into /etc/sudoers.d/uphaul:\ndeploy ALL=(root) NOPASSWD: /usr/bin/systemctl",
        ),
    ];
    StepFailure { step: Step::Prepare(PrepareStep::Preflight), reason: Reason::Refused { problems } }
}

fn log() -> Vec<StoredEvent> {
    let ok = || Input::Succeeded(Observation::Nothing);
    let preparing = |step| State::Running(Running::Preparing { step, attempt: Attempt::FIRST });
    let parked = Running::Updating { step: UpdateStep::Fetch, attempt: Attempt::FIRST, previous: previous() };
    let cause = install_failed();
    let steps: Vec<(Input, State)> = vec![
        (Input::Start, preparing(PrepareStep::Preflight)),
        (ok(), preparing(PrepareStep::Record)),
        (Input::Succeeded(Observation::Previous(previous())), updating(UpdateStep::Fetch, 1)),
        (Input::Unreachable { detail: "no route to host\nat all".into() }, State::Parked(parked)),
        (Input::Interrupted, updating(UpdateStep::Fetch, 2)),
        (ok(), updating(UpdateStep::Checkout, 1)),
        (ok(), updating(UpdateStep::Install, 1)),
        (Input::Failed(cause.reason.clone()), back(RollbackStep::Checkout)),
        (ok(), back(RollbackStep::Install)),
        (ok(), back(RollbackStep::Restart)),
        (ok(), back(RollbackStep::Verify)),
        (ok(), State::Finished(Outcome::RolledBack { to: revision('a'), cause })),
    ];
    let event = |(place, (input, state)): (usize, (Input, State))| StoredEvent {
        seq: Seq(u32::try_from(place).unwrap() + 1),
        at_us: 1_767_323_045_000_000 + i64::try_from(place).unwrap() * 1_500_000,
        input,
        proved: state.is_finished().then(|| revision('a')),
        state,
    };
    steps.into_iter().enumerate().map(event).collect()
}

fn run(events: &[StoredEvent]) -> StoredRun {
    let last = events.last().unwrap();
    let host: HostName = "web-1".parse().unwrap();
    StoredRun {
        record: RunRecord { id: run_id(), host, plan: plan(), seq: last.seq, state: last.state.clone() },
        requested_by: "ops@laptop".into(),
        started_at_us: 1_767_323_045_000_000,
        finished_at_us: last.state.is_finished().then_some(last.at_us),
    }
}

#[test]
fn a_run_reads_as_a_story() {
    let events = log();
    let run = run(&events);
    let parts = [story::header(&run), story::transitions(&events), story::ending(&run)];
    insta::assert_snapshot!(parts.map(text).join("\n\n"));
}

#[test]
fn a_host_that_went_back_by_itself_is_told_of_with_the_note_of_its_switch() {
    let note = format!("went back to {} at try 1, begun 3 s after its time was up", revision('a'));
    let told = format!("the host went back by itself: {note}");
    let mut events = log();
    events[7].input = Input::HostReverted(Some(note.clone()));
    let reason = Reason::HostReverted { note: Some(note) };
    let cause = StepFailure { step: Step::Update(UpdateStep::Install), reason };
    events[11].state = State::Finished(Outcome::RolledBack { to: revision('a'), cause });
    // Whole, in the row of the step and at the end.
    let rows = text(story::transitions(&events));
    assert!(rows.contains(&told), "{rows}");
    let end = text(story::ending(&run(&events)));
    assert!(end.contains(&format!("cause: install: {told}\n")), "{end}");
}

#[test]
fn an_unfinished_run_says_where_it_is() {
    let events = log()[..7].to_vec();
    let run = run(&events);
    let parts = [story::transitions(&events), story::ending(&run)];
    insta::assert_snapshot!(parts.map(text).join("\n\n"));
}

fn end(host: &str, end: HostEnd) -> RunEnd {
    let run = match end {
        HostEnd::NotBegun | HostEnd::Gated { .. } => None,
        HostEnd::Ended(_) | HostEnd::Stopped(_) | HostEnd::TakenOver { .. } | HostEnd::Broken { .. } => {
            Some(run_id())
        }
    };
    let host = host.parse().unwrap();
    let reverts_within_s = match &end {
        HostEnd::Stopped(_) | HostEnd::Ended(State::Parked(_)) => Some(450),
        HostEnd::Ended(_)
        | HostEnd::TakenOver { .. }
        | HostEnd::Broken { .. }
        | HostEnd::NotBegun
        | HostEnd::Gated { .. } => None,
    };
    let evidence = matches!(&end, HostEnd::Ended(State::Finished(Outcome::RolledBack { .. })));
    let (target, elapsed) = (Some(revision('b')), Duration::from_secs(12));
    RunEnd { host, run, target, end, elapsed, reverts_within_s, evidence }
}

fn finished(outcome: Outcome) -> HostEnd {
    HostEnd::Ended(State::Finished(outcome))
}

fn one_of_each() -> Vec<RunEnd> {
    let parked = Running::Updating { step: UpdateStep::Verify, attempt: Attempt(2), previous: previous() };
    let away = StepFailure {
        step: Step::Prepare(PrepareStep::Preflight),
        reason: Reason::Unreachable { detail: "connect to 10.0.0.9 port 22: timed out after 10 s".into() },
    };
    let verify = StepFailure {
        step: Step::Rollback(RollbackStep::Verify),
        reason: Reason::NotProved {
            found: "app.service was restarted 3 times".into(),
            tail: "panic: x".into(),
        },
    };
    let causes = vec![install_failed(), verify];
    let superseded =
        Outcome::Superseded { step: Step::Update(UpdateStep::Fetch), by: "ops@other (process 7)".into() };
    vec![
        end("h01", finished(Outcome::NeedsAttention { previous: revision('a'), was_healthy: false, causes })),
        end("h02", finished(Outcome::Updated { previous: revision('a') })),
        end("h03", finished(Outcome::Updated { previous: revision('a') })),
        end("h04", finished(Outcome::Unchanged)),
        end("h05", finished(Outcome::Aborted { cause: refused() })),
        end("h06", finished(Outcome::Aborted { cause: away })),
        end("h07", finished(Outcome::RolledBack { to: revision('a'), cause: install_failed() })),
        end("h08", finished(superseded)),
        end("h09", HostEnd::Ended(State::Parked(parked))),
        end("h10", HostEnd::Stopped(updating(UpdateStep::Install, 1))),
        end("h11", HostEnd::TakenOver { state: updating(UpdateStep::Install, 1), by: "ops@other".into() }),
        end("h12", HostEnd::Broken { state: None, why: "the disk is full".into() }),
        end("h13", HostEnd::NotBegun),
        end("h14", HostEnd::Gated { why: "2 of 2 failures".into() }),
    ]
}

#[test]
fn the_recap_groups_hosts_and_tells_the_worst_last() {
    insta::assert_snapshot!(text(recap::lines(&one_of_each(), Duration::from_secs(83))));
}

/// Ctrl-C twice in the middle: the host is given the longest that its switch can take to act, also where a job is at work that
/// began just now.
#[test]
fn a_host_that_was_stopped_goes_back_by_itself() {
    for (window_s, within) in [(10, "11 min 40 s"), (60, "11 min 40 s"), (300, "15 min 40 s")] {
        let limits = Limits { install_s: 610, ..Limits::default() };
        let plan = Plan { deadman: Some(Deadman { window_s }), limits, ..plan() };
        let state = updating(UpdateStep::Install, 1);
        let State::Running(at) = &state else { panic!("{state}") };
        let reverts_within_s = reverts_within_s(&plan, at);
        let stopped = RunEnd { reverts_within_s, ..end("web-1", HostEnd::Stopped(state)) };
        let shown = text(recap::lines(&[stopped], Duration::from_secs(3)));
        let told = format!("the host goes back by itself, beginning within {within} from now");
        assert!(shown.contains(&told), "{window_s}: {shown}");
    }
    let early = Running::Preparing { step: PrepareStep::Record, attempt: Attempt::FIRST };
    let plan = Plan { deadman: Some(Deadman { window_s: 60 }), ..plan() };
    assert_eq!(reverts_within_s(&plan, &early), None, "none is set yet");
}

#[test]
fn the_recap_of_many_hosts_stays_readable() {
    let host = |n: usize| format!("web-{n:04}");
    let good = (0..5000).map(|n| end(&host(n), finished(Outcome::Updated { previous: revision('a') })));
    let held =
        |by: String| StepFailure { step: Step::Prepare(PrepareStep::Preflight), reason: Reason::Held { by } };
    let aborted = |by: String| finished(Outcome::Aborted { cause: held(by) });
    // A hundred say each something else; nine hundred failed alike.
    let bad = (5000..5100).map(|n| end(&host(n), aborted(n.to_string())));
    let same = || finished(Outcome::RolledBack { to: revision('a'), cause: install_failed() });
    let alike = (5100..6000).map(|n| end(&host(n), same()));
    let lines = recap::lines(&good.chain(bad).chain(alike).collect::<Vec<_>>(), Duration::from_secs(7300));
    assert!(lines.len() < 110, "{} lines", lines.len());
    let shown = text(lines);
    for said in ["and 4940 more", "and 80 more", "and 840 more"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let total = "6000 hosts in 2 h 1 min: 5000 updated, 100 aborted, 900 rolled back";
    assert!(shown.ends_with(total), "{shown}");
}
