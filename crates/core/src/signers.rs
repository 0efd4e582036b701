//! Who may sign what is checked out.

use crate::ids::name_type;

name_type! {
    /// Keys by which commits may be signed: a file of allowed signers as ssh-keygen(1) has it, at most 16 KiB. Each line
    /// that is no comment has names, maybe options, and an SSH key.
    Signers, "allowed signers", check_signers
}

impl Signers {
    /// How many keys there are.
    pub fn count(&self) -> usize {
        key_lines(&self.0).count()
    }

    /// Whether a key of them is good for a time only.
    pub fn has_times(&self) -> bool {
        key_lines(&self.0).any(|line| line.contains("valid-after=") || line.contains("valid-before="))
    }
}

fn key_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn check_signers(text: &str) -> Result<(), String> {
    if text.len() > 16 * 1024 {
        return Err("has more than 16 KiB".into());
    }
    if text.contains("PRIVATE KEY") {
        return Err("has a private key; it takes public ones".into());
    }
    if let Some(c) = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(format!("has the control character {c:?}"));
    }
    let is_type = |word: &&str| {
        ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| word.starts_with(start))
    };
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let at = words.iter().position(is_type);
        if !at.is_some_and(|at| at > 0 && words.get(at + 1).is_some_and(|key| key.starts_with("AAAA"))) {
            let number = number + 1;
            return Err(format!(
                "line {number} is not `NAMES [OPTIONS] KEY-TYPE KEY` (ssh-keygen(1), allowed signers)"
            ));
        }
    }
    if key_lines(text).next().is_none() { Err("has no key".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::Signers;

    #[test]
    fn what_is_no_list_of_keys_is_refused() {
        for (bad, why) in [
            ("", "has no key"),
            ("# nobody\n", "has no key"),
            ("ssh-ed25519 AAAAC3 x\n", "line 1"),
            ("a ssh-ed25519 AAAAC3\nb\n", "line 2"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "private"),
            ("a\0 ssh-ed25519 AAAAC3", "control"),
        ] {
            let told = bad.parse::<Signers>().unwrap_err().why;
            assert!(told.contains(why), "signers {bad:?}: {told}");
        }
        let two = "a@x valid-before=\"2030\" ssh-ed25519 AAAAC3 a\n#\n*@y cert-authority ssh-rsa AAAAB3\n";
        let two: Signers = two.parse().unwrap();
        assert_eq!((two.count(), two.has_times()), (2, true));
    }
}
