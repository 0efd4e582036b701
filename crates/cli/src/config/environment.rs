//! `UPHAUL_SERVICE__PATH` is the key `service.path`: the prefix, then the parts of the key joined by two underscores.

use figment::value::{Dict, Value};

use super::layers::{nested, rivals_in};
use super::problem::Problem;
use super::schema::{ENV_TABLE, KEYS, Known, lookup, nearest};
use crate::surroundings::{PREFIX, Surroundings};

/// Variables with the prefix that are no keys: those that choose the configuration, and those that Uphaul gives to
/// the operator's commands, so that a command may call Uphaul.
fn is_other(rest: &str) -> bool {
    matches!(rest, "CONFIG" | "PROFILE" | "NAME" | "ADDRESS" | "TARGET" | "PREVIOUS")
        || rest.starts_with("LABEL_")
}

/// The variable of a key.
pub(crate) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// Reads the variables, each as a layer of its own. An empty one counts as not set.
pub(crate) fn read(
    around: &Surroundings,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Vec<(String, Dict)> {
    for name in &around.not_text {
        problems.push(Problem::at(format!("environment variable {name}"), "is not UTF-8 text"));
    }
    let mut layers: Vec<(String, Dict)> = Vec::new();
    for (name, value) in &around.vars {
        let Some(rest) = name.strip_prefix(PREFIX).filter(|rest| !is_other(rest)) else { continue };
        if value.is_empty() {
            continue;
        }
        match key_of(rest) {
            Meant::Key(key) => layers.push((name.clone(), nested(&key, Value::from(value.as_str())))),
            Meant::Wrong(why) => problems.push(Problem::at(format!("environment variable {name}"), why)),
            Meant::Perhaps(why) => warnings.push(format!("environment variable {name} is not read: {why}")),
        }
    }
    let (short, long) = (format!("{PREFIX}EXECUTOR"), variable_of("executor.backend"));
    let set = |name: &str| layers.iter().any(|(layer, _)| layer == name);
    if set(&short) && set(&long) && around.var(&short) != around.var(&long) {
        problems.push(Problem::at(
            "environment",
            format!("{short} and {long} are the same key; set one of them"),
        ));
    }
    let mut all = figment::value::Map::new();
    for (_, dict) in &layers {
        merge(&mut all, dict);
    }
    for (first, second) in rivals_in(&all) {
        let (first, second) = (variable_of(first), variable_of(second));
        problems.push(Problem::at("environment", format!("only one of {first} and {second} can be set")));
    }
    layers
}

fn merge(all: &mut Dict, more: &Dict) {
    for (key, value) in more {
        match (all.get_mut(key), value) {
            (Some(Value::Dict(_, old)), Value::Dict(_, new)) => merge(old, new),
            _ => {
                all.insert(key.clone(), value.clone());
            }
        }
    }
}

enum Meant {
    /// This key.
    Key(String),
    /// A key, but none that there is.
    Wrong(String),
    /// Perhaps no key at all.
    Perhaps(String),
}

fn key_of(rest: &str) -> Meant {
    // As short as its flag.
    if rest == "EXECUTOR" {
        return Meant::Key("executor.backend".to_owned());
    }
    let variables = ENV_TABLE.to_uppercase().replace('.', "__") + "__";
    if let Some(name) = rest.strip_prefix(&variables) {
        return Meant::Key(format!("{ENV_TABLE}.{name}"));
    }
    let key = rest.to_lowercase().replace("__", ".");
    // A key with one underscore where two belong, or with two after the prefix, is read as what it should be.
    let flat = |key: &str| key.replace(['.', '_'], "");
    let near = KEYS.iter().find(|known| flat(known.path) == flat(&key)).map(|known| known.path);
    let near = near.or_else(|| nearest(&key, KEYS.iter().map(|known| known.path)));
    let said = match near {
        Some(near) => format!("no such key; did you mean {}?", variable_of(near)),
        None => "no such key; parts of a key are joined by two underscores".to_owned(),
    };
    match lookup(&key) {
        Known::Key(known) => Meant::Key(known.path.to_owned()),
        Known::Table => Meant::Wrong("is a table; set its keys one by one".to_owned()),
        Known::Variable | Known::Unknown if rest.contains("__") => Meant::Wrong(said),
        Known::Variable | Known::Unknown => Meant::Perhaps(said),
    }
}
