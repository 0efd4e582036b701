//! What a cell needs: an origin, a host at v1, who updates it to v2, and the moment at which the fault strikes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use uphaul_core::machine::{RollbackStep, Step::Rollback, Step::Update};
use uphaul_core::machine::{State, Step, UpdateStep};
use uphaul_tests::lab::{Host, HostSpec, Install, Origin, Release, Serve};
use uphaul_tests::postgres::Postgres;

use super::fault::Fault;
use super::small_disk::SmallDisk;
use super::{Cell, STEPS};
use crate::operator::{Going, LONG, Operator, installs_of};
use crate::switch::NEEDS_NETWORK;

pub(super) const UPDATE: [&str; 4] = ["update", "web-1", "--to", "main"];

/// In the order in which they go.
pub(super) struct Stage {
    pub(super) cell: Cell,
    /// The disk of the operator's record, where it can be full.
    pub(super) disk: Option<SmallDisk>,
    pub(super) operator: Operator,
    /// One with a record of their own, where there are two.
    pub(super) other: Option<Operator>,
    /// Whether it was that one who drove the host.
    pub(super) other_drove: bool,
    /// The server of the operator's record, where it can be away.
    pub(super) postgres: Option<Postgres>,
    pub(super) host: Host,
    pub(super) origin: Origin,
    pub(super) v1: String,
    pub(super) v2: String,
}

impl Stage {
    /// Everything is ready for the update. The step that the fault is to meet is a long one, where it can be made so.
    /// What is wrong is why there is no Postgres.
    pub(super) fn new(cell: Cell) -> Result<Self, String> {
        let postgres = match cell.fault {
            Fault::DatabaseAway => Some(Postgres::start()?),
            _ => None,
        };
        let (first, second) = releases(cell.step);
        let spec = HostSpec::new();
        let spec = if cell.fault == Fault::HostFull { spec.small_disk(160) } else { spec };
        let (origin, host, v1) = crate::host_with(spec, first);
        host.slow_checkout(Duration::from_millis(500));
        let mut disk = None;
        let operator = match (&postgres, cell.fault) {
            (Some(server), _) => Operator::with_record(&[&host], |_| server.url()),
            (None, Fault::ControllerFull) => Operator::with_record(&[&host], |home| {
                disk = Some(SmallDisk::mount(&home.join("disk")));
                format!("sqlite:{}", home.join("disk/uphaul.db").display())
            }),
            (None, _) => Operator::of(&[&host]),
        };
        let operator = configured(cell, operator);
        let other = (cell.fault == Fault::SecondOperator).then(|| configured(cell, Operator::of(&[&host])));
        if cell.fault == Fault::OriginCut {
            host.as_user("deploy", "echo v1 >/srv/app/node_modules/of").ok();
        }
        let v2 = origin.commit(second);
        Ok(Self { cell, disk, operator, other, other_drove: false, postgres, host, origin, v1, v2 })
    }

    /// Stops the controller in the middle of the step; false where the step was over already.
    pub(super) fn meet(&self, going: &Going) -> bool {
        // What the origin is asked for in Fetch is asked at its very begin.
        let step = match (self.cell.fault, self.cell.step) {
            (Fault::OriginCut, Update(UpdateStep::Fetch)) => STEPS[1],
            (_, step) => step,
        };
        let wanted = position(step);
        let began = Instant::now();
        loop {
            let now = self.operator.state().map_or(0, |state| reached(&state));
            if now == wanted && self.is_in_the_middle(step) {
                going.signal("STOP");
                going.wait("it stops", || going.is_in("T"));
                return self.operator.state().is_some_and(|state| reached(&state) == wanted);
            }
            if now > wanted || going.is_in("ZX") {
                return false;
            }
            assert!(began.elapsed() < LONG, "not within {LONG:?}: {step}\n{}", going.said());
            // Steps may be short. Nobody announces them, and to look all the time would slow them all down.
            std::thread::sleep(Duration::from_millis(if now + 2 >= wanted { 2 } else { 20 }));
        }
    }

