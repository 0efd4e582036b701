use super::*;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

#[test]
fn what_ssh_says_is_read() {
    let text = "hostname 10.0.0.1\nport 2222\nglobalknownhostsfile /etc/ssh/a /etc/ssh/b\nuserknownhostsfile /root/a b /root/c\n";
    let found = said(text, None);
    assert_eq!(found.names, ["[10.0.0.1]:2222", "10.0.0.1"]);
    assert_eq!(found.files, ["/root/a b", "/root/c", "/etc/ssh/a", "/etc/ssh/b"].map(PathBuf::from));
    let found = said("hostname h\nport 22\nuserknownhostsfile none\n", Some(Path::new("/own")));
    assert_eq!(found, Said { files: vec!["/own".into()], names: vec!["h".into()] });
    assert_eq!(said("hostname h\nport 2222\nhostkeyalias x\n", None).names, ["x"]);
}

#[test]
fn only_lines_that_revoke_that_key_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    let text = format!(
        "web1 {KEY}\n@revoked web1 ssh-ed25519 AAAA\n  @revoked *\t{KEY} why\n@cert-authority * {KEY}\n#@revoked * {KEY}\n\
         @revoked web2 {KEY}"
    );
    std::fs::write(&file, text).unwrap();
    let key = KEY.parse().unwrap();
    assert_eq!(lines(&file, &key).unwrap(), [3, 6]);
    assert_eq!(lines(&dir.path().join("none"), &key).unwrap(), Vec::<usize>::new());
    assert_eq!(lines(Path::new("/dev/null"), &key).unwrap(), Vec::<usize>::new());
}
