//! What the program writes can be read by its user alone, in a login with the most open umask there is.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::env::TestEnv;

/// Every file and folder below, with its mode.
fn below(folder: &Path, found: &mut Vec<(String, u32)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type().unwrap())).unwrap();
        if kind.is_symlink() {
            continue;
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        found.push((path.display().to_string(), mode));
        // Nobody gets through a folder that is closed: what the services in it wrote is not the program's.
        if kind.is_dir() && mode & 0o077 != 0 {
            below(&path, found);
        }
    }
}

fn open_to_others(env: &TestEnv) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    below(&env.work().join(".."), &mut found);
    found.retain(|(_, mode)| mode & 0o077 != 0);
    found
}

/// What the services of the demo said, and as which processes they ran last.
fn logs(env: &TestEnv) -> String {
    let Ok(run) = std::fs::read_dir(env.work().join("demo/run")) else { return String::new() };
    let mut files: Vec<_> = run.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let text = |path: &std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    files.iter().map(|path| format!("{}: {}\n", path.display(), text(path))).collect()
}

/// Everything that writes a file, short of a run on a real host.
#[test]
fn all_files_are_their_users_alone() {
    let env = TestEnv::new();
    for folder in ["config", "home", "state", "work"] {
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(env.work().join("..").join(folder), open).unwrap();
    }
    let before = open_to_others(&env);
    assert_eq!(before.len(), 4, "{before:?}");
    for args in [
        &["init"][..],
        &["hosts", "add", "web-1", "10.0.0.1"],
        &["update", "web-1", "--to", "main", "--executor", "mock"],
        &["history"],
        &["db", "backup", "kept.db"],
        &["demo", "--dir", "demo"],
    ] {
        let said = env.run_open(args);
        assert_eq!(said.code, Some(0), "{said}\n{}", logs(&env));
    }
    assert_eq!(open_to_others(&env), before);
    for there in ["uphaul.toml", "kept.db", "demo/uphaul.db", "../state/uphaul/uphaul.db"] {
        assert!(env.work().join(there).exists(), "{there}");
    }
    // Manual pages are as the login has its files.
    let _ = env.run_open(&["man", "pages"]).ok();
    let pages = open_to_others(&env).into_iter().filter(|(path, _)| path.contains("/pages"));
    let modes: Vec<u32> = pages.map(|(_, mode)| mode).collect();
    assert!(modes.len() > 20 && modes.iter().all(|mode| [0o666, 0o777].contains(mode)), "{modes:?}");
}
