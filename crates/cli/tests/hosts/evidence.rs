//! What is kept of a failure on a real host, before the way back makes it go.

use serde_json::Value;
use uphaul_tests::lab::{Host, HostSpec, Release, Rights, Serve, Unit};

use super::host_with;
use super::operator::Operator;

scenarios!(
    the_journal_says_why_the_service_ended,
    a_body_with_a_secret_is_masked,
    with_minimal_rights_what_may_be_read_is_read,
    what_may_not_be_read_is_said,
    a_unit_of_the_users_own_has_its_journal_read,
    the_first_and_the_last_start_of_a_crash_loop_are_there
);

const SERVER: &str = include_str!("../../../../tests/lab/app/server.ts");
const SECRET: &str = "tok_live_4711abc";

/// Updates the host to a release that fails, and gives what was kept: as JSON, and as a page.
fn failed(operator: &Operator, host: &Host) -> (Value, String) {
    let out = operator.run(&["update", "web-1", "--to", "main"]);
    out.ended(3, &["web-1", "rolled back"]);
    let run = operator.runs()[0].record.id.to_string();
    out.ended(3, &[&format!("uphaul history {run} --evidence")]);
    operator.run(&["history", &run]).ended(0, &[&format!("more:  uphaul history {run} --evidence")]);
    let page = operator.run(&["history", &run, "--evidence"]);
    page.ended(0, &["verify failed"]);
    let told = operator.run(&["history", &run, "--evidence", "--json"]);
    told.ended(0, &[]);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(told["evidence"].as_array().unwrap().len(), 1, "{told}");
    let evidence = told["evidence"][0].clone();
    assert_eq!(evidence["step"], "update/Verify");
    assert_eq!(evidence["trouble"], Value::Null, "{evidence}");
    // Nothing is left of the reading.
    assert_eq!(host.root("pgrep -f 'What [c]an be seen of a failed'").code, Some(1));
    (evidence, page.stdout)
}

/// What one part says.
#[track_caller]
fn part(evidence: &Value, name: &str) -> String {
    let parts = evidence["parts"].as_array().unwrap();
    let found = parts.iter().find(|part| part["name"] == name);
    found.unwrap_or_else(|| panic!("no part {name}: {evidence}"))["text"].as_str().unwrap().to_owned()
}

fn the_journal_says_why_the_service_ended() {
    let (origin, host, _) = host_with(HostSpec::new(), Release::good("v1"));
    let operator = Operator::of(&[&host]);
    origin.commit(Release::good("v2").serve(Serve::ExitsAtOnce));
    let (evidence, page) = failed(&operator, &host);
    let unit = part(&evidence, "unit app.service");
    assert!(unit.contains("ActiveState=failed\n") && unit.contains("ExecMainStatus=1\n"), "{unit}");
    let journal = part(&evidence, "journal app.service");
    assert!(journal.contains("dying: at once"), "{journal}");
    assert!(journal.contains("Failed with result 'exit-code'"), "what the manager says of it: {journal}");
    assert!(!journal.contains("serving v1"), "the start before is another: {journal}");
    assert!(part(&evidence, "machine").contains("MemAvailable:"));
    assert!(part(&evidence, "install").contains("install"), "{evidence}");
    assert!(page.contains("dying: at once") && page.contains("-u app.service, since its restart)"), "{page}");
}

