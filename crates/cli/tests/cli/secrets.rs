//! Values of `service.env` are in no page and no export; the record and the scripts on their way have them.

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

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let kept = runtime.block_on(async {
        let store = Store::open(&env.database()).await.unwrap();
        let run = store.run(&run.parse().unwrap()).await.unwrap().unwrap();
        store.close().await;
        run.record.plan.service.env
    });
    assert_eq!(kept.values().filter(|value| *value == "hunter2").count(), 3, "{kept:?}");
}
