//! Values of `service.env` are in no page and no export; the record and the scripts on their way have them.

use uphaul_core::plan::Plan;
use uphaul_store::Store;

use crate::env::TestEnv;

const CONFIG: &str = r#"
[default.executor]
backend = "mock"
[default.service]
path = "/srv/app"
unit = "app.service"
[default.service.env]
PORT = "7443"
SMTP_PASS = "hunter2"
JWT = "hunter2"
"#;

/// URLs with passwords, in each place where one may stand.
const WITH_URLS: &str = r#"
[default.executor]
backend = "mock"
[default.service]
path = "/srv/app"
install = "make FROM=https://tok_4711@registry.test/npm"
commands.restart = "curl http://ana:tok_4711@127.0.0.1/restart"
commands.status = "curl http://ana:tok_4711@127.0.0.1/status"
before_restart = "curl http://ana:tok_4711@127.0.0.1/before"
"#;

#[test]
fn values_of_the_environment_are_shown_by_nothing() {
    let env = TestEnv::new();
    env.file("uphaul.toml", CONFIG);
    let add = ["hosts", "add", "web-1", "192.0.2.1", "--set", "service.env.STRIPE_KEY=hunter2", "--json"];
    let mut pages = env.run(&add).ok().to_string();
    let _ = env.run(&["update", "web-1", "--to", "main", "--yes"]).ok();
    for args in [
        &["config", "show"][..],
        &["config", "show", "--json"],
        &["hosts", "show", "web-1"],
        &["hosts", "show", "web-1", "--json"],
        &["hosts", "list", "--json"],
        &["hosts", "edit", "web-1", "--label", "a=b", "--json"],
        &["plan", "web-1", "--to", "other", "--scripts"],
        &["plan", "web-1", "--to", "other", "--json"],
        &["db", "export"],
    ] {
        pages += &env.run(args).ok().to_string();
    }
    let runs = env.run(&["history", "web-1", "--json"]).ok().json();
    let run = runs["runs"][0]["run"].as_str().unwrap();
    let told = env.run(&["history", run, "--json"]).ok();
    pages += &told.to_string();
    assert!(!pages.contains("hunter2"), "{pages}");
    let shown = &told.json()["plan"]["service"]["env"];
    let hidden = serde_json::json!({ "JWT": "***", "PORT": "7443", "SMTP_PASS": "***", "STRIPE_KEY": "***" });
    assert_eq!(*shown, hidden);
    let scripted = r"SMTP_PASS='\''***'\''";
    assert!(pages.contains(scripted), "{pages}");

    let kept = plan_of(&env, run).service.env;
    assert_eq!(kept.values().filter(|value| *value == "hunter2").count(), 3, "{kept:?}");
}

/// As it is kept.
fn plan_of(env: &TestEnv, run: &str) -> Plan {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&env.database()).await.unwrap();
        let run = store.run(&run.parse().unwrap()).await.unwrap().unwrap();
        store.close().await;
        run.record.plan
    })
}

#[test]
fn passwords_of_urls_are_shown_by_nothing() {
    for health in [
        "health.http = \"http://ana:tok_4711@127.0.0.1:3000/health\"",
        "health.command = \"curl -f http://ana:tok_4711@127.0.0.1/\"",
    ] {
        let env = TestEnv::new();
        env.file("uphaul.toml", &format!("{WITH_URLS}{health}\n"));
        let add = env.run(&["hosts", "add", "web-1", "192.0.2.1", "--json"]).ok();
        let mut pages = add.to_string();
        pages += &env.run(&["update", "web-1", "--to", "main", "--yes"]).ok().to_string();
        let runs = env.run(&["history", "web-1", "--json"]).ok().json();
        let run = runs["runs"][0]["run"].as_str().unwrap();
        let plan = env.run(&["plan", "web-1", "--to", "other"]).ok();
        for part in [
            "http://[masked]@127.0.0.1/before",
            "http://[masked]@127.0.0.1/status",
            "https://[masked]@registry.test/npm",
        ] {
            assert!(plan.stdout.contains(part), "{part}: {plan}");
        }
        for args in [
            &["config", "show"][..],
            &["config", "show", "--json"],
            &["check", "web-1"],
            &["plan", "web-1", "--to", "other", "--scripts"],
            &["plan", "web-1", "--to", "other", "--json"],
            &["history", run],
            &["history", run, "--json"],
            &["db", "export"],
        ] {
            pages += &env.run(args).ok().to_string();
        }
        pages += &plan.to_string();
        assert!(!pages.contains("tok_4711"), "{pages}");
        let kept = serde_json::to_string(&plan_of(&env, run)).unwrap();
        assert_eq!(kept.matches("tok_4711").count(), 5, "what is sent keeps it: {kept}");
    }
}
