//! Where the commits of a simulated fleet come from, and what each of them is like on a host.

use std::collections::BTreeMap;

use uphaul_core::ids::Revision;

/// How the install of a release goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Install {
    /// It succeeds.
    Succeeds,
    /// It ends with this code and these last lines; the dependencies are torn.
    Fails {
        /// The exit code.
        code: i32,
        /// The last lines.
        tail: String,
    },
    /// It does not end by itself.
    Hangs,
}

/// How the service of a release starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// It starts.
    Runs,
    /// The restart itself fails, with this code.
    Fails {
        /// The exit code of `systemctl restart`.
        code: i32,
    },
    /// The restart succeeds, and the service ends at once.
    Dies,
}

/// What the health check of a release says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It passes.
    Healthy,
    /// It fails, with this text.
    Ill(String),
}

/// What a commit is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its install.
    pub install: Install,
    /// Its start.
    pub start: Start,
    /// Its health.
    pub health: Health,
}

impl Release {
    /// One that installs, starts and is healthy.
    pub fn good() -> Self {
        Self { install: Install::Succeeds, start: Start::Runs, health: Health::Healthy }
    }

    /// One that installs and starts, and is ill.
    pub fn ill(why: impl Into<String>) -> Self {
        Self { health: Health::Ill(why.into()), ..Self::good() }
    }

    /// One whose install fails.
    pub fn no_install(code: i32, tail: impl Into<String>) -> Self {
        Self { install: Install::Fails { code, tail: tail.into() }, ..Self::good() }
    }

    /// One whose service ends at once.
    pub fn dies() -> Self {
        Self { start: Start::Dies, ..Self::good() }
    }
}

/// All commits and refs. A commit that nobody made known is there all the same, good, and signed by whoever may sign.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// In the order of their making, which is taken for their order in history.
    releases: Vec<(Revision, String, Release)>,
    refs: BTreeMap<String, (&'static str, Revision)>,
    gone: Vec<Revision>,
    /// The public keys that commits are signed by.
    signed: BTreeMap<Revision, String>,
}

impl Origin {
    /// Makes a commit known by its label, with a tag of that name.
    pub(crate) fn release(&mut self, label: &str, release: Release) -> Revision {
        let revision = revision_of(label);
        self.releases.retain(|(known, _, _)| *known != revision);
        self.releases.push((revision.clone(), label.to_owned(), release));
        self.refs.insert(label.to_owned(), ("tag", revision.clone()));
        revision
    }

    pub(crate) fn branch(&mut self, name: &str, at: &Revision) {
        self.refs.insert(name.to_owned(), ("branch", at.clone()));
    }

    pub(crate) fn sign(&mut self, revision: &Revision, key: &str) {
        self.signed.insert(revision.clone(), key.to_owned());
    }