    /// Whether it can be seen on the host that the step is going on, where it can be seen.
    fn is_in_the_middle(&self, step: Step) -> bool {
        let needs_network = self.cell.fault == Fault::OriginCut;
        match step {
            Update(UpdateStep::Checkout) | Rollback(RollbackStep::Checkout) => {
                self.host.path("/var/lib/app/checking-out").exists()
            }
            Update(UpdateStep::Install) if !needs_network => installs_of(&self.host, "v2") > 0,
            Rollback(RollbackStep::Install) if !needs_network => installs_of(&self.host, "v1") > 1,
            Update(UpdateStep::Restart) => {
                self.host.unit_property("app.service", "ActiveState") == "deactivating"
            }
            _ => true,
        }
    }

    /// The file that sets the clock of uphaul back by being there.
    pub(super) fn clock(&self) -> PathBuf {
        self.operator.path("clock-back")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let way = self.operator.runs().iter().map(|run| run.record.state.to_string()).collect::<Vec<_>>();
            eprintln!("{:?}: runs {way:?}, the log of the last: {:#?}", self.cell, self.operator.log());
        }
    }
}

/// v1, which runs, and v2, whose update comes to this step.
fn releases(step: Step) -> (Release, Release) {
    let (v1, v2) = (Release::good("v1"), Release::good("v2"));
    let ill = v2.clone().serve(Serve::Sick);
    match step {
        Update(UpdateStep::Checkout) => (v1, v2.slow_files(5)),
        Update(UpdateStep::Install) => (v1, v2.install(Install::Slow(4))),
        Update(UpdateStep::Restart) => (v1.serve(Serve::SlowStop(3)), v2),
        // The first checkout of v1 was before the host became slow: what is slow is the rollback's.
        Rollback(RollbackStep::Checkout) => (v1.slow_files(5), ill),
        Rollback(RollbackStep::Install) => (v1.install(Install::Slow(4)), ill),
        Rollback(_) => (v1, ill),
        Step::Prepare(_) | Update(_) => (v1, v2),
    }
}

fn configured(cell: Cell, operator: Operator) -> Operator {
    let operator = operator.set("service.deadman.window", "10s").set("timeouts.git", "8s");
    let operator = if cell.is_of_rollback() { operator.set("timeouts.verify", "10s") } else { operator };
    match cell.fault {
        Fault::CutForGood => operator.set("limits.reconnect", "2s").set("timeouts.connect", "8s"),
        Fault::OriginCut => operator.set("service.install", format!("sleep 2; {NEEDS_NETWORK}")),
        Fault::DatabaseAway => operator.set("database.wait", "120s"),
        Fault::ControllerFull => {
            let temporary = operator.path("disk");
            operator.set("database.wait", "4s").env("TMPDIR", temporary)
        }
        // The one that is stopped while others try is not to be overtaken by its own switch.
        Fault::SecondOperator => operator.set("service.deadman.window", "60s"),
        Fault::ClockBack => {
            let (library, file) = (operator.path("clock_back.so"), operator.path("clock-back"));
            build_clock(&library);
            operator.env("LD_PRELOAD", library).env("CLOCK_BACK", file)
        }
        Fault::Killed | Fault::CutForAMoment | Fault::SshdKilled | Fault::Rebooted | Fault::HostFull => {
            operator
        }
    }
}

fn build_clock(library: &Path) {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hosts/matrix/clock_back.c");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(library).arg(source).status();
    assert!(built.unwrap().success());
}

/// Where a step stands in the order of all.
fn position(step: Step) -> usize {
    STEPS.iter().position(|one| *one == step).unwrap() + 1
}

/// How far a run has come, as such a position; what stopped has come to its end.
fn reached(state: &State) -> usize {
    match state {
        State::Pending => 0,
        State::Running(running) => position(running.step()),
        State::Parked(_) | State::Finished(_) => usize::MAX,
    }
}
