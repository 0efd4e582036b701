use super::*;

/// A key that ssh-keygen made; none where there is no ssh-keygen.
fn made(dir: &tempfile::TempDir, name: &str, args: &[&str]) -> Option<PathBuf> {
    let path = dir.path().join(name);
    let mut keygen = std::process::Command::new("ssh-keygen");
    let status =
        keygen.args(["-q", "-f"]).arg(&path).args(args).stdin(std::process::Stdio::null()).status().ok()?;
    status.success().then_some(path)
}

#[test]
fn keys_of_all_kinds_are_read_and_opened() {
    let dir = tempfile::tempdir().unwrap();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let Some(path) = made(&dir, kind, &["-t", kind, "-N", "a passphrase"]) else {
            return println!("SKIPPED: there is no ssh-keygen");
        };
        let key = read(&path).unwrap().unwrap();
        let Material::Locked(locked) = &key.material else { panic!("{kind} is not encrypted") };
        assert_eq!(open(locked, "no").unwrap_err(), "the passphrase is wrong");
        let opened = open(locked, "a passphrase").unwrap();
        std::fs::write(&path, opened.as_bytes()).unwrap();
        let again = read(&path).unwrap().unwrap();
        assert!(matches!(again.material, Material::Open(_)));
        assert_eq!(again.public.unwrap().key_data(), key.public.unwrap().key_data());
    }
}

/// OpenSSH leaves zero bytes at the beginning of a number out: so it is in every second key of nistp521 (and in one of 256 of
/// nistp256).
#[test]
fn keys_with_short_numbers_are_read_and_opened() {
    let dir = tempfile::tempdir().unwrap();
    for (n, cipher) in ["aes256-ctr", "aes256-cbc", "aes256-gcm@openssh.com", "aes128-ctr"].iter().enumerate()
    {
        for m in 0..4 {
            let words = ["-t", "ecdsa", "-b", "521", "-N", "a passphrase", "-a", "1", "-Z", cipher];
            let Some(path) = made(&dir, &format!("{n}-{m}"), &words) else {
                return println!("SKIPPED: there is no ssh-keygen");
            };
            let key = read(&path).unwrap().unwrap();
            let Material::Locked(locked) = &key.material else { panic!("it is not encrypted") };
            assert_eq!(open(locked, "no").unwrap_err(), "the passphrase is wrong");
            std::fs::write(&path, open(locked, "a passphrase").unwrap().as_bytes()).unwrap();
            let again = read(&path).unwrap().unwrap();
            assert!(matches!(again.material, Material::Open(_)));
            assert_eq!(again.public.unwrap().key_data(), key.public.unwrap().key_data());
            // ssh-keygen takes what came out for a key, and for the same.
            let said = std::process::Command::new("ssh-keygen").arg("-yf").arg(&path).output().unwrap();
            let said = String::from_utf8(said.stdout).unwrap();
            let beside = std::fs::read_to_string(with_ending(&path, ".pub")).unwrap();
            assert_eq!(said.split(' ').nth(1), beside.split(' ').nth(1));
        }
    }
}

#[test]
fn a_key_that_others_may_read_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    for format in ["RFC4716", "PEM"] {
        let Some(path) = made(&dir, format, &["-t", "ecdsa", "-m", format, "-N", ""]) else {
            return println!("SKIPPED: there is no ssh-keygen");
        };
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        for (bits, fine) in [(0o400, true), (0o604, false), (0o640, false), (0o600, true)] {
            mode(bits);
            let key = read(&path).unwrap().unwrap();
            assert_eq!(!matches!(key.material, Material::Exposed), fine, "{format} {bits:o}");
            // An agent may have it all the same.
            assert!(key.public.is_some());
        }
    }
}

#[test]
fn the_public_half_alone_stands_for_a_key_of_the_agent() {
    let dir = tempfile::tempdir().unwrap();
    let Some(path) = made(&dir, "id", &["-t", "ed25519", "-N", ""]) else {
        return println!("SKIPPED: there is no ssh-keygen");
    };
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(read(&path).unwrap().unwrap().material, Material::Elsewhere));
    let public = dir.path().join("id.pub");
    assert!(matches!(read(&public).unwrap().unwrap().material, Material::Elsewhere));
    std::fs::remove_file(&public).unwrap();
    assert!(read(&path).unwrap().is_none());
}

