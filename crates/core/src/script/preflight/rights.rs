//! What `sudo -n -l -l` says that the user may do without a password.
//!
//! `sudo -l COMMAND` succeeds for rules that then ask for a password (measured), so the listing itself is read: a
//! rule without a password has `Options: !authenticate`. As in sudoers, the last rule that matches decides.

/// One rule of the listing.
#[derive(Debug)]
struct Rule {
    free: bool,
    /// Whether it is for commands as root.
    root: bool,
    commands: Vec<String>,
}

/// What the user may run as root.
#[derive(Debug, Default)]
pub(super) struct Rights {
    rules: Vec<Rule>,
    /// sudo lists nothing without a password: nothing is allowed without one, and what is allowed with one is not known.
    pub(super) hidden: bool,
    /// What sudo complained of, where it lists nothing.
    pub(super) said: Option<String>,
}

impl Rights {
    /// Reads the listing, line by line.
    pub(super) fn read(lines: &[&str]) -> Self {
        let mut rules: Vec<Rule> = Vec::new();
        let mut in_commands = false;
        let mut free = false;
        for line in lines {
            let text = line.trim();
            // Above the entries stand the defaults, which hold for all of them.
            free |= rules.is_empty() && text.split([',', ' ']).any(|word| word == "!authenticate");
            if text.starts_with("Sudoers entry:") || text.starts_with("LDAP Role:") {
                rules.push(Rule { free, root: true, commands: Vec::new() });
                in_commands = false;
            } else if let (Some(options), Some(rule)) = (text.strip_prefix("Options:"), rules.last_mut()) {
                rule.free |= options.split(',').any(|option| option.trim() == "!authenticate");
            } else if let (Some(users), Some(rule)) = (text.strip_prefix("RunAsUsers:"), rules.last_mut()) {
                rule.root = users.split(',').any(|user| matches!(user.trim(), "root" | "ALL" | "#0"));
            } else if text.starts_with("Commands:") {
                in_commands = true;
            } else if text.contains(": ") && !text.starts_with(['/', '!']) && text != "ALL" {
                in_commands = false;
            } else if let (true, Some(rule)) = (in_commands && !text.is_empty(), rules.last_mut()) {
                rule.commands.push(text.to_owned());
            }
        }
        let hidden = rules.is_empty() && lines.iter().any(|line| line.contains("a password is required"));
        let complaint = lines.iter().find_map(|line| line.trim().strip_prefix("sudo: "));
        let said = complaint.filter(|_| rules.is_empty()).map(ToOwned::to_owned);
        Self { rules, hidden, said }
    }

    /// Whether there are rules, and none that asks for a password: then a rule that matches is enough.
    pub(super) fn never_asks(&self) -> bool {
        let mut root = self.rules.iter().filter(|rule| rule.root).peekable();
        root.peek().is_some() && root.all(|rule| rule.free)
    }

    /// Whether sudo runs the command without asking.
    pub(super) fn allows(&self, command: &str) -> bool {
        self.decision(command) == Some(true)
    }

    /// Whether sudo would run it, and ask for a password first.
    pub(super) fn asks_for(&self, command: &str) -> bool {
        self.decision(command) == Some(false)
    }

    /// The last matching rule: `Some(whether it is free of a password)`, or none where nothing matches or a `!` rule does.
    fn decision(&self, command: &str) -> Option<bool> {
        let mut found = None;
        for rule in self.rules.iter().filter(|rule| rule.root) {
            for pattern in &rule.commands {
                match pattern.strip_prefix('!') {
                    Some(denied) if matches(denied.trim(), command) => found = None,
                    None if matches(pattern, command) => found = Some(rule.free),
                    Some(_) | None => {}
                }
            }
        }
        found
    }
}

