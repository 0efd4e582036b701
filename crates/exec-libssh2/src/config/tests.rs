use std::process::{Command, Stdio};

use super::*;

/// What we make of a configuration, in the words of `ssh -G`.
fn ours(file: &Path, name: &str) -> Result<Vec<(&'static str, String)>, String> {
    let files = Files {
        own: Some(file.to_owned()),
        home: std::env::home_dir().unwrap(),
        system: "/etc/ssh".into(),
        local_user: user(),
    };
    let options = read(&files, name, Options::default())?;
    let mut found = vec![
        ("hostname", tokens::host_name(options.hostname.as_deref(), name)?),
        ("user", options.user.unwrap_or_else(user)),
        ("port", options.port.unwrap_or(22).to_string()),
        ("identitiesonly", if options.identities_only == Some(true) { "yes" } else { "no" }.to_owned()),
    ];
    found.extend(options.identity.into_iter().map(|file| ("identityfile", file)));
    found.extend(options.certificate.into_iter().map(|file| ("certificatefile", file)));
    let jump = options.jump.filter(|jump| !jump.eq_ignore_ascii_case("none"));
    found.extend(jump.map(|jump| ("proxyjump", jump)));
    let seconds = |time: Option<u32>, none: &str| time.map_or(none.to_owned(), |time| time.to_string());
    found.extend(options.connect_timeout.map(|time| ("connecttimeout", seconds(time, "none"))));
    found.extend(options.alive_interval.map(|time| ("serveraliveinterval", seconds(time, "0"))));
    found.extend(options.alive_count.map(|count| ("serveralivecountmax", count.to_string())));
    found.extend(options.strict.filter(|yes| *yes).map(|_| ("stricthostkeychecking", "true".to_owned())));
    found.extend(options.host_key_alias.map(|alias| ("hostkeyalias", alias)));
    found.extend(options.identity_agent.map(|agent| ("identityagent", agent)));
    Ok(found)
}

