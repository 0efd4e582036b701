//! The jobs of the steps, as `sh/record.sh` to `sh/verify.sh` do them.

use uphaul_core::ids::Revision;

use super::{Ended, How, Kept, Live, Order, Service, Version};
use crate::fault::Moment;
use crate::origin::{Health, Install, Origin, Start};

/// The exit code of a step that says what it found.
const FOUND: i32 = 3;

/// A step that did not succeed.
struct Failed {
    code: i32,
    result: Vec<(String, String)>,
    tail: String,
}

fn found(what: impl Into<String>) -> Failed {
    let what = what.into();
    let tail = format!("uphaul: {what}");
    Failed { code: FOUND, result: vec![("found".into(), what)], tail }
}

type Step = Result<Vec<(String, String)>, Failed>;

impl Live {
    /// Runs a job to its end.
    pub(super) fn job(&mut self, origin: &Origin, order: &Order, how: How) -> Ended {
        let boot = self.boot;
        match how {
            How::Well => {
                let (code, result, tail) = match self.body(origin, order) {
                    Ok(result) => (0, result, String::new()),
                    Err(failed) => (failed.code, failed.result, failed.tail),
                };
                Ended { boot, up_s: self.up_s, code, result, tail }
            }
            How::Fails { moment, code, tail } => {
                match moment {
                    Moment::Before => {}
                    Moment::Half => self.tear(order),
                    Moment::After => drop(self.body(origin, order)),
                }
                Ended { boot, up_s: self.up_s, code, result: Vec::new(), tail }
            }
            How::Hangs => {
                self.tear(order);
                self.pass(order.limit_s.into());
                let result = vec![("timed_out".into(), order.limit_s.to_string())];
                Ended { boot, up_s: self.up_s, code: 137, result, tail: String::new() }
            }
        }
    }

    /// What is left when a step is ended in the middle.
    pub(super) fn tear(&mut self, order: &Order) {
        match order.action.as_str() {
            "checkout" => self.whole = false,
            "install" => self.installed = Version::Torn,
            "restart" => self.service = Service::Down,
            _ => {}
        }
    }

    fn body(&mut self, origin: &Origin, order: &Order) -> Step {
        match order.action.as_str() {
            "record" => self.record(origin, order),
            "fetch" => fetch(origin, order),
            "checkout" => self.checkout(order),
            "install" => self.install(origin, order),
            "restart" => self.restart(origin, order),
            "verify" => self.verify(origin, order),
            "arm" => {
                let to = commit(order.to.as_ref())?;
                self.arm(order, to);
                Ok(Vec::new())
            }
            "confirm" => {
                self.disarm(order);
                Ok(Vec::new())
            }
            other => Err(found(format!("a simulated host knows no action {other}"))),
        }
    }

    fn kept(&mut self, order: &Order) -> &mut Kept {
        self.runs.entry(order.run.clone()).or_default()
    }

    fn record(&mut self, origin: &Origin, order: &Order) -> Step {
        let Some(head) = self.head.clone() else {
            return Err(found(format!("{} has no commit checked out", order.dir)));
        };
        let ill = self.ill(origin, order);
        if order.recorded.as_ref() != Some(&head) && !order.accept_drift {
            match (&order.recorded, &ill) {
                (Some(recorded), _) => {
                    return Err(found(format!("the host runs {head}, and the record says {recorded}")));
                }
                (None, Some(seen)) => {
                    return Err(found(format!(
                        "nothing is recorded of this host, and what it runs is not healthy: {seen}"
                    )));
                }
                (None, None) => {}
            }
        }
        self.previous_ref = Some(head.clone());
        self.runs.retain(|run, _| *run == order.run);
        let healthy = if ill.is_none() { "1" } else { "0" };
        Ok(vec![("previous".into(), head.to_string()), ("healthy".into(), healthy.into())])
    }

    fn checkout(&mut self, order: &Order) -> Step {
        let to = commit(order.to.as_ref())?;
        if order.phase == "update" {
            if self.kept(order).edits.is_none() {
                let edits = std::mem::take(&mut self.dirty);
                if !edits.is_empty() && order.dirty == "refuse" {
                    self.dirty = edits;
                    return Err(found("tracked files were changed by hand since the preflight"));
                }
                self.kept(order).edits = Some(edits);
            }
            (self.head, self.whole, self.dirty) = (Some(to), true, Vec::new());
        } else {
            (self.head, self.whole) = (Some(to), true);
            self.dirty = self.kept(order).edits.clone().unwrap_or_default();
        }
        Ok(self.proof())
    }

