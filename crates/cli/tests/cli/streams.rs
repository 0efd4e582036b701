//! stdout, stderr, closed pipes, full disks, colours.

use std::process::Stdio;

use crate::env::TestEnv;
use crate::hosts::three_hosts;

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let env = three_hosts();
    let mut child = env.command(&["config", "show"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(!stderr.contains("ipe"), "{stderr}");
}

#[test]
fn a_disk_that_is_full_is_an_error() {
    let env = three_hosts();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = env.command(&["hosts", "list"]).stdout(Stdio::from(full)).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot write the output"), "{stderr}");
}

#[test]
fn quiet_leaves_results_and_errors() {
    let env = TestEnv::new();
    insta::assert_snapshot!(env.page(&[&["init", "--quiet"], &["init", "--quiet"]]));
}

#[test]
fn verbose_says_what_was_read() {
    let env = TestEnv::new();
    env.file("uphaul.toml", "[p.limits]\nparallel = 2\n");
    insta::assert_snapshot!(env.page(&[&["-v", "status", "--profile", "p"], &["status", "-v", "--json"]]));
}

#[test]
fn no_colours_where_there_is_no_terminal() {
    let env = three_hosts();
    for args in [&["status"][..], &["--help"], &["status", "nowhere"], &["udpate"]] {
        let said = env.run(args);
        assert!(!said.stdout.contains('\x1b') && !said.stderr.contains('\x1b'), "{said}");
    }
}
