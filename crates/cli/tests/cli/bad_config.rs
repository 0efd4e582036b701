//! What people see when the configuration or the command line is wrong: each file with what is said of it.

use std::fmt::Write as _;

use crate::env::TestEnv;

/// Configurations with one fault each.
const FILES: &[(&str, &str)] = &[
    ("misspelt key", "[default.service]\npth = \"/srv/app\"\n"),
    ("key of another table", "[default.timeouts]\nparallel = 3\n"),
    ("unknown table", "[default.srvice]\npath = \"/srv/app\"\n"),
    ("section without a profile", "[service]\npath = \"/srv/app\"\n"),
    ("key without a profile", "parallel = 3\n"),
    ("profile in capitals", "[Prod.limits]\nparallel = 3\n"),
    ("the reserved profile", "[global.limits]\nparallel = 3\n"),
    ("milliseconds", "[default.timeouts]\ngit = \"500ms\"\n"),
    ("a fraction of a second", "[default.timeouts]\ngit = \"1.5s\"\n"),
    ("time without a unit", "[default.timeouts]\ngit = \"60\"\n"),
    ("time as a number", "[default.timeouts]\ngit = 60\n"),
    ("unknown unit of time", "[default.timeouts]\ngit = \"2d\"\n"),
    ("time too long", "[default.timeouts]\ngit = \"25h\"\n"),
    ("time that overflows", "[default.timeouts]\ngit = \"99999999999s\"\n"),
    ("no time at all", "[default.timeouts]\ngit = \"0s\"\n"),
    ("restart limit", "[default.timeouts]\nrestart = \"units\"\n"),
    ("healthy longer than verify", "[default.timeouts]\nhealthy = \"2m\"\n"),
    ("verify shorter than healthy", "[default.timeouts]\nverify = \"3s\"\n"),
    ("number as text", "[default.limits]\nparallel = \"16\"\n"),
    ("number too large", "[default.limits]\nparallel = 100000\n"),
    ("negative number", "[default.timeouts]\nattempts = -1\n"),
    ("fraction", "[default.timeouts]\nattempts = 1.5\n"),
    ("unknown word", "[default.executor]\nbackend = \"opensh\"\n"),
    ("a rule with a misspelt key", "[[default.executor.rules]]\nmach = \"a=b\"\nbackend = \"local\"\n"),
    ("a rule without a backend", "[[default.executor.rules]]\nmatch = \"a=b\"\n"),
    ("a rule with a misspelt backend", "[[default.executor.rules]]\nmatch = \"a=b\"\nbackend = \"opnssh\"\n"),
    ("a rule that matches nothing", "[[default.executor.rules]]\nmatch = \"@al\"\nbackend = \"local\"\n"),
    ("a rule that is half a label", "[[default.executor.rules]]\nmatch = \"a=b,c\"\nbackend = \"local\"\n"),
    ("a number in a rule", "[[default.executor.rules]]\nmatch = 1\nbackend = \"local\"\n"),
    ("rules that are no list", "[default.executor.rules]\nmatch = \"a=b\"\nbackend = \"local\"\n"),
    ("a list of texts for rules", "[default.executor]\nrules = [\"a=b\"]\n"),
    ("command without a program", "[default.executor]\nbackend = \"command\"\n"),
    ("a program in one word", "[default.executor.command]\nargv = \"docker exec -i {address}\"\n"),
    (
        "a program that reaches one host",
        "[default.executor.command]\nargv = [\"docker\", \"exec\", \"web\"]\n",
    ),
    ("an unknown placeholder of a program", "[default.executor.command]\nargv = [\"docker\", \"{host}\"]\n"),
    ("text for a switch", "[default.service]\nsubmodules = \"yes\"\n"),
    ("signatures by nobody", "[default.service]\nverify_signature = true\n"),
    ("signatures by a file that is not there", "[default.service]\nallowed_signers = \"signers\"\n"),
    ("a mask that is no pattern", "[default.record]\nmask = [\"sk_(live\"]\n"),
    ("a mask that matches nothing", "[default.record]\nmask = \".*\"\n"),
    ("a misspelt mask", "[default.record]\nmasks = [\"x\"]\n"),
    ("list for a text", "[default.service]\npath = [\"/srv/app\"]\n"),
    ("table for a text", "[default.service.path]\nx = 1\n"),
    ("text for a table", "[default]\nservice = \"app\"\n"),
    ("relative path", "[default.service]\npath = \"srv/app\"\n"),
    ("path with dots", "[default.service]\npath = \"/srv/../etc\"\n"),
    ("unit without a suffix", "[default.service]\nunit = \"app\"\n"),
    ("unit that is a command", "[default.service]\nunit = \"app;reboot.service\"\n"),
    ("unit and units", "[default.service]\nunit = \"a.service\"\nunits = [\"b.service\"]\n"),
    ("no units", "[default.service]\nunits = []\n"),
    (
        "unit and commands",
        "[default.service]\nunit = \"a.service\"\ncommands.restart = \"x\"\ncommands.status = \"y\"\n",
    ),
    ("half of the commands", "[default.service.commands]\nrestart = \"sv restart app\"\n"),
    ("two health checks", "[default.service.health]\nhttp = \"http://x/\"\ntcp = \"x:1\"\n"),
    ("url of another kind", "[default.service.health]\nhttp = \"ftp://x/\"\n"),
    ("url with a password and a blank", "[default.service.health]\nhttp = \"http://ana:hun ter2@x/\"\n"),
    ("url with a password and a brace", "[default.service.health]\nhttp = \"http://ana:hunter2{@x/\"\n"),
    ("tcp without a port", "[default.service.health]\ntcp = \"127.0.0.1\"\n"),
    ("unknown placeholder", "[default.service]\npath = \"/srv/{host}\"\n"),
    ("open placeholder", "[default.service]\npath = \"/srv/{name\"\n"),
    ("placeholder in a command", "[default.service]\ninstall = \"bun install --cwd {label.dir}\"\n"),
    ("variable that is no name", "[default.service.env]\n\"A B\" = \"x\"\n"),
    ("variable of uphaul", "[default.service.env]\nUPHAUL_NAME = \"x\"\n"),
    ("number as a variable", "[default.service.env]\nPORT = 3000\n"),
    ("user that is no user", "[default.service]\nuser = \"root; reboot\"\n"),
    ("database of an unknown kind", "[default.database]\nurl = \"mysql://u:hunter2@h/x\"\n"),
    ("database in memory", "[default.database]\nurl = \"sqlite::memory:\"\n"),
    ("database with options", "[default.database]\nurl = \"sqlite:x.db?mode=ro\"\n"),
    ("home of somebody else", "[default.executor.openssh]\nconfig = \"~ops/.ssh/config\"\n"),
    ("not TOML", "[default.service\npath = \n"),
    ("a key twice", "[default.limits]\nparallel = 1\nparallel = 2\n"),
    ("control characters", "[default.service]\npath = \"/srv/\\u001b[31mapp\"\n\"\\u001b]0;x\\u0007\" = 1\n"),
];

