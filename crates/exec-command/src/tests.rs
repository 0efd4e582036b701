use std::time::Duration;

use super::*;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn template(given: &[&str]) -> Template {
    Template::parse(&words(given)).unwrap()
}

fn target(address: &str, user: Option<&str>, port: Option<u16>) -> Target {
    Target {
        name: "web-1".parse().unwrap(),
        address: address.into(),
        port,
        user: user.map(|user| user.parse().unwrap()),
        host_key: None,
        connect_timeout: Duration::from_secs(20),
    }
}

#[test]
fn each_value_stands_in_its_word() {
    let reader = uphaul_core::ports::frame::READER;
    let argv = template(&["docker", "exec", "-i", "-u{user}", "c_{address}"]).argv(&target(
        "a.b",
        Some("ada"),
        None,
    ));
    assert_eq!(argv.unwrap(), words(&["docker", "exec", "-i", "-uada", "c_a.b", "sh", "-c", reader]));
    let login = uphaul_core::ports::frame::LOGIN_COMMAND;
    let argv =
        template(&["ssh", "-p{port}", "{name}", "--command={command}"]).argv(&target("x", None, Some(7)));
    assert_eq!(argv.unwrap(), words(&["ssh", "-p7", "web-1", &format!("--command={login}")]));
    let argv = template(&["x", "{{address}}", "{", "{}", "{Name}", "{a b}"]).argv(&target("h", None, None));
    assert_eq!(argv.unwrap()[..6], words(&["x", "{h}", "{", "{}", "{Name}", "{a b}"]));
}

#[test]
fn templates_that_cannot_serve_are_refused() {
    for (given, said) in [
        (&[][..], "names no program"),
        (&["", "{address}"], "names no program"),
        (&["docker", "exec", "web"], "all hosts would be the same"),
        (&["{address}"], "cannot differ"),
        (
            &["docker", "{adress}"],
            "{adress} is not known; there are {name}, {address}, {user}, {port}, {command}",
        ),
        (&["docker", "a\0{address}"], "NUL"),
    ] {
        let error = Template::parse(&words(given)).unwrap_err();
        assert!(error.contains(said), "{given:?}: {error}");
    }
    assert!(Template::parse(&vec!["{address}x".to_owned(); 101]).unwrap_err().contains("101 words"));
}

#[test]
fn hosts_that_do_not_fit_are_refused() {
    let plain = template(&["x", "{address}"]);
    for address in ["-v", "a b", "$(id)", "a;b", "`id`", "a'b", "", "a\nb", "a*", "a&b", "a|b", "~x", "#x"] {
        assert!(plain.argv(&target(address, None, None)).is_err(), "{address:?}");
    }
    for address in
        ["web", "10.0.0.1", "fe80::1%eth0", "pod/web-0", "i-0ab1", "projects/a,zone=b", "bücher.de"]
    {
        assert!(plain.argv(&target(address, None, None)).is_ok(), "{address:?}");
    }
    assert!(plain.argv(&target("x", None, Some(22))).unwrap_err().contains("has no {port}"));
    let user = template(&["x", "{user}@{address}"]).argv(&target("x", None, None));
    assert!(user.unwrap_err().contains("uphaul hosts edit web-1 --user"));
}

/// `env A={address}`, which runs the command here.
fn here() -> CommandExecutor {
    CommandExecutor::new(template(&["env", "REACHED={address}"])).unwrap()
}

fn command(argv: &[&str]) -> RemoteCommand {
    RemoteCommand {
        argv: words(argv),
        dir: None,
        env: BTreeMap::new(),
        stdin: Vec::new(),
        timeout: Duration::from_secs(20),
        user: None,
        output_max: 1000,
    }
}

#[tokio::test]
async fn a_command_runs_where_the_program_runs_it() {
    let mut session = here().connect(&target("there", None, None)).await.unwrap();
    let output = session.run(&command(&["sh", "-c", "echo $REACHED; exit 7"])).await.unwrap();
    assert_eq!((output.code, output.stdout.text()), (7, "there\n".into()));
    session.close().await.unwrap();
}

async fn refused(executor: &CommandExecutor, target: &Target) -> ExecError {
    match executor.connect(target).await {
        Ok(_) => panic!("it connected"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_user_that_it_is_not_is_refused() {
    let error = refused(&here(), &target("there", Some("nobody-we-know"), None)).await;
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Auth, false), "{error}");
    assert!(error.detail.contains("say {user} in executor.command.argv"), "{error}");
}

#[tokio::test]
async fn a_pinned_key_that_nobody_would_check_is_refused() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHT7UmHZd8Q4IKnLMVFJXWMm2JxrPdSQbiVKhgyGlMUX";
    let pinned = Target { host_key: Some(key.parse().unwrap()), ..target("there", None, None) };
    let error = refused(&here(), &pinned).await;
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::HostKey, false), "{error}");
    assert!(error.detail.contains("--no-host-key"), "{error}");
}

#[tokio::test]
async fn a_program_that_reaches_nothing_says_why() {
    let fails = template(&["sh", "-c", "echo \"no such container: $1\" >&2; exit 3", "sh", "{address}"]);
    let error = refused(&CommandExecutor::new(fails).unwrap(), &target("web", None, None)).await;
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Connect, false), "{error}");
    let said = "id was not begun on web-1 (sh web): the program ended with exit status: 3; it said: no such container: web";
    assert_eq!(error.detail, said);
}

fn words_of_all() -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let words = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    words.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}

#[tokio::test]
async fn a_program_that_never_answers_is_ended() {
    let mark = format!("98761.{}", std::process::id());
    let silent = template(&["sh", "-c", &format!("sleep {mark} & wait"), "sh", "{address}"]);
    let silent = CommandExecutor::new(silent).unwrap();
    let target = Target { connect_timeout: Duration::from_millis(300), ..target("web", None, None) };
    let error = refused(&silent, &target).await;
    assert_eq!((error.kind, error.maybe_ran), (ExecErrorKind::Connect, false), "{error}");
    assert!(error.detail.contains("did not answer within 0.3 s"), "{error}");
    // With all that it began: the mark is in the words of both.
    while words_of_all().iter().any(|words| words.contains(&mark)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_last_words_are_kept_without_the_marks() {
    use tokio::io::AsyncReadExt as _;
    let long = "x".repeat(5000);
    let stream = format!("Welcome\nuphaul-1f begin\n{long}\nwire cut\nuphaul-1f end 0 0\n\n");
    let mut heard = child::Heard::new(stream.as_bytes());
    let said = heard.said();
    heard.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(said.text(), "wire cut");
    let nothing = child::Heard::new(&b"uphaul-1f begin\n"[..]);
    assert_eq!(nothing.said().text(), "");
}

#[test]
fn a_program_that_is_not_there_is_local() {
    for (program, said) in [("no-such-program-here", "on the PATH"), ("/no/such/program", "/no/such/program")]
    {
        let error = CommandExecutor::new(template(&[program, "{address}"])).unwrap_err();
        assert_eq!(error.kind, ExecErrorKind::Local);
        assert!(error.detail.contains(said), "{error}");
    }
}
