//! Every help text, found by asking the binary for its commands.

use std::fmt::Write as _;

use crate::env::TestEnv;

/// The commands below one, as its help lists them.
fn commands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    // A line that goes on with the text of the one above is indented further.
    let named = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    named
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

fn collect(env: &TestEnv, path: &[String], all: &mut String) {
    let mut args: Vec<&str> = path.iter().map(String::as_str).collect();
    args.push("--help");
    let help = env.run(&args).ok().stdout;
    writeln!(all, "$ uphaul {}\n{help}", args.join(" ")).unwrap();
    for name in commands(&help) {
        let deeper: Vec<String> = path.iter().cloned().chain([name]).collect();
        collect(env, &deeper, all);
    }
}

#[test]
fn every_help_text() {
    let mut all = String::new();
    collect(&TestEnv::new(), &[], &mut all);
    assert!(all.contains("$ uphaul hosts import --help"), "{all}");
    insta::assert_snapshot!(all);
}