#[test]
fn faults_of_the_file() {
    let mut page = String::new();
    for (name, file) in FILES {
        let env = TestEnv::new();
        env.file("uphaul.toml", file);
        let said = env.run(&["config", "show"]);
        assert_eq!(said.code, Some(2), "{name}: {said}");
        assert!(!said.stderr.contains("hunter2") && !said.stderr.contains("ter2"), "{name}: {said}");
        assert!(said.stdout.is_empty(), "{name}: {said}");
        // What goes without saying is left out, so that the page shows what differs.
        let hint = "  hint: `uphaul init example.toml` writes every key, with its default and a comment\n";
        let said = said.stderr.replace(hint, "").replace("error: the configuration has a problem\n", "");
        writeln!(page, "# {name}\n{said}").unwrap();
    }
    insta::assert_snapshot!(page);
}

#[test]
fn a_fault_as_it_is_told() {
    let env = TestEnv::new();
    env.file("uphaul.toml", "[default.service]\npth = \"/srv/app\"\n[default.limits]\nparallel = 0\n");
    insta::assert_snapshot!(env.page(&[&["config", "show"], &["status"], &["status", "--json"]]));
}

#[test]
fn faults_of_the_environment() {
    let mut page = String::new();
    for (name, value) in [
        ("UPHAUL_SERVICE__PTH", "/x"),
        ("UPHAUL__SERVICE__PATH", "/x"),
        ("UPHAUL_SERVICE", "/x"),
        ("UPHAUL_LIMITS__PARALLEL", "many"),
        ("UPHAUL_TIMEOUTS__GIT", "60"),
        ("UPHAUL_SERVICE__SUBMODULES", "1"),
        ("UPHAUL_EXECUTOR", "opnssh"),
        ("UPHAUL_EXECUTOR__RULES", "tier=edge"),
        ("UPHAUL_PROFILE", "prod"),
        ("UPHAUL_CONFIG", "nowhere.toml"),
        ("UPHAUL_DATABASE__URL", "uphaul.db"),
        ("UPHAUL_DATABASE__URL", "oracle://u:hunter2@h/x"),
        ("UPHAUL_SERVICE__HEALTH__COMMAND", "curl {address}"),
    ] {
        let said = TestEnv::new().var(name, value).run(&["config", "show", "--quiet"]);
        assert_eq!(said.code, Some(2), "{name}: {said}");
        assert!(!said.stderr.contains("hunter2") && !said.stderr.contains("ter2"), "{said}");
        writeln!(page, "$ {name}={} uphaul config show\n{said}", value.replace("hunter2", "***")).unwrap();
    }
    insta::assert_snapshot!(page);
}

