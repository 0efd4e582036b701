//! `uphaul db`.

use serde_json::Value;

use crate::env::TestEnv;
use crate::record::with_runs;

#[test]
fn the_database_is_looked_after() {
    let env = with_runs();
    let page = env.page(&[
        &["db", "migrate"],
        &["db", "check"],
        &["db", "backup", "copy.db"],
        &["db", "backup", "copy.db"],
        &["db", "check", "--database", "sqlite:copy.db"],
        &["db", "migrate", "--database", "sqlite:new.db"],
    ]);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"layout (\d+ to )?\d+", "layout N");
    settings.bind(|| insta::assert_snapshot!(page));
    let told = env.run(&["db", "migrate", "--json", "--database", "sqlite:newer.db"]).ok().json();
    assert_eq!((told["from"].as_i64(), told["to"].as_i64() > Some(0)), (Some(0), true));
}

#[test]
fn everything_is_exported_a_line_each() {
    let env = with_runs();
    let said = env.run(&["db", "export"]).ok();
    let lines: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    assert_eq!((of("export"), of("host"), of("run"), of("event")), (1, 3, 3, 20), "{said}");
    assert_eq!(lines[0]["type"], "export");
    let run = lines.iter().find(|line| line["type"] == "run").unwrap();
    assert_eq!((&run["run"]["host"], &run["plan"]["service"]["path"]), (&"web-1".into(), &"/srv/app".into()));
}

#[test]
fn a_copy_that_cannot_be_made_is_an_error() {
    let env = TestEnv::new();
    let said = env.run(&["db", "backup", "/nowhere/x.db"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("no such file or directory"), "{said}");
}
