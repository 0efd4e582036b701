//! What may be a secret in settings and plans, taken out before it is shown. What is stored and sent keeps it.

use std::collections::BTreeMap;

use uphaul_core::evidence::{Mask, is_told};
use uphaul_core::plan::Plan;

use crate::config;

/// What stands in the place of a value.
const HIDDEN: &str = "***";

/// The value of a key of the configuration. Of `service.env` all is hidden but what the evidence leaves, too: no list of words
/// knows each name that a secret may have.
pub(crate) fn value(key: &str, text: &str) -> String {
    match key.strip_prefix("service.env.") {
        Some(name) if !is_told(name) => HIDDEN.to_owned(),
        Some(_) | None => config::mask(text),
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
        let settings = settings(&[("service.env.JWT".to_owned(), "x".to_owned())].into());
        assert_eq!(settings["service.env.JWT"], "***");
    }
}
