//! What may be a secret in settings and plans, taken out before it is shown. What is stored and sent keeps it.

use std::collections::BTreeMap;

use uphaul_core::evidence::{Mask, is_told};
use uphaul_core::plan::{Health, Manager, Plan, ShellText};

use crate::config;

/// What stands in the place of a value.
const HIDDEN: &str = "***";

/// The value of a key of the configuration. Of `service.env` all is hidden but what the evidence leaves, too: no list of words
/// knows each name that a secret may have.
pub(crate) fn value(key: &str, text: &str) -> String {
    match key.strip_prefix("service.env.") {
        Some(name) if !is_told(name) => HIDDEN.to_owned(),
        None if key.starts_with("service.") => url(text),
        Some(_) | None => config::mask(text),
    }
}

/// A URL without its name and password, of which either may be a token, and without passwords among its options.
fn url(text: &str) -> String {
    config::mask(&Mask::default().text(text, None))
}

/// A command without the names and passwords of URLs in it.
fn command(text: &mut ShellText) {
    let shown = Mask::default().text(text.as_str(), None);
    // A mark may be longer than what it hides, and the text too long then.
    if let Ok(shown) = shown.parse().or_else(|_| HIDDEN.parse()) {
        *text = shown;
    }
}

/// The settings of a host.
pub(crate) fn settings(settings: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    settings.iter().map(|(key, text)| (key.clone(), value(key, text))).collect()
}

/// A plan, to be shown and never to be run.
pub(crate) fn plan(plan: &Plan) -> Plan {
    let mut shown = plan.clone();
    for (name, value) in &mut shown.service.env {
        if !is_told(name.as_str()) {
            HIDDEN.clone_into(value);
        }
    }
    shown.origin = shown.origin.map(|url| Mask::default().text(&url, None));
    let service = &mut shown.service;
    service.health = match service.health.take() {
        Some(Health::Http(at)) => url(at.as_str()).parse().ok().map(Health::Http),
        other => other,
    };
    command(&mut service.install);
    service.before_restart.iter_mut().for_each(command);
    if let Some(Health::Command(text)) = &mut service.health {
        command(text);
    }
    if let Manager::Commands { restart, status } = &mut service.manager {
        command(restart);
        command(status);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_environment_is_hidden_but_what_says_where_things_are() {
        for name in ["SMTP_PASS", "JWT", "STRIPE_KEY", "DATABASE_URL", "path"] {
            assert_eq!(value(&format!("service.env.{name}"), "x"), "***", "{name}");
        }
        for name in ["PATH", "PORT", "NODE_ENV", "LC_ALL"] {
            assert_eq!(value(&format!("service.env.{name}"), "x"), "x", "{name}");
        }
        assert_eq!(value("service.path", "/srv/app"), "/srv/app");
        for (url, shown) in [
            ("http://ana:pw@h:3000/health?a=b", "http://[masked]@h:3000/health?a=b"),
            ("https://token@h/", "https://[masked]@h/"),
            ("http://h/?password=pw&a=b", "http://h/?password=***&a=b"),
            ("http://{address}:3000/health", "http://{address}:3000/health"),
        ] {
            assert_eq!(value("service.health.http", url), shown);
        }
        let settings = settings(&[("service.env.JWT".to_owned(), "x".to_owned())].into());
        assert_eq!(settings["service.env.JWT"], "***");
    }
}
