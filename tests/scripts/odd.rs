//! Checkouts that somebody made in another way than most.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

fn write(rig: &Rig, name: &str, text: &str) {
    std::fs::write(rig.checkout().join(name), text).unwrap();
}

#[test]
fn a_path_that_leads_to_the_checkout_by_a_link() {
    let rig = Rig::new();
    let link = rig.path().join("current");
    symlink(rig.checkout(), &link).unwrap();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.path = link.to_str().unwrap().parse().unwrap();
    assert_eq!(hand.preflight().problems, []);
    hand.up_to(UpdateStep::Verify);
    assert_eq!(rig.versions(), "v2/v2/v2");
    // A folder of the checkout is refused all the same.
    std::fs::create_dir(rig.checkout().join("below")).unwrap();
    hand.plan.service.path = link.join("below").to_str().unwrap().parse().unwrap();
    assert!(hand.preflight().problems.iter().any(|problem| problem.code == "subfolder"));
}

#[test]
fn names_in_the_way_are_told_apart() {
    let rig = Rig::new();
    rig.commit("v3", &[("a b/my file", "x"), ("it's", "x"), ("[id]", "x"), ("new\nline", "x")]);
    std::fs::create_dir(rig.checkout().join("a b")).unwrap();
    for name in ["a b/my file", "it's", "[id]", "new\nline"] {
        write(&rig, name, "mine\n");
    }
    let mut hand = Hand::new(&rig, "v3", 1);
    assert!(matches!(hand.record(), Input::Succeeded(_)));
    let told = found(hand.update(UpdateStep::Fetch));
    assert!(told.contains("the target: [id], a b/my file, it's; move"), "{told}");
}

