//! The shell that reads the command line on the host. (The server is told to have each command line read by that shell,
//! so no user of the machine must be made with it.)

use uphaul_core::ports::{ExecErrorKind, RemoteCommand};
use uphaul_tests::sshd::{SshdSpec, program};

use crate::bench::{Bench, Host, command, sh};

fn forced(bench: Bench, text: &str) -> Host {
    bench.host_with(&SshdSpec { force_command: Some(text.to_owned()), ..SshdSpec::default() })
}

async fn login_by(bench: Bench, shell: &str) {
    let shell = program(shell).unwrap();
    let host = forced(bench, &format!("exec {} -c \"$SSH_ORIGINAL_COMMAND\"", shell.display()));
    let mut session = host.connect().await;
    let asked = "it's $HOME \"`!`\" \\ \n%";
    let mut hostile = sh("printf '%s' \"$A\"; cat; echo err >&2; exit 200");
    hostile.env.insert("A".into(), asked.into());
    hostile.stdin = b"in\0\xff".to_vec();
    let output = session.run(&hostile).await.unwrap();
    assert_eq!((output.code, output.stderr.text()), (200, "err\n".into()));
    assert_eq!(output.stdout.bytes, [asked.as_bytes(), b"in\0\xff"].concat());
    let slow = RemoteCommand { timeout: std::time::Duration::from_millis(200), ..sh("sleep 1000") };
    assert_eq!(session.run(&slow).await.unwrap_err().kind, ExecErrorKind::Timeout);
}

pub async fn login_by_bash(bench: Bench) {
    login_by(bench, "bash").await;
}

pub async fn login_by_dash(bench: Bench) {
    login_by(bench, "dash").await;
}

pub async fn login_by_fish(bench: Bench) {
    login_by(bench, "fish").await;
}

pub async fn login_by_csh(bench: Bench) {
    login_by(bench, "csh").await;
}

pub async fn noisy_login_shell(bench: Bench) {
    let noise = "seq 1 20000; echo Welcome; seq 1 20000 >&2; printf 'no newline'; sleep 1; eval \"$SSH_ORIGINAL_COMMAND\"";
    let output = forced(bench, noise)
        .run(&RemoteCommand { stdin: b"in".to_vec(), ..sh("cat; exit 5") })
        .await
        .unwrap();
    assert_eq!((output.code, output.stdout.text(), output.stderr.text()), (5, "in".into(), String::new()));
}

pub async fn login_shell_that_refuses(bench: Bench) {
    let host = forced(bench, "echo This account is currently not available.; exit 1");
    let error = host.run(&command(&["true"])).await.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Auth, false), "{error}");
    assert!(error.detail.contains("This account is currently not available."), "{error}");
}

pub async fn login_shell_that_reads_stdin(bench: Bench) {
    let host = forced(bench, "head -c 5 >/dev/null; eval \"$SSH_ORIGINAL_COMMAND\"");
    let error = host.run(&command(&["true"])).await.unwrap_err();
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Auth, false), "{error}");
}
