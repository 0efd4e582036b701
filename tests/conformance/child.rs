//! This program again, as a process that a case looks at or kills.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use uphaul_core::ports::RemoteExecutor;
use uphaul_exec_mock::MockFleet;

use crate::backends::BACKENDS;
use crate::bench::{Access, Backend, Bench, Host, sh, target};
use crate::flood;

/// Does what `--child` says, if it stands there.
pub fn main() -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [flag, what, backend, rest @ ..] = words.as_slice() else { return None };
    if flag != "--child" {
        return None;
    }
    let backend = BACKENDS.iter().find(|each| each.name == backend)?;
    let runtime = tokio::runtime::Runtime::new().ok()?;
    runtime.block_on(async {
        match (what.as_str(), rest) {
            ("flood", [which]) => flood::child(Bench { backend }, which).await,
            ("hold", [port, config, identity, known_hosts, mark]) => {
                let access = Access {
                    config: config.into(),
                    identity: if identity.is_empty() { vec![] } else { vec![identity.into()] },
                    known_hosts: known_hosts.into(),
                    accept_new: false,
                    passphrase_env: None,
                    fleet: MockFleet::new(),
                };
                hold(backend, &access, port.parse().ok(), mark).await;
            }
            _ => panic!("no such child: {words:?}"),
        }
    });
    Some(ExitCode::SUCCESS)
}

/// The words that make a process which runs `sleep MARK` on the host until it is killed.
pub fn hold_words(host: &Host, backend: &Backend, mark: &str) -> Vec<String> {
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let access = &host.access;
    let port = host.target.port.map_or_else(|| "none".to_owned(), |port| port.to_string());
    let identity = access.identity.first().map_or_else(String::new, |file| path(file));
    let files = [path(&access.config), identity, path(&access.known_hosts)];
    let start = ["--child".to_owned(), "hold".into(), backend.name.into(), port];
    start.into_iter().chain(files).chain([mark.to_owned()]).collect()
}

async fn hold(backend: &Backend, access: &Access, port: Option<u16>, mark: &str) {
    let executor: Arc<dyn RemoteExecutor> = (backend.executor)(access).unwrap();
    let mut session = executor.connect(&target(port)).await.unwrap();
    println!("connected");
    std::io::stdout().flush().unwrap();
    let _ = session.run(&sh(&format!("sleep {mark}"))).await;
}
