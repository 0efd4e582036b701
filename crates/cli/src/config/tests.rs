//! Layers, errors and the service of a host, each as a page that shows what went in and what came out.

use std::path::PathBuf;

use tempfile::TempDir;
use uphaul_core::plan::{Health, Manager, RestartLimit};
use uphaul_store::Host;

use super::*;

/// A folder with a file and an environment.
struct Setup {
    folder: TempDir,
    around: Surroundings,
    flags: Flags,
}

fn setup(file: &str, vars: &[(&str, &str)]) -> Setup {
    let folder = TempDir::new().unwrap();
    if !file.is_empty() {
        std::fs::write(folder.path().join(FILE_NAME), file).unwrap();
    }
    let mut vars: std::collections::BTreeMap<String, String> =
        vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    vars.insert("HOME".to_owned(), "/home/o".to_owned());
    let around = Surroundings { vars, not_text: Vec::new(), cwd: folder.path().to_path_buf() };
    Setup { folder, around, flags: Flags::default() }
}

impl Setup {
    fn load(&self) -> Result<Loaded, CliError> {
        load(&self.flags, &self.around)
    }

    fn config(&self) -> Config {
        self.load().unwrap_or_else(|error| panic!("{error}: {:#?}", error.causes)).config
    }

    fn causes(&self) -> Vec<String> {
        let error = self.load().map(|loaded| format!("{loaded:?}")).unwrap_err();
        error.causes
    }
}

fn host(labels: &[(&str, &str)], settings: &[(&str, &str)]) -> Host {
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    Host {
        name: "web-1".parse().unwrap(),
        address: "10.0.0.1".to_owned(),
        port: None,
        user: None,
        host_key: None,
        labels: pairs(labels),
        settings: pairs(settings),
        current_version: None,
        target_version: None,
        update_status: None,
        previous_version: None,
        last_update_at_us: None,
        proved_at_us: None,
    }
}

const SERVICE: &str = "[default.service]\npath = \"/srv/app\"\nunit = \"app.service\"\n";

#[test]
fn without_anything_the_defaults_hold() {
    let config = setup("", &[]).config();
    assert_eq!(config.limits, plan::Limits::default());
    assert_eq!((config.attempts_max, config.backend), (3, Backend::Openssh));
    assert_eq!((config.fleet.parallel, config.fleet.connection_starts), (16, 30));
    assert_eq!((config.fleet.lease_s, config.fleet.reconnect_s), (30, 60));
    assert_eq!(config.database().unwrap().expose(), "sqlite:/home/o/.local/state/uphaul/uphaul.db");
    let state = setup("", &[("XDG_STATE_HOME", "/var/state")]).config();
    assert_eq!(state.database().unwrap().expose(), "sqlite:/var/state/uphaul/uphaul.db");
}

#[test]
fn later_layers_win() {
    let file = "[default.limits]\nparallel = 2\n[staging.limits]\nparallel = 3\n\
                [default.executor]\nbackend = \"openssh\"\n[staging.executor]\nbackend = \"mock\"\n";
    let mut setup = setup(file, &[]);
    assert_eq!(setup.config().fleet.parallel, 2);
    setup.flags.profile = Some("staging".to_owned());
    assert_eq!((setup.config().fleet.parallel, setup.config().backend), (3, Backend::Mock));
    setup.around.vars.insert("UPHAUL_LIMITS__PARALLEL".to_owned(), "4".to_owned());
    setup.around.vars.insert("UPHAUL_EXECUTOR__BACKEND".to_owned(), "libssh2".to_owned());
    assert_eq!((setup.config().fleet.parallel, setup.config().backend), (4, Backend::Libssh2));
    setup.flags.executor = Some("local".to_owned());
    assert_eq!(setup.config().backend, Backend::Local);
}

