//! One list of cases, run over every executor. A new executor is done when it passes: add its line to
//! [`backends::BACKENDS`].
//!
//! `cargo test -p uphaul-tests --test executor_conformance [FILTER]`; a case is named `BACKEND::CASE`. At the end stands
//! the table of all, also of what a backend need not do and of what could not be tried here, with the reason.

#[path = "conformance/acts.rs"]
mod acts;
#[path = "conformance/agent.rs"]
mod agent;
#[path = "conformance/backends.rs"]
mod backends;
#[path = "conformance/bench.rs"]
mod bench;
#[path = "conformance/cases.rs"]
mod cases;
#[path = "conformance/child.rs"]
mod child;
#[path = "conformance/command.rs"]
mod command;
#[path = "conformance/connection.rs"]
mod connection;
#[path = "conformance/docs.rs"]
mod docs;
#[path = "conformance/ending.rs"]
mod ending;
#[path = "conformance/flood.rs"]
mod flood;
#[path = "conformance/hostile.rs"]
mod hostile;
#[path = "conformance/keys.rs"]
mod keys;
#[path = "conformance/login.rs"]
mod login;
#[path = "conformance/odd.rs"]
mod odd;
#[path = "conformance/scripted.rs"]
mod scripted;
#[path = "conformance/trust.rs"]
mod trust;
#[path = "conformance/who.rs"]
mod who;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::backends::BACKENDS;
use crate::bench::{Backend, Bench, Verdict};
use crate::cases::{Case, all};

type Table = Arc<Mutex<BTreeMap<(&'static str, &'static str), Verdict>>>;

fn main() -> ExitCode {
    if let Some(code) = child::main() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // Most of them wait most of the time.
    arguments.test_threads.get_or_insert(8);
    let table = Table::default();
    let pairs = all().into_iter().flat_map(|case| BACKENDS.iter().map(move |backend| (case, backend)));
    let docs = Trial::test("docs::the_table_is_there", || docs::check().map_err(Failed::from));
    let trials = pairs.map(|(case, backend)| trial(case, backend, &table)).chain([docs]).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        print(&table);
    }
    conclusion.exit_code()
}

fn trial(case: Case, backend: &'static Backend, table: &Table) -> Trial {
    let table = Arc::clone(table);
    Trial::test(format!("{}::{}", backend.name, case.name), move || {
        let mut verdict = verdict(case, backend);
        // Where everything must be there, what could not be tried is a failure.
        if let (Verdict::Skipped(why), true) =
            (&verdict, std::env::var_os("CI").is_some_and(|ci| ci == "true"))
        {
            verdict = Verdict::Failed(format!("skipped, which must not be with CI=true: {why}"));
        }
        let result = match &verdict {
            Verdict::Failed(why) => Err(Failed::from(why)),
            Verdict::Passed | Verdict::NotFor(_) | Verdict::Skipped(_) => Ok(()),
        };
        table.lock().unwrap_or_else(PoisonError::into_inner).insert((case.name, backend.name), verdict);
        result
    })
}

fn verdict(case: Case, backend: &'static Backend) -> Verdict {
    if let Err(verdict) = backend.can(case.need) {
        return verdict;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    // A task of its own, so that a panic says what failed and where, and the table is printed all the same.
    let ran = runtime.block_on(async { tokio::spawn((case.run)(Bench { backend })).await });
    runtime.shutdown_background();
    match ran {
        Ok(()) => Verdict::Passed,
        Err(error) => Verdict::Failed(panic_text(error)),
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    let payload = error.into_panic();
    let text =
        payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    text.unwrap_or("panicked").to_owned()
}

fn print(table: &Table) {
    let table = table.lock().unwrap_or_else(PoisonError::into_inner);
    let mut reasons: Vec<String> = Vec::new();
    let mut lines = vec![format!(
        "{:<44}{}",
        "case",
        BACKENDS.iter().map(|b| format!("{:<14}", b.name)).collect::<String>()
    )];
    for case in all() {
        let mut line = format!("{:<44}", case.name);
        for backend in BACKENDS {
            let cell = match table.get(&(case.name, backend.name)) {
                None => "-".to_owned(),
                Some(Verdict::Passed) => "ok".to_owned(),
                Some(Verdict::Failed(_)) => "FAILED".to_owned(),
                Some(Verdict::NotFor(why)) => format!("n/a [{}]", number(&mut reasons, why)),
                Some(Verdict::Skipped(why)) => format!("SKIPPED [{}]", number(&mut reasons, why)),
            };
            line += &format!("{cell:<14}");
        }
        lines.push(line);
    }
    println!("{}\n", lines.join("\n"));
    for (i, why) in reasons.iter().enumerate() {
        println!("[{}] {why}", i + 1);
    }
}

fn number(reasons: &mut Vec<String>, why: &str) -> usize {
    if let Some(at) = reasons.iter().position(|known| known == why) {
        return at + 1;
    }
    reasons.push(why.to_owned());
    reasons.len()
}