/// The same by ssh itself; none where there is no ssh.
fn theirs(file: &Path, name: &str) -> Option<Result<Vec<(String, String)>, String>> {
    let mut ssh = Command::new("ssh");
    let output = ssh.args(["-G", "-F"]).arg(file).arg(name).stdin(Stdio::null()).output().ok()?;
    if !output.status.success() {
        return Some(Err(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    Some(Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()))
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

const FILES: &[(&str, &str)] = &[
    (
        "the first value counts",
        "Host web1\n  HostName 10.0.0.1\n  User a\nHost web*\n  User b\n  Port 2222\nHost *\n  Port 23\n  User c\n",
    ),
    ("a no in the patterns", "Host web* !web1\n  Port 1\nHost web1 !web*\n  Port 2\nHost ?eb1 x\n  Port 3\n"),
    (
        "words and quotes",
        "host \"web1\"\nhostname=\"10.0.0.1\"\n\tUser = deploy # who\nIdentityFile \"~/a b\"\nPort=2222\n",
    ),
    (
        "keys are gathered",
        "Host web1\n  IdentityFile ~/.ssh/a\n  IdentityFile ~/.ssh/b\nHost *\n  IdentityFile ~/.ssh/c\n  IdentitiesOnly yes\n  CertificateFile ~/.ssh/c-cert.pub\n",
    ),
    (
        "match host",
        "Host web1\n  HostName 10.0.0.1\nMatch host 10.0.0.*\n  User by-address\nMatch host web1\n  Port 1\nMatch originalhost web1\n  Port 2\n",
    ),
    (
        "match user",
        "Host web1\n  User deploy\nMatch user deploy host web1,web2\n  Port 7\nMatch !user deploy\n  Port 8\nMatch all\n  HostKeyAlias x\n",
    ),
    (
        "match final",
        "Match final host 10.0.0.1\n  Port 99\n  User final\nHost web1\n  HostName 10.0.0.1\n  User first\n",
    ),
    (
        "match of an exec that is not asked",
        "Match host elsewhere exec \"touch /nonexistent/x\"\n  Port 9\nMatch host web1\n  Port 10\n",
    ),
    (
        "tokens",
        "Host web1 web2\n  HostName %h.example.com\n  IdentityFile ~/.ssh/%n\nHost web1.*\n  Port 5\n",
    ),
    ("jumps", "Host web1\n  ProxyJump a@bastion:2222,other\nHost *\n  ProxyJump none\n"),
    ("the first of the proxies", "Host web1\n  ProxyJump bastion\n  ProxyCommand nc %h %p\n"),
    ("no proxy first", "Host web1\n  ProxyCommand none\nHost *\n  ProxyJump bastion\n"),
    ("no jump, and then one", "Host web1\n  ProxyJump NONE\n  ProxyJump bastion\n"),
    (
        "no jump, and then no command",
        "ProxyJump none\nProxyCommand NONE\nProxyJump bastion\nProxyCommand nc %h %p\n",
    ),
    ("no command, and then one", "Host web1\n  ProxyCommand NONE\n  ProxyCommand nc %h %p\n"),
    ("blanks around", "Match host = web1\n  Port 4\nMatch host= web2 user =root\n  Port 5\n"),
    ("unknown and ignored", "IgnoreUnknown Use*,Blah\nUseSomething yes\nBlah\nHost web1\n  Port 4\n"),
    (
        "what has no meaning here",
        "Host web1\n  ForwardAgent yes\n  LocalForward 8080 localhost:80\n  SendEnv LANG LC_*\n  ControlMaster auto\n  ControlPath ~/.ssh/%C\n  ServerAliveInterval 5\n  Compression yes\n  LogLevel QUIET\n",
    ),
    (
        "times",
        "Host web1\n  ConnectTimeout 7\n  ServerAliveInterval 2\n  ServerAliveCountMax 1\nHost web2\n  ConnectTimeout 1m30s\n\
         Host *\n  ConnectTimeout 2h\n  ServerAliveInterval 1m\n",
    ),
    ("a wrong time", "Host web1\n  ConnectTimeout soon\n"),
    ("a wrong count", "Host web1\n  ServerAliveCountMax x\n"),
    ("strict", "Host web1\n  StrictHostKeyChecking yes\nHost *\n  StrictHostKeyChecking accept-new\n"),
    ("a wrong strictness", "Host web1\n  StrictHostKeyChecking perhaps\n"),
    ("big letters", "HOST WEB1 web1\n  HOSTNAME Example.COM\n  Port 6\n"),
    ("an agent", "Host web1\n  IdentityAgent ~/agent.sock\n"),
    ("a wrong port", "Host web1\n  Port x\n"),
    ("an unknown keyword", "Host web1\n  Prot 22\n"),
    ("no value", "Host web1\n  HostName\n"),
    ("a quote without an end", "Host web1\n  User \"x\n"),
    ("an equals sign after a word alone", "Match final = host web1\n  Port 5\nMatch all\n  User x\n"),
    ("none and a file", "UserKnownHostsFile none /x\n"),
    ("two ports", "Host web1\n  Port 9 10\n"),
    ("two users", "Host web1\n  User x y\n"),
    ("a path without its quotes", "Host web1\n  IdentityFile ~/my key\n"),
    ("two lists", "IgnoreUnknown Use* Blah\n"),
    ("no host", "Host\n  Port 3\n"),
    ("nothing to include", "Include\n"),
    ("no such criterion", "Match hots web1\n  Port 2\n"),
    ("a wrong flag", "Host web1\n  IdentitiesOnly perhaps\n"),
];

#[test]
fn what_we_read_is_what_ssh_reads() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    for (what, text) in FILES {
        std::fs::write(&file, text).unwrap();
        for name in ["web1", "web2", "other"] {
            let Some(theirs) = theirs(&file, name) else { return println!("SKIPPED: there is no ssh") };
            let ours = ours(&file, name);
            let (Ok(ours), Ok(theirs)) = (&ours, &theirs) else {
                // A value that an earlier one displaces is not even read by us.
                assert!(theirs.is_err(), "{what}, {name}: {ours:?}, and ssh reads it");
                continue;
            };
            for (key, value) in ours {
                let same =
                    theirs.iter().any(|(k, v)| k == key && (v == value || expanded(v) == expanded(value)));
                assert!(same, "{what}, {name}: {key} {value} is not in {:?}", of(theirs, key));
            }
            for key in ["identityfile", "proxyjump", "certificatefile"] {
                let count = ours.iter().filter(|(k, _)| *k == key).count();
                let defaults = key == "identityfile" && count == 0;
                assert!(defaults || count == of(theirs, key).len(), "{what}, {name}: {:?}", of(theirs, key));
            }
        }
    }
}

fn of<'a>(theirs: &'a [(String, String)], key: &str) -> Vec<&'a str> {
    theirs.iter().filter(|(k, _)| k == key).map(|(_, v)| v.as_str()).collect()
}

