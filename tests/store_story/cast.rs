//! Who plays in the stories: hosts, versions, owners, and a driver that has only a log.

use std::collections::BTreeMap;
use std::time::Duration;

use uphaul_core::evidence::Evidence;
use uphaul_core::ids::{HostName, Revision, RunId, Seq};
use uphaul_core::machine::{Input, Observation, Previous, Reason, State, step};
use uphaul_core::plan::{Goal, HostFacts, Limits, Manager, PLAN_VERSION, Plan, Policy, Scope, Service};
use uphaul_core::ports::{Entry, Journal as _, JournalError};
use uphaul_store::{LeaseRow, LeaseToken, NewHost, Owner, RunRecord, Store};

/// How long a lease is.
pub const LENGTH: Duration = Duration::from_secs(30);

/// A revision of 40 times this digit.
pub fn version(digit: char) -> Revision {
    digit.to_string().repeat(40).parse().unwrap()
}

/// A host name.
pub fn name(text: &str) -> HostName {
    text.parse().unwrap()
}

/// A host that nothing special is said about.
pub fn host(text: &str) -> NewHost {
    NewHost {
        name: name(text),
        address: format!("{text}.example.com"),
        port: None,
        user: None,
        host_key: None,
        labels: BTreeMap::new(),
        settings: BTreeMap::new(),
    }
}

/// A process that nobody can look at.
pub fn owner(user: &str) -> Owner {
    Owner {
        user: user.into(),
        machine: "desk".into(),
        pid: 7,
        pid_started: 11,
        boot_id: "boot".into(),
        machine_id: "machine".into(),
        pid_namespace: "pid:[1]".into(),
    }
}

/// For a holder of whom nothing is known.
pub fn alive(_: &LeaseRow) -> bool {
    false
}

/// For a holder that was seen to be dead.
pub fn dead(_: &LeaseRow) -> bool {
    true
}

/// Takes a host that is free.
pub async fn take(store: &Store, host: &str, user: &str) -> LeaseToken {
    store.acquire(&name(host), &owner(user), LENGTH, &alive).await.unwrap().unwrap()
}

/// The plan of a run of this host to this version.
pub fn plan(host: &str, target: char) -> Plan {
    Plan {
        version: PLAN_VERSION,
        goal: Goal::Update,
        reference: "main".parse().unwrap(),
        target: version(target),
        origin: None,
        recorded: None,
        attempts_max: 3,
        signers: None,
        deadman: None,
        host: HostFacts { name: name(host), address: "192.0.2.1".into(), labels: BTreeMap::new() },
        service: Service {
            path: "/srv/app".parse().unwrap(),
            user: None,
            manager: Manager::Systemd { scope: Scope::System, units: vec!["app.service".parse().unwrap()] },
            install: "bun install".parse().unwrap(),
            before_restart: None,
            env: BTreeMap::new(),
            health: None,
            submodules: false,
            keep: Vec::new(),
        },
        limits: Limits::default(),
        policy: Policy::default(),
    }
}

/// A run that nothing has happened to. `number` is its identity.
pub fn pending(number: u64, plan: Plan) -> RunRecord {
    let host = plan.host.name.clone();
    RunRecord { id: RunId::from_bits(number), host, plan, seq: Seq(0), state: State::Pending }
}

/// A driver that performs nothing: it is told what came back, and writes.
pub struct Driver {
    pub store: Store,
    pub lease: LeaseToken,
    pub record: RunRecord,
    pub at_us: i64,
}

impl Driver {
    /// Takes the host as `user` and creates a run on it, at second 100.
    pub async fn begin(store: &Store, user: &str, record: RunRecord) -> Self {
        let lease = take(store, record.host.as_str(), user).await;
        store.create_run(&lease, &record, user, 100_000_000).await.unwrap();
        Self { store: store.clone(), lease, record, at_us: 100_000_000 }
    }

    /// The next transition, as the machine says it; each is a second after the one before.
    pub fn next(&self, input: Input) -> Entry {
        let moved = step(&self.record.plan, &self.record.state, input).unwrap();
        Entry {
            run: self.record.id.clone(),
            seq: self.record.seq.next(),
            proved: moved.proved(&self.record.plan),
            input: moved.input,
            state: moved.to,
            at_us: self.at_us + 1_000_000,
            evidence: None,
        }
    }

    /// Moves the run by what came back.
    pub async fn tell(&mut self, input: Input) -> Result<(), JournalError> {
        self.tell_with(input, None).await
    }

    /// The same, with what was seen of a failure.
    pub async fn tell_with(&mut self, input: Input, evidence: Option<Evidence>) -> Result<(), JournalError> {
        let entry = Entry { evidence, ..self.next(input) };
        self.store.append(&self.lease, &entry).await?;
        self.at_us = entry.at_us;
        (self.record.seq, self.record.state) = (entry.seq, entry.state);
        Ok(())
    }

    /// Moves the run by each of these.
    pub async fn tell_all(&mut self, inputs: impl IntoIterator<Item = Input>) {
        for input in inputs {
            self.tell(input).await.unwrap();
        }
    }

    /// Gives the host back.
    pub async fn leave(self) {
        self.store.release(&self.lease).await.unwrap();
    }
}

/// The step did what it should.
pub fn ok() -> Input {
    Input::Succeeded(Observation::Nothing)
}

/// The step ended with code 1.
pub fn failed() -> Input {
    Input::Failed(Reason::Exited { code: 1, tail: String::new() })
}

/// Record has proved and pinned this version, which is healthy or not.
pub fn previous(digit: char, healthy: bool) -> Input {
    Input::Succeeded(Observation::Previous(Previous { revision: version(digit), healthy }))
}

/// From the start of a run until its checkout begins, with this version before it.
pub fn until_checkout(digit: char) -> Vec<Input> {
    vec![Input::Start, ok(), previous(digit, true), ok()]
}

/// From the start of a run to its good end: nine transitions.
pub fn all_the_way(digit: char) -> Vec<Input> {
    let mut inputs = until_checkout(digit);
    inputs.extend([ok(), ok(), ok(), ok()]);
    inputs
}

/// The state that the log alone leads to.
pub async fn replayed(store: &Store, run: &RunId) -> State {
    let stored = store.run(run).await.unwrap().unwrap();
    let events = store.events(run).await.unwrap();
    let mut state = State::Pending;
    for (before, event) in events.iter().enumerate() {
        assert_eq!(event.seq.0 as usize, before + 1, "the log has no gaps");
        let moved = step(&stored.record.plan, &state, event.input.clone()).unwrap();
        assert_eq!(moved.to, event.state, "transition {}", event.seq.0);
        assert_eq!(moved.proved(&stored.record.plan), event.proved, "transition {}", event.seq.0);
        state = moved.to;
    }
    assert_eq!(stored.record.seq.0 as usize, events.len());
    assert_eq!(stored.record.state, state);
    assert_eq!(stored.finished_at_us.is_some(), state.is_finished());
    state
}