fn a_body_with_a_secret_is_masked() {
    let (origin, host, _) = host_with(HostSpec::new(), Release::good("v1"));
    let operator = Operator::of(&[&host])
        .set("service.env.API_TOKEN", SECRET)
        .set("record.mask", "pin=([0-9]+)")
        .set("timeouts.verify", "6s");
    let body = format!("\"no answer from \\u001b[31mhttps://ana:pw@api/ with {SECRET}, pin=99\"");
    let server = SERVER.replace("[500, \"sick\"]", &format!("[500, {body}]"));
    let server = server.replace("console.log(`serving", &format!("console.log(\"{SECRET}\", `serving"));
    origin.commit(Release::good("v2").serve(Serve::Sick).file("server.ts", &server));
    let (evidence, page) = failed(&operator, &host);
    let health = part(&evidence, "health");
    let said = "HTTP/1.1 500 Not OK\nContent-Type: text/plain\n\nno answer from https://[masked]@api/ with [masked], pin=[masked]\n";
    assert_eq!(health, said);
    let journal = part(&evidence, "journal app.service");
    assert!(journal.contains("[masked] serving v2"), "{journal}");
    for told in [&page, &evidence.to_string(), &operator.causes()] {
        assert!(!told.contains("4711") && !told.contains('\u{1b}'), "{told}");
    }
    let file = std::fs::read(operator.path("uphaul.db")).unwrap();
    let wal = std::fs::read(operator.path("uphaul.db-wal")).unwrap_or_default();
    // The plan has the environment; what the host said may not have it.
    let told = String::from_utf8_lossy(&[file, wal].concat()).into_owned();
    assert!(!told.contains(&format!("with {SECRET}")), "it is in the file");
}

fn with_minimal_rights_what_may_be_read_is_read() {
    let (origin, host, _) = host_with(HostSpec::new().rights(Rights::Minimal), Release::good("v1"));
    let operator = Operator::of(&[&host]);
    origin.commit(Release::good("v2").serve(Serve::ExitsAtOnce));
    let (evidence, page) = failed(&operator, &host);
    // What its own processes say, a user may read; what the manager says of them is not for everybody.
    let journal = part(&evidence, "journal app.service");
    assert!(journal.contains("dying: at once"), "{journal}");
    assert!(!journal.contains("Failed with result"), "{journal}");
    assert!(page.contains("as far as deploy may read: journalctl "), "{page}");
    assert!(part(&evidence, "unit app.service").contains("ActiveState=failed\n"));
    assert!(part(&evidence, "health").contains("curl"), "{evidence}");
}

fn what_may_not_be_read_is_said() {
    let (origin, host, _) = host_with(HostSpec::new().rights(Rights::Minimal), Release::good("v1"));
    // One journal for all: then nobody has one of their own to read.
    host.root("mkdir -p /etc/systemd/journald.conf.d").ok();
    host.root("printf '[Journal]\\nSplitMode=none\\n' >/etc/systemd/journald.conf.d/one.conf").ok();
    host.root("systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald").ok();
    host.root("rm -rf /var/log/journal/*/user-* /run/log/journal/*/user-*; systemctl start systemd-journald")
        .ok();
    let operator = Operator::of(&[&host]);
    origin.commit(Release::good("v2").serve(Serve::ExitsAtOnce));
    let (evidence, _) = failed(&operator, &host);
    let journal = part(&evidence, "journal app.service");
    assert!(journal.contains("not allowed") && journal.contains("systemd-journal"), "{journal}");
}

fn a_unit_of_the_users_own_has_its_journal_read() {
    let (origin, host, _) = host_with(HostSpec::new().user_unit(), Release::good("v1"));
    let operator = Operator::of(&[&host]).set("service.scope", "user");
    // Not at once: what a process of a user says is filed under its unit only where it lives when journald looks who it was. (The
    // system's manager says it in the name of its processes.)
    origin.commit(Release::good("v2").serve(Serve::DiesAfter(1)));
    let (evidence, _) = failed(&operator, &host);
    assert!(part(&evidence, "unit app.service").contains("ActiveState=failed\n"), "{evidence}");
    let journal = part(&evidence, "journal app.service");
    assert!(journal.contains("serving v2") || journal.contains("not allowed"), "{journal}");
}

fn the_first_and_the_last_start_of_a_crash_loop_are_there() {
    let (origin, host, _) = host_with(HostSpec::new().unit(Unit::RestartAlways), Release::good("v1"));
    let operator = Operator::of(&[&host]);
    origin.commit(Release::good("v2").serve(Serve::ExitsAtOnce));
    let (evidence, _) = failed(&operator, &host);
    let journal = part(&evidence, "journal app.service");
    assert!(journal.contains("dying: at once"), "{journal}");
    assert!(!journal.contains("serving v1"), "the start before is another: {journal}");
}