/// A command as it has to stand in sudoers.
pub(super) fn in_sudoers(command: &str) -> String {
    let mut text = String::with_capacity(command.len());
    for c in command.chars() {
        if matches!(c, ',' | ':' | '=' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// A rule without arguments allows all; one with arguments allows those, with `*` for anything.
fn matches(pattern: &str, command: &str) -> bool {
    if pattern == "ALL" {
        return true;
    }
    let (program, args) = command.split_once(' ').unwrap_or((command, ""));
    let (allowed, allowed_args) =
        pattern.split_once(' ').map_or((pattern, None), |(p, a)| (p, Some(a.trim())));
    // On a merged /usr both names are one file, and sudo compares the file.
    let same = |path: &str| path.trim_start_matches("/usr").to_owned();
    if same(allowed) != same(program) && !glob(allowed, program) {
        return false;
    }
    match allowed_args {
        None => true,
        Some("\"\"") => args.is_empty(),
        Some(wanted) => glob(wanted, args),
    }
}

/// `*` is any run of characters; the rest is as it stands, but for sudo's backslashes.
fn glob(pattern: &str, text: &str) -> bool {
    let pattern = pattern.replace('\\', "");
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut starred = false;
    let parts: Vec<&str> = parts.collect();
    for (i, part) in parts.iter().enumerate() {
        starred = true;
        if i + 1 == parts.len() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    starred || rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESTART: &str = "/usr/bin/systemctl restart app.service";

    fn rights(text: &str) -> Rights {
        Rights::read(&text.lines().collect::<Vec<_>>())
    }

    #[test]
    fn a_rule_without_password_allows_its_program() {
        let full = rights(
            "User deploy may run the following commands on web-1:\n\nSudoers entry: /etc/sudoers.d/deploy\n    RunAsUsers: root\n    Options: !authenticate\n    Commands:\n\t/usr/bin/systemctl\n\t/usr/bin/systemd-run\n",
        );
        assert!(full.allows(RESTART));
        assert!(full.allows("/usr/bin/systemd-run --quiet"));
        assert!(!full.allows("/usr/bin/journalctl"));
    }

    #[test]
    fn exact_rules_allow_their_arguments_and_no_others() {
        let exact = rights(
            "Sudoers entry:\n    RunAsUsers: root\n    Options: !authenticate\n    Commands:\n\t/bin/systemctl restart app.service\n\t/bin/systemctl reset-failed app.service",
        );
        assert!(exact.allows(RESTART), "/bin and /usr/bin are one folder");
        assert!(!exact.allows("/usr/bin/systemctl restart other.service"));
        assert!(!exact.allows("/usr/bin/systemd-run --quiet"));
    }

    #[test]
    fn a_rule_that_asks_for_a_password_allows_nothing() {
        let asks = rights("Sudoers entry:\n    RunAsUsers: ALL\n    RunAsGroups: ALL\n    Commands:\n\tALL");
        assert!(!asks.allows(RESTART));
        assert!(asks.asks_for(RESTART));
    }

    #[test]
    fn the_last_rule_that_matches_decides() {
        let text = "Sudoers entry:\n    Options: !authenticate\n    Commands:\n\tALL\nSudoers entry:\n    Commands:\n\t/usr/bin/systemctl";
        assert!(!rights(text).allows(RESTART));
        assert!(rights(text).allows("/usr/bin/systemd-run --quiet"));
        let denied =
            "Sudoers entry:\n    Options: !authenticate\n    Commands:\n\tALL\n\t!/usr/bin/systemctl";
        assert!(!rights(denied).allows(RESTART));
    }

    #[test]
    fn a_word_of_sudo_itself_is_kept() {
        let tty = rights("sudo: sorry, you must have a tty to run sudo");
        assert_eq!(tty.said.as_deref(), Some("sorry, you must have a tty to run sudo"));
        assert!(!tty.hidden && !tty.allows(RESTART));
    }

    #[test]
    fn what_sudoers_reads_otherwise_is_escaped() {
        assert_eq!(
            in_sudoers("/usr/bin/systemctl restart app@a:1.service"),
            "/usr/bin/systemctl restart app@a\\:1.service"
        );
        assert_eq!(in_sudoers(RESTART), RESTART);
    }

    #[test]
    fn one_rule_that_asks_makes_a_match_worth_nothing() {
        let free =
            "Sudoers entry:\n    Options: !authenticate\n    Commands:\n\t/usr/bin/systemctl ^restart app$\n";
        assert!(rights(free).never_asks() && !rights(free).allows(RESTART));
        assert!(!rights(&format!("{free}Sudoers entry:\n    Commands:\n\tALL")).never_asks());
        assert!(!rights("sudo: a password is required").never_asks());
    }

    #[test]
    fn wildcards_and_nothing() {
        let wild = rights(
            "Sudoers entry:\n    Options: !authenticate\n    Commands:\n\t/usr/bin/systemctl restart *",
        );
        assert!(wild.allows(RESTART));
        assert!(!wild.allows("/usr/bin/systemctl stop app.service"));
        let hidden = rights("sudo: a password is required");
        assert!(hidden.hidden && !hidden.allows(RESTART) && !hidden.asks_for(RESTART));
    }
}