    /// Whether one of these allowed signers, a line each, has signed a commit; the reason where none has.
    pub(crate) fn is_signed(&self, revision: &Revision, signers: &str) -> Result<(), &'static str> {
        match self.signed.get(revision) {
            Some(key) if signers.lines().any(|line| names_key(line, key)) => Ok(()),
            Some(_) => Err("No principal matched."),
            None if self.place(revision).is_none() => Ok(()),
            None => Err("it has no signature"),
        }
    }

    pub(crate) fn remove(&mut self, revision: &Revision) {
        self.gone.push(revision.clone());
        self.refs.retain(|_, (_, at)| at != revision);
    }

    pub(crate) fn has(&self, revision: &Revision) -> bool {
        !self.gone.contains(revision)
    }

    pub(crate) fn of(&self, revision: &Revision) -> Release {
        let known = self.releases.iter().find(|(known, _, _)| known == revision);
        known.map_or_else(Release::good, |(_, _, release)| release.clone())
    }

    pub(crate) fn label(&self, revision: &Revision) -> String {
        let known = self.releases.iter().find(|(known, _, _)| known == revision);
        known.map_or_else(|| revision.short().to_owned(), |(_, label, _)| label.clone())
    }

    /// The first commit that was made known; before that, a made-up one that no ref means.
    pub(crate) fn first(&self) -> Revision {
        self.releases.first().map_or_else(|| revision_of(""), |(revision, _, _)| revision.clone())
    }

    fn place(&self, revision: &Revision) -> Option<usize> {
        self.releases.iter().position(|(known, _, _)| known == revision)
    }

    /// How a target stands to what is checked out, where both are known, and the commits between, newest first.
    pub(crate) fn relation(&self, head: &Revision, target: &Revision) -> Option<(&'static str, Vec<String>)> {
        let (from, to) = (self.place(head)?, self.place(target)?);
        if to < from {
            return Some(("older", Vec::new()));
        }
        let between = self.releases.get(from + 1..=to).unwrap_or_default();
        let line = |(revision, label, _): &(Revision, String, Release)| {
            format!("{} make {label}", &revision.as_str()[..7])
        };
        Some(("newer", between.iter().rev().map(line).collect()))
    }

    /// What a ref means: its kind and commit. Where no ref was made known, every name is a branch with a commit of
    /// its own, so that a fleet can be tried without telling it anything.
    pub(crate) fn resolve(&self, reference: &str) -> Result<(&'static str, Revision), String> {
        let bare = reference.trim_start_matches("refs/heads/").trim_start_matches("refs/tags/");
        if let Some((kind, revision)) = self.refs.get(bare) {
            return Ok((kind, revision.clone()));
        }
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if !(4..=64).contains(&reference.len()) || !reference.chars().all(hex) {
            if self.refs.is_empty() {
                return Ok(("branch", revision_of(bare)));
            }
            return Err(format!("origin has no branch and no tag {reference}"));
        }
        let tips = self.refs.values().map(|(_, revision)| revision);
        let known = self.releases.iter().map(|(revision, _, _)| revision);
        let mut found: Vec<&Revision> =
            tips.chain(known).filter(|at| at.as_str().starts_with(reference) && self.has(at)).collect();
        found.sort();
        found.dedup();
        match (found.as_slice(), reference.parse::<Revision>()) {
            ([one], _) => Ok(("hash", (*one).clone())),
            ([], Ok(whole)) if self.has(&whole) => Ok(("hash", whole)),
            ([], _) => Err(format!("origin has no commit that begins with {reference}")),
            (many, _) => {
                let many: Vec<&str> = many.iter().map(|revision| revision.as_str()).collect();
                Err(format!("{reference} is ambiguous: {}", many.join(" ")))
            }
        }
    }
}

/// Whether a line of allowed signers is of this key: its type and itself.
fn names_key(line: &str, key: &str) -> bool {
    let (words, key): (Vec<_>, Vec<_>) =
        (line.split_whitespace().collect(), key.split_whitespace().collect());
    !line.trim_start().starts_with('#') && !key.is_empty() && words.windows(key.len()).any(|part| part == key)
}

/// The made-up commit of a label: always the same one (FNV-1a, five times).
pub(crate) fn revision_of(label: &str) -> Revision {
    let mut digits = String::with_capacity(40);
    for salt in 0..5_u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in label.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let part = hash ^ hash >> 32;
        digits.push_str(&format!("{:08x}", part & 0xffff_ffff));
    }
    match digits.parse() {
        Ok(revision) => revision,
        Err(_) => unreachable!("40 hexadecimal digits are a revision"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_and_hashes_are_resolved_as_git_does() {
        let mut origin = Origin::default();
        assert_eq!(origin.resolve("anything"), Ok(("branch", revision_of("anything"))));
        let v1 = origin.release("v1", Release::good());
        let v2 = origin.release("v2", Release::good());
        origin.branch("main", &v2);
        assert_eq!(origin.resolve("main"), Ok(("branch", v2.clone())));
        assert_eq!(origin.resolve("refs/tags/v1"), Ok(("tag", v1.clone())));
        assert_eq!(origin.resolve(&v1.as_str()[..8]), Ok(("hash", v1.clone())));
        assert_eq!(origin.resolve(&"a".repeat(40)), Ok(("hash", "a".repeat(40).parse().unwrap())));
        assert!(origin.resolve("nope").unwrap_err().contains("no branch and no tag"));
        assert!(origin.resolve("0123").unwrap_err().contains("begins with"));
        origin.remove(&v2);
        assert!(origin.resolve("main").is_err());
        assert!(origin.resolve(v2.as_str()).is_err());
        assert_eq!(origin.relation(&v1, &v2).unwrap().0, "newer");
        assert_eq!(origin.relation(&v2, &v1).unwrap(), ("older", Vec::new()));
    }
}
