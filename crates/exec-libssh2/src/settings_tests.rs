use std::cell::RefCell;

use super::*;
use crate::Libssh2Config;
use crate::route::{tests::target, way};

const PASSPHRASE: &str = "a passphrase";

/// A folder with encrypted keys, an ssh_config that names them, and who was asked for which.
struct Case {
    dir: tempfile::TempDir,
    asked: RefCell<Vec<String>>,
}

impl Case {
    /// None where there is no ssh-keygen.
    fn new(config: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        for (name, words) in [("own", "-t ed25519"), ("old", "-t ecdsa -m PEM"), ("other", "-t ed25519")] {
            let mut keygen = std::process::Command::new("ssh-keygen");
            keygen.args(["-q", "-N", PASSPHRASE, "-f"]).arg(dir.path().join(name)).args(words.split(' '));
            if !keygen.stdin(std::process::Stdio::null()).status().is_ok_and(|status| status.success()) {
                println!("SKIPPED: there is no ssh-keygen");
                return None;
            }
        }
        let config = config.replace("DIR", dir.path().to_str().unwrap());
        std::fs::write(dir.path().join("config"), format!("IdentityAgent none\n{config}")).unwrap();
        Some(Self { dir, asked: RefCell::default() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn settings(&self, config: Libssh2Config) -> Settings {
        let config = Libssh2Config { config: Some(self.path("config")), ..config };
        Settings::new(config, &|path| self.answer(path, PASSPHRASE)).unwrap()
    }

    fn ask(&self, settings: &Settings, name: &str, text: &str) -> Result<(), ExecError> {
        settings.ask_for_named(&way(settings, &target(name)).unwrap(), &|path| self.answer(path, text))
    }

    #[expect(clippy::unnecessary_wraps, reason = "what a person may do, who may say nothing")]
    fn answer(&self, path: &Path, text: &str) -> Option<Zeroizing<String>> {
        self.asked.borrow_mut().push(path.file_name().unwrap().to_string_lossy().into_owned());
        Some(Zeroizing::new(text.to_owned()))
    }

    /// Whether it can be used without a question.
    fn is_open(&self, settings: &Settings, name: &str) -> bool {
        let key = keys::read(&self.path(name)).unwrap().unwrap();
        match &key.material {
            Material::Locked(locked) => settings.open(&key, locked).unwrap().is_some(),
            Material::Old { text, .. } => settings.passphrase_of(text).is_some(),
            Material::Open(_) | Material::Elsewhere | Material::Hardware | Material::Exposed => {
                panic!("it is not encrypted")
            }
        }
    }
}

#[test]
fn keys_of_the_configuration_are_asked_for_at_once_and_those_of_the_ssh_config_with_their_host() {
    let text = "Host web1 web2\nProxyJump jump\nIdentityFile DIR/old\nHost jump\nIdentityFile DIR/other\n";
    let Some(case) = Case::new(text) else { return };
    let settings =
        case.settings(Libssh2Config { identity: vec![case.path("own")], ..Libssh2Config::default() });
    assert_eq!(*case.asked.borrow(), ["own"]);
    assert!(case.is_open(&settings, "own") && !case.is_open(&settings, "old"));
    case.ask(&settings, "elsewhere", PASSPHRASE).unwrap();
    assert_eq!(*case.asked.borrow(), ["own"]);
    // For a host and the one before it, and once for all hosts.
    for name in ["web1", "web2", "web1"] {
        case.ask(&settings, name, PASSPHRASE).unwrap();
    }
    assert_eq!(*case.asked.borrow(), ["own", "other", "old"]);
    assert!(case.is_open(&settings, "old") && case.is_open(&settings, "other"));
}

#[test]
fn nobody_is_asked_where_a_variable_has_it() {
    let Some(case) = Case::new("IdentityFile DIR/old\n") else { return };
    let config = Libssh2Config {
        identity: vec![case.path("own")],
        passphrase_env: Some("PATH".into()),
        ..Libssh2Config::default()
    };
    let settings = case.settings(config);
    case.ask(&settings, "web1", PASSPHRASE).unwrap();
    assert!(case.asked.borrow().is_empty());
}

#[test]
fn a_wrong_passphrase_is_told_at_once_where_that_can_be_known() {
    let Some(case) = Case::new("IdentityFile DIR/other\n") else { return };
    let settings = case.settings(Libssh2Config::default());
    let error = case.ask(&settings, "web1", "not that one").unwrap_err();
    assert!(error.detail.contains("other stays closed: the passphrase is wrong"), "{error}");
    // Nobody is asked twice.
    case.ask(&settings, "web1", PASSPHRASE).unwrap();
    assert_eq!(*case.asked.borrow(), ["other"]);
}
