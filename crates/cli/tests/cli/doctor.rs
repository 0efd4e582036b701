//! `doctor`, on machines that are in order and on others. The programs of the machine are stand-ins, so that the page is
//! the same everywhere.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::env::TestEnv;

const SSH: &str = r#"#!/bin/sh
case $1 in
-V) echo "OpenSSH_9.2p1 Debian-2, OpenSSL 3.0" >&2; exit ;;
-F) grep -q Bogus "$2" && { echo "$2: line 1: Bad configuration option: bogus" >&2; exit 255; } ;;
esac
echo "user ada"
echo "identityfile ~/.ssh/id_rsa"
echo "identityfile ~/.ssh/id_ed25519"
echo "userknownhostsfile ~/.ssh/known_hosts ~/.ssh/known_hosts2"
echo "globalknownhostsfile /etc/no-such/ssh_known_hosts"
"#;
const KEYGEN: &str = r#"#!/bin/sh
for last; do :; done
case $(cat "$last") in
secret) echo "Load key \"$last\": incorrect passphrase supplied to decrypt private key" >&2; exit 255 ;;
plain) echo "ssh-ed25519 AAAA" ;;
*) echo "Load key \"$last\": error in libcrypto" >&2; exit 255 ;;
esac
"#;

fn file(path: &Path, mode: u32, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A machine with an ssh, a git and nothing else that is Uphaul's.
fn machine(ssh: &str) -> TestEnv {
    let env = TestEnv::new();
    let bin = env.work().join("bin");
    file(&bin.join("ssh"), 0o755, ssh);
    file(&bin.join("ssh-keygen"), 0o755, KEYGEN);
    file(&bin.join("git"), 0o755, "#!/bin/sh\necho git version 2.39.5\n");
    let path = format!("{}:/usr/bin:/bin", bin.display());
    env.var("PATH", &path)
}

/// An agent that has two keys and answers once for each command that is to come.
fn agent(env: TestEnv, commands: usize) -> (TestEnv, std::thread::JoinHandle<()>) {
    let socket = env.work().join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let answers = std::thread::spawn(move || {
        for _ in 0..commands {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 5];
            stream.read_exact(&mut asked).unwrap();
            assert_eq!(asked, [0, 0, 0, 1, 11]);
            stream.write_all(&[0, 0, 0, 5, 12, 0, 0, 0, 2]).unwrap();
        }
    });
    let text = socket.to_str().unwrap().to_owned();
    (env.var("SSH_AUTH_SOCK", &text), answers)
}

const SERVICE: &str = "[default.service]\npath = \"/srv/app\"\nunit = \"app.service\"\n\
    health.http = \"http://127.0.0.1/\"\n";

#[test]
fn a_machine_that_is_new() {
    let env = machine(SSH);
    insta::assert_snapshot!(env.page(&[&["doctor"]]));
    assert!(!env.work().join("../state/uphaul").exists(), "it changes nothing");
}

#[test]
fn a_machine_that_is_in_order() {
    let (env, answers) = agent(machine(SSH), 2);
    let rules = "[[default.executor.rules]]\nmatch = \"tier=edge\"\nbackend = \"command\"\n\
                 [[default.executor.rules]]\nmatch = \"teir=a\"\nbackend = \"local\"\n\
                 [[default.executor.rules]]\nmatch = \"web-2\"\nbackend = \"local\"\n\
                 [default.executor.command]\nargv = [\"docker\", \"exec\", \"-i\", \"{address}\"]\n\
                 [staging.executor]\nbackend = \"mock\"\n";
    file(&env.work().join("bin/docker"), 0o755, "#!/bin/sh\n");
    env.file("uphaul.toml", &format!("{SERVICE}{rules}"));
    let home = env.work().join("../home");
    file(&home.join(".ssh/id_ed25519"), 0o600, "plain");
    file(&home.join(".ssh/known_hosts"), 0o644, "# mine\n10.0.0.1 ssh-ed25519 AAAA\n");
    for (name, tier) in [("web-1", "core"), ("web-2", "edge")] {
        let _ = env.run(&["hosts", "add", name, "10.0.0.1", "--label", &format!("tier={tier}")]).ok();
    }
    let said = env.run(&["doctor"]);
    insta::assert_snapshot!(page(said.ok()));
    let json = env.run(&["doctor", "--json"]).ok().json();
    assert_eq!((&json["ok"], &json["exit_code"]), (&true.into(), &0.into()));
    assert_eq!(json["areas"][0]["findings"][0]["mark"], "good");
    answers.join().unwrap();
}

