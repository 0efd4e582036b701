//! What this program is made of: for `--version --verbose`, and for whoever reads a report of a fault.

use std::fmt::Write as _;

use crate::config::Backend;

/// Everything, one a line.
pub(crate) fn text() -> String {
    let mut text = format!("uphaul {}\n", env!("CARGO_PKG_VERSION"));
    let width = facts().iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, value) in facts() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:width$}  {value}");
    }
    text
}

/// The same for programs.
pub(crate) fn json() -> serde_json::Value {
    let mut all = serde_json::Map::new();
    all.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    for (name, value) in facts() {
        all.insert(name.into(), value.into());
    }
    all.into()
}

fn facts() -> Vec<(&'static str, String)> {
    let commit = match env!("UPHAUL_COMMIT") {
        "" => "not known (a build for development)",
        commit => commit,
    };
    let target = env!("UPHAUL_TARGET_TRIPLE");
    let cargo = match env!("UPHAUL_CARGO_FEATURES") {
        "" => "none",
        some => some,
    };
    vec![
        ("commit", commit.to_owned()),
        ("target", format!("{target}, {}, {} profile", env!("UPHAUL_LINKING"), env!("UPHAUL_PROFILE_BUILT"))),
        ("compiler", env!("UPHAUL_RUSTC").to_owned()),
        ("features", format!("{cargo} of cargo; target: {}", listed(env!("UPHAUL_TARGET_FEATURES"), ','))),
        ("executors", Backend::ALL.map(Backend::name).join(", ")),
        ("databases", "sqlite, postgres".to_owned()),
        ("layout", format!("{} of the record", uphaul_store::layout_known())),
        ("libraries", listed(env!("UPHAUL_LIBRARIES"), ' ')),
        ("linked", env!("UPHAUL_C_LIBRARIES").to_owned()),
    ]
}

fn listed(items: &str, between: char) -> String {
    items.split(between).collect::<Vec<_>>().join(", ")
}
