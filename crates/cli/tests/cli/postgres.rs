//! The record in Postgres, through the real binary.

use std::io::{BufRead as _, BufReader};

use serde_json::Value;
use uphaul_tests::postgres::{Postgres, skip};

use crate::env::TestEnv;

const HOSTS: usize = 50;
const CONFIG: &str = "[default.service]\npath = \"/srv/app\"\nunit = \"app.service\"\n\n\
    [default.limits]\nlease = \"5s\"\n";

/// 50 hosts that are simulated, with a lease that is shorter than an outage may be.
fn env_at(url: &str) -> TestEnv {
    let env = TestEnv::new().var("UPHAUL_DATABASE__URL", url).var("UPHAUL_EXECUTOR__BACKEND", "mock");
    env.file("uphaul.toml", CONFIG);
    let lines: Vec<String> = (0..HOSTS).map(|n| format!("web-{n},192.0.2.{n}\n")).collect();
    env.file("hosts.csv", &format!("name,address\n{}", lines.concat()));
    let _ = env.run(&["hosts", "import", "hosts.csv"]).ok();
    env
}

#[test]
fn an_update_outlives_a_killed_server() {
    let mut server = match Postgres::start() {
        Ok(server) => server,
        Err(why) => return skip(&why),
    };
    let env = env_at(&server.url());
    let args = ["update", "@all", "--to", "main", "--yes", "--json", "--parallel", "50"];
    let mut child = env.command(&args).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut states, mut events) = (0, Vec::new());
    for line in lines.by_ref() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        states += usize::from(event["event"] == "state");
        if event["event"] == "database" {
            events.push(event["state"].as_str().unwrap().to_owned());
            if events.last().unwrap() == "away" {
                assert_eq!(event["wait_ms"], 300_000, "{event}");
                assert!(event["why"].as_str().unwrap().contains("is away"), "{event}");
                server.restart().unwrap();
            }
        }
        // Once, in the middle.
        if states == 120 {
            states += 1;
            server.kill();
        }
        if event["event"] == "summary" {
            assert_eq!(
                (&event["results"]["updated"], &event["exit_code"]),
                (&HOSTS.into(), &0.into()),
                "{event}"
            );
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(events, ["away", "back"]);
    let status = env.run(&["status", "--json"]).ok().json();
    assert_eq!(status["summary"], serde_json::json!({ "updated": HOSTS }));
}

/// Wherever a URL may turn up, its password does not.
#[test]
fn a_password_is_never_shown() {
    let secret = "postgres://ana:hunter2@127.0.0.1:1/uphaul?application_name=x";
    let env = TestEnv::new().var("UPHAUL_DATABASE__URL", secret);
    for args in [
        &["status"] as &[&str],
        &["status", "-vv"],
        &["status", "--json"],
        &["config", "show"],
        &["config", "show", "--json"],
        &["config", "check"],
        &["hosts", "add", "a", "b"],
        &["status", "--database", secret],
        &["status", "--database", "postgres://ana:hunter2@127.0.0.1:1/uphaul?sslmode=hunter2"],
        &["status", "--database", "postgres://ana:hun/ter2@127.0.0.1:1/uphaul"],
        &["status", "--database", "postgres://ana@127.0.0.1:1/uphaul?password=hunter2"],
        &["status", "--database", "postgres:ana:hunter2@127.0.0.1:1/uphaul"],
    ] {
        let said = env.run(args);
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(!all.contains("hunter2") && !all.contains("ter2"), "{args:?}: {said}");
    }
    let said = env.run(&["status", "--database", secret]);
    assert!(said.stderr.contains("everybody on this machine can read a password"), "{said}");
}

/// As psql finds it: in the environment, or in the file that the environment names.
#[test]
fn a_password_is_found_where_psql_finds_it() {
    let server = match Postgres::start_tls() {
        Ok(server) => server,
        Err(why) => return skip(&why),
    };
    server.run("ALTER ROLE uphaul PASSWORD 's3cret'");
    let url = format!("postgres://uphaul@127.0.0.1:{}/postgres?sslmode=require", server.port());
    let env = || TestEnv::new().var("UPHAUL_DATABASE__URL", &url);
    let said = env().run(&["status"]);
    assert!(said.stderr.contains("refused the login"), "{said}");
    let _ = env().var("PGPASSWORD", "s3cret").run(&["status"]).ok();
    let pass = env();
    let file = pass.file("pgpass", &format!("127.0.0.1:{}:postgres:uphaul:s3cret\n", server.port()));
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let _ = pass.var("PGPASSFILE", file.to_str().unwrap()).run(&["status"]).ok();
}
