//! What can be seen of a failed restart or verify, in the parts of `sh/evidence.sh`.

use std::fmt::Write as _;

use super::{Live, Order, Service};
use crate::origin::Origin;

impl Live {
    /// Everything, part by part.
    pub(crate) fn evidence(&self, origin: &Origin, order: &Order) -> String {
        let mut told = String::new();
        let mut part = |name: &str, how: &str, text: &str| {
            let _infallible = writeln!(told, "part={name}\nhow={how}");
            for line in text.lines() {
                let _infallible = writeln!(told, " {line}");
            }
        };
        let ill = self.ill(origin, order).unwrap_or_else(|| "healthy".into());
        let log = format!("simulated: {ill}");
        if order.manager == "systemd" {
            for unit in &order.units {
                part(&format!("unit {unit}"), &format!("systemctl show {unit}"), &self.unit());
                part(&format!("journal {unit}"), &format!("journalctl -b -u {unit}"), &log);
            }
        } else {
            part("status", "", &ill);
            part("journal", "", "(left out: without systemd nobody here knows where the service logs)");
        }
        match order.health.as_str() {
            "none" => part("health", "", "(no health check is configured)"),
            _ => part("health", &order.health_at, &ill),
        }
        let printed = |job: &str| {
            let ended = self.jobs.get(&format!("{}.{job}", order.run));
            ended.map(|ended| ended.tail.clone()).unwrap_or_default()
        };
        part("step", &format!("the end of what {} printed", order.of), &printed(&order.of));
        part("install", "the end of what the install printed", &printed(&format!("{}-Install", order.phase)));
        part("machine", "df, /proc/meminfo, /proc/loadavg", &format!("up {} s, load 0.00", self.up_s));
        part("logins", "who", "(nobody)");
        told
    }

    fn unit(&self) -> String {
        let (active, sub, invocation) = match &self.service {
            Service::Down => ("failed", "failed", self.starts),
            Service::Up { invocation, .. } => ("active", "running", *invocation),
        };
        format!("LoadState=loaded\nActiveState={active}\nSubState={sub}\nInvocationID={invocation}\n")
    }
}