fn expanded(text: &str) -> String {
    text.replacen('~', std::env::home_dir().unwrap().to_str().unwrap(), 1)
}

#[test]
fn files_include_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::create_dir(path("conf.d")).unwrap();
    std::fs::write(path("conf.d/1.conf"), "Host web1\n  Port 1111\n").unwrap();
    std::fs::write(path("conf.d/2.conf"), "Port 2222\n").unwrap();
    let text =
        format!("Include {0}/conf.d/*.conf {0}/none\nHost web1\n  User deploy\n", dir.path().display());
    std::fs::write(path("config"), &text).unwrap();
    let value = |name: &str, key: &str| {
        let found = ours(&path("config"), name).unwrap();
        found.into_iter().find(|(k, _)| *k == key).unwrap().1
    };
    assert_eq!((value("web1", "port"), value("web1", "user")), ("1111".into(), "deploy".into()));
    assert_eq!(value("web2", "port"), "2222");
    // A folder, hidden files, and two stars are as for ssh.
    std::fs::create_dir(path("conf.d/old")).unwrap();
    std::fs::write(path("conf.d/.1.conf.swp"), "b0VIM 8.2\n").unwrap();
    for (pattern, port) in [
        ("*", "1111"),
        ("**", "1111"),
        ("[!x]*", "1111"),
        ("?.conf", "1111"),
        ("1\\.conf", "1111"),
        ("1.con[f]", "1111"),
        ("1[", "22"),
    ] {
        std::fs::write(path("config"), format!("Include {}/conf.d/{pattern}\n", dir.path().display()))
            .unwrap();
        assert_eq!(value("web1", "port"), port, "{pattern}");
        if let Some(theirs) = theirs(&path("config"), "web1") {
            assert_eq!(of(&theirs.unwrap(), "port"), [port], "{pattern}");
        }
    }
    // Only where the block counts that includes it.
    std::fs::write(path("config"), format!("Host web2\n  Include {}/conf.d/1.conf\n", dir.path().display()))
        .unwrap();
    assert_eq!(value("web1", "port"), "22");
    // In a circle.
    std::fs::write(path("config"), format!("Include {}/config\n", dir.path().display())).unwrap();
    assert!(ours(&path("config"), "web1").unwrap_err().contains("more than 16 deep"));
}

#[test]
fn what_cannot_be_done_names_its_line_and_the_backend_that_can() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    for (text, what) in [
        ("ProxyCommand nc %h %p", "ProxyCommand"),
        ("ProxyCommand none or not", "ProxyCommand"),
        ("CheckHostIP yes", "CheckHostIP"),
        ("Match exec true", "Match exec"),
        ("Match host web1 localnetwork 10.0.0.0/8", "Match localnetwork"),
        ("CanonicalizeHostname yes", "CanonicalizeHostname"),
        ("BindAddress 10.0.0.1", "BindAddress"),
        ("KnownHostsCommand /bin/x", "KnownHostsCommand"),
        ("RevokedHostKeys /etc/x", "RevokedHostKeys"),
        ("PKCS11Provider /lib/x", "PKCS11Provider"),
        ("SetEnv A=b", "SetEnv"),
        ("PubkeyAuthentication no", "PubkeyAuthentication no"),
        ("PreferredAuthentications password", "PreferredAuthentications without publickey"),
    ] {
        std::fs::write(&file, format!("# first\n{text}\n")).unwrap();
        let why = ours(&file, "web1").unwrap_err();
        let place = format!("{}:2: ", file.display());
        assert!(why.starts_with(&place) && why.contains(what), "{why}");
        assert!(why.contains("executor.backend = \"openssh\""), "{why}");
        // For another host it does no harm.
        std::fs::write(&file, format!("Host other\n{}\n", text.replace("web1", "other"))).unwrap();
        if !text.starts_with("Match") {
            ours(&file, "web1").unwrap();
        }
    }
    for fine in [
        "CanonicalizeHostname no",
        "ProxyCommand none",
        "PubkeyAcceptedAlgorithms +ssh-rsa",
        "PubkeyAcceptedAlgorithms ssh-ed25519",
        "RequiredRSASize 3072",
        "SetEnv TERM=xterm-256color",
        "CheckHostIP no\nCheckHostIP yes",
        "PubkeyAuthentication yes\nPubkeyAuthentication no",
        "SetEnv TERM=x\nSetEnv A=b",
        "CASignatureAlgorithms ssh-ed25519",
    ] {
        std::fs::write(&file, fine).unwrap();
        ours(&file, "web1").unwrap();
    }
}