#[test]
fn every_value_knows_where_it_came_from() {
    let mut setup = setup(
        "[default.limits]\nparallel = 2\n[staging.service]\npath = \"/x\"\n",
        &[("UPHAUL_SERVICE__ENV__PATH", "/bin"), ("UPHAUL_PROFILE", "staging")],
    );
    setup.flags.database = Some("sqlite:x.db".to_owned());
    let config = setup.config();
    let place = |key: &str| config.values().setting(key).unwrap().place.clone();
    assert_eq!(place("limits.parallel"), "uphaul.toml:2");
    assert_eq!(place("service.path"), "uphaul.toml:4");
    assert_eq!(place("service.env.PATH"), "environment variable UPHAUL_SERVICE__ENV__PATH");
    assert_eq!(place("database.url"), "flag --database");
    assert_eq!(place("timeouts.git"), "built-in default");
}

#[test]
fn the_file_is_searched_in_order() {
    let mut setup = setup("[default.limits]\nparallel = 2\n", &[]);
    let other = setup.folder.path().join("other.toml");
    std::fs::write(&other, "[default.limits]\nparallel = 5\n").unwrap();
    setup.around.vars.insert("UPHAUL_CONFIG".to_owned(), "other.toml".to_owned());
    assert_eq!(setup.config().fleet.parallel, 5);
    setup.flags.config = Some(FILE_NAME.into());
    assert_eq!(setup.config().fleet.parallel, 2);
    setup.flags.config = Some("nowhere.toml".into());
    assert_eq!(setup.causes(), ["nowhere.toml: there is no such file (asked for by --config)"]);

    let user = setup.folder.path().join("xdg/uphaul");
    std::fs::create_dir_all(&user).unwrap();
    std::fs::rename(other, user.join(FILE_NAME)).unwrap();
    std::fs::remove_file(setup.folder.path().join(FILE_NAME)).unwrap();
    setup.flags.config = None;
    setup.around.vars.remove("UPHAUL_CONFIG");
    let xdg = setup.folder.path().join("xdg").to_str().unwrap().to_owned();
    setup.around.vars.insert("XDG_CONFIG_HOME".to_owned(), xdg);
    assert_eq!(setup.config().fleet.parallel, 5);
}

#[test]
fn all_faults_are_told_at_once_with_their_places() {
    let file = r#"
[default.service]
pth = "/srv/app"
unit = "app"
install = "cd {name} && bun install"
scope = "root"
[default.service.env]
UPHAUL_NAME = "x"
"A B" = "x"
[default.timeouts]
git = "500ms"
install = 120
verify = "5s"
restart = "soon"
attempts = 0
[default.limits]
parallel = "many"
[default.service.health]
http = "ftp://x"
tcp = "x:1"
[service]
path = "/x"
"#;
    let setup = setup(file, &[("UPHAUL_LIMITS__PARALEL", "1"), ("UPHAUL_TIMEOUTS__GIT", "")]);
    insta::assert_snapshot!(setup.causes().join("\n"));
}