#[test]
fn keys_that_ssh_would_not_use() {
    let env = machine(SSH).var("SSH_AUTH_SOCK", "/nonexistent/agent");
    env.file("uphaul.toml", SERVICE);
    let home = env.work().join("../home");
    file(&home.join(".ssh/id_ed25519"), 0o644, "plain");
    file(&home.join(".ssh/id_rsa"), 0o600, "secret");
    insta::assert_snapshot!("keys_found", env.page(&[&["doctor"]]));
    let named = format!(
        "{SERVICE}[default.executor.openssh]\nidentity = [\"broken\", \"gone\"]\nknown_hosts = \"none\"\n"
    );
    env.file("uphaul.toml", &named);
    file(&env.work().join("broken"), 0o600, "?");
    insta::assert_snapshot!("keys_named", env.page(&[&["doctor"]]));
}

#[test]
fn an_ssh_that_does_not_serve() {
    let mut page = String::new();
    for (name, ssh) in [
        ("too old", "#!/bin/sh\necho 'OpenSSH_7.4p1, OpenSSL 1.0.2k' >&2\n"),
        ("another one", "#!/bin/sh\necho 'Dropbear v2022.83' >&2\n"),
        ("broken", "#!/no/such/shell\n"),
    ] {
        let env = machine(ssh);
        env.file("uphaul.toml", SERVICE);
        let said = env.run(&["doctor"]);
        assert_eq!(said.code, Some(5), "{said}");
        page += &format!("# {name}\n{}", about(&said.stdout, "executor openssh"));
        // Where nobody is reached by it, it is in nobody's way.
        assert_eq!(env.run(&["doctor", "--executor", "local"]).code, Some(0));
    }
    let env = machine(SSH);
    env.file("uphaul.toml", &format!("{SERVICE}[default.executor.openssh]\nconfig = \"ssh_config\"\n"));
    env.file("ssh_config", "Bogus yes\n");
    let said = env.run(&["doctor"]);
    page += &format!("# a configuration that it cannot read\n{}", about(&said.stdout, "executor openssh"));
    let env = machine(SSH).var("PATH", "/nonexistent");
    let said = env.run(&["doctor"]);
    page += &format!("# none, and nothing else either\n{}", said.stdout);
    insta::assert_snapshot!(page);
}

#[test]
fn what_libssh2_could_not_do_for_the_hosts_of_another() {
    let env = machine(SSH);
    let table =
        "[default.executor]\nbackend = \"openssh\"\n[default.executor.libssh2]\nconfig = \"ssh_config\"\n";
    env.file("uphaul.toml", &format!("{SERVICE}{table}"));
    let about_it = || about(&env.run(&["doctor"]).stdout, "executor libssh2");
    // Without a host: what is wrong for all.
    env.file("ssh_config", "Host 10.0.0.2\n  ProxyCommand nc %h %p\n");
    assert!(!about_it().contains('!'), "{}", about_it());
    env.file("ssh_config", "Garbage yes\n");
    assert!(about_it().contains("! any-host: ") && about_it().contains("ssh_config:1"), "{}", about_it());
    for n in 1..=7 {
        let _ = env.run(&["hosts", "add", &format!("web-{n}"), &format!("10.0.0.{n}")]).ok();
    }
    env.file("ssh_config", "Host 10.0.0.2 10.0.0.3\n  ProxyCommand nc %h %p\n");
    let told = about_it();
    assert!(told.contains("! web-2, web-3: ") && told.contains("cannot do ProxyCommand"), "{told}");
    assert!(!told.contains("web-1") && !told.contains("no key"), "{told}");
    // Also where a rule names it and no host is given to it: openssh reaches these.
    let rule = "[[default.executor.rules]]\nmatch = \"tier=edge\"\nbackend = \"libssh2\"\n";
    env.file("uphaul.toml", &format!("{SERVICE}{table}{rule}"));
    let told = about_it();
    assert!(told.contains("! web-2, web-3: ") && !told.contains('✗'), "{told}");
}

