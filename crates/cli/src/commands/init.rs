//! `uphaul init`: a first configuration, with a comment for every key.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::config::FILE_NAME;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// Write a commented uphaul.toml to begin with
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Write this file
    #[arg(default_value = FILE_NAME, value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

/// The file, word for word. A test reads it back: it has every key, and each commented default is the real one.
pub(crate) const TEMPLATE: &str = include_str!("init.toml");

pub(crate) fn run(context: &Context, args: &Init) -> Result<Exit, CliError> {
    match write(&context.around.cwd.join(&args.file), args.force) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(CliError::usage(format!("{} is there already", args.file.display()))
                .hint("`--force` replaces it")
                .hint("`uphaul config check` says whether it is in order"));
        }
        Err(error) => {
            return Err(CliError::usage(format!("cannot write {}", args.file.display())).because(&error));
        }
    }
    let output = &context.output;
    if output.is_json() {
        output.json(&json!({ "written": args.file }));
        return Ok(Exit::Done);
    }
    output.result(format!("wrote {}", args.file.display()));
    output.message("next: set service.path and service.unit in it, then add a host:");
    output.message("  uphaul hosts add NAME ADDRESS --user USER");
    output.message("  uphaul check NAME");
    Ok(Exit::Done)
}

/// Writes it whole or not at all, and for this user alone: it may come to hold the password of a database.
fn write(path: &std::path::Path, force: bool) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).mode(0o600);
    if !force {
        return options.create_new(true).open(path)?.write_all(TEMPLATE.as_bytes());
    }
    let folder = path.parent().unwrap_or(std::path::Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(TEMPLATE.as_bytes())?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;

    /// Takes the comment signs from lines that are a key or a table.
    fn uncommented() -> String {
        let code = |line: &&str| !line.starts_with(' ') && (line.starts_with('[') || line.contains(" = "));
        let lines = TEMPLATE.lines().map(|line| line.strip_prefix('#').unwrap_or(line));
        lines.filter(code).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_template_has_every_key_with_its_real_default() {
        let text = uncommented();
        let table = toml_edit::ImDocument::parse(text.as_str()).unwrap();
        for key in KEYS {
            let mut item = table.get("default").unwrap();
            for part in key.path.split('.') {
                item = item.get(part).unwrap_or_else(|| panic!("{} is not in the template", key.path));
            }
            let text = item.as_str().map(str::to_owned).unwrap_or_else(|| item.to_string().trim().to_owned());
            if let Some(default) = key.default {
                assert_eq!(text, default, "{}", key.path);
            }
        }
    }
}