#[test]
fn near_misses_of_variables_are_told() {
    let setup = setup(
        "",
        &[
            ("UPHAUL_SERVICE_PATH", "/x"),
            ("UPHAUL_LIMIT_PARALLEL", "1"),
            ("UPHAUL_LOG", "debug"),
            ("UPHAUL_LABEL_X", "y"),
            ("UPHAUL_NAME", "y"),
        ],
    );
    insta::assert_snapshot!(setup.load().unwrap().warnings.join("\n"), @r"
    environment variable UPHAUL_LIMIT_PARALLEL is not read: no such key; did you mean UPHAUL_LIMITS__PARALLEL?
    environment variable UPHAUL_LOG is not read: no such key; parts of a key are joined by two underscores
    environment variable UPHAUL_SERVICE_PATH is not read: no such key; did you mean UPHAUL_SERVICE__PATH?
    ");
}

#[test]
fn variables_that_name_no_key_are_refused() {
    let setup = setup(
        "",
        &[
            ("UPHAUL__SERVICE__PATH", "/x"),
            ("UPHAUL_SERVICE__PTH", "/x"),
            ("UPHAUL_SERVICE__HEALTH", "x"),
            ("UPHAUL_SERVICE__UNIT", "a.service"),
            ("UPHAUL_SERVICE__UNITS", "b.service,c.service"),
            ("UPHAUL_SERVICE__SUBMODULES", "yes"),
        ],
    );
    insta::assert_snapshot!(setup.causes().join("\n"));
}

#[test]
fn an_unknown_profile_names_the_known_ones() {
    let mut some = setup("[default.limits]\nparallel = 2\n[prod.limits]\nparallel = 3\n", &[]);
    some.flags.profile = Some("staging".to_owned());
    assert_eq!(some.causes(), ["flag --profile: no such profile \"staging\"; uphaul.toml has default, prod"]);
    let none = setup("", &[("UPHAUL_PROFILE", "prod")]);
    assert_eq!(
        none.causes(),
        [
            "UPHAUL_PROFILE: no such profile \"prod\"; there is no configuration file, so `default` is the only one"
        ]
    );
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let causes = setup("[default]\nx = \n", &[]).causes();
    assert!(causes[0].starts_with("uphaul.toml:2: is not TOML: "), "{causes:?}");
    assert_eq!(causes.len(), 1);
}

#[test]
fn a_later_layer_takes_the_rivals_of_a_key_away() {
    let file = format!(
        "{SERVICE}[default.service.health]\nhttp = \"http://x/\"\n[p.service.health]\ntcp = \"x:1\"\n"
    );
    let mut setup = setup(&file, &[]);
    let health = |setup: &Setup| setup.config().plan_service(&host(&[], &[])).unwrap().health;
    assert!(matches!(health(&setup), Some(Health::Http(_))));
    setup.flags.profile = Some("p".to_owned());
    assert!(matches!(health(&setup), Some(Health::Tcp(_))));
    setup.around.vars.insert("UPHAUL_SERVICE__HEALTH__COMMAND".to_owned(), "true".to_owned());
    assert!(matches!(health(&setup), Some(Health::Command(_))));
    let settings = [("service.commands.restart", "r"), ("service.commands.status", "s")];
    let service = setup.config().plan_service(&host(&[], &settings)).unwrap();
    assert!(matches!(service.manager, Manager::Commands { .. }), "{service:?}");
}

#[test]
fn the_service_of_a_host_has_its_values() {
    let file = r#"
[default.service]
path = "/srv/{label.tier}/{name}"
units = ["app@{name}.service", "worker.service"]
scope = "user"
user = "deploy"
submodules = true
before_restart = "bun run build ${name}"
dirty = "stash"
[default.service.env]
PATH = "/bin"
[default.service.health]
http = "http://{address}:3000/health"
[default.timeouts]
restart = "90s"
"#;
    let config = setup(file, &[]).config();
    assert_eq!(config.limits.restart, RestartLimit::Seconds(90));
    let host = host(&[("tier", "a")], &[("service.user", "web"), ("service.env.PATH", "/usr/bin")]);
    assert_eq!(config.policy(&host).dirty, plan::Dirty::Stash);
    let service = config.plan_service(&host).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&service).unwrap());
}

#[test]
fn a_service_that_does_not_fit_says_everything() {
    let file = "[default.service]\npath = \"/srv/{label.region}\"\n[default.service.health]\n\
                http = \"http://{label.evil}/\"\n";
    let config = setup(file, &[]).config();
    let settings = [("service.pth", "/x"), ("limits.parallel", "3"), ("service.user", "Root")];
    let error = config.plan_service(&host(&[("evil", "a/../b")], &settings)).unwrap_err();
    insta::assert_snapshot!(format!("{error}\n{}\n{}", error.causes.join("\n"), error.hints.join("\n")));
}

#[test]
fn settings_of_a_host_are_checked_when_they_are_typed() {
    for good in
        [("service.path", "/srv/{label.x}"), ("service.commands.restart", "r"), ("service.env.A", "b")]
    {
        assert_eq!(check_setting(good.0, good.1), Ok(()), "{good:?}");
    }
    for (key, value, said) in [
        ("limits.parallel", "3", "below `service` only"),
        ("service.pth", "/x", "did you mean `service.path`?"),
        ("service.path", "x", "is not absolute"),
        ("service.dirty", "maybe", "expected one of"),
        ("service.env.A B", "x", "is not a name"),
    ] {
        let error = check_setting(key, value).unwrap_err();
        assert!(error.contains(said), "{key}: {error}");
    }
}

