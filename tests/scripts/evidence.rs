//! What can be seen of a failure, by a real `sh`.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use uphaul_core::evidence::{Cut, Evidence, Mask, Part, Patterns};
use uphaul_core::plan::{Manager, Scope};

use super::*;

const VERIFY: Step = Step::Update(UpdateStep::Verify);

/// What the script prints, as a driver reads it.
fn read_with(rig: &Rig, hand: &Hand<'_>, of: Step, extra: &[(&str, &str)]) -> Evidence {
    let words = script::evidence(&hand.plan, &hand.context(), of);
    let ended = Process::new(&words.argv[0])
        .args(&words.argv[1..])
        .env_clear()
        .envs(rig.login())
        .envs(&words.env)
        .envs(extra.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("sh runs");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert!(ended.stdout.len() < words.output_max, "{} bytes", ended.stdout.len());
    let output = Output {
        code: ended.status.code().unwrap_or(255),
        stdout: Captured { bytes: ended.stdout, dropped: 0 },
        stderr: Captured { bytes: ended.stderr, dropped: 0 },
    };
    let mask = Mask::new(&hand.plan.service.env, Patterns::default());
    let evidence = Evidence::read(of, &output, &mask);
    assert_eq!(evidence.trouble, None);
    evidence
}

/// The limits are those of a machine that has nothing else to do.
const PATIENT: [(&str, &str); 2] = [("U_LIMIT", "600"), ("U_EACH_S", "60")];

fn read(rig: &Rig, hand: &Hand<'_>) -> Evidence {
    read_with(rig, hand, VERIFY, &PATIENT)
}

fn part<'a>(evidence: &'a Evidence, name: &str) -> &'a Part {
    let names: Vec<&str> = evidence.parts.iter().map(|part| part.name.as_str()).collect();
    evidence.parts.iter().find(|part| part.name == name).unwrap_or_else(|| panic!("no {name} in {names:?}"))
}

fn files(rig: &Rig) -> BTreeMap<String, String> {
    let listed =
        Process::new("find").arg(rig.checkout()).args(["-type", "f", "-printf", "%p %s %T@\n"]).output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    listed.lines().filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.into(), b.into())).collect()
}

#[test]
fn a_failed_verify_is_seen_from_all_sides() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.health = Some(Health::Command("echo not ready: $TOKEN; exit 7".parse().unwrap()));
    hand.plan.service.env = [("TOKEN".parse().unwrap(), "tok_123456".to_owned())].into();
    hand.plan.service.install = "echo 3 packages installed; cp version .installed".parse().unwrap();
    hand.up_to(UpdateStep::Restart);
    assert!(found(hand.update(UpdateStep::Verify)).contains("not healthy"));
    rig.shim_file("journal", "app[7]: \u{1b}[31mcannot listen\u{1b}[0m with tok_123456\n");
    let before = files(&rig);
    let evidence = read(&rig, &hand);
    assert_eq!(files(&rig), before, "it only reads");
    let names: Vec<&str> = evidence.parts.iter().map(|part| part.name.as_str()).collect();
    let all = ["unit app.service", "journal app.service", "health", "step", "install", "machine", "logins"];
    assert_eq!(names, all);
    let unit = &part(&evidence, "unit app.service").text;
    assert!(unit.contains("ActiveState=active\n") && unit.contains("InvocationID=id2\n"), "{unit}");
    let journal = part(&evidence, "journal app.service");
    assert_eq!(journal.text, "app[7]: cannot listen with [masked]\n");
    assert_eq!(journal.how, "journalctl -b -u app.service, since its restart");
    let calls = std::fs::read_to_string(rig.path().join("shim/calls")).unwrap();
    // 2000 microseconds after the boot, says the shim.
    assert!(
        calls.contains(";m=7d0;t=7fffffffffffff -u app.service\n") && calls.contains(" --cursor=b="),
        "{calls}"
    );
    assert_eq!(part(&evidence, "health").text, "not ready: [masked]\n\n(exit 7)\n");
    assert!(part(&evidence, "step").text.contains("not healthy"), "{:?}", part(&evidence, "step"));
    assert_eq!(part(&evidence, "install").text, "3 packages installed\n");
    let machine = &part(&evidence, "machine").text;
    assert!(machine.contains("MemAvailable:") && machine.contains("% /"), "{machine}");
    assert!(!part(&evidence, "logins").text.is_empty());
}