#[test]
fn old_formats_are_left_to_libssh2() {
    let dir = tempfile::tempdir().unwrap();
    let Some(path) = made(&dir, "id", &["-t", "rsa", "-m", "PEM", "-N", "a passphrase"]) else {
        return println!("SKIPPED: there is no ssh-keygen");
    };
    let key = read(&path).unwrap().unwrap();
    assert!(matches!(key.material, Material::Old { locked: true, .. }));
    assert!(key.public.is_some(), "it lies beside");
}

#[test]
fn what_is_no_key_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("id");
    for text in ["", "no key", "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n"]
    {
        std::fs::write(&path, text).unwrap();
        let why = read(&path).err().unwrap();
        assert!(why.contains(path.to_str().unwrap()), "{why}");
    }
    assert!(read(dir.path()).err().unwrap().contains("is no file"));
    let Some(good) = made(&dir, "good", &["-t", "ed25519", "-N", ""]) else {
        return println!("SKIPPED: there is no ssh-keygen");
    };
    // Its end is missing; its private half is another one; its passphrase would be used for hours.
    let text = std::fs::read_to_string(&good).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let short = [&lines[..3], &lines[lines.len() - 1..]].concat().join("\n");
    let zeros = b"\0\0\0\x01\0\0\0\x02";
    let packed = |kdf: &[u8], options: &[u8]| {
        let public =
            PublicKey::from_openssh(&std::fs::read_to_string(with_ending(&good, ".pub")).unwrap()).unwrap();
        let public = public.to_bytes().unwrap();
        let mut bytes = b"openssh-key-v1\0".to_vec();
        let cipher: &[u8] = if kdf == b"none" { b"none" } else { b"aes256-ctr" };
        for part in [cipher, kdf, options] {
            bytes.extend([&u32::try_from(part.len()).unwrap().to_be_bytes()[..], part].concat());
        }
        bytes.extend(1_u32.to_be_bytes());
        for part in [&public[..], zeros] {
            bytes.extend([&u32::try_from(part.len()).unwrap().to_be_bytes()[..], part].concat());
        }
        let text = base64ct::Base64::encode_string(&bytes);
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{text}\n-----END OPENSSH PRIVATE KEY-----\n")
    };
    let many = [&2_u32.to_be_bytes()[..], b"xy", &u32::MAX.to_be_bytes()].concat();
    for (text, why) in [
        (short, "damaged"),
        (packed(b"none", b""), "damaged"),
        (packed(b"bcrypt", &many), "4294967295 times"),
        (packed(b"scrypt", b""), "is not known"),
    ] {
        std::fs::write(&path, text).unwrap();
        let said = read(&path).err().unwrap();
        assert!(said.contains(why) && said.contains(path.to_str().unwrap()), "{said}");
    }
}

#[test]
fn a_certificate_is_one_of_its_own_key() {
    let dir = tempfile::tempdir().unwrap();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let Some(path) = made(&dir, kind, &["-t", kind, "-N", ""]) else {
            return println!("SKIPPED: there is no ssh-keygen");
        };
        // Without an end: the crate ssh-key reads no such certificate.
        let mut sign = std::process::Command::new("ssh-keygen");
        sign.args(["-q", "-I", "x", "-n", "root", "-s"]).arg(&path).arg(with_ending(&path, ".pub"));
        assert!(sign.status().unwrap().success());
        let (own, certificate) = (read(&path).unwrap().unwrap(), certificate_beside(&path));
        assert!(
            certificate_of(&own, &certificate)
                .unwrap()
                .starts_with(own.public.as_ref().unwrap().algorithm().as_str())
        );
        let other =
            read(&made(&dir, &format!("{kind}2"), &["-t", kind, "-N", ""]).unwrap()).unwrap().unwrap();
        assert!(certificate_of(&other, &certificate).is_none());
    }
}