#[test]
fn paths_of_the_file_start_from_its_folder() {
    let mut setup = setup("", &[]);
    let folder = setup.folder.path().join("etc");
    std::fs::create_dir_all(&folder).unwrap();
    let file = "[default.database]\nurl = \"sqlite:x.db\"\n[default.executor.openssh]\nidentity = \"~/.ssh/id\"\n\
                config = \"ssh_config\"\n";
    std::fs::write(folder.join("u.toml"), file).unwrap();
    setup.flags.config = Some("etc/u.toml".into());
    let config = setup.config();
    assert_eq!(config.database().unwrap().file(), Some(folder.join("x.db").as_path()));
    assert_eq!(config.openssh.identity, [PathBuf::from("/home/o/.ssh/id")]);
    assert_eq!(config.openssh.config, Some(folder.join("ssh_config")));
    setup.flags.database = Some("sqlite:y.db".to_owned());
    assert_eq!(setup.config().database().unwrap().file(), Some(setup.folder.path().join("y.db").as_path()));
}

const RULES: &str = "[default.executor]\nbackend = \"openssh\"\n\
    [[default.executor.rules]]\nmatch = \"tier=edge,region=eu*\"\nbackend = \"libssh2\"\n\
    [[default.executor.rules]]\nmatch = \"tier=*\"\nbackend = \"local\"\n\
    [staging.executor]\nbackend = \"mock\"\n\
    [edge.limits]\nparallel = 2\n\
    [[own.executor.rules]]\nmatch = \"web-*\"\nbackend = \"mock\"\n";

#[test]
fn the_first_rule_that_matches_says_what_reaches_a_host() {
    let mut setup = setup(RULES, &[]);
    let chosen =
        |setup: &Setup, labels: &[(&str, &str)]| setup.config().backend_of(&host(labels, &[])).to_string();
    let edge = [("tier", "edge"), ("region", "eu-1")];
    for (profile, labels, said) in [
        ("default", &edge[..], "libssh2 (executor.rules[1] matches tier=edge,region=eu*, uphaul.toml:3)"),
        ("default", &edge[..1], "local (executor.rules[2] matches tier=*, uphaul.toml:3)"),
        ("default", &[], "openssh (executor.backend, uphaul.toml:2)"),
        // A profile that names a backend means all hosts; one that has other rules has only these.
        ("staging", &edge[..], "mock (executor.backend, uphaul.toml:10)"),
        ("edge", &edge[..], "libssh2 (executor.rules[1] matches tier=edge,region=eu*, uphaul.toml:3)"),
        ("own", &edge[..], "mock (executor.rules[1] matches web-*, uphaul.toml:13)"),
    ] {
        setup.flags.profile = Some(profile.to_owned());
        assert_eq!(chosen(&setup, labels), said, "{profile}");
    }
    // So do a variable and a flag.
    setup.flags.profile = None;
    setup.around.vars.insert("UPHAUL_EXECUTOR".to_owned(), "mock".to_owned());
    assert_eq!(chosen(&setup, &edge), "mock (executor.backend, environment variable UPHAUL_EXECUTOR)");
    setup.flags.executor = Some("local".to_owned());
    assert_eq!(chosen(&setup, &edge), "local (executor.backend, flag --executor)");
    setup.around.vars.insert("UPHAUL_EXECUTOR__BACKEND".to_owned(), "openssh".to_owned());
    let same = "UPHAUL_EXECUTOR and UPHAUL_EXECUTOR__BACKEND are the same key; set one of them";
    assert_eq!(setup.causes(), [format!("environment: {same}")]);
}

#[test]
fn a_rule_by_command_needs_its_program() {
    let rule = "[[default.executor.rules]]\nmatch = \"a=b\"\nbackend = \"command\"\n";
    let causes = setup(rule, &[]).causes();
    assert_eq!(causes.len(), 1);
    assert!(
        causes[0].starts_with("uphaul.toml:1: executor.command.argv is not set, but executor.rules[1] is"),
        "{causes:?}"
    );
    let vars =
        [("UPHAUL_EXECUTOR__COMMAND__ARGV", "docker, exec,-i,{address}"), ("UPHAUL_EXECUTOR", "command")];
    let config = setup("", &vars).config();
    assert_eq!((config.backend, config.command.unwrap().program()), (Backend::Command, "docker"));
}