    fn install(&mut self, origin: &Origin, order: &Order) -> Step {
        let Some(head) = self.head.clone().filter(|_| self.whole) else {
            self.installed = Version::Torn;
            return Ok(Vec::new());
        };
        match origin.of(&head).install {
            Install::Succeeds => {
                self.installed = Version::Of(head);
                Ok(Vec::new())
            }
            Install::Fails { code, tail } => {
                self.installed = Version::Torn;
                Err(Failed { code, result: Vec::new(), tail })
            }
            Install::Hangs => {
                self.installed = Version::Torn;
                self.pass(order.install_s.into());
                let mut failed =
                    found(format!("the install command did not end within {} s", order.install_s));
                failed.result.insert(0, ("timed_out".into(), order.install_s.to_string()));
                Err(failed)
            }
        }
    }

    fn restart(&mut self, origin: &Origin, order: &Order) -> Step {
        self.jobs.remove(&format!("{}.{}-Verify", order.run, order.phase));
        let (phase, boot) = (order.phase.clone(), self.boot);
        self.kept(order).restarted.insert(phase.clone(), boot);
        self.start(origin);
        let start = match self.tree() {
            Version::Of(revision) => origin.of(&revision).start,
            Version::Torn => Start::Fails { code: 1 },
        };
        if let Start::Fails { code } = start {
            let unit = order.units.first().map_or("app.service", String::as_str);
            let what = match order.manager.as_str() {
                "commands" => format!("the restart command: exit {code}"),
                _ => format!("systemctl restart {unit}: exit {code}"),
            };
            let tail = "the service does not start".to_owned();
            return Err(Failed { code, result: vec![("found".into(), what)], tail });
        }
        let invocation = self.starts;
        self.kept(order).invocations.insert(phase, invocation);
        Ok(Vec::new())
    }

    fn verify(&mut self, origin: &Origin, order: &Order) -> Step {
        let (phase, boot) = (order.phase.clone(), self.boot);
        if self.kept(order).restarted.get(&phase).is_some_and(|restarted| *restarted != boot) {
            return Ok(vec![("rebooted".into(), "1".into())]);
        }
        let to = commit(order.to.as_ref())?;
        if self.head.as_ref() != Some(&to) {
            let at = self.head.as_ref().map_or_else(|| "unreadable".into(), ToString::to_string);
            return Err(found(format!("HEAD is {at} and not {to}: somebody else changes this checkout")));
        }
        if let (Service::Up { invocation, .. }, Some(started)) =
            (self.service.clone(), self.kept(order).invocations.get(&phase))
            && invocation != *started
        {
            return Err(found("the service ended and was started anew since its restart (a crash loop?)"));
        }
        match self.ill(origin, order) {
            Some(seen) if self.service == Service::Down => Err(found(seen)),
            None => {
                self.pass(order.healthy_s.into());
                Ok(self.proof())
            }
            Some(seen) => {
                self.pass(order.verify_s.into());
                let (healthy_s, verify_s) = (order.healthy_s, order.verify_s);
                Err(found(format!("not healthy for {healthy_s} s within {verify_s} s: {seen}")))
            }
        }
    }

    /// What proves a checkout: the commit that is there.
    fn proof(&self) -> Vec<(String, String)> {
        self.head.iter().map(|head| ("head".to_owned(), head.to_string())).collect()
    }

    /// Why the service is not healthy, where it is not.
    pub(super) fn ill(&self, origin: &Origin, order: &Order) -> Option<String> {
        let unit = order.units.first().map_or("the service", String::as_str);
        let Service::Up { tree, .. } = &self.service else {
            return Some(format!("{unit} is failed (failed), result exit-code"));
        };
        let at = if order.health_at.is_empty() { String::new() } else { format!("{}: ", order.health_at) };
        if let Some(ill) = &self.ill {
            return Some(format!("{at}{ill}"));
        }
        match tree {
            Version::Torn => Some(format!("{at}the tree is torn")),
            Version::Of(revision) => match origin.of(revision).health {
                Health::Healthy => None,
                Health::Ill(why) => Some(format!("{at}{why}")),
            },
        }
    }
}

fn fetch(origin: &Origin, order: &Order) -> Step {
    let target = commit(order.target.as_ref())?;
    if !origin.has(&target) {
        return Err(found(format!("origin has no commit {target} any more (was the branch force-pushed?)")));
    }
    if order.signers.is_empty() {
        return Ok(Vec::new());
    }
    origin.is_signed(&target, &order.signers).map(|()| Vec::new()).map_err(|why| {
        found(format!("the commit {target} is not signed by a key of service.allowed_signers: {why}"))
    })
}

fn commit(revision: Option<&Revision>) -> Result<Revision, Failed> {
    revision.cloned().ok_or_else(|| found("the command names no commit"))
}
