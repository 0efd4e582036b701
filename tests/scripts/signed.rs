//! `service.verify_signature`: with real git and a real ssh-keygen, on a host that may be at odds with it.

use std::path::Path;

use uphaul_tests::signing::SigningKey;

use super::*;

/// A rig with two pairs of keys, `good` and `other`; `good` is allowed.
struct Signed {
    rig: Rig,
    good: SigningKey,
    other: SigningKey,
}

impl Signed {
    fn new() -> Self {
        let rig = Rig::new();
        let key = |name| SigningKey::make(rig.path(), name);
        let (good, other) = (key("good"), key("other"));
        Self { rig, good, other }
    }

    fn key(&self, name: &str) -> &SigningKey {
        if name == "good" { &self.good } else { &self.other }
    }

    /// A line of allowed signers.
    fn line(&self, name: &str, options: &str) -> String {
        self.key(name).line(options)
    }

    fn origin(&self, args: &[&str]) -> String {
        self.signing(&self.good, args)
    }

    /// Runs git in the origin; what it signs it signs by that key.
    fn signing(&self, key: &SigningKey, args: &[&str]) -> String {
        let output = Process::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(key.git())
            .args(args)
            .current_dir(self.rig.origin())
            .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A commit on top of v2, signed by that key or by none; its tag is the label.
    fn commit(&self, label: &str, key: Option<&str>) {
        self.rig.commit(label, &[]);
        if let Some(key) = key {
            self.signing(self.key(key), &["commit", "--quiet", "--amend", "--no-edit", "-S"]);
            self.origin(&["tag", "-f", label]);
        }
    }

    /// Has the tag be an annotated one, signed by that key.
    fn tag(&self, label: &str, key: &str) {
        let commit = format!("{label}^{{commit}}");
        self.signing(self.key(key), &["tag", "-f", "-s", "-m", label, label, &commit]);
    }

    /// What an update to the label comes to, up to its Fetch; the reason where it does not.
    fn fetched(&self, reference: &str, label: &str, signers: &str) -> Result<(), String> {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let bits = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut hand = Hand::new(&self.rig, label, bits);
        hand.plan.reference = reference.parse().unwrap();
        hand.plan.signers = Some(signers.parse().unwrap());
        assert!(matches!(hand.record(), Input::Succeeded(_)));
        let input = hand.update(UpdateStep::Fetch);
        run(&self.rig, &script::release(&hand.plan, &hand.context()));
        assert_eq!(self.rig.versions(), "v1/v1/v1", "nothing was touched");
        match input {
            Input::Succeeded(Observation::Nothing) => Ok(()),
            input => Err(found(input)),
        }
    }
}

#[test]
fn only_a_commit_signed_by_an_allowed_key_is_taken() {
    let signed = Signed::new();
    let (good, both) = (signed.line("good", ""), signed.line("good", "") + &signed.line("other", ""));
    signed.commit("v3", Some("good"));
    assert_eq!(signed.fetched("main", "v3", &good), Ok(()));
    signed.commit("v4", Some("other"));
    let told = signed.fetched("main", "v4", &good).unwrap_err();
    assert!(
        told.contains("is not signed by a key of service.allowed_signers") && told.contains("No principal"),
        "{told}"
    );
    assert_eq!(signed.fetched("main", "v4", &both), Ok(()));
    signed.commit("v5", None);
    let told = signed.fetched("main", "v5", &both).unwrap_err();
    assert!(told.contains("it has no signature"), "{told}");
}

#[test]
fn a_commit_that_was_changed_after_it_was_signed_is_refused() {
    let signed = Signed::new();
    signed.commit("v3", Some("good"));
    let text = signed.origin(&["cat-file", "commit", "v3"]).replace("make v3", "make another v3") + "\n";
    let file = signed.rig.path().join("changed");
    std::fs::write(&file, text).unwrap();
    let hash = signed.origin(&["hash-object", "-t", "commit", "-w", file.to_str().unwrap()]);
    signed.origin(&["tag", "changed", &hash]);
    let told = signed.fetched("changed", "changed", &signed.line("good", "")).unwrap_err();
    assert!(told.contains("is not signed by a key"), "{told}");
}

#[test]
fn keys_are_good_for_their_time() {
    let signed = Signed::new();
    signed.commit("v3", Some("good"));
    for (options, good) in [
        ("valid-after=\"20250101\"", true),
        ("valid-before=\"20260102\"", false),
        ("valid-after=\"20260201\"", false),
        ("valid-after=\"20260101\",valid-before=\"20260201\"", true),
        ("namespaces=\"git\"", true),
        ("namespaces=\"file\"", false),
    ] {
        let told = signed.fetched("main", "v3", &signed.line("good", options));
        assert_eq!(told.is_ok(), good, "{options}: {told:?}");
    }
}

#[test]
fn a_signed_tag_counts_where_it_was_asked_for() {
    let signed = Signed::new();
    let good = signed.line("good", "");
    signed.commit("v3", None);
    signed.tag("v3", "good");
    assert_eq!(signed.fetched("v3", "v3", &good), Ok(()));
    assert_eq!(signed.fetched("refs/tags/v3", "v3", &good), Ok(()));
    for reference in ["main", "refs/heads/main", signed.rig.revision("v3").as_str()] {
        assert!(signed.fetched(reference, "v3", &good).is_err(), "{reference}");
    }
    signed.commit("v4", None);
    signed.tag("v4", "other");
    let told = signed.fetched("v4", "v4", &good).unwrap_err();
    assert!(told.contains("nor is the tag v4"), "{told}");
    // The signed tag of the older version, as one of a new name.
    let object = signed.origin(&["rev-parse", "v3"]);
    signed.origin(&["update-ref", "refs/tags/v9", &object]);
    let told = signed.fetched("v9", "v9", &good).unwrap_err();
    assert!(told.contains("signed, as v3"), "{told}");
}

#[test]
fn the_checkouts_own_configuration_cannot_weaken_it() {
    let signed = Signed::new();
    let good = signed.line("good", "");
    signed.commit("v3", Some("other"));
    let yes = signed.rig.path().join("yes");
    std::fs::write(
        &yes,
        "#!/bin/sh\necho 'Good \"git\" signature for t@example.com with ED25519 key SHA256:x'\n",
    )
    .unwrap();
    executable(&yes);
    let all = signed.rig.path().join("all");
    std::fs::write(&all, signed.line("good", "") + &signed.line("other", "")).unwrap();
    let (yes, all) = (yes.display().to_string(), all.display().to_string());
    for (key, value) in [
        ("gpg.ssh.program", yes.as_str()),
        ("gpg.ssh.program", "/bin/true"),
        ("gpg.program", &yes),
        ("gpg.openpgp.program", &yes),
        ("gpg.x509.program", &yes),
        ("gpg.ssh.allowedSignersFile", &all),
        ("gpg.minTrustLevel", "undefined"),
        ("gpg.format", "openpgp"),
        ("alias.verify-commit", "!true"),
    ] {
        signed.rig.git(&["config", "--local", key, value]);
    }
    assert!(signed.fetched("main", "v3", &good).unwrap_err().contains("is not signed by a key"));
    signed.commit("v4", Some("good"));
    assert_eq!(signed.fetched("main", "v4", &good), Ok(()), "and it does not break what is good");
    // One that claims to be signed by PGP goes to no program either.
    let text = signed.origin(&["cat-file", "commit", "v4"]).replace("SSH SIGNATURE", "PGP SIGNATURE") + "\n";
    let file = signed.rig.path().join("pgp");
    std::fs::write(&file, text).unwrap();
    let hash = signed.origin(&["hash-object", "-t", "commit", "-w", file.to_str().unwrap()]);
    signed.origin(&["tag", "pgp", &hash]);
    assert!(signed.fetched("pgp", "pgp", &good).is_err());
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_object_in_the_stead_of_a_signed_one_is_not_checked_out() {
    let signed = Signed::new();
    signed.commit("v3", Some("good"));
    let mut hand = Hand::new(&signed.rig, "v3", 1);
    hand.plan.signers = Some(signed.line("good", "").parse().unwrap());
    hand.up_to(UpdateStep::Fetch);
    let (v1, v3) = (signed.rig.revision("v1"), signed.rig.revision("v3"));
    signed.rig.git(&["replace", v3.as_str(), v1.as_str()]);
    assert_eq!(hand.update(UpdateStep::Checkout), Input::Succeeded(Observation::Nothing));
    assert_eq!(std::fs::read_to_string(signed.rig.checkout().join("version")).unwrap(), "v3\n");
}

#[test]
fn a_host_that_cannot_look_is_told_by_name() {
    let signed = Signed::new();
    let mut hand = Hand::new(&signed.rig, "v2", 1);
    let report = |hand: &Hand<'_>, old: &str, new: &str| {
        let mut answer = run(hand.rig, &script::preflight(&hand.plan, &hand.context()));
        for (_, value) in &mut answer.lines {
            if value.starts_with(old) {
                *value = new.into();
            }
        }
        let report = script::preflight_of(&hand.plan, &answer);
        report
            .problems
            .into_iter()
            .map(|problem| format!("{}: {}", problem.code, problem.found))
            .collect::<Vec<_>>()
    };
    assert_eq!(report(&hand, "git version", "git version 2.33.1"), Vec::<String>::new());
    assert_eq!(report(&hand, "ssh-keygen ", "nothing"), Vec::<String>::new());
    hand.plan.signers = Some(signed.line("good", "").parse().unwrap());
    assert_eq!(report(&hand, "git version", "git version 2.34.1"), Vec::<String>::new());
    assert_eq!(
        report(&hand, "git version", "git version 2.33.1"),
        ["git-signature: git 2.33 cannot look at signatures: it takes 2.34"]
    );
    assert_eq!(
        report(&hand, "ssh-keygen ", "nothing"),
        ["tool-missing: ssh-keygen is not on the host, and signatures are to be looked at"]
    );
    hand.plan.signers = Some(signed.line("good", "valid-before=\"20300101\"").parse().unwrap());
    let told = report(&hand, "git version", "git version 2.34.1");
    assert!(told[0].contains("good for a time only: it takes 2.35"), "{told:?}");
    let found = hand.preflight().findings;
    assert!(found.iter().any(|finding| finding.text.contains("signed by one of 1 key (")), "{found:?}");
}
