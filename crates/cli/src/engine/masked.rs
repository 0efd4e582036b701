//! What a host says, masked before anybody is shown it. What a run writes down was masked by its driver.

use std::sync::Arc;

use uphaul_core::driver::{Event, Observer};
use uphaul_core::evidence::Mask;
use uphaul_core::plan::Plan;
use uphaul_core::script::{Finding, Preflight};

use super::{Engine, Look};

impl Engine {
    /// What is masked in what the host of this plan says.
    pub(super) fn mask(&self, plan: &Plan) -> Mask {
        Mask::new(&plan.service.env, self.config.mask.clone())
    }
}

/// A look that may be shown.
pub(super) fn look(look: Look, mask: &Mask) -> Look {
    match look {
        Look::Seen(mut both) => {
            report(&mut both.1, mask);
            Look::Seen(both)
        }
        Look::Unseen { away, problem } => Look::Unseen { away, problem: mask.problem(problem) },
    }
}

fn report(report: &mut Preflight, mask: &Mask) {
    let problems = std::mem::take(&mut report.problems);
    report.problems = problems.into_iter().map(|problem| mask.problem(problem)).collect();
    report.findings = report.findings.iter().map(|found| finding(found, mask)).collect();
    // The subjects of commits and the names of files are whatever somebody wrote.
    for text in report.commits.iter_mut().chain(&mut report.dirty).chain(&mut report.remote) {
        *text = mask.text(text, None);
    }
}

fn finding(finding: &Finding, mask: &Mask) -> Finding {
    Finding { code: finding.code, text: mask.text(&finding.text, None) }
}

/// Tells another observer, without the secrets of a run.
pub(super) struct Masked {
    inner: Arc<dyn Observer>,
    mask: Mask,
}

impl Masked {
    pub(super) fn new(inner: Arc<dyn Observer>, mask: Mask) -> Arc<Self> {
        Arc::new(Self { inner, mask })
    }
}

impl Observer for Masked {
    fn tell(&self, event: &Event<'_>) {
        match event {
            // The one thing that a driver tells as the host said it.
            Event::Found { host, finding: found } => {
                self.inner.tell(&Event::Found { host, finding: &finding(found, &self.mask) });
            }
            Event::Moved { .. } | Event::Reconnecting { .. } | Event::Waiting { .. } => {
                self.inner.tell(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use uphaul_core::evidence::Patterns;
    use uphaul_core::machine::Problem;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Observer for Heard {
        fn tell(&self, event: &Event<'_>) {
            self.0.lock().unwrap().push(format!("{event:?}"));
        }
    }

    fn mask() -> Mask {
        let env = [("JWT".parse().unwrap(), "tok_123456".to_owned())].into();
        Mask::new(&env, Patterns::new(&["pin=(\\d+)".to_owned()]).unwrap())
    }

    fn seen() -> Preflight {
        Preflight {
            problems: Vec::new(),
            findings: Vec::new(),
            head: None,
            healthy: true,
            dirty: Vec::new(),
            relation: None,
            commits: Vec::new(),
            held: None,
            remote: None,
            root: false,
            shallow: false,
            target_here: true,
            probe_tool: None,
            switch_unit: None,
        }
    }

    #[test]
    fn what_preflight_found_is_masked() {
        let problem = |text: &str| Problem { code: "x".into(), found: text.into(), fix: text.into() };
        let (secret, safe) = ("a tok_123456, pin=42", "a [masked], pin=[masked]");
        let Look::Unseen { problem: told, .. } =
            look(Look::Unseen { away: true, problem: problem(secret) }, &mask())
        else {
            panic!("it was not seen");
        };
        assert_eq!(told, problem(safe));
        let found = Finding { code: "health", text: secret.into() };
        assert_eq!(finding(&found, &mask()).text, safe);
        let mut seen = seen();
        for texts in [&mut seen.commits, &mut seen.dirty] {
            *texts = vec![secret.to_owned(), "https://ana:pw@h/x".to_owned()];
        }
        report(&mut seen, &mask());
        for texts in [seen.commits, seen.dirty] {
            assert_eq!(texts, [safe, "https://[masked]@h/x"]);
        }
        let heard = Arc::new(Heard::default());
        let host = "web-1".parse().unwrap();
        Masked::new(heard.clone(), mask()).tell(&Event::Found { host: &host, finding: &found });
        let heard = heard.0.lock().unwrap().join("\n");
        assert!(heard.contains(safe) && !heard.contains("tok_"), "{heard}");
    }
}