#[test]
fn what_looks_like_a_key_is_told_and_not_read() {
    let env = TestEnv::new().var("UPHAUL_SERVICE_PATH", "/x").var("UPHAUL_LIMIT_PARALLEL", "1");
    let said = env.run(&["config", "check"]);
    insta::assert_snapshot!(said.ok());
}

#[test]
fn faults_of_the_command_line() {
    let env = TestEnv::new();
    env.file("uphaul.toml", "[default.limits]\nparallel = 3\n[staging.limits]\nparallel = 4\n");
    insta::assert_snapshot!(env.page(&[
        &["udpate"],
        &["hosts"],
        &["config", "shwo"],
        &["status", "--jsno"],
        &["status", "--verbose", "--quiet"],
        &["config", "show", "--config", "nowhere.toml"],
        &["config", "show", "--profile", "stagin"],
        &["config", "show", "--database", "here.db"],
        &["config", "show", "--executor", "ssh"],
        &["history", "--limit", "0"],
        &["udpate", "--json"],
    ]));
}

#[test]
fn refs_that_cannot_be_are_refused() {
    let env = TestEnv::new();
    let mut page = String::new();
    for reference in ["", "-x", "a b", "a..b", "main~1", "a:b", "x.lock", "@{1}", "a\u{1b}b"] {
        let said = env.run(&["update", "web-1", "--to", reference]);
        assert_eq!(said.code, Some(2), "{reference:?}: {said}");
        writeln!(page, "# {}\n{}", reference.escape_debug(), said.stderr).unwrap();
    }
    writeln!(page, "$ uphaul update web-1\n{}", env.run(&["update", "web-1"])).unwrap();
    insta::assert_snapshot!(page);
}

#[test]
fn faults_of_the_allowed_signers() {
    let mut page = String::new();
    for text in [
        "",
        "# nobody yet\n",
        "ann@example.com\n",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPlq ann@example.com\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n",
        "ann@example.com ssh-ed25519 AAAAC3\u{1b}[2J\n",
    ] {
        let env = TestEnv::new();
        env.file(
            "uphaul.toml",
            "[default.service]\nverify_signature = true\nallowed_signers = \"signers\"\n",
        );
        env.file("signers", text);
        let said = env.run(&["config", "check"]);
        assert_eq!(said.code, Some(2), "{text:?}: {said}");
        writeln!(page, "# {}\n{}", text.escape_debug(), said.stderr).unwrap();
    }
    let env = crate::hosts::three_hosts();
    env.file("uphaul.toml", "[default.service]\nverify_signature = true\nallowed_signers = \"signers\"\n");
    env.file("signers", "ann@example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPlq ann\n");
    let _ = env.run(&["config", "check"]).ok();
    page += &env.page(&[&["hosts", "edit", "web-1", "--set", "service.allowed_signers=signers"]]);
    insta::assert_snapshot!(page);
}