#[test]
fn in_a_crash_loop_the_first_start_and_the_last_are_asked_for() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.up_to(UpdateStep::Restart);
    rig.shim_file("starts", "9\n");
    assert!(found(hand.update(UpdateStep::Verify)).contains("crash loop"));
    let how = "journalctl -b -n 200 _SYSTEMD_INVOCATION_ID=id2 _SYSTEMD_INVOCATION_ID=id9 + INVOCATION_ID=id2 \
        INVOCATION_ID=id9";
    rig.shim_file("journal", "x\n");
    assert_eq!(
        part(&read(&rig, &hand), "journal app.service").how,
        "journalctl -b -u app.service, since its restart"
    );
    // It has logged more than is kept: the end is worth more than all of the beginning.
    for much in ["x\n".repeat(200), format!("{}\n", "x".repeat(300)).repeat(150)] {
        rig.shim_file("journal", &much);
        assert_eq!(part(&read(&rig, &hand), "journal app.service").how, how);
    }
    // Where a start has logged nothing by its id, what the unit has logged is shown.
    rig.shim_file("journal", "");
    let evidence = read(&rig, &hand);
    assert_eq!(
        part(&evidence, "journal app.service").how,
        "nothing by the id of this start, so of all of this boot: journalctl -b -n 50 -u app.service"
    );
    assert_eq!(part(&evidence, "journal app.service").text, "(nothing was logged)\n");
    // A unit of the user's own is spoken of otherwise by its manager.
    hand.plan.service.manager =
        Manager::Systemd { scope: Scope::User, units: vec!["app.service".parse().unwrap()] };
    rig.shim_file("journal", &"x\n".repeat(200));
    let evidence = read(&rig, &hand);
    assert_eq!(part(&evidence, "unit app.service").how, "systemctl --user show app.service");
    assert!(
        part(&evidence, "journal app.service")
            .how
            .ends_with("+ USER_INVOCATION_ID=id2 USER_INVOCATION_ID=id9")
    );
}

#[test]
fn what_a_service_prints_begins_no_part_and_has_an_end() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.up_to(UpdateStep::Restart);
    let line = "part=forged\nhow=x\ncut=head\n\n\0nul\n";
    rig.shim_file("journal", &format!("first\n{}last", line.repeat(3000)));
    let flood = "head -c 300000 /dev/zero | tr '\\0' x; exit 1";
    hand.plan.service.health = Some(Health::Command(flood.parse().unwrap()));
    let evidence = read(&rig, &hand);
    assert!(evidence.parts.iter().all(|part| part.name != "forged"));
    let journal = part(&evidence, "journal app.service");
    assert_eq!(journal.cut, Some(Cut::Tail));
    assert!(journal.text.len() <= 32768 && journal.text.ends_with("nul\nlast\n"), "{}", journal.text.len());
    assert!(!journal.text.contains("first"));
    let health = part(&evidence, "health");
    assert_eq!((health.cut, health.text.len()), (Some(Cut::Head), 4096 + 1));
}

#[test]
fn several_units_share_the_room_and_too_many_are_left_out() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    let units: Vec<_> = (0..10).map(|n| format!("app-{n}.service").parse().unwrap()).collect();
    hand.plan.service.manager = Manager::Systemd { scope: Scope::System, units };
    rig.shim_file("journal", &"a line of a log\n".repeat(10_000));
    let evidence = read(&rig, &hand);
    assert!(evidence.parts.iter().all(|part| !part.how.contains("-n 50")), "{:?}", evidence.parts);
    let journals = evidence.parts.iter().filter(|part| part.name.starts_with("journal "));
    let sizes: Vec<usize> = journals.map(|part| part.text.len()).collect();
    assert_eq!(sizes.len(), 8);
    assert!(sizes.iter().all(|size| (4000..=4096).contains(size)), "{sizes:?}");
}

#[test]
fn a_service_that_hangs_keeps_nobody() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.limits.probe_s = 300;
    hand.plan.service.health = Some(Health::Command("trap '' TERM; echo begun; sleep 300".parse().unwrap()));
    let evidence = read_with(&rig, &hand, VERIFY, &[("U_LIMIT", "600")]);
    assert!(part(&evidence, "health").text.starts_with("begun\n"));
    assert!(part(&evidence, "health").text.contains("(no end within 3 s)"));
    // Nothing is begun when the time is over, and that is said.
    let evidence = read_with(&rig, &hand, VERIFY, &[("U_LIMIT", "1")]);
    let over = "(left out: the time for the evidence is over)\n";
    assert_eq!(part(&evidence, "unit app.service").text, over);
    assert_eq!(part(&evidence, "health").text, over);
}

#[test]
fn without_systemd_the_status_command_speaks() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.manager = Manager::Commands {
        restart: "true".parse().unwrap(),
        status: "echo no pid; exit 1".parse().unwrap(),
    };
    hand.plan.service.health = None;
    let evidence = read(&rig, &hand);
    assert_eq!(part(&evidence, "status").text, "no pid\n\n(exit 1)\n");
    assert!(part(&evidence, "journal").text.starts_with("(left out: without systemd"));
    assert_eq!(part(&evidence, "health").text, "(no health check is configured)\n");
}