#[test]
fn of_many_names_the_first_are_told_and_that_there_are_more() {
    let rig = Rig::new();
    let names: Vec<String> = (0..12).map(|n| format!("file-{n:02}")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    rig.commit("v3", &files);
    names.iter().for_each(|name| write(&rig, name, "mine\n"));
    let mut hand = Hand::new(&rig, "v3", 1);
    assert!(matches!(hand.record(), Input::Succeeded(_)));
    let told = found(hand.update(UpdateStep::Fetch));
    assert!(told.contains("file-08, file-09, and more; move") && !told.contains("file-10"), "{told}");
}

#[test]
fn what_an_install_deletes_or_makes_something_else_is_put_back() {
    let rig = Rig::new();
    rig.commit("v3", &[("gone", "x"), ("mode", "x"), ("kind", "x"), ("[id]", "x"), ("i", "x")]);
    let mut hand = Hand::new(&rig, "v3", 1);
    hand.plan.service.install =
        "cp version .installed; rm -f gone; chmod +x mode; ln -sf version kind; echo y > '[id]'"
            .parse()
            .unwrap();
    hand.up_to(UpdateStep::Install);
    assert_eq!(hand.preflight().dirty, [] as [String; 0], "it is the install's own");
    // Somebody's own edit stays, also of a file that the name of another would match as a pattern.
    write(&rig, "i", "mine\n");
    for step in [UpdateStep::Restart, UpdateStep::Verify] {
        assert_eq!(hand.update(step), Input::Succeeded(Observation::Nothing), "{step:?}");
    }
    assert_eq!(rig.git(&["status", "--porcelain", "--untracked-files=no"]), " M i\n");
    let mode = std::fs::metadata(rig.checkout().join("mode")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0);
}

#[test]
fn a_deleted_file_that_somebody_made_anew_is_an_edit() {
    let rig = Rig::new();
    rig.commit("v3", &[("gone", "x")]);
    let mut hand = Hand::new(&rig, "v3", 1);
    hand.plan.service.install = "cp version .installed; rm -f gone".parse().unwrap();
    hand.up_to(UpdateStep::Install);
    write(&rig, "gone", "mine\n");
    assert_eq!(hand.preflight().dirty, [" M gone"]);
}

#[test]
fn a_merge_in_the_middle_is_refused_under_every_policy() {
    for dirty in [Dirty::Refuse, Dirty::Stash, Dirty::Discard] {
        let rig = Rig::new();
        rig.git(&["fetch", "-q", "origin"]);
        rig.git(&["merge", "-q", "--no-ff", "--no-commit", rig.revision("v2").as_str()]);
        let mut hand = Hand::new(&rig, "v2", 1);
        hand.plan.policy.dirty = dirty;
        let problems = hand.preflight().problems;
        assert!(
            problems.iter().any(|p| p.code == "in-the-middle" && p.found.contains("a merge in the middle")),
            "{problems:?}"
        );
    }
}

#[test]
fn a_sparse_checkout_stays_as_sparse_as_it_was() {
    let rig = Rig::new();
    rig.commit("v3", &[("dies", "yes"), ("docs/new", "x")]);
    let info = rig.checkout().join(".git/info/sparse-checkout");
    rig.git(&["config", "core.sparseCheckout", "true"]);
    std::fs::create_dir_all(info.parent().unwrap()).unwrap();
    std::fs::write(info, "/*\n!/docs\n!/package\n").unwrap();
    rig.git(&["read-tree", "-mu", "HEAD"]);
    let sparse =
        |rig: &Rig| rig.git(&["ls-files", "-v"]).lines().filter(|line| line.starts_with('S')).count();
    let before = sparse(&rig);
    let mut hand = Hand::new(&rig, "v3", 1);
    assert_eq!(hand.preflight().problems, []);
    hand.up_to(UpdateStep::Restart);
    assert!(!rig.checkout().join("docs").exists() && !rig.checkout().join("package").exists());
    for step in [RollbackStep::Checkout, RollbackStep::Install, RollbackStep::Restart, RollbackStep::Verify] {
        assert_eq!(hand.rollback(step), Input::Succeeded(Observation::Nothing), "{step:?}");
    }
    assert_eq!(sparse(&rig), before);
    assert!(!rig.checkout().join("package").exists());
}

#[test]
fn a_fetch_by_hash_that_is_refused_moves_no_tag_of_the_host() {
    let rig = Rig::new();
    rig.git(&["tag", "mine", "HEAD"]);
    let origin = rig.origin();
    let git = |args: &[&str]| {
        let ran = Process::new("git").args(args).current_dir(&origin).output().unwrap();
        assert!(ran.status.success(), "{args:?}");
    };
    git(&["tag", "mine", "v2"]);
    let mut hand = Hand::new(&rig, "v2", 1);
    // A git that asks for no single commit, as an old server makes it.
    let bin = rig.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let script = "#!/bin/sh\ncase \" $* \" in *' fetch '*' origin '[0-9a-f]*[0-9a-f]' ') exit 128 ;; esac\nPATH=/usr/local/bin:/usr/bin:/bin exec git \"$@\"\n";
    std::fs::write(bin.join("git"), script).unwrap();
    std::fs::set_permissions(bin.join("git"), std::fs::Permissions::from_mode(0o755)).unwrap();
    hand.plan.service.env = [("PATH".parse().unwrap(), format!("{}:/usr/bin:/bin", bin.display()))].into();
    hand.up_to(UpdateStep::Fetch);
    assert_eq!(rig.git(&["rev-parse", "mine"]).trim(), rig.revision("v1").as_str());
}

#[test]
fn commands_are_told_what_is_being_installed() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.install =
        "cp version .installed; echo \"$UPHAUL_VERSION $UPHAUL_TARGET $UPHAUL_PREVIOUS\" >>../told"
            .parse()
            .unwrap();
    hand.up_to(UpdateStep::Restart);
    for step in [RollbackStep::Checkout, RollbackStep::Install] {
        assert_eq!(hand.rollback(step), Input::Succeeded(Observation::Nothing), "{step:?}");
    }
    let (v1, v2) = (rig.revision("v1"), rig.revision("v2"));
    let told = std::fs::read_to_string(rig.path().join("told")).unwrap();
    assert_eq!(told, format!("{v2} {v2} {v1}\n{v1} {v2} {v1}\n"));
}

#[test]
fn preflight_says_what_the_health_command_said() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.health = Some(Health::Command("echo 'no database' >&2; exit 4".parse().unwrap()));
    let findings = hand.preflight().findings;
    assert!(findings.iter().any(|finding| finding.text.contains("exit 4 no database")), "{findings:?}");
    // Where nothing listens, there is no code of an answer to be told.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    hand.plan.service.health = Some(Health::Http(format!("http://127.0.0.1:{port}/").parse().unwrap()));
    let findings = hand.preflight().findings;
    let said: Vec<_> = findings.iter().filter(|finding| finding.text.contains(&port.to_string())).collect();
    assert!(!said.is_empty() && said.iter().all(|finding| !finding.text.ends_with("000")), "{findings:?}");
}

#[test]
fn what_a_login_exports_for_itself_changes_nothing() {
    use std::io::{Read as _, Write as _};
    let rig = Rig::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
        }
    });
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.health = Some(Health::Http(format!("http://{address}/health").parse().unwrap()));
    let mut words = script::preflight(&hand.plan, &hand.context());
    for (name, value) in [
        ("http_proxy", "http://127.0.0.1:1"),
        ("GIT_DIR", "/nowhere"),
        ("GIT_WORK_TREE", "/nowhere"),
        ("POSIXLY_CORRECT", "1"),
        ("CDPATH", "/"),
        ("LC_ALL", "tr_TR.UTF-8"),
    ] {
        words.env.insert(name.into(), value.into());
    }
    let report = script::preflight_of(&hand.plan, &run(&rig, &words));
    assert_eq!(report.problems, []);
    assert!(report.healthy, "{:?}", report.findings);
}

