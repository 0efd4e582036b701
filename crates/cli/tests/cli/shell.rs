//! What the program brings along: completions as real shells ask for them, manual pages, `--version --verbose`.

use std::process::Command;

use uphaul_tests::postgres::{Postgres, skip};

use crate::env::TestEnv;
use crate::hosts::{add_three_hosts, three_hosts};

/// An environment in which `uphaul` is the program under test.
fn on_the_path(env: TestEnv) -> TestEnv {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_uphaul"));
    let folder = program.parent().unwrap();
    env.var("PATH", &format!("{}:/usr/bin:/bin", folder.display()))
}

/// What a shell says to a script, in the environment of the test.
fn by(env: &TestEnv, shell: &str, script: &str) -> String {
    let uphaul = env.command(&[]);
    let mut command = Command::new(shell);
    let flags: &[&str] = match shell {
        "bash" => &["--norc", "--noprofile", "-c"],
        "zsh" => &["-f", "-c"],
        _ => &["-c"],
    };
    command.args(flags).arg(script).env_clear().current_dir(env.work());
    command.envs(uphaul.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().unwrap_or_else(|error| panic!("{shell}: {error}"));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Lines as they are typed, with the word that bash itself is at: it cuts at `=`, `:` and `@`.
const TYPED: &[(&str, &str)] = &[
    ("uphaul update w", "w"),
    ("uphaul update @", "@"),
    ("uphaul update regi", "regi"),
    ("uphaul update region=", ""),
    ("uphaul update region=e", "e"),
    ("uphaul update region=eu,t", "eu,t"),
    ("uphaul hosts show db", "db"),
    ("uphaul unlock w", "w"),
    ("uphaul hosts edit web-1 --set service.he", "service.he"),
    ("uphaul --profile s", "s"),
    ("uphaul --executor l", "l"),
    ("uphaul upd", "upd"),
    ("uphaul update nobody", "nobody"),
];

fn by_bash(env: &TestEnv) -> String {
    let mut script = "source <(uphaul completions bash)\n".to_owned();
    for (line, word) in TYPED {
        script += &format!(
            "COMP_LINE='{line}' COMP_POINT={}; _uphaul uphaul '{word}' ''; echo \"{line} -> ${{COMPREPLY[*]}}\"\n",
            line.len()
        );
    }
    by(env, "bash", &script)
}

/// Whether none of the lines that want a host were offered one.
fn offers_no_host(page: &str) -> bool {
    let host = |line: &&str| ["update", "hosts show", "unlock"].iter().any(|word| line.contains(word));
    let mut lines = page.lines().filter(host).filter(|line| !line.starts_with("uphaul upd "));
    lines.all(|line| line.ends_with("-> "))
}

#[test]
fn bash_completes_what_the_record_has() {
    let env = on_the_path(three_hosts());
    env.file("uphaul.toml", "[staging.limits]\nparallel = 2\n");
    insta::assert_snapshot!(by_bash(&env));
}

fn is_here(shell: &str) -> bool {
    let here = std::path::Path::new("/usr/bin").join(shell).exists();
    assert!(here || std::env::var("CI").as_deref() != Ok("true"), "CI must have {shell}");
    here
}

fn by_fish(env: &TestEnv) -> String {
    let mut script = "uphaul completions fish | source\n".to_owned();
    for (line, _) in TYPED {
        script += &format!("echo '{line} ->'; complete -C '{line}'\n");
    }
    by(env, "fish", &script)
}

#[test]
fn fish_completes_what_the_record_has() {
    if !is_here("fish") {
        println!("SKIPPED: fish is not installed");
        return;
    }
    let env = on_the_path(three_hosts());
    env.file("uphaul.toml", "[staging.limits]\nparallel = 2\n");
    insta::assert_snapshot!(by_fish(&env));
}

/// What zsh's own completion asks, without zsh.
fn by_zsh(env: &TestEnv) -> String {
    let mut command = env.command(&["--", "uphaul", "update", "web-"]);
    let output = command.env("COMPLETE", "zsh").env("_CLAP_COMPLETE_INDEX", "2").output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn zsh_is_answered_in_its_own_way() {
    let env = on_the_path(three_hosts());
    let script = env.run(&["completions", "zsh"]).ok().stdout;
    assert!(script.starts_with("#compdef uphaul\n") && script.contains("funcstack"), "{script}");
    assert_eq!(by_zsh(&env), "web-1:region=eu,tier=a\nweb-2:region=us,tier=a");
}

/// Of a zsh in a terminal, as a person has one: for each line what is offered after a tab, and what the line is then.
const ZSHRC: &str = r#"
TMOUT=60 # it never waits for a person
autoload -Uz compinit
LOAD
compadd() {
    local -a found
    builtin compadd -O found "$@"
    offered+=($found)
    builtin compadd "$@"
}
zle-line-init() {
    local line
    local -aU offered
    for line in 'uphaul update web-' 'uphaul hosts show db' 'uphaul update nobody'; do
        offered=() BUFFER=$line CURSOR=$#line
        zle complete-word
        print -r -- "$line -> ${(oj: :)offered} | $BUFFER" >>$ZDOTDIR/told
    done
    BUFFER=exit
    zle accept-line
}
zle -N zle-line-init
"#;

#[test]
fn zsh_completes_hosts_sourced_or_installed() {
    if !is_here("zsh") {
        println!("SKIPPED: zsh is not installed");
        return;
    }
    // As README says, and as packages do it: a file `_uphaul` in the search path.
    let sourced = "compinit -u -d $ZDOTDIR/dump; source <(uphaul completions zsh)";
    let installed =
        "uphaul completions zsh >$ZDOTDIR/_uphaul; fpath=($ZDOTDIR $fpath); compinit -u -d $ZDOTDIR/dump";
    for load in [sourced, installed] {
        let env = on_the_path(three_hosts());
        env.file(".zshrc", &ZSHRC.replace("LOAD", load));
        let told = by(
            &env,
            "zsh",
            "export ZDOTDIR=$PWD; zmodload zsh/zpty; zpty inner zsh -d -i; while zpty -r inner; do :; done >screen; cat told",
        );
        let wanted = "uphaul update web- -> web-1 web-2 | uphaul update web-\n\
             uphaul hosts show db -> db-1 | uphaul hosts show db-1 \n\
             uphaul update nobody ->  | uphaul update nobody\n";
        assert_eq!(told, wanted, "{load}");
    }
}

/// The same hosts in Postgres: each shell offers them, and nothing where the server says no, or nothing at all.
#[test]
fn a_record_in_postgres_is_completed_too() {
    let server = match Postgres::start() {
        Ok(server) => server,
        Err(why) => return skip(&why),
    };
    let toml = |url: &str| format!("[default.database]\nurl = \"{url}\"\n[staging.limits]\nparallel = 2\n");
    let here = on_the_path(three_hosts());
    here.file("uphaul.toml", "[staging.limits]\nparallel = 2\n");
    let there = on_the_path(TestEnv::new());
    there.file("uphaul.toml", &toml(&server.url()));
    // No layout yet: nothing is offered, and none is made.
    assert!(offers_no_host(&by_bash(&there)));
    let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(server.run(tables).trim(), "0");
    add_three_hosts(&there);
    let mut shells: Vec<fn(&TestEnv) -> String> = vec![by_bash, by_zsh];
    shells.extend(is_here("fish").then_some(by_fish as fn(&TestEnv) -> String));
    for shell in shells {
        // A machine that is very busy may not answer within the second that a person waits for it.
        let wanted = shell(&here);
        let last = (0..10).map(|_| shell(&there)).find(|page| *page == wanted);
        assert_eq!(last.unwrap_or_else(|| shell(&there)), wanted);
    }

    // Somebody who lets one in and then says nothing. The shell comes back all the same.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://u:p@{}/x", silent.local_addr().unwrap());
    there.file("uphaul.toml", &toml(&url));
    assert_eq!(by_zsh(&there), "");
}

/// A person who types sees no error, and nothing is made.
#[test]
fn without_a_record_nothing_is_offered_and_nothing_is_made() {
    let env = on_the_path(TestEnv::new());
    let page = by_bash(&env);
    assert!(offers_no_host(&page), "{page}");
    assert!(!env.work().join("../state/uphaul").exists());
    for file in [
        "[default.limits]\nparalel = 1\n",
        "not TOML [",
        "[default.database]\nurl = \"postgres://u:p@127.0.0.1:1/x\"\n",
    ] {
        env.file("uphaul.toml", file);
        let page = by_bash(&env);
        assert!(offers_no_host(&page), "{file}: {page}");
    }
    env.file("uphaul.toml", "[default.database]\nurl = \"sqlite:x.db\"\n");
    env.file("x.db", "no database");
    let page = by_bash(&env);
    assert!(offers_no_host(&page), "{page}");
    assert_eq!(std::fs::read_to_string(env.work().join("x.db")).unwrap(), "no database");
}

#[test]
fn the_flags_on_the_line_choose_the_record() {
    let env = on_the_path(three_hosts());
    let _ = env.run(&["hosts", "add", "other", "--database", "sqlite:other.db"]).ok();
    let line = "uphaul --database sqlite:other.db update o";
    let script = format!(
        "source <(uphaul completions bash); COMP_LINE='{line}' COMP_POINT={}; _uphaul uphaul o ''; echo ${{COMPREPLY[*]}}",
        line.len()
    );
    assert_eq!(by(&env, "bash", &script), "other\n");
}

#[test]
fn every_command_has_a_page() {
    let env = TestEnv::new();
    let _ = env.run(&["man", "pages"]).ok();
    let mut pages: Vec<String> = std::fs::read_dir(env.work().join("pages"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    insta::assert_snapshot!(pages.join("\n"));
    let page = env.run(&["man"]).ok().stdout;
    assert!(page.contains(".TH uphaul 1") && page.contains("Exit codes:"), "{page}");
    let said = env.run(&["man", "/proc/nowhere"]);
    assert_eq!(said.code, Some(2), "{said}");
}

#[test]
fn a_version_with_all_that_it_is_made_of() {
    let env = TestEnv::new();
    let short = env.run(&["--version"]).ok().stdout;
    assert_eq!(short, format!("uphaul {}\n", env!("CARGO_PKG_VERSION")));
    for args in [&["--version", "--verbose"][..], &["-V", "-v"], &["-Vv"], &["-vV"], &["--verbose", "-V"]] {
        let said = env.run(args).ok().stdout;
        assert!(said.starts_with(&short), "{args:?}: {said}");
        let names: Vec<&str> =
            said.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        let wanted = [
            "commit",
            "target",
            "compiler",
            "features",
            "executors",
            "databases",
            "layout",
            "libraries",
            "linked",
        ];
        assert_eq!(names, wanted);
        assert!(said.contains("openssh-") && said.contains("libsqlite3-sys-"), "{said}");
    }
    let json = env.run(&["--version", "--json"]).ok().json();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert!(json["compiler"].as_str().unwrap().starts_with("rustc "));
    // As the build scripts of the crates have told it, so a change of what they tell is seen here.
    let linked: Vec<&str> = json["linked"].as_str().unwrap().split(", ").collect();
    for (library, told) in ["libssh2 1.", "OpenSSL ", "zlib 1.", "SQLite 3."].into_iter().zip(&linked) {
        assert!(told.starts_with(library) && !told.contains("unknown"), "{linked:?}");
    }
    let vendored = std::env::var_os("OPENSSL_NO_VENDOR").is_none_or(|value| value == "0");
    assert_eq!(linked[1].contains("(of openssl-src)"), vendored, "{linked:?}");
}
