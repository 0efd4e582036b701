//! Two operators start at once on one host, again and again, at offsets from nothing to a whole run: never do both drive,
//! and never is the host held afterwards. UPHAUL_TEST_RACES says how many tries there are, over both scenarios.

use std::time::Instant;

use uphaul_core::machine::{State, Step};
use uphaul_tests::lab::{Host, Release};

use super::operator::{Going, Operator, Out, installs_of};
use super::{proof, usual};

scenarios!(from_one_record, from_two_records);

/// How many tries there are where nobody says.
const TRIES: usize = 20;

/// How the tries ended, to be told.
#[derive(Debug, Default)]
struct Counts {
    /// One drove, the other was told who holds the host.
    held: usize,
    /// One drove; to the other the host was no more what its record says.
    drifted: usize,
    /// One drove after the other.
    both: usize,
}

fn tries() -> usize {
    let asked = std::env::var("UPHAUL_TEST_RACES").unwrap_or_default();
    let all = if asked.is_empty() { TRIES } else { asked.parse().expect("UPHAUL_TEST_RACES is a number") };
    all.div_ceil(2)
}

fn from_one_record() {
    race(|host| vec![Operator::of(&[host]).set("timeouts.healthy", "1s")]);
}

fn from_two_records() {
    race(|host| (0..2).map(|_| Operator::of(&[host]).set("timeouts.healthy", "1s")).collect());
}

fn race(operators: impl FnOnce(&Host) -> Vec<Operator>) {
    let (origin, host, first) = usual();
    let operators = operators(&host);
    let (one, two) = (&operators[0], operators.last().unwrap());
    let releases: Vec<(&str, String)> =
        ["v2", "v3"].map(|label| (label, origin.commit(Release::good(label)))).into_iter().collect();
    let releases = [vec![("v1", first)], releases].concat();
    // One alone, to see how long a run takes here: the second operator starts up to that much later, and a bit more.
    let began = Instant::now();
    one.run(&["update", "web-1", "--to", &releases[1].1]).ended(0, &["updated"]);
    let run = began.elapsed().mul_f64(1.2);
    two.run(&["version", "web-1"]).ended(0, &[&releases[1].1]);
    let (mut counts, mut fence, mut runs) = (Counts::default(), fence_of(&host), 0);
    for n in 0..tries() {
        let at = releases.iter().position(|(_, commit)| *commit == host.head()).unwrap();
        let targets = [&releases[(at + 1) % 3], &releases[(at + 2) % 3]];
        let installs = |label: &str| installs_of(&host, label);
        let before = targets.map(|(label, _)| installs(label));

        // The first one that starts is each of them in turn.
        let order = if n % 2 == 0 { [one, two] } else { [two, one] };
        let going = order[0].spawn(&["update", "web-1", "--to", &targets[0].1]);
        std::thread::sleep(run.mul_f64(n as f64 / tries() as f64));
        let later = order[1].spawn(&["update", "web-1", "--to", &targets[1].1]);
        let pids = [going.pid(), later.pid()];
        let outs = [going, later].map(Going::end);

        let drove = outs.iter().map(|out| out.code == Some(0)).collect::<Vec<_>>();
        let told = outs.iter().map(ToString::to_string).collect::<String>();
        match drove[..] {
            [true, true] => counts.both += 1,
            [true, false] => note(&mut counts, &outs[1], pids[0]),
            [false, true] => note(&mut counts, &outs[0], pids[1]),
            _ => panic!("try {n}: nobody drove: {told}"),
        }
        // Who drove installed once, and who did not, not at all; the host runs what the last one brought.
        for (i, (label, _)) in targets.iter().enumerate() {
            assert_eq!(installs(label) - before[i], usize::from(drove[i]), "try {n}, {label}: {told}");
        }
        let ran = if drove[1] { targets[1] } else { targets[0] };
        proof::runs(&host, &ran.1);
        never_beside_each_other(&host, &operators);

        // Nothing holds it, in no record and on the host; and each taking had a number of its own.
        for operator in [one, two] {
            operator.left_nothing(&host);
            operator.run(&["version", "web-1"]).ended(0, &[&ran.1]);
        }
        host.root("flock --nonblock /srv/app/.git/uphaul/lock true").ok();
        let now = fence_of(&host);
        assert!(
            now >= fence + drove.iter().filter(|drove| **drove).count() as u64,
            "try {n}: {fence}, {now}"
        );
        fence = now;
        runs += drove.iter().filter(|drove| **drove).count();
    }
    println!("{} tries, {runs} runs, {counts:?}", tries());
}

/// Why the other one did not drive.
fn note(counts: &mut Counts, out: &Out, driver: u32) {
    let told = out.to_string();
    assert!(matches!(out.code, Some(5 | 7)), "{told}");
    if told.contains("held by") {
        assert!(told.contains(&format!("(process {driver})")), "{told}");
        counts.held += 1;
    } else {
        assert!(told.contains("the record says"), "{told}");
        counts.drifted += 1;
    }
}

/// The number that the host gave to whoever took it last.
fn fence_of(host: &Host) -> u64 {
    let claim = host.root("cat /srv/app/.git/uphaul/claim 2>/dev/null").stdout;
    claim.lines().find_map(|line| line.strip_prefix("fence=")).map_or(0, |fence| fence.parse().unwrap())
}

/// No install began before the last one had ended, and no two runs were between Record and their end at one time.
fn never_beside_each_other(host: &Host, operators: &[Operator]) {
    for two in host.installs().chunks(2) {
        let label = two[0].strip_prefix("start ").unwrap();
        assert_eq!(two.get(1).map(String::as_str), Some(&*format!("end {label}")), "{:?}", host.installs());
    }
    let mut driven = Vec::new();
    for operator in operators {
        for run in operator.runs() {
            let events = operator.events(&run.record.id);
            let began = events.iter().find(|event| is_beyond_record(&event.state));
            driven.extend(began.map(|event| (event.at_us, run.finished_at_us.unwrap())));
        }
    }
    driven.sort_unstable();
    assert!(driven.windows(2).all(|two| two[0].1 <= two[1].0), "{driven:?}");
}

fn is_beyond_record(state: &State) -> bool {
    match state {
        State::Running(running) => !matches!(running.step(), Step::Prepare(_)),
        State::Pending | State::Parked(_) | State::Finished(_) => false,
    }
}
