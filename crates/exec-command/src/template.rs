//! The words of the program, with the host's own in their places.

use uphaul_core::ports::Target;
use uphaul_core::ports::frame::{LOGIN_COMMAND, READER};

/// The most words that a template may have; more are refused.
pub const WORDS_MAX: usize = 100;

/// What may stand in braces.
const KNOWN: [&str; 5] = ["name", "address", "user", "port", "command"];

/// The program and its words: `docker exec -i {address}`.
///
/// `{name}`, `{address}`, `{user}` and `{port}` are the host's, each put into its word as it is. Without `{command}` the
/// words `sh -c SCRIPT` follow at the end, for a program that takes the words of a command. Where `{command}` stands, a
/// whole command line does, for a program that has it read by a shell; it is a constant that every shell reads alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<String>);

impl Template {
    /// Checks the words.
    ///
    /// # Errors
    /// Says what cannot be, and what could.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let Some(program) = words.first().filter(|program| !program.is_empty()) else {
            return Err(
                "names no program; write for example [\"docker\", \"exec\", \"-i\", \"{address}\"]".into()
            );
        };
        if words.len() == 1 && program.contains(char::is_whitespace) {
            return Err(format!(
                "{program:?} is one word; write each word apart, as [\"docker\", \"exec\", ...]"
            ));
        }
        if words.len() > WORDS_MAX {
            return Err(format!("has {} words; at most {WORDS_MAX} are taken", words.len()));
        }
        if let Some(word) = words.iter().find(|word| word.contains('\0')) {
            return Err(format!("{word:?} has a NUL, which no program can be given"));
        }
        if !placeholders(program).is_empty() {
            return Err(format!("{program:?} is the program, which cannot differ from host to host"));
        }
        let all: Vec<&str> = words.iter().flat_map(|word| placeholders(word)).collect();
        if let Some(unknown) = all.iter().find(|name| !KNOWN.contains(name)) {
            return Err(format!("{{{unknown}}} is not known; there are {}", braced(&KNOWN)));
        }
        if !all.iter().any(|name| ["name", "address"].contains(name)) {
            return Err("has neither {address} nor {name}, so all hosts would be the same one".into());
        }
        Ok(Self(words.to_vec()))
    }

    /// The program.
    pub fn program(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// The words that reach a host.
    ///
    /// # Errors
    /// The host lacks something that the template asks for, has a port that the template does not pass on, or something
    /// that the program could take for an option or a shell for more than a word.
    pub fn argv(&self, target: &Target) -> Result<Vec<String>, String> {
        let used = |name: &str| self.0.iter().any(|word| placeholders(word).contains(&name));
        let name = &target.name;
        if let Some(port) = target.port.filter(|_| !used("port")) {
            return Err(format!(
                "host {name} has the port {port}, and executor.command.argv has no {{port}}: without it another host \
                 might be reached"
            ));
        }
        let value = |placeholder: &str| -> Result<String, String> {
            let value = match placeholder {
                "name" => Some(name.to_string()),
                "address" => Some(target.address.clone()),
                "user" => target.user.as_ref().map(ToString::to_string),
                "port" => target.port.map(|port| port.to_string()),
                // The only one that is left, and it comes from here.
                _ => return Ok(LOGIN_COMMAND.to_owned()),
            };
            let value = value.ok_or_else(|| {
                format!(
                    "host {name} has no {placeholder}, which executor.command.argv asks for: `uphaul hosts edit {name} \
                     --{placeholder} ...`"
                )
            })?;
            plain(&value).map_err(|why| format!("host {name} has the {placeholder} {value:?}, {why}"))?;
            Ok(value)
        };
        let mut argv = Vec::with_capacity(self.0.len() + 3);
        for word in &self.0 {
            argv.push(filled(word, value)?);
        }
        if !used("command") {
            argv.extend(["sh", "-c", READER].map(ToOwned::to_owned));
        }
        Ok(argv)
    }
}

/// Refuses what is more than a plain word to a program, or to a shell that the program may hand it to.
fn plain(value: &str) -> Result<(), String> {
    let good = |c: char| c.is_alphanumeric() || "._-:%+@/,=".contains(c);
    if value.is_empty() || value.starts_with('-') {
        return Err("which a program would not take for a host".into());
    }
    match value.chars().find(|c| !good(*c)) {
        Some(c) => Err(format!("and {c:?} can mean something to a shell")),
        None => Ok(()),
    }
}

/// The names that stand in braces. Braces around anything else are plain text.
fn placeholders(word: &str) -> Vec<&str> {
    pieces(word).filter_map(|(_, name)| name).collect()
}

fn filled(word: &str, value: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let mut text = String::new();
    for (before, name) in pieces(word) {
        text.push_str(before);
        if let Some(name) = name {
            text.push_str(&value(name)?);
        }
    }
    Ok(text)
}

/// Text, and the placeholder that follows it.
fn pieces(word: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = word;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut from = 0;
        while let Some(open) = rest[from..].find('{').map(|at| from + at) {
            let inside = &rest[open + 1..];
            let length = inside.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(inside.len());
            if length > 0 && inside[length..].starts_with('}') {
                let piece = (&rest[..open], Some(&inside[..length]));
                rest = &inside[length + 1..];
                return Some(piece);
            }
            from = open + 1;
        }
        Some((std::mem::take(&mut rest), None))
    })
}

fn braced(names: &[&str]) -> String {
    names.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(", ")
}
