//! What goes wrong.

use std::time::Duration;

use uphaul_core::machine::{State, Step};

use super::judge;
use super::stage::{Stage, UPDATE};
use crate::operator::Going;

/// For how long a network is cut for a moment.
const MOMENT: Duration = Duration::from_secs(20);
/// For how long a database is away.
const AWAY: Duration = Duration::from_secs(8);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    Killed,
    CutForGood,
    CutForAMoment,
    SshdKilled,
    Rebooted,
    HostFull,
    ControllerFull,
    DatabaseAway,
    SecondOperator,
    OriginCut,
    ClockBack,
}

impl Fault {
    pub(super) const ALL: [Self; 11] = [
        Self::Killed,
        Self::CutForGood,
        Self::CutForAMoment,
        Self::SshdKilled,
        Self::Rebooted,
        Self::HostFull,
        Self::ControllerFull,
        Self::DatabaseAway,
        Self::SecondOperator,
        Self::OriginCut,
        Self::ClockBack,
    ];

    /// As it stands in the name of a trial.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Killed => "controller_killed",
            Self::CutForGood => "network_cut_for_good",
            Self::CutForAMoment => "network_cut_20_s",
            Self::SshdKilled => "sshd_killed",
            Self::Rebooted => "host_rebooted",
            Self::HostFull => "host_disk_full",
            Self::ControllerFull => "controller_disk_full",
            Self::DatabaseAway => "database_away",
            Self::SecondOperator => "second_operator",
            Self::OriginCut => "origin_cut",
            Self::ClockBack => "clock_set_back",
        }
    }

    /// Lets it happen to a controller that is stopped in its step, and gives what became of that one until nothing is
    /// wrong any more.
    pub(super) fn strike(self, stage: &mut Stage, going: Going) -> String {
        match self {
            Self::Killed => {
                going.kill();
                "killed".to_owned()
            }
            Self::CutForGood => {
                stage.host.cut();
                let first = goes_on(stage, going);
                judge::apart(stage);
                stage.host.heal();
                first
            }
            Self::CutForAMoment => {
                stage.host.cut();
                going.signal("CONT");
                std::thread::sleep(MOMENT);
                stage.host.heal();
                end(stage, going)
            }
            Self::SshdKilled => {
                stage.host.crash_sshd();
                goes_on(stage, going)
            }
            Self::Rebooted => {
                let boot = stage.host.begin_reboot();
                going.signal("CONT");
                stage.host.wait_rebooted(&boot);
                end(stage, going)
            }
            Self::HostFull => {
                stage.host.fill_disk();
                let first = goes_on(stage, going);
                if judge::is_over(stage) {
                    // It is still full.
                    judge::judge(stage, String::new());
                }
                stage.host.free_disk();
                first
            }
            Self::ControllerFull => {
                let disk = stage.disk.as_ref().unwrap();
                disk.fill();
                going.signal("CONT");
                going.wait_end();
                disk.free();
                end(stage, going)
            }
            Self::DatabaseAway => {
                let server = stage.postgres.as_mut().unwrap();
                server.kill();
                going.signal("CONT");
                std::thread::sleep(AWAY);
                server.restart().unwrap();
                end(stage, going)
            }
            Self::SecondOperator => {
                stage.other_drove = others_try(stage, &going);
                goes_on(stage, going)
            }
            Self::OriginCut => {
                stage.origin.cut();
                let first = goes_on(stage, going);
                assert!(judge::is_over(stage), "{first}");
                judge::judge(stage, String::new());
                stage.origin.heal();
                first
            }
            Self::ClockBack => {
                std::fs::write(stage.clock(), "").unwrap();
                let first = goes_on(stage, going);
                judge::clock_went_back(stage);
                first
            }
        }
    }
}

/// The controller goes on to its end, and says what it came to.
fn goes_on(stage: &Stage, going: Going) -> String {
    going.signal("CONT");
    end(stage, going)
}

fn end(stage: &Stage, going: Going) -> String {
    let out = going.end();
    let state = stage.operator.state().unwrap();
    // The exit code agrees with the record.
    let code = match (&state, state.word()) {
        (State::Finished(outcome), _) if outcome.is_unreachable() => 5,
        (_, "updated" | "unchanged") => 0,
        (_, "rolled_back") => 3,
        (_, "needs_attention") => 4,
        (_, "unknown" | "superseded") => 5,
        (_, "aborted") => 7,
        // The record could not be written.
        (_, _) => 1,
    };
    assert_eq!(out.code, Some(code), "{}: {out}", state.word());
    if code == 1 { "error".to_owned() } else { state.word().to_owned() }
}

/// Two others try meanwhile: from the same record, and from one of their own. Gives whether the latter drove: it may,
/// where the first has not yet taken the host.
fn others_try(stage: &Stage, going: &Going) -> bool {
    let who = format!("(process {})", going.pid());
    stage.operator.run(&UPDATE).ended(7, &["held by", &who]);
    let other = stage.other.as_ref().unwrap();
    let out = other.run(&UPDATE);
    if out.code == Some(0) && matches!(stage.cell.step, Step::Prepare(_)) {
        return true;
    }
    assert!(matches!(out.code, Some(5 | 7)), "{out}");
    let told = format!("{out}{}", other.causes());
    assert!(told.contains("held by") && told.contains(&who), "{told}");
    false
}
