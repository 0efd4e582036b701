//! `status` and `history` of runs that are in the record.

use std::time::Duration;

use uphaul_core::evidence::{Cut, Evidence, Part};
use uphaul_core::ids::{RunId, Seq};
use uphaul_core::machine::{Input, Observation, Previous, Problem, Reason, State, Step, UpdateStep, step};
use uphaul_core::plan::{Goal, HostFacts, Limits, Manager, Plan, Policy, Scope, Service};
use uphaul_core::ports::{Entry, Journal as _, RunRecord};
use uphaul_store::{Store, process};

use crate::env::TestEnv;
use crate::hosts::three_hosts;

const BEGAN_US: i64 = 1_767_323_045_000_000;

fn plan(host: &str) -> Plan {
    Plan {
        version: uphaul_core::plan::PLAN_VERSION,
        goal: Goal::Update,
        reference: "main".parse().unwrap(),
        target: "b".repeat(40).parse().unwrap(),
        origin: None,
        recorded: None,
        attempts_max: 3,
        signers: None,
        deadman: None,
        host: HostFacts { name: host.parse().unwrap(), address: "x".into(), labels: [].into() },
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

/// Writes a run that was told these inputs, a second apart.
pub(crate) async fn record(store: &Store, host: &str, id: &str, inputs: Vec<Input>) {
    let owner = process::this_owner();
    let name = host.parse().unwrap();
    let lease = store.acquire(&name, &owner, Duration::from_secs(30), &|_| false).await.unwrap().unwrap();
    let id: RunId = id.parse().unwrap();
    let plan = plan(host);
    let mut run = RunRecord { id: id.clone(), host: name, plan, seq: Seq(0), state: State::Pending };
    store.create_run(&lease, &run, "ops@laptop", BEGAN_US).await.unwrap();
    for (place, input) in inputs.into_iter().enumerate() {
        let moved = step(&run.plan, &run.state, input.clone()).unwrap();
        run.seq = run.seq.next();
        let at_us = BEGAN_US + i64::try_from(place).unwrap() * 1_000_000;
        let proved = moved.proved(&run.plan);
        let evidence =
            moved.to.to_string().starts_with("rollback/Checkout").then(seen).filter(|_| host == "db-1");
        let state = moved.to.clone();
        let entry = Entry { run: id.clone(), seq: run.seq, input, state, proved, at_us, evidence };
        store.append(&lease, &entry).await.unwrap();
        run.state = moved.to;
    }
    store.release(&lease).await.unwrap();
}

/// What a host may say, made as harmless as a driver makes it.
fn seen() -> Evidence {
    let part = |name: &str, how: &str, cut, text: &str| Part {
        name: name.into(),
        how: how.into(),
        cut,
        text: text.into(),
    };
    Evidence {
        step: Step::Update(UpdateStep::Verify),
        parts: vec![
            part(
                "unit app.service",
                "systemctl show app.service",
                None,
                "ActiveState=failed\nResult=exit-code\n",
            ),
            part(
                "journal app.service",
                "journalctl -b _SYSTEMD_INVOCATION_ID=x",
                Some(Cut::Tail),
                "bun[7]: \u{1b}]0;owned\u{7} with [masked]\n\nbun[7]:\tdying\n",
            ),
            part(
                "health",
                "GET http://127.0.0.1:3000/health by curl",
                Some(Cut::Head),
                "HTTP/1.1 500 Not OK\n",
            ),
            part("install", "the end of what the install printed", None, ""),
        ],
        trouble: Some("9 bytes before these are missing".into()),
    }
}

fn ok() -> Input {
    Input::Succeeded(Observation::Nothing)
}

fn previous() -> Input {
    let revision = "a".repeat(40).parse().unwrap();
    Input::Succeeded(Observation::Previous(Previous { revision, healthy: true }))
}

/// One host updated, one rolled back after a failed install, one refused by its preflight.
pub(crate) fn with_runs() -> TestEnv {
    let env = three_hosts();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&env.database()).await.unwrap();
        let good = vec![Input::Start, ok(), previous(), ok(), ok(), ok(), ok(), ok()];
        record(&store, "web-1", "aaaaaaaaaaaa", good).await;
        let tail = "bun install v1.2\nerror: lockfile had changes, but lockfile is frozen\n\x1b[31mfailed\n"
            .to_owned();
        let failed = Input::Failed(Reason::Exited { code: 1, tail });
        let bad = vec![Input::Start, ok(), previous(), ok(), ok(), failed, ok(), ok(), ok(), ok()];
        record(&store, "web-2", "bbbbbbbbbbbb", bad).await;
        let problem = Problem {
            code: "dirty-tree".into(),
            found: "1 tracked file was changed by hand:\nsrc/index.ts".into(),
            fix: "commit it, or set service.dirty = \"stash\"".into(),
        };
        let refused = Input::Failed(Reason::Refused { problems: vec![problem] });
        record(&store, "db-1", "cccccccccccc", vec![Input::Start, refused]).await;
        store.close().await;
    });
    env
}

#[test]
fn runs_are_shown() {
    let env = with_runs();
    let page = env.page(&[
        &["status"],
        &["history"],
        &["history", "web-1"],
        &["history", "aaaaaaaaaaaa"],
        &["history", "bbbbbbbbbbbb"],
        &["history", "cccccccccccc"],
    ]);
    // How long ago that was depends on the day of the test.
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d+ (days|h) ago", "N days ago");
    settings.bind(|| insta::assert_snapshot!(page));
}

