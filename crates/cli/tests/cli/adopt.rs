//! `uphaul db adopt`: hosts that are rows of a SaaS's own table, from the plan to an update.

use std::process::Command;

use uphaul_store::{Adopted, Naming, Store};
use uphaul_tests::postgres::{Postgres, skip};

use crate::env::TestEnv;
use crate::record::record;

const CONFIG: &str = r#"
[default.database.subscriptions]
table = "subscriptions"
name = "hostName"
address = "ipAddress"
port = "sshPort"
where = "active"
columns = "camelCase"

[default.executor]
backend = "mock"

[default.service]
path = "/srv/app"
unit = "app.service"
"#;

const ROWS: &str = r#"
INSERT INTO "subscriptions" ("customerId", "hostName", "ipAddress", "sshPort", "active") VALUES
    ('c1', 'acme', '192.0.2.1', 2222, true), ('c2', 'beta', '192.0.2.2', NULL, true),
    ('c3', 'gone', NULL, NULL, false);
"#;

/// As Drizzle writes it.
const SQLITE: &str = r#"
CREATE TABLE `subscriptions` (`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL, `customerId` text NOT NULL,
    `hostName` text NOT NULL, `ipAddress` text, `sshPort` integer, `active` integer NOT NULL);
"#;
const POSTGRES: &str = r#"
CREATE TABLE "subscriptions" ("id" serial PRIMARY KEY NOT NULL, "customerId" text NOT NULL,
    "hostName" varchar(64) NOT NULL, "ipAddress" text, "sshPort" integer, "active" boolean NOT NULL);
"#;

fn env(url: &str) -> TestEnv {
    let env = TestEnv::new().var("UPHAUL_DATABASE__URL", url);
    env.file("uphaul.toml", CONFIG);
    env
}

fn sqlite() -> TestEnv {
    let env = env("sqlite:saas.db");
    execute(&env, &format!("{SQLITE}{ROWS}"));
    env
}

/// What the program that keeps the table does.
fn execute(env: &TestEnv, text: &str) {
    let script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])";
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(env.work().join("saas.db")).arg(text);
    assert!(python.status().unwrap().success());
}

/// Two customers in the middle of a run: one is left out by the condition and renamed, the other deleted. The first is brought
/// to its end on its row, and the second is told and keeps nobody.
#[test]
fn what_was_left_in_the_middle_is_resumed_whatever_became_of_other_rows() {
    let env = sqlite();
    let _ = env.run(&["db", "adopt"]).ok();
    let adopted = Adopted {
        table: "subscriptions".parse().unwrap(),
        id: "id".parse().unwrap(),
        name: "hostName".parse().unwrap(),
        address: "ipAddress".parse().unwrap(),
        port: None,
        user: None,
        filter: Some("active".parse().unwrap()),
        columns: Naming::CamelCase,
    };
    let url = format!("sqlite:{}", env.work().join("saas.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open_adopted(&url, &adopted).await.unwrap();
        record(&store, "acme", "aaaaaaaaaaaa", Vec::new()).await;
        record(&store, "beta", "bbbbbbbbbbbb", Vec::new()).await;
        store.close().await;
    });
    execute(
        &env,
        "UPDATE subscriptions SET hostName = 'acme-2', active = false WHERE customerId = 'c1';
         DELETE FROM subscriptions WHERE customerId = 'c2';",
    );
    let watched = watch(&env);
    assert_eq!(watched.matches("beta: its run").count(), 1, "{watched}");
    let said = env.run(&["resume", "beta"]);
    assert!(said.code == Some(5) && said.stderr.contains("beta: its run"), "{said}");
    let said = env.run(&["resume", "beta", "acme"]);
    assert_eq!(said.code, Some(5), "{said}");
    assert!(said.stderr.contains("beta: its run bbbbbbbbbbbb was left in the middle"), "{said}");
    let history = env.run(&["history", "aaaaaaaaaaaa", "--json"]).ok().json();
    assert!(!history["run"]["finished_at"].is_null(), "{history}");
}

/// Looks three times.
fn watch(env: &TestEnv) -> String {
    let inner = env.command(&["resume", "--watch", "--every", "1s"]);
    let mut command = Command::new("timeout");
    command.args(["-s", "INT", "3"]).arg(inner.get_program()).args(inner.get_args()).current_dir(env.work());
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_table_of_a_saas_is_adopted() {
    let env = sqlite();
    let before = std::fs::read(env.work().join("saas.db")).unwrap();
    let page = env.page(&[&["hosts", "list"], &["db", "adopt", "--plan"]]);
    let mut settings = insta::Settings::clone_current();
    // Each migration adds to them.
    settings.add_filter(r"(?s)CREATE TABLE IF NOT EXISTS uphaul_.*;\n", "[tables that begin with uphaul_]\n");
    settings.add_filter(r"runs \d+ statements", "runs N statements");
    settings.bind(|| insta::assert_snapshot!("adopt_plan", page));
    assert!(before == std::fs::read(env.work().join("saas.db")).unwrap(), "a plan writes nothing");
    let _ = env.run(&["db", "adopt"]).ok();
    let page = env.page(&[
        &["db", "adopt"],
        &["hosts", "list"],
        &["hosts", "edit", "acme", "--label", "tier=edge"],
        &["hosts", "edit", "acme", "--address", "192.0.2.9"],
        &["hosts", "add", "new", "192.0.2.3"],
        &["hosts", "remove", "acme", "--force"],
        &["status", "tier=edge"],
    ]);
    insta::assert_snapshot!("adopt_refuses", page);
    updates(&env);
}

#[test]
fn a_table_of_a_saas_in_postgres_is_adopted() {
    let server = match Postgres::start() {
        Ok(server) => server,
        Err(why) => return skip(&why),
    };
    server.run(&format!("{POSTGRES}{ROWS}"));
    let env = env(&server.url());
    let _ = env.run(&["db", "adopt"]).ok();
    updates(&env);
    let shown = server.run(
        "SELECT \"hostName\", length(\"currentVersion\"), \"updateStatus\", \"lastUpdateAt\" > now() - interval '1 hour' \
         FROM subscriptions ORDER BY 1",
    );
    assert_eq!(shown, "acme|40|updated|t\nbeta|40|updated|t\ngone|||\n");
}

fn updates(env: &TestEnv) {
    let _ = env.run(&["update", "@all", "--to", "main", "--yes"]).ok();
    let status = env.run(&["status", "--json"]).ok().json();
    assert_eq!(status["summary"], serde_json::json!({ "updated": 2 }));
    let _ = env.run(&["db", "check"]).ok();
    let _ = env.run(&["doctor"]);
    let history = env.run(&["history", "acme", "--json"]).ok();
    assert!(history.stdout.contains("updated"), "{history}");
}

#[test]
fn what_is_configured_wrongly_is_told() {
    let env = TestEnv::new();
    env.file("uphaul.toml", "[default.database.subscriptions]\nname = \"x\"\nwhere = \"a; b\"\n");
    let page = env.page(&[&["db", "adopt"]]);
    env.file(
        "uphaul.toml",
        "[default.database.subscriptions]\ntable = \"t\"\nwhere = \"a; b\"\ncolumns = \"kebab\"\n",
    );
    insta::assert_snapshot!("adopt_configured_wrongly", page + &env.page(&[&["db", "adopt"]]));
    let said = TestEnv::new().run(&["db", "adopt"]);
    assert!(said.stderr.contains("database.subscriptions.table is not set"), "{said}");
}
