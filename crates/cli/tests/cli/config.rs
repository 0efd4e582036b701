//! `init` and `config`.

use std::os::unix::fs::PermissionsExt as _;

use crate::env::TestEnv;

#[test]
fn init_writes_a_file_that_is_in_order() {
    let env = TestEnv::new();
    insta::assert_snapshot!(env.page(&[&["init"], &["config", "check"], &["init"], &["init", "--force"]]));
    let mode = std::fs::metadata(env.work().join("uphaul.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn init_says_why_it_cannot_write() {
    let env = TestEnv::new();
    insta::assert_snapshot!(env.page(&[&["init", "no/such/folder.toml"], &["init", "a.toml", "--json"]]));
}

#[test]
fn config_show_says_where_each_value_came_from() {
    let file = r#"
[default.service]
path = "/srv/app"
unit = "app.service"
[default.service.env]
API_TOKEN = "hunter2"
[prod.database]
url = "postgres://uphaul:hunter2@db/uphaul?sslpassword=hunter2"
[prod.timeouts]
restart = "90s"
"#;
    let env = TestEnv::new().var("UPHAUL_LIMITS__PARALLEL", "4").var("UPHAUL_SERVICE_PATH", "/x");
    env.file("uphaul.toml", file);
    let page = env.page(&[&["config", "show", "--profile", "prod", "--executor", "mock"]]);
    assert!(!page.contains("hunter2"), "{page}");
    insta::assert_snapshot!(page);
    let json = env.run(&["--json", "config", "show", "--profile", "prod"]).ok();
    assert!(!json.stdout.contains("hunter2"), "{json}");
    let json = json.json();
    let parallel = json["values"].as_array().unwrap().iter().find(|value| value["key"] == "limits.parallel");
    insta::assert_snapshot!(serde_json::to_string_pretty(parallel.unwrap()).unwrap());
}

#[test]
fn config_check_reads_every_profile() {
    let env = TestEnv::new();
    env.file(
        "uphaul.toml",
        "[default.limits]\nparallel = 0\n[prod.limits]\nlease = \"1s\"\n[ci.service]\nunit = \"a.service\"\n",
    );
    insta::assert_snapshot!(env.page(&[
        &["config", "check"],
        &["config", "check", "--profile", "ci"],
        &["config", "check", "--json"],
    ]));
    env.file("uphaul.toml", "[ci.service]\nunit = \"a.service\"\n");
    insta::assert_snapshot!(env.page(&[&["config", "check"], &["config", "check", "--json"]]));
}

#[test]
fn global_flags_work_before_and_after_the_command() {
    let env = TestEnv::new();
    env.file("x.toml", "[p.limits]\nparallel = 7\n");
    for args in [
        ["--config", "x.toml", "--profile", "p", "--json", "config", "show"],
        ["config", "show", "--config", "x.toml", "--profile", "p", "--json"],
        ["config", "--config", "x.toml", "--json", "show", "--profile", "p"],
    ] {
        let shown = env.run(&args).ok().json();
        assert_eq!(shown["profile"], "p");
        assert_eq!(shown["file"], "x.toml");
    }
}
