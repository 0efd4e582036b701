//! Keys that a throw-away SSH server accepts, beside the one that it has from the beginning.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::sshd::{Sshd, make_key, make_key_of, program, read, user, write};

impl Sshd {
    /// A private key that it accepts, encrypted.
    pub fn encrypted(&self) -> PathBuf {
        self.encrypted_by("a passphrase")
    }

    /// The same with a passphrase of one's own, if it was not made yet.
    pub fn encrypted_by(&self, passphrase: &str) -> PathBuf {
        let path = self.dir.path().join("encrypted");
        if !path.exists() {
            make_key(&program("ssh-keygen").unwrap(), &path, passphrase).unwrap();
            self.authorize(&path, "authorized_keys");
        }
        path
    }

    /// A private key of that kind that it accepts.
    pub fn identity_of(&self, kind: &str) -> PathBuf {
        let path = self.dir.path().join(format!("client_{kind}"));
        make_key_of(&program("ssh-keygen").unwrap(), &path, kind, "").unwrap();
        self.authorize(&path, "authorized_keys");
        path
    }

    /// A private key that it accepts, in a format of ssh-keygen (`PEM`, `PKCS8`, `RFC4716` for OpenSSH's own). No
    /// passphrase: in the clear.
    pub fn identity_in(&self, kind: &str, format: &str, passphrase: &str) -> PathBuf {
        let path = self.dir.path().join(format!("client_{kind}_{format}_{}", passphrase.is_empty()));
        let mut keygen = Command::new(program("ssh-keygen").unwrap());
        if kind == "rsa" {
            // Less than its own default, which costs a busy machine seconds.
            keygen.args(["-b", "2048"]);
        } else if kind == "ecdsa" {
            // Every second one of these begins with a zero byte, which OpenSSH leaves out.
            keygen.args(["-b", "521"]);
        }
        keygen.args(["-q", "-t", kind, "-m", format, "-N", passphrase, "-C", "throw-away", "-f"]).arg(&path);
        assert!(keygen.stdin(Stdio::null()).status().unwrap().success());
        self.authorize(&path, "authorized_keys");
        path
    }

    /// A private key that it accepts of that user alone.
    pub fn identity_for(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(format!("client_for_{name}"));
        make_key(&program("ssh-keygen").unwrap(), &path, "").unwrap();
        let file = format!("authorized_keys_{name}");
        write(&self.dir.path().join(&file), "").unwrap();
        self.authorize(&path, &file);
        // It is read as that user.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(self.dir.path().join(&file), mode).unwrap();
        path
    }

    /// A private key that it accepts by a certificate alone, which lies beside it.
    pub fn certified(&self) -> PathBuf {
        self.certified_of("ed25519")
    }

    /// The same, of that kind.
    pub fn certified_of(&self, kind: &str) -> PathBuf {
        let keygen = program("ssh-keygen").unwrap();
        let path = self.dir.path().join(format!("certified_{kind}"));
        let authority = self.dir.path().join("authority");
        if !authority.exists() {
            make_key(&keygen, &authority, "").unwrap();
            let public = read(&self.dir.path().join("authority.pub")).unwrap();
            let both = read(&self.dir.path().join("authorized_keys")).unwrap() + "cert-authority " + &public;
            write(&self.dir.path().join("authorized_keys"), &both).unwrap();
        }
        make_key_of(&keygen, &path, kind, "").unwrap();
        let mut sign = Command::new(keygen);
        sign.args(["-q", "-I", "throw-away", "-n", &user(), "-s"]).arg(authority);
        let signed = sign.arg(path.with_extension("pub")).output().unwrap();
        assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
        path
    }

    fn authorize(&self, path: &Path, file: &str) {
        let both = read(&self.dir.path().join(file)).unwrap()
            + &read(&PathBuf::from(format!("{}.pub", path.display()))).unwrap();
        write(&self.dir.path().join(file), &both).unwrap();
    }
}