#[test]
fn a_command_after_no_jump_counts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    std::fs::write(&file, "ProxyJump none\nProxyCommand nc %h %p\n").unwrap();
    assert!(ours(&file, "web1").unwrap_err().contains("ProxyCommand"));
    if let Some(theirs) = theirs(&file, "web1") {
        assert_eq!(of(&theirs.unwrap(), "proxycommand"), ["nc %h %p"]);
    }
}

/// What Fedora and its kin set for everybody, in the form that its crypto-policies have, with the keyword of the older ones too.
#[test]
fn the_policy_of_fedora_can_be_done() {
    let policy = "Match final all\n\tInclude FILE\n";
    let rules = "Ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-gcm@openssh.com,aes128-ctr\n\
        MACs hmac-sha2-256-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512\n\
        GSSAPIKexAlgorithms gss-curve25519-sha256-,gss-nistp256-sha256-\n\
        KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,diffie-hellman-group16-sha512\n\
        PubkeyAcceptedAlgorithms ecdsa-sha2-nistp256,ecdsa-sha2-nistp256-cert-v01@openssh.com,ssh-ed25519,ssh-ed25519-cert-v01@openssh.com,rsa-sha2-256,rsa-sha2-512\n\
        CASignatureAlgorithms ecdsa-sha2-nistp256,ssh-ed25519,rsa-sha2-256,rsa-sha2-512\nRequiredRSASize 2048\n";
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let file = path("rules").display().to_string();
    std::fs::write(path("config"), "Host web1\n  Port 7\n".to_owned() + &policy.replace("FILE", &file))
        .unwrap();
    for keyword in ["PubkeyAcceptedAlgorithms", "PubkeyAcceptedKeyTypes"] {
        std::fs::write(path("rules"), rules.replace("PubkeyAcceptedAlgorithms", keyword)).unwrap();
        let files = Files {
            own: Some(path("config")),
            home: dir.path().into(),
            system: dir.path().into(),
            local_user: "me".into(),
        };
        let options = read(&files, "web1", Options::default()).unwrap();
        assert_eq!((options.port, options.rsa_min), (Some(7), Some(2048)));
        assert!(options.accepted.unwrap().ends_with("rsa-sha2-256,rsa-sha2-512"), "{keyword}");
    }
}

#[test]
fn without_a_file_there_is_nothing_and_one_that_is_named_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let files =
        Files { own: None, home: dir.path().into(), system: dir.path().into(), local_user: "me".into() };
    assert!(read(&files, "web1", Options::default()).unwrap().hostname.is_none());
    assert!(ours(&dir.path().join("none"), "web1").unwrap_err().contains("cannot be read"));
}

#[test]
fn paths_have_variables_and_a_home() {
    let home = Path::new("/home/me");
    assert_eq!(tokens::path("~/x", home).unwrap(), Path::new("/home/me/x"));
    assert_eq!(tokens::path("${HOME}/x", home).unwrap(), std::env::home_dir().unwrap().join("x"));
    assert!(tokens::path("~other/x", home).is_err());
    assert!(tokens::path("${UPHAUL_NO_SUCH}/x", home).is_err());
}