#[test]
fn what_libssh2_cannot_do_for_a_host() {
    let env = machine(SSH);
    let table =
        "[default.executor]\nbackend = \"libssh2\"\n[default.executor.libssh2]\nconfig = \"ssh_config\"\n";
    env.file("uphaul.toml", &format!("{SERVICE}{table}"));
    env.file(
        "ssh_config",
        "IdentityFile ~/.ssh/gone\nGlobalKnownHostsFile none\nHost 10.0.0.2\n  ProxyCommand nc %h %p\n",
    );
    let home = env.work().join("../home");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    file(&home.join(".ssh/known_hosts"), 0o644, &format!("10.0.0.1,10.0.0.4,10.0.0.5,10.0.0.6 {key}\n"));
    for n in 1..=6 {
        let _ = env.run(&["hosts", "add", &format!("web-{n}"), &format!("10.0.0.{n}")]).ok();
    }
    let mut page = String::new();
    let mut told = |name: &str, code: i32| {
        let said = env.run(&["doctor"]);
        assert_eq!(said.code, Some(code), "{said}");
        page += &format!("# {name}\n{}", about(&said.stdout, "executor libssh2"));
    };
    told("a proxy command, a key that is not there, an unknown host", 5);
    env.file("ssh_config", "GlobalKnownHostsFile none\n");
    std::fs::write(home.join(".ssh/known_hosts"), format!("10.0.0.* {key}\n")).unwrap();
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "a passphrase", "-f"])
        .arg(env.work().join("locked"))
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return println!("SKIPPED: there is no ssh-keygen");
    }
    // It is said, and nobody is asked.
    env.file("uphaul.toml", &format!("{SERVICE}{table}identity = [\"locked\"]\n"));
    told("a key with a passphrase", 0);
    let variable = "identity = [\"locked\"]\npassphrase_env = \"NO_SUCH_PASSPHRASE\"\n";
    env.file("uphaul.toml", &format!("{SERVICE}{table}{variable}"));
    told("a variable that is not set", 5);
    env.file("uphaul.toml", &format!("{SERVICE}{table}identity = [\"gone\"]\n"));
    told("an identity that is not there", 5);
    let _ = std::fs::remove_file(env.work().join("locked"));
    let open = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(env.work().join("locked"))
        .status();
    assert!(open.unwrap().success());
    env.file("uphaul.toml", &format!("{SERVICE}{table}identity = [\"locked\"]\n"));
    told("all in order", 0);
    insta::assert_snapshot!(page);
}

#[test]
fn a_record_and_a_configuration_that_do_not_serve() {
    let env = machine(SSH);
    let mut pages = String::new();
    let mut told = |env: &TestEnv, name: &str, area: &str, code: i32| {
        let said = env.run(&["doctor", "--database", "sqlite:x.db"]);
        assert_eq!(said.code, Some(code), "{said}");
        pages += &format!("# {name}\n{}", about(&said.stdout, area));
    };
    env.file("uphaul.toml", SERVICE);
    let db =
        env.file("x.db", "this is no database, and it is long enough to be taken for one by nobody at all");
    told(&env, "no database", "record", 1);
    std::fs::write(&db, "").unwrap();
    told(&env, "an empty one", "record", 0);
    std::fs::remove_file(&db).unwrap();
    let _ = env.run(&["hosts", "add", "web-1", "--database", "sqlite:x.db"]).ok();
    env.file("uphaul.toml", "");
    told(&env, "a host that cannot be planned", "configuration", 2);
    env.file("uphaul.toml", "[default.limits]\nparalel = 1\n[default.executor]\nbackend = \"opnssh\"\n");
    told(&env, "faults of the configuration", "configuration", 2);
    let command = "[default.executor]\nbackend = \"command\"\ncommand.argv = [\"dokcer\", \"{address}\"]\n";
    env.file("uphaul.toml", &format!("{SERVICE}{command}"));
    told(&env, "a program that is not there", "executor command", 5);
    env.file("uphaul.toml", &format!("{SERVICE}[prod.limits]\nparallel = 0\n"));
    told(&env, "a fault of another profile", "configuration", 0);
    insta::assert_snapshot!(page(pages));
}

/// Without the number of the record's layout, which every new migration raises.
fn page(text: impl std::fmt::Display) -> String {
    let mut settled = String::new();
    for line in text.to_string().lines() {
        let words = line.split(' ').map(|word| {
            let number = word.trim_end_matches([';', ',']);
            let is_number = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
            if is_number && line.contains("layout") { word.replace(number, "N") } else { word.to_owned() }
        });
        settled += &words.collect::<Vec<_>>().join(" ");
        settled.push('\n');
    }
    settled
}

/// The lines of one area.
fn about(page: &str, area: &str) -> String {
    let mut lines = page.lines().skip_while(|line| !line.starts_with(area));
    let first = lines.next();
    let own = lines.take_while(|line| line.starts_with(' '));
    first.into_iter().chain(own).map(|line| format!("{line}\n")).collect()
}
