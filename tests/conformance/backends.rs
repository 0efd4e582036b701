//! The executors under test. Add the line of a new one here.

use std::path::Path;
use std::sync::Arc;

use uphaul_core::ports::{ExecError, RemoteExecutor};
use uphaul_exec_command::{CommandExecutor, Template};
use uphaul_exec_libssh2::{Libssh2Config, Libssh2Executor, NewKeys};
use uphaul_exec_local::LocalExecutor;
use uphaul_exec_mock::MockExecutor;
use uphaul_exec_openssh::{OpensshConfig, OpensshExecutor};

use crate::bench::{Backend, Need};

/// All executors. What one lacks stands with the reason, which the table prints.
pub const BACKENDS: &[Backend] = &[
    Backend {
        name: "mock",
        executor: |access| Ok(Arc::new(MockExecutor::new(access.fleet.clone()))),
        lacks: &[
            (Need::Host, SIMULATED),
            (Need::Network, SIMULATED),
            (Need::Held, SIMULATED),
            (Need::Trust, SIMULATED),
            (Need::LoginShell, SIMULATED),
            (Need::SshConfig, SIMULATED),
            (Need::Root, SIMULATED),
            (Need::AcceptNew, SIMULATED),
            (Need::LongBanner, SIMULATED),
            (Need::Passphrase, SIMULATED),
            (Need::SilentAgent, SIMULATED),
        ],
    },
    Backend {
        name: "local",
        executor: |_| Ok(Arc::new(LocalExecutor::new())),
        lacks: &[
            (Need::Network, "it reaches no other machine"),
            (Need::Held, "it reaches no other machine"),
            (Need::Trust, "it reaches no other machine"),
            (Need::LoginShell, "no login shell stands before its commands"),
            (Need::SshConfig, "it reads no ssh_config"),
            (Need::Away, "it reaches no other machine"),
            (Need::AcceptNew, "it reaches no other machine"),
            (Need::LongBanner, "it reaches no other machine"),
            (Need::Passphrase, "it reaches no other machine"),
            (Need::SilentAgent, "it reaches no other machine"),
        ],
    },
    Backend {
        name: "openssh",
        executor: |access| {
            let config = OpensshConfig {
                config: Some(access.config.clone()),
                identity: access.identity.clone(),
                known_hosts: Some(access.known_hosts.clone()),
                program: None,
            };
            Ok(Arc::new(OpensshExecutor::new(config)?))
        },
        lacks: &[
            (Need::AcceptNew, "it has no such setting: `ssh` adds a key when a person says so"),
            (Need::Passphrase, "it has no such setting: encrypted keys are in the agent"),
            (Need::SilentAgent, "`ssh` waits for an agent; `timeouts.connect` ends it"),
        ],
    },
    Backend {
        name: "libssh2",
        executor: |access| {
            let config = Libssh2Config {
                config: Some(access.config.clone()),
                identity: access.identity.clone(),
                known_hosts: Some(access.known_hosts.clone()),
                host_key: if access.accept_new { NewKeys::AcceptNew } else { NewKeys::Strict },
                passphrase_env: access.passphrase_env.clone(),
            };
            Ok(Arc::new(Libssh2Executor::new(config, &|_| None)?))
        },
        lacks: &[(
            Need::LongBanner,
            "libssh2 takes no packet of more than 40000 bytes; its error says so, and names openssh",
        )],
    },
    Backend {
        name: "command",
        executor: |_| by_command(&["env", "REACHED={address}"]),
        lacks: &[
            (
                Need::Network,
                "the program that it is tried with here reaches no other machine (command-ssh does)",
            ),
            (Need::Held, NOT_HELD),
            (Need::Trust, NO_TRUST),
            (Need::LoginShell, "no shell reads a command line here (command-ssh has one)"),
            (Need::SshConfig, "it reads no ssh_config"),
            (Need::Away, NO_TRUST),
            (Need::AcceptNew, NO_TRUST),
            (Need::LongBanner, NO_TRUST),
            (Need::Passphrase, NO_TRUST),
            (Need::SilentAgent, NO_TRUST),
        ],
    },
    Backend {
        name: "command-ssh",
        executor: |access| {
            let path = |path: &Path| path.to_str().expect("a path").to_owned();
            let known_hosts = format!("UserKnownHostsFile={}", path(&access.known_hosts));
            let identity = access.identity.iter().flat_map(|file| ["-i".to_owned(), path(file)]);
            let options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", &known_hosts]
                .into_iter()
                .chain(["ServerAliveInterval=3", "ServerAliveCountMax=2"]);
            let words = ["ssh".to_owned(), "-F".into(), path(&access.config)];
            let words =
                words.into_iter().chain(identity).chain(options.flat_map(|o| ["-o".into(), o.into()]));
            let ends = ["-p", "{port}", "-l", "{user}", "{address}", "{command}"].map(ToOwned::to_owned);
            let words: Vec<String> = words.chain(ends).collect();
            by_command(&words.iter().map(String::as_str).collect::<Vec<_>>())
        },
        lacks: &[
            (Need::Held, NOT_HELD),
            (Need::Trust, NO_TRUST),
            (Need::SshConfig, "it reads no ssh_config; the program may"),
            (Need::Away, NO_TRUST),
            (Need::AcceptNew, NO_TRUST),
            (Need::LongBanner, NO_TRUST),
            (Need::Passphrase, NO_TRUST),
            (Need::SilentAgent, NO_TRUST),
        ],
    },
];

const SIMULATED: &str = "its hosts are simulated: they know what the driver sends, and no other command";
const NOT_HELD: &str =
    "each command is a process of the program, and a connection of its own where it makes one";
const NO_TRUST: &str =
    "the program logs in and checks keys, and its words say why not: no error tells keys and refusals apart";

fn by_command(words: &[&str]) -> Result<Arc<dyn RemoteExecutor>, ExecError> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let template = Template::parse(&words).unwrap_or_else(|why| panic!("{why}"));
    Ok(Arc::new(CommandExecutor::new(template)?))
}
