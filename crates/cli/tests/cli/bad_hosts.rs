//! What people see when hosts are wrong.

use crate::env::TestEnv;
use crate::hosts::three_hosts;

#[test]
fn faults_of_hosts_that_are_typed() {
    let env = three_hosts();
    insta::assert_snapshot!(env.page(&[
        &["hosts", "add"],
        &["hosts", "add", "a b"],
        &["hosts", "add", "-x"],
        &["hosts", "add", "web-1"],
        &["hosts", "add", "x", "deploy@10.0.0.1"],
        &["hosts", "add", "x", "10.0.0.1 -oProxyCommand=x"],
        &["hosts", "add", "x", "--port", "0"],
        &["hosts", "add", "x", "--port", "70000"],
        &["hosts", "add", "x", "--user", "Root"],
        &["hosts", "add", "x", "--label", "tier"],
        &["hosts", "add", "x", "--label", "a b=c"],
        &["hosts", "add", "x", "--set", "service.pth=/x", "--set", "limits.parallel=3"],
        &["hosts", "add", "x", "--set", "service.path=x"],
        &["hosts", "edit", "web-1"],
        &["hosts", "edit", "web-9", "--port", "22"],
        &["hosts", "edit", "web-1", "--port", "22", "--no-port"],
        &["hosts", "show", "web-11"],
        &["hosts", "remove", "web-1", "web-9"],
        &["history", "web-11"],
        &["history", "abcdefghijkl"],
        &["history", "a b"],
    ]));
    // Nothing was removed, and nothing added.
    assert_eq!(env.run(&["hosts", "list"]).ok().stdout.lines().count(), 4);
}

#[test]
fn nothing_is_imported_from_a_file_with_a_fault() {
    let env = TestEnv::new();
    let csv = "name,address,port,user,labels\n\
               good,10.0.0.1,,,\n\
               -bad,10.0.0.2,,,\n\
               port,10.0.0.3,0,,\n\
               user,10.0.0.4,,Root,\n\
               label,10.0.0.5,,,tier\n\
               short,10.0.0.6\n\
               good,10.0.0.7,,,\n\
               opt,-oProxyCommand=x,,,\n\
               esc\u{1b}[31m,x,,,\n";
    env.file("hosts.csv", csv);
    env.file("header.csv", "nmae,address\nweb-1,10.0.0.1\n");
    env.file("none.csv", "name,address,port,user,labels\n");
    env.file("object.json", "{\"name\": \"web-1\"}");
    env.file("field.json", "[\n  {\"name\": \"web-1\", \"adress\": \"x\"},\n  {\"port\": \"ssh\"}\n]");
    env.file("broken.toml", "[[hosts]\nname = 1\n");
    env.file("hosts.txt", "web-1\n");
    insta::assert_snapshot!(env.page(&[
        &["hosts", "import", "hosts.csv"],
        &["hosts", "import", "header.csv"],
        &["hosts", "import", "none.csv"],
        &["hosts", "import", "object.json"],
        &["hosts", "import", "field.json"],
        &["hosts", "import", "broken.toml"],
        &["hosts", "import", "hosts.txt"],
        &["hosts", "import", "nowhere.csv"],
        &["hosts", "import", "-"],
        &["hosts", "import", "hosts.csv", "--format", "xml"],
        &["hosts", "list"],
    ]));
}

#[test]
fn faults_of_the_database() {
    let env = TestEnv::new();
    env.file("text.db", "this is not a database, but it is long enough to be looked at as one by anybody\n");
    std::fs::create_dir(env.work().join("folder.db")).unwrap();
    insta::assert_snapshot!(env.page(&[
        &["status", "--database", "sqlite:text.db"],
        &["status", "--database", "sqlite:folder.db"],
        &["status", "--database", "sqlite:/dev/null/x.db"],
    ]));
    let said = env.run(&["status", "--database", "postgres://u:hunter2@127.0.0.1:1/x"]);
    assert!(!said.stderr.contains("hunter2"), "{said}");
    insta::assert_snapshot!(said);
}
