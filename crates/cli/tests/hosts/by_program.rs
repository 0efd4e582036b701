//! Hosts that are reached by a program of the operator's, beside others that ssh reaches.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use uphaul_tests::lab::{Host, HostSpec, Release, Serve};

use super::host_with;
use super::operator::{self, Operator};

scenarios!(one_run_reaches_each_host_by_what_its_label_says);

/// What `docker exec` is to a container: it takes a host's address and the words of a command.
fn program(file: &Path, host: &Host) {
    let entry = host.entry().join(" ");
    let address = host.address();
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = {address} ] || {{ echo \"no such host: $1\" >&2; exit 1; }}\nshift\nexec {entry} \"$@\"\n"
    );
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

const RULES: &str = r#"
[[default.executor.rules]]
match = "tier=edge"
backend = "command"
[default.executor.command]
argv = ["PROGRAM", "{address}"]
"#;

fn one_run_reaches_each_host_by_what_its_label_says() {
    operator::reach_by("openssh");
    let (origin, by_ssh, v1) = host_with(HostSpec::new(), Release::good("v1"));
    // Nobody can log in there by SSH.
    let by_program = HostSpec::new().sshd("AllowUsers nobody").boot(&origin);
    by_program.wait_healthy();
    let operator = Operator::of(&[&by_ssh, &by_program]);
    let file = operator.path("reach");
    program(&file, &by_program);
    let config = operator.path("uphaul.toml");
    let rules = RULES.replace("PROGRAM", file.to_str().unwrap());
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + &rules).unwrap();
    let v2 = origin.commit(Release::good("v2"));
    operator.run(&["check", "web-2"]).ended(7, &["web-2", "not ready"]);
    operator.run(&["hosts", "edit", "web-2", "--label", "tier=edge"]).ended(0, &[]);
    operator.run(&["hosts", "show", "web-2"]).ended(0, &["command (executor.rules[1] matches tier=edge"]);
    operator.run(&["plan", "@all", "--to", "main"]).ended(
        0,
        &[
            "by openssh (executor.backend, uphaul.toml:5)",
            "by command (executor.rules[1] matches tier=edge, uphaul.toml:",
        ],
    );
    operator.run(&["update", "@all", "--to", "main"]).ended(0, &["web-1", "web-2", "updated"]);
    for (i, host) in [&by_ssh, &by_program].into_iter().enumerate() {
        assert_eq!((host.head(), host.running_version().as_deref()), (v2.clone(), Some("v2")));
        assert_eq!(operator.row_of(i).current_version.unwrap().as_str(), v2);
        assert_eq!(operator.row_of(i).previous_version.unwrap().as_str(), v1);
    }
    let v3 = origin.commit(Release::good("v3").serve(Serve::ExitsAtOnce));
    operator.run(&["update", "@all", "--to", &v3]).ended(3, &["rolled back"]);
    for host in [&by_ssh, &by_program] {
        assert_eq!((host.head(), host.running_version().as_deref()), (v2.clone(), Some("v2")));
    }
    // The flag means all hosts, whatever the rules say.
    operator.run(&["check", "web-2", "--executor", "openssh"]).ended(7, &["web-2"]);
}
