//! The simulated host as a story is told of it, and plans for simulated fleets.

use std::collections::BTreeMap;
use std::sync::Arc;

use uphaul_core::ids::Revision;
use uphaul_core::plan::{
    Goal, Health, HostFacts, Limits, Manager, PLAN_VERSION, Plan, Policy, Scope, Service,
};
use uphaul_core::ports::RemoteExecutor;
use uphaul_exec_mock::{MockExecutor, MockFleet, MockHost, Release};

use crate::story::HostSide;

/// A fleet whose origin has `v1` and `v2`, with `web-1` at `v1`.
#[derive(Debug)]
pub struct SimulatedHost {
    /// The fleet of one.
    pub fleet: MockFleet,
}

impl SimulatedHost {
    /// Both versions are good.
    pub fn new() -> Self {
        let fleet = MockFleet::new();
        let v1 = fleet.release("v1", Release::good());
        fleet.release("v2", Release::good());
        fleet.host("web-1", MockHost::at(&v1));
        Self { fleet }
    }

    /// A plan that takes `web-1` from `v1` to a label.
    pub fn plan(&self, label: &str) -> Plan {
        plan("web-1", &self.fleet.revision("v1"), &self.fleet.revision(label))
    }
}

impl Default for SimulatedHost {
    fn default() -> Self {
        Self::new()
    }
}

impl HostSide for SimulatedHost {
    fn versions(&self) -> String {
        self.fleet.versions("web-1")
    }
    fn label(&self, revision: &Revision) -> String {
        self.fleet.label(revision)
    }
    fn executor(&self) -> Arc<dyn RemoteExecutor> {
        Arc::new(MockExecutor::new(self.fleet.clone()))
    }
}

/// A plan for a simulated host.
///
/// # Panics
/// Where the name is not one of a host.
pub fn plan(name: &str, from: &Revision, to: &Revision) -> Plan {
    let parse = "a safe word";
    Plan {
        version: PLAN_VERSION,
        goal: Goal::Update,
        reference: "main".parse().expect(parse),
        target: to.clone(),
        origin: None,
        recorded: Some(from.clone()),
        attempts_max: 3,
        signers: None,
        deadman: None,
        host: HostFacts {
            name: name.parse().expect("the name of a host"),
            address: "192.0.2.1".into(),
            labels: BTreeMap::new(),
        },
        service: Service {
            path: "/srv/app".parse().expect(parse),
            user: None,
            manager: Manager::Systemd {
                scope: Scope::System,
                units: vec!["app.service".parse().expect(parse)],
            },
            install: "bun install".parse().expect(parse),
            before_restart: None,
            env: BTreeMap::new(),
            health: Some(Health::Http("http://127.0.0.1:3000/health".parse().expect(parse))),
            submodules: false,
            keep: Vec::new(),
        },
        limits: Limits::default(),
        policy: Policy::default(),
    }
}
