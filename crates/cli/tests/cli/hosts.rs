//! `hosts`, from the first one to the last.

use crate::env::TestEnv;

const CSV: &str = "name,address,port,user,labels\n\
                   web-1,10.0.0.1,,deploy,region=eu;tier=a\n\
                   web-2,10.0.0.2,2222,deploy,region=us;tier=a\n\
                   db-1,,,,region=eu\n";

/// A record with three hosts.
pub(crate) fn three_hosts() -> TestEnv {
    let env = TestEnv::new();
    add_three_hosts(&env);
    env
}

/// Three hosts for the record that this one's configuration names.
pub(crate) fn add_three_hosts(env: &TestEnv) {
    env.file("hosts.csv", CSV);
    let _ = env.run(&["hosts", "import", "hosts.csv"]).ok();
}

#[test]
fn the_life_of_a_host() {
    let env = TestEnv::new();
    insta::assert_snapshot!(env.page(&[
        &["hosts", "list"],
        &["status"],
        &["history"],
        &[
            "hosts",
            "add",
            "web-1",
            "10.0.0.1",
            "--user",
            "deploy",
            "--label",
            "tier=a",
            "--set",
            "service.path=/srv/x"
        ],
        &["hosts", "add", "web-2", "-q"],
        &["hosts", "list"],
        &["hosts", "show", "web-1"],
        &["hosts", "edit", "web-1", "--port", "2222", "--no-user", "--unlabel", "tier", "--label", "a=b"],
        &["hosts", "show", "web-1"],
        &["hosts", "show", "web-1", "--json"],
        &["hosts", "remove", "web-1", "web-2"],
        &["hosts", "list", "--json"],
    ]));
}

#[test]
fn hosts_are_chosen_by_name_glob_and_label() {
    let env = three_hosts();
    insta::assert_snapshot!(env.page(&[
        &["hosts", "list", "@all"],
        &["hosts", "list", "web-*"],
        &["hosts", "list", "region=eu", "web-2"],
        &["status", "region=eu,tier=a"],
        &["status", "web-3"],
        &["status", "regin=eu"],
        &["status", "region=asia", "mail", "x*"],
        &["status", "@web"],
    ]));
    let said = env.run_with(&["hosts", "list", "-"], b"web-1\n# a comment\ndb-1 web-2\n").ok();
    assert_eq!(said.stdout.lines().count(), 4, "{said}");
}

#[test]
fn an_import_adds_changes_and_leaves() {
    let env = three_hosts();
    let json = r#"[{"name": "web-1", "address": "10.0.0.9"}, {"name": "db-1", "labels": {"region": "eu"}}, {"name": "new"}]"#;
    env.file("hosts.json", json);
    env.file("hosts.toml", "[[hosts]]\nname = \"toml\"\nport = 22\nlabels = { a = 1 }\n");
    insta::assert_snapshot!(env.page(&[
        &["hosts", "import", "hosts.json"],
        &["hosts", "import", "hosts.toml", "--json"],
        &["hosts", "import", "hosts.csv"],
        &["hosts", "list"],
    ]));
    let said = env.run_with(&["hosts", "import", "-", "--format", "csv"], b"name\nfrom-stdin\n");
    assert_eq!(said.ok().stdout, "1 added, 0 changed, 0 unchanged\n");
}
