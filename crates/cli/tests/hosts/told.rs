//! What is told of a run, as pages: the same by both executors over SSH, word for word.

use uphaul_tests::lab::{Host, HostSpec, Install, Origin, Release, Serve};

use super::operator::Operator;

scenarios!(a_good_update, a_broken_version, an_install_that_fails, an_edit_by_hand);

fn a_good_update() {
    told("good", Release::good("v2"), 0, |_| {});
}

fn a_broken_version() {
    told("broken", Release::good("v2").serve(Serve::Sick), 3, |_| {});
}

fn an_install_that_fails() {
    told("install", Release::good("v2").install(Install::Fails), 3, |_| {});
}

fn an_edit_by_hand() {
    told("edit", Release::good("v2"), 7, |host| {
        host.as_user("deploy", "echo '// mended by hand' >>/srv/app/server.ts").ok();
    });
}

/// Updates a host to this release by each executor, and holds what was told against the one page of both.
fn told(name: &str, release: Release, code: i32, before: impl Fn(&Host)) {
    let origin = Origin::start();
    let v1 = origin.commit(Release::good("v1"));
    let hosts = [(); 2].map(|()| HostSpec::new().boot(&origin));
    let v2 = origin.commit(release);
    for (host, backend) in hosts.iter().zip(["openssh", "libssh2"]) {
        host.wait_healthy();
        before(host);
        let operator = Operator::of(&[host]).set("executor.backend", backend).set("timeouts.verify", "6s");
        let update = operator.run(&["update", "web-1", "--to", "main"]);
        assert_eq!(update.code, Some(code), "{update}");
        let run = operator.run_of(0).record.id.to_string();
        let story = operator.run(&["history", &run]);
        let status = operator.run(&["status"]);
        let page = format!("{update}\n{}\n{}", story.stdout, status.stdout);
        let facts = [(&*v1, "V1"), (&*v2, "V2"), (&*run, "RUN"), (host.address(), "ADDRESS")];
        let page = masked(&page, &facts);
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("told_{name}"), page);
        });
    }
}

/// The page without what differs from host to host and from time to time, and without what systemctl says of the unit.
fn masked(page: &str, facts: &[(&str, &str)]) -> String {
    let of_systemctl = |line: &&str| {
        let said = line.trim_start().strip_prefix('|').map(str::trim_start);
        said.is_some_and(|said| {
            let starts =
                ["* ", "x ", "Loaded:", "Active:", "Main PID:", "Process:", "Duration:", "CGroup:", "`-"];
            said.is_empty()
                || said.contains(" uphaul-lab-")
                || starts.iter().any(|start| said.starts_with(start))
        })
    };
    let mut page: String =
        page.lines().filter(|line| !of_systemctl(line)).flat_map(|line| [line, "\n"]).collect();
    for (fact, name) in facts {
        page = page.replace(fact, name);
        if fact.len() == 40 {
            page = page.replace(&fact[..10], name).replace(&fact[..7], name);
        }
    }
    let who = regex::Regex::new(r"by \S+@\S+ \(process \d+\)").unwrap();
    let clock = regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ?|\d\d:\d\d:\d\d(\.\d+)?").unwrap();
    let length = regex::Regex::new(r" +(\d+ min )?\d+(\.\d+)? (ms|s)( ago)?\b").unwrap();
    let bun = regex::Regex::new(r"bun install v\S+ \(\S+\)").unwrap();
    let page = bun.replace_all(&page, "bun install VERSION");
    let page = who.replace_all(&page, "by WHO (process PID)");
    let page = clock.replace_all(&page, "TIME");
    length.replace_all(&page, " SPAN").into_owned()
}