#[test]
fn runs_are_told_to_scripts() {
    let env = with_runs();
    let status = env.run(&["status", "--json"]).ok().json();
    assert_eq!(status["summary"], serde_json::json!({ "aborted": 1, "rolled_back": 1, "updated": 1 }));
    let web_2 = status["hosts"].as_array().unwrap().iter().find(|host| host["name"] == "web-2").unwrap();
    assert_eq!(web_2["current_version"], "a".repeat(40));
    assert_eq!(web_2["update_status"], "rolled_back");
    let run = env.run(&["history", "bbbbbbbbbbbb", "--json"]).ok().json();
    assert_eq!(run["run"]["status"], "rolled_back");
    assert_eq!(run["events"].as_array().unwrap().len(), 10);
    assert_eq!(run["events"][0]["step"], "prepare/Preflight");
    assert_eq!(run["events"][0]["at"], "2026-01-02T03:04:05.000000Z");
}

/// Three runs that are not at their end: one that nobody drives, one whose host is away, and one that a living process drives.
#[test]
fn what_nobody_drives_is_told() {
    let env = three_hosts();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&env.database()).await.unwrap();
        let to_checkout = || vec![Input::Start, ok(), previous(), ok()];
        record(&store, "web-1", "aaaaaaaaaaaa", to_checkout()).await;
        let parked =
            to_checkout().into_iter().chain([Input::Unreachable { detail: "no route".into() }]).collect();
        record(&store, "web-2", "bbbbbbbbbbbb", parked).await;
        record(&store, "db-1", "cccccccccccc", to_checkout()).await;
        let (name, owner) = ("db-1".parse().unwrap(), process::this_owner());
        store.acquire(&name, &owner, Duration::from_secs(30), &|_| false).await.unwrap().unwrap();
        store.close().await;
    });
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d+ (days|h) ago", "N days ago");
    let page = env.page(&[&["status"], &["status", "web-2"], &["status", "db-1"]]);
    settings.bind(|| insta::assert_snapshot!(page));
    let status = env.run(&["status", "--json"]).ok().json();
    assert_eq!(status["left"], serde_json::json!(["web-1", "web-2"]));
}

#[test]
fn a_host_is_shown_with_its_runs() {
    let env = with_runs();
    let page = env.page(&[&["hosts", "show", "web-2"]]);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d+ (days|h) ago", "N days ago");
    settings.bind(|| insta::assert_snapshot!(page));
}

#[test]
fn a_host_in_the_middle_of_a_run_is_kept() {
    let env = three_hosts();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&env.database()).await.unwrap();
        record(&store, "web-1", "dddddddddddd", vec![Input::Start, ok(), previous(), ok()]).await;
        store.close().await;
    });
    let page = env.page(&[
        &["history", "dddddddddddd"],
        &["hosts", "remove", "web-1"],
        &["hosts", "remove", "web-1", "--force"],
        &["history", "dddddddddddd"],
    ]);
    // It was taken out of the record today, and began on a day that the test made up.
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"after \d+ h \d+ min", "after N h");
    settings.bind(|| insta::assert_snapshot!(page));
}

/// A run that went back after its verify had failed, with what was seen of that.
fn with_evidence() -> TestEnv {
    let env = three_hosts();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&env.database()).await.unwrap();
        let failed =
            Input::Failed(Reason::NotProved { found: "app.service is failed".into(), tail: String::new() });
        let mut bad = vec![Input::Start, ok(), previous(), ok(), ok(), ok(), ok(), failed];
        bad.extend([ok(), ok(), ok(), ok()]);
        record(&store, "db-1", "eeeeeeeeeeee", bad).await;
        store.close().await;
    });
    env
}

#[test]
fn evidence_is_shown() {
    let env = with_evidence();
    let page = env.page(&[
        &["history", "eeeeeeeeeeee"],
        &["history", "eeeeeeeeeeee", "--evidence"],
        &["history", "db-1", "--evidence"],
        &["history", "--evidence"],
        &["db", "check"],
    ]);
    insta::assert_snapshot!(page);
    let env = with_runs();
    insta::assert_snapshot!(
        "evidence_of_a_run_that_has_none",
        env.page(&[&["history", "aaaaaaaaaaaa", "--evidence"]])
    );
}

#[test]
fn evidence_is_told_to_scripts() {
    let env = with_evidence();
    let told = env.run(&["history", "eeeeeeeeeeee", "--evidence", "--json"]).ok().json();
    assert_eq!(told["run"]["status"], "rolled_back");
    let evidence = &told["evidence"][0];
    assert_eq!((&evidence["step"], &evidence["seq"]), (&"update/Verify".into(), &8.into()));
    assert_eq!(evidence["at"], "2026-01-02T03:04:12.000000Z");
    assert_eq!(evidence["trouble"], "9 bytes before these are missing");
    let part = serde_json::json!({
        "name": "health", "how": "GET http://127.0.0.1:3000/health by curl", "cut": "head",
        "text": "HTTP/1.1 500 Not OK\n",
    });
    assert_eq!(evidence["parts"][2], part);
    assert_eq!(env.run(&["history", "eeeeeeeeeeee", "--json"]).ok().json()["evidence"], true);
    let exported = env.run(&["db", "export"]).ok();
    let line = exported.stdout.lines().find(|line| line.contains("\"type\":\"evidence\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["run"], &line["evidence"]), (&"eeeeeeeeeeee".into(), evidence));
}
