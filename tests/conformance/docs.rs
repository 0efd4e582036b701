//! The table as the documentation has it.

use std::fmt::Write as _;
use std::path::Path;

use crate::backends::BACKENDS;
use crate::bench::Verdict;
use crate::cases::all;

const BEGIN: &str = "<!-- The table of the conformance suite; `UPHAUL_UPDATE_DOCS=1 cargo test -p uphaul-tests --test \
                     executor_conformance docs` writes it. -->\n";
const END: &str = "<!-- The end of the table. -->\n";

/// Compares it with what the backends say of themselves; what they say is what the trials hold them to.
pub fn check() -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/executors.md");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?)));
    let (before, (there, after)) = parts.ok_or("docs/executors.md has no place for the table")?;
    let table = table();
    if there == table {
        return Ok(());
    }
    if std::env::var_os("UPHAUL_UPDATE_DOCS").is_some() {
        let text = format!("{before}{BEGIN}{table}{END}{after}");
        return std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()));
    }
    Err(format!(
        "docs/executors.md has another table than the suite; UPHAUL_UPDATE_DOCS=1 writes this one:\n{table}"
    ))
}

fn table() -> String {
    let mut reasons = Vec::new();
    let names: Vec<&str> = BACKENDS.iter().map(|backend| backend.name).collect();
    // Writing to a String cannot fail.
    let mut text = format!("\n| case | {} |\n", names.join(" | "));
    let _ = writeln!(text, "| --- |{}", " --- |".repeat(BACKENDS.len()));
    for case in all() {
        let cells = BACKENDS.iter().map(|backend| match backend.lack(case.need) {
            Some(Verdict::NotFor(why)) => format!("({})", crate::number(&mut reasons, &why)),
            Some(Verdict::Passed | Verdict::Failed(_) | Verdict::Skipped(_)) | None => "yes".to_owned(),
        });
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(text, "| {} | {} |", case.name.replace('_', " "), cells.join(" | "));
    }
    text.push('\n');
    for (i, why) in reasons.iter().enumerate() {
        let _ = writeln!(text, "({}) {why}  ", i + 1);
    }
    text.push('\n');
    text
}
