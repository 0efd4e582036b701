//! `uphaul config`: what is configured, and where each value came from.

use clap::Subcommand;
use serde_json::json;

use crate::config::{self, Flags, KEYS, Leaf, Origin, Setting, show, variable_of};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::hide;
use crate::output::{Line, Style};
use crate::render::table;

/// Show or check the configuration
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print every value and where it came from, passwords and values of service.env left out
    Show,
    /// Check every profile of the configuration
    Check,
}

pub(crate) fn run(context: &Context, command: &Config) -> Result<Exit, CliError> {
    match command {
        Config::Show => show_all(context),
        Config::Check => check(context),
    }
}

/// A value as it may be shown.
fn shown(key: &str, leaf: &Leaf) -> Leaf {
    match leaf {
        Leaf::Text(text) => Leaf::Text(hide::value(key, text)),
        Leaf::List(_) | Leaf::Rules(_) | Leaf::Count(_) | Leaf::Seconds(_) | Leaf::Flag(_) => leaf.clone(),
    }
}

fn show_all(context: &Context) -> Result<Exit, CliError> {
    let config = context.config()?;
    let values = config.values();
    let variables = values.0.iter().filter(|(key, _)| KEYS.iter().all(|known| known.path != key.as_str()));
    let known = KEYS.iter().map(|key| (key.path, values.setting(key.path)));
    let all: Vec<(&str, Option<&Setting>)> =
        known.chain(variables.map(|(key, setting)| (key.as_str(), Some(setting)))).collect();
    let output = &context.output;
    if output.is_json() {
        let values: Vec<_> = all.iter().map(|(key, setting)| as_json(key, *setting)).collect();
        output.json(&json!({ "profile": config.profile, "file": config.file, "values": values }));
        return Ok(Exit::Done);
    }
    let file = config.file.as_ref().map_or_else(|| "none".to_owned(), |file| file.display().to_string());
    output.message(format!("profile: {}, file: {file}", config.profile));
    let rows: Vec<_> = all.iter().map(|(key, setting)| as_row(key, *setting)).collect();
    for line in table::lines(&["key", "value", "from"], &rows) {
        output.result(line);
    }
    Ok(Exit::Done)
}

fn as_row(key: &str, setting: Option<&Setting>) -> Vec<table::Cell> {
    let Some(setting) = setting else {
        return vec![table::plain(key), table::styled(Style::Dim, "-"), table::styled(Style::Dim, "not set")];
    };
    let style = if setting.origin == Origin::Default { Style::Dim } else { Style::Plain };
    let value = show(&shown(key, &setting.leaf));
    vec![table::plain(key), table::styled(Style::Bold, value), table::styled(style, &setting.place)]
}

fn as_json(key: &str, setting: Option<&Setting>) -> serde_json::Value {
    let value = setting.map(|setting| shown(key, &setting.leaf));
    let origin = setting.map(|setting| &setting.origin);
    let place = setting.map(|setting| &setting.place);
    json!({ "key": key, "value": value, "origin": origin, "place": place, "variable": variable_of(key) })
}

/// Every profile is read as if it were chosen, so that a fault in `prod` is found before `prod` is needed.
fn check(context: &Context) -> Result<Exit, CliError> {
    let mut causes: Vec<String> = Vec::new();
    let mut notes: Vec<(String, String)> = Vec::new();
    let profiles = match &context.flags.profile {
        Some(profile) => vec![profile.clone()],
        None => config::profiles(&context.flags, &context.around),
    };
    for profile in &profiles {
        let flags = Flags { profile: Some(profile.clone()), ..context.flags.clone() };
        match config::load(&flags, &context.around) {
            Ok(loaded) => {
                notes.extend(loaded.warnings.into_iter().map(|warning| (String::new(), warning)));
                notes.extend(loaded.config.remarks().into_iter().map(|remark| (profile.clone(), remark)));
            }
            // A fault of `[default]` comes back in every profile: it is told once.
            Err(error) => {
                let new: Vec<_> = error.causes.into_iter().filter(|cause| !causes.contains(cause)).collect();
                causes.extend(new);
            }
        }
    }
    if !causes.is_empty() {
        let n = causes.len();
        let what = if n == 1 { "a problem".to_owned() } else { format!("{n} problems") };
        return Err(CliError::config(format!("the configuration has {what}")).causes(causes));
    }
    let mut told = std::collections::BTreeSet::new();
    notes.retain(|note| told.insert(note.clone()));
    tell(context, &profiles, &notes);
    Ok(Exit::Done)
}

fn tell(context: &Context, profiles: &[String], notes: &[(String, String)]) {
    let output = &context.output;
    if output.is_json() {
        let note = |(profile, note): &(String, String)| json!({ "profile": profile, "note": note });
        let notes: Vec<_> = notes.iter().map(note).collect();
        output.json(&json!({ "ok": true, "profiles": profiles, "notes": notes }));
        return;
    }
    for (profile, note) in notes {
        let place = if profile.is_empty() { String::new() } else { format!("profile {profile}: ") };
        output.warning(&format!("{place}{note}"));
    }
    output.result(Line::new().styled(Style::Good, "ok").text(format!(": {}", profiles.join(", "))));
}