#[test]
fn a_target_that_no_checkout_makes_clean_is_left_again() {
    let rig = Rig::new();
    rig.commit("v3", &[(".gitattributes", "text eol=lf\n")]);
    // As committed by somebody whose git did not know the attributes: the object has the other line ends.
    let script = "blob=$(printf 'a\\r\\nb\\r\\n' | git hash-object -w --no-filters --stdin) && \
                  git update-index --add --cacheinfo 100644,$blob,text && \
                  git -c user.name=t -c user.email=t@example.com commit -q -m odd && git tag v4";
    let made = Process::new("sh").args(["-ec", script]).current_dir(rig.origin()).status().unwrap();
    assert!(made.success());
    let mut hand = Hand::new(&rig, "v4", 1);
    hand.up_to(UpdateStep::Fetch);
    let told = found(hand.update(UpdateStep::Checkout));
    assert!(told.contains(".gitattributes") && told.contains(" M text"), "{told}");
    for step in [RollbackStep::Checkout, RollbackStep::Install, RollbackStep::Restart, RollbackStep::Verify] {
        assert_eq!(hand.rollback(step), Input::Succeeded(Observation::Nothing), "{step:?}");
    }
    assert_eq!(rig.versions(), "v1/v1/v1");
}

#[test]
fn what_lies_on_a_host_is_for_its_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let rig = Rig::new();
    let ours = rig.checkout().join(".git/uphaul");
    // As an older one may have left it.
    std::fs::create_dir(&ours).unwrap();
    std::fs::set_permissions(&ours, std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.plan.service.env = [("SECRET".parse().unwrap(), "s3cret".to_owned())].into();
    assert!(matches!(hand.record(), Input::Succeeded(_)));
    for step in [UpdateStep::Fetch, UpdateStep::Checkout, UpdateStep::Install] {
        assert_eq!(hand.update(step), Input::Succeeded(Observation::Nothing), "{step:?}");
        let mode = std::fs::metadata(&ours).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700, "after {step:?}");
    }
    // And the checkout is what it was: others may read it, as the service's own user has to.
    let mode = std::fs::metadata(rig.checkout().join("only-in-v2/file")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

/// The parts of the room for the way back that are still put aside.
fn parts(rig: &Rig) -> usize {
    std::fs::read_dir(rig.checkout().join(".git/uphaul/reserve")).map_or(0, Iterator::count)
}

#[test]
fn each_step_of_the_way_back_gets_a_part_of_the_room() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.up_to(UpdateStep::Verify);
    assert_eq!(parts(&rig), 9, "an update needs none");
    for (n, step) in
        [RollbackStep::Checkout, RollbackStep::Install, RollbackStep::Restart, RollbackStep::Verify]
            .into_iter()
            .enumerate()
    {
        assert_eq!(hand.rollback(step), Input::Succeeded(Observation::Nothing), "{step:?}");
        assert_eq!(parts(&rig), 8 - n, "{step:?}");
    }
    assert_eq!(rig.versions(), "v1/v1/v1");
}

#[test]
fn a_step_of_the_way_back_that_finds_the_disk_full_is_tried_again_with_more_room() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.up_to(UpdateStep::Verify);
    assert_eq!(hand.rollback(RollbackStep::Checkout), Input::Succeeded(Observation::Nothing));
    // It fails as long as there is no more room than what its step began with, and tells how often it was begun.
    let install = "echo begun >>../begun; test ! -e .git/uphaul/reserve/3 && cp version .installed";
    hand.plan.service.install = install.parse().unwrap();
    let begun = || std::fs::read_to_string(rig.path().join("begun")).unwrap().lines().count();
    rig.shim_file("full", "");
    assert_eq!(hand.rollback(RollbackStep::Install), Input::Succeeded(Observation::Nothing));
    assert_eq!(begun(), 2);
    assert_eq!(rig.versions(), "v1/v1/v2");
    std::fs::remove_file(rig.path().join("shim/full")).unwrap();
}

#[test]
fn a_step_of_the_way_back_that_fails_with_room_left_is_not_tried_again() {
    let rig = Rig::new();
    let mut hand = Hand::new(&rig, "v2", 1);
    hand.up_to(UpdateStep::Verify);
    assert_eq!(hand.rollback(RollbackStep::Checkout), Input::Succeeded(Observation::Nothing));
    hand.plan.service.install = "echo begun >>../begun; exit 7".parse().unwrap();
    assert!(matches!(hand.rollback(RollbackStep::Install), Input::Failed(_)));
    assert_eq!(std::fs::read_to_string(rig.path().join("begun")).unwrap(), "begun\n");
}
