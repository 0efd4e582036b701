//! What `plan` prints, held against what runs.

use super::*;

#[test]
fn the_words_of_a_plan_are_what_runs() {
    use std::os::unix::fs::PermissionsExt as _;
    let rig = Rig::new();
    let (bin, log) = (rig.path().join("bin"), rig.path().join("log"));
    std::fs::create_dir(&bin).unwrap();
    let real = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|dir| dir.join("git"))
        .find(|git| git.exists());
    let script =
        format!("#!/bin/sh\necho \"git $*\" >>{}\nexec {} \"$@\"\n", log.display(), real.unwrap().display());
    std::fs::write(bin.join("git"), script).unwrap();
    std::fs::set_permissions(bin.join("git"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut hand = Hand::new(&rig, "v2", 1);
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display());
    hand.plan.service.env = [("PATH".parse().unwrap(), path)].into();
    hand.plan.policy.dirty = Dirty::Stash;
    std::fs::write(rig.checkout().join("package"), "mine\n").unwrap();
    let report = hand.preflight();
    hand.up_to(UpdateStep::Verify);
    let edits = rig.git(&["rev-parse", &format!("refs/uphaul/edits/{}", hand.run)]);
    let ran = std::fs::read_to_string(&log).unwrap();
    let ran = ran.replace(hand.run.as_str(), "RUN").replace(edits.trim(), "EDITS");
    let called = std::fs::read_to_string(rig.path().join("shim/calls")).unwrap();
    let record = (Step::Prepare(PrepareStep::Record), Action::Record);
    let all: Vec<String> = [record]
        .into_iter()
        .chain(script::steps_of_update(&hand.plan))
        .flat_map(|(step, action)| script::words(&hand.plan, step, &action, &report))
        .collect();
    for words in &all {
        let told = words.strip_prefix("sudo -n ").unwrap_or(words).strip_prefix("systemctl ");
        let found = match told {
            Some(call) if call.starts_with("show ") => true,
            Some(call) => called.lines().any(|line| line == call),
            None if words.starts_with("git ") => ran.lines().any(|line| line == words.replace('\'', "")),
            None => true,
        };
        assert!(found, "the plan says `{words}`, and it did not run:\n{ran}{called}");
    }
    let changes = ["fetch", "update-ref", "stash create", "stash store", "checkout"];
    for line in
        ran.lines().filter(|line| changes.iter().any(|verb| line.contains(&format!("=false {verb} "))))
    {
        assert!(
            all.iter().any(|words| words.replace('\'', "") == line),
            "it ran and the plan says nothing: {line}"
        );
    }
}

#[test]
fn a_plan_speaks_of_sudo_only_where_it_is_needed() {
    let rig = Rig::new();
    let hand = Hand::new(&rig, "v2", 1);
    let mut report = hand.preflight();
    let step = Step::Update(UpdateStep::Restart);
    for (root, told) in
        [(true, "systemctl restart app.service"), (false, "sudo -n systemctl restart app.service")]
    {
        report.root = root;
        assert_eq!(script::words(&hand.plan, step, &Action::Restart, &report)[1], told);
    }
    report.probe_tool = Some("wget".into());
    let mut plan = hand.plan.clone();
    plan.service.health = Some(Health::Http("http://127.0.0.1:1/h".parse().unwrap()));
    let verify = (Step::Update(UpdateStep::Verify), Action::Verify(plan.target.clone()));
    let asked = script::words(&plan, verify.0, &verify.1, &report).pop().unwrap();
    assert_eq!(
        asked,
        "timeout 5 wget --no-config -nv --max-redirect=0 -t 1 -T 5 -O /dev/null -- http://127.0.0.1:1/h"
    );
}

#[test]
fn no_command_carries_the_library_of_the_scripts_twice() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.deadman = Some(uphaul_core::plan::Deadman { window_s: 300 });
    let record = (Step::Prepare(PrepareStep::Record), Action::Record);
    for (step, action) in [record].into_iter().chain(script::steps_of_update(&hand.plan)) {
        let command = Command { step, attempt: Attempt::FIRST, action };
        let words = script::lower(&hand.plan, &command, &hand.context());
        let texts = words.argv.iter().chain(words.env.values()).map(String::as_str).collect::<Vec<_>>();
        let begins = texts.concat().matches("# What every script of Uphaul begins with.").count();
        assert_eq!(begins, 1, "{step:?}");
    }
}
