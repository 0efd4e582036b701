use std::path::PathBuf;

use super::*;

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";

fn file(dir: &tempfile::TempDir, text: &str) -> Vec<PathBuf> {
    let path = dir.path().join("known_hosts");
    std::fs::write(&path, text).unwrap();
    vec![path]
}

fn numbers(text: &str, name: &str) -> Vec<(String, Mark)> {
    let dir = tempfile::tempdir().unwrap();
    let found = lines(&file(&dir, text), name).unwrap();
    found.into_iter().map(|line| (line.place.rsplit_once(':').unwrap().1.to_owned(), line.mark)).collect()
}

#[test]
fn lines_are_found_by_plain_names_wildcards_and_marks() {
    let text = format!(
        "# a comment\n\nweb1,10.0.0.1 {ED25519} root@web1\n[web1]:2222\t{ED25519}\n*.example.com,!db.example.com {ECDSA}\n\
         @revoked * {ED25519}\n@cert-authority *.example.com {ECDSA}\nweb1 ssh-unknown AAAA\nweb1 {ED25519}x\n"
    );
    let line = |number: &str, mark| (number.to_owned(), mark);
    assert_eq!(numbers(&text, "web1"), [line("3", Mark::Plain), line("6", Mark::Revoked)]);
    assert_eq!(numbers(&text, "[web1]:2222"), [line("4", Mark::Plain), line("6", Mark::Revoked)]);
    assert_eq!(
        numbers(&text, "a.example.com"),
        [line("5", Mark::Plain), line("6", Mark::Revoked), line("7", Mark::CertAuthority)]
    );
    assert_eq!(numbers(&text, "db.example.com")[0], line("6", Mark::Revoked));
    // A mark on a line that cannot be read is told all the same.
    assert_eq!(numbers("@revoked web1 what is this\n", "web1"), [line("1", Mark::Revoked)]);
}

#[test]
fn hashed_names_are_those_of_ssh_keygen() {
    let dir = tempfile::tempdir().unwrap();
    let files = file(&dir, &format!("[10.0.0.1]:2222 {ED25519}\n"));
    let keygen = std::process::Command::new("ssh-keygen").arg("-Hf").arg(&files[0]).output();
    let Ok(output) = keygen else { return println!("SKIPPED: there is no ssh-keygen") };
    assert!(output.status.success());
    assert!(std::fs::read_to_string(&files[0]).unwrap().starts_with("|1|"));
    assert_eq!(lines(&files, "[10.0.0.1]:2222").unwrap().len(), 1);
    assert_eq!(lines(&files, "10.0.0.1").unwrap().len(), 0);
}

#[test]
fn what_is_added_is_found_and_nothing_else_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/known_hosts");
    let key = PublicKey::from_openssh(ED25519).unwrap();
    add(&path, "web1", false, &key).unwrap();
    std::fs::write(&path, "web0 ssh-rsa no-end-of-line").unwrap();
    add(&path, "web2", false, &key).unwrap();
    add(&path, "web3", true, &key).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let (kept, added) = text.split_once('\n').unwrap();
    assert_eq!(kept, "web0 ssh-rsa no-end-of-line");
    assert!(added.starts_with(&format!("web2 {ED25519}\n|1|")), "{text}");
    for name in ["web2", "web3"] {
        let found = lines(std::slice::from_ref(&path), name).unwrap();
        assert!(found[0].has(&key.to_bytes().unwrap()), "{name}");
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(path.parent().unwrap()).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_file_that_is_not_there_says_nothing_and_one_that_cannot_be_read_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(lines(&[dir.path().join("none")], "web1").unwrap().is_empty());
    assert!(lines(&[dir.path().to_owned()], "web1").unwrap_err().contains("cannot be read"));
}