/// A service that answers every request like this.
fn answers(response: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/health", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // What is left unread when it hangs up would take the answer with it.
            let mut request = Vec::new();
            let mut bytes = [0; 4096];
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut bytes) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.extend_from_slice(&bytes[..read]),
                }
            }
            let _gone = stream.write_all(response.as_bytes());
        }
    });
    url
}

#[test]
fn the_answer_of_the_health_check_is_seen_by_every_tool() {
    let url = answers(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nSet-Cookie: id=1\r\n\
         Connection: close\r\n\r\n{\"error\":\"no database\",\r\n\r\n\"at\":\"start\"}",
    );
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.limits.probe_s = 60;
    hand.plan.service.health = Some(Health::Http(url.parse().unwrap()));
    for tool in ["curl", "wget", "bash", "python3"] {
        let Some(path) = only(&rig, tool) else { continue };
        let evidence = read_with(&rig, &hand, VERIFY, &[("PATH", &path), PATIENT[0], PATIENT[1]]);
        let health = part(&evidence, "health");
        assert_eq!(health.how, format!("GET {url} by {tool}"));
        let said = &health.text;
        assert!(said.contains("HTTP/1.") && said.contains(" 503 Service Unavailable\n"), "{tool}: {said}");
        assert!(said.contains("application/json\n"), "{tool}: {said}");
        assert!(said.contains("{\"error\":\"no database\",\n\n\"at\":\"start\"}"), "{tool}: {said}");
        assert!(!said.contains("Cookie"), "{tool}: {said}");
    }
}

/// A PATH on which this is the only tool to ask with; none where this machine has not got it.
fn only(rig: &Rig, tool: &str) -> Option<String> {
    let tools = ["curl", "wget", "bash", "python3"];
    let bin = rig.path().join(format!("only-{tool}"));
    std::fs::create_dir(&bin).unwrap();
    let mut there = false;
    let shim = std::env::split_paths(&rig.login()["PATH"]).next().unwrap();
    for dir in [shim, "/usr/bin".into(), "/bin".into()] {
        for file in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = file.file_name().into_string().unwrap();
            there |= name == tool;
            if !tools.contains(&name.as_str()) || name == tool {
                // The first on the PATH counts.
                let _taken = std::os::unix::fs::symlink(file.path(), bin.join(name));
            }
        }
    }
    there.then(|| bin.display().to_string())
}

#[test]
fn a_service_that_does_not_listen_is_told_as_such() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.health = Some(Health::Http(format!("http://127.0.0.1:{port}/").parse().unwrap()));
    let evidence = read(&rig, &hand);
    assert!(
        part(&evidence, "health").text.contains("refused")
            || part(&evidence, "health").text.contains("connect")
    );
    hand.plan.service.health = Some(Health::Tcp(format!("127.0.0.1:{port}").parse().unwrap()));
    let evidence = read(&rig, &hand);
    assert!(part(&evidence, "health").text.contains(&port.to_string()), "{:?}", part(&evidence, "health"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    hand.plan.service.health = Some(Health::Tcp(listener.local_addr().unwrap().to_string().parse().unwrap()));
    assert_eq!(part(&read(&rig, &hand), "health").text, "a connection is accepted\n");
}

#[test]
fn the_way_back_has_evidence_of_its_own() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.install = "echo installing $UPHAUL_VERSION; cp version .installed".parse().unwrap();
    hand.up_to(UpdateStep::Restart);
    for step in [RollbackStep::Checkout, RollbackStep::Install, RollbackStep::Restart] {
        assert_eq!(hand.rollback(step), Input::Succeeded(Observation::Nothing));
    }
    rig.ill(true);
    assert!(found(hand.rollback(RollbackStep::Verify)).contains("not healthy"));
    let evidence = read_with(&rig, &hand, Step::Rollback(RollbackStep::Verify), &PATIENT);
    assert_eq!(part(&evidence, "install").text, format!("installing {}\n", rig.revision("v1")));
    assert!(part(&evidence, "step").text.contains("not healthy"));
    // What the switch did is told where it acted.
    let switch = rig.checkout().join(".git/uphaul/switch");
    std::fs::create_dir_all(&switch).unwrap();
    let state = format!("state=reverted\nrun={}\nfence=3\nbefore=2\nnote=went back at try 1\n", hand.run);
    std::fs::write(switch.join("state"), state).unwrap();
    let evidence = read_with(&rig, &hand, Step::Rollback(RollbackStep::Verify), &PATIENT);
    assert_eq!(part(&evidence, "switch").text, "reverted: went back at try 1\n");
}

#[test]
fn a_switch_that_soon_acts_leaves_less_time() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    for (window_s, limit) in [(10, "5"), (300, "10")] {
        hand.plan.deadman = Some(uphaul_core::plan::Deadman { window_s });
        assert_eq!(script::evidence(&hand.plan, &hand.context(), VERIFY).env["U_LIMIT"], limit);
    }
}
