//! A run on the toy host, and everything that can befall it at each point. What happens next depends on the run's
//! state, the host, the driver that sleeps and the faults that are left, and on nothing before: so worlds that are
//! equal are explored once, and every script of faults is a way through them.

use std::fmt;

use super::fixtures::{alphabet, begun};
use super::host::{Host, How, Reached, Switch, Told, number};
use super::invariants::confirms;
use super::reach::Reach;
use crate::machine::{PrepareStep, Running, State, Step, UpdateStep};

/// A driver that was paused before its command reached the host, and may wake at any later time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Sleeper {
    pub(super) step: Step,
    knows_reverted: bool,
    /// Whether the host has given a number to a later driver since.
    fenced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct World {
    /// The place of the run's state.
    pub(super) at: u16,
    pub(super) host: Host,
    pub(super) sleeper: Option<Sleeper>,
    /// How many faults may still happen.
    pub(super) left: u8,
}

impl World {
    /// All of the world in one number, another one for each world.
    pub(super) fn packed(&self) -> u128 {
        let sleeper = self.sleeper.map_or(0, |sleeper| {
            1 + (u32::from(sleeper.fenced)
                | u32::from(sleeper.knows_reverted) << 1
                | number(sleeper.step) << 2)
        });
        u128::from(self.host.packed()) << 64
            | u128::from(sleeper) << 32
            | u128::from(self.left) << 16
            | u128::from(self.at)
    }
}

/// What a driver that is cut off leaves behind on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The command never reached it.
    NotBegun,
    /// The job went on to its end; the answer is lost.
    Done(How),
    /// The job still goes on.
    GoesOn(How),
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Start,
    Well,
    Fails(Reached),
    Crash(Fate),
    Lost(Fate),
    /// The driver is paused before its command is sent, and another one takes over.
    Paused,
    /// The host cannot be reached any more.
    Away(Fate),
    Reboots(Reached),
    /// Between two commands.
    RebootsUnseen,
    SwitchFires {
        well: bool,
    },
    /// The host says once more that it went back.
    SaysRevertedAgain,
    /// The run of another database takes the host.
    Taken,
    Wakes,
    Returns,
    ReturnsReverted,
}

impl Choice {
    /// How many faults it is.
    pub(super) fn cost(self) -> u8 {
        match self {
            Self::Start | Self::Well | Self::Wakes | Self::Returns | Self::ReturnsReverted => 0,
            Self::Crash(fate) | Self::Lost(fate) | Self::Away(fate) => match fate {
                Fate::Done(How::Fails(_)) | Fate::GoesOn(How::Fails(_)) => 2,
                Fate::NotBegun | Fate::Done(How::Well) | Fate::GoesOn(How::Well) => 1,
            },
            Self::Fails(_)
            | Self::Paused
            | Self::Reboots(_)
            | Self::RebootsUnseen
            | Self::SwitchFires { well: true }
            | Self::SaysRevertedAgain
            | Self::Taken => 1,
            // It acts, and it fails.
            Self::SwitchFires { well: false } => 2,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reached = |reached: &Reached| match reached {
            Reached::Before => "before effect",
            Reached::Half => "halfway",
            Reached::After => "after effect",
        };
        let fate = |fate: &Fate| match fate {
            Fate::NotBegun => "before effect".to_owned(),
            Fate::Done(How::Well) => "after effect".to_owned(),
            Fate::Done(How::Fails(at)) => format!("after it failed {}", reached(at)),
            Fate::GoesOn(How::Well) => "the job goes on".to_owned(),
            Fate::GoesOn(How::Fails(at)) => format!("the job goes on and fails {}", reached(at)),
        };
        match self {
            Self::Start | Self::Well => f.write_str("ok"),
            Self::Fails(at) => write!(f, "FAILED {}", reached(at)),
            Self::Crash(at) => write!(f, "CRASH {}", fate(at)),
            Self::Lost(at) => write!(f, "LOST {}", fate(at)),
            Self::Paused => f.write_str("PAUSED, another driver takes over"),
            Self::Away(at) => write!(f, "AWAY {}", fate(at)),
            Self::Reboots(at) => write!(f, "REBOOT {}", reached(at)),
            Self::RebootsUnseen => f.write_str("the host reboots"),
            Self::SwitchFires { well: true } => f.write_str("the host goes back by itself"),
            Self::SwitchFires { well: false } => f.write_str("the host goes back by itself, and fails"),
            Self::SaysRevertedAgain => f.write_str("SAYS AGAIN that it went back"),
            Self::Taken => f.write_str("TAKEN by another run"),
            Self::Wakes => f.write_str("the paused driver wakes"),
            Self::Returns => f.write_str("the host is back"),
            Self::ReturnsReverted => f.write_str("the host is back, and says that it went back"),
        }
    }
}

/// What a host has to do by itself; a test takes a rule away to see that its loss is found out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// A driver that was overtaken by a later one of the same run is refused, also when it was not given a number
    /// yet.
    pub(super) fence: bool,
}

/// The place that an input leads to, or the name of the input where it means nothing.
type Moved = Result<u16, &'static str>;

pub(super) struct Laws<'a> {
    pub(super) reach: &'a Reach,
    pub(super) rules: Rules,
    letters: Vec<&'static str>,
}

impl<'a> Laws<'a> {
    pub(super) fn new(reach: &'a Reach, rules: Rules) -> Self {
        let letters = alphabet().into_iter().map(|(name, _)| name).collect();
        Self { reach, rules, letters }
    }

    pub(super) fn state(&self, world: &World) -> &'a State {
        &self.reach.states[usize::from(world.at)]
    }

    fn tell(&self, world: &World, input: &'static str) -> Moved {
        let letter = self.letters.iter().position(|name| *name == input).ok_or(input)?;
        let to = self.reach.next[usize::from(world.at)][letter];
        to.and_then(|to| u16::try_from(to).ok()).ok_or(input)
    }

    /// Everything that can happen next, within the faults that are left.
    pub(super) fn choices(&self, world: &World) -> Vec<Choice> {
        let mut all = match self.state(world) {
            State::Pending => vec![Choice::Start],
            State::Running(at) => at_work(at, world),
            State::Parked(_) => while_away(world),
            State::Finished(_) => Vec::new(),
        };
        if world.sleeper.is_some() {
            all.push(Choice::Wakes);
        }
        all.retain(|choice| choice.cost() <= world.left);
        all
    }

    /// Lets it happen.
    pub(super) fn apply(&self, world: &World, choice: Choice) -> Result<World, &'static str> {
        self.told(world, choice).map(|(next, _)| next)
    }

    /// Lets it happen, and says what the run was told; nothing, where it did not notice.
    pub(super) fn told(
        &self,
        world: &World,
        choice: Choice,
    ) -> Result<(World, Option<&'static str>), &'static str> {
        let mut next = World { left: world.left - choice.cost(), ..*world };
        if choice == Choice::Wakes {
            return Ok((self.wake(next), None));
        }
        let input = match begun(self.state(world)) {
            None => Some("start"),
            Some(at) => happen(&mut next, at, choice),
        };
        if next.host.knows_driver
            && let Some(sleeper) = &mut next.sleeper
        {
            sleeper.fenced = true;
        }
        if let Some(input) = input {
            next.at = self.tell(world, input)?;
        }
        Ok((next, input))
    }

    /// What the sleeper wanted to write is refused: a later driver has written since, and the number is taken. Its
    /// command reaches the host, which refuses it when it has heard of a later driver.
    fn wake(&self, mut world: World) -> World {
        if let Some(sleeper) = world.sleeper.take()
            && !(sleeper.fenced && self.rules.fence)
        {
            let knows_driver = world.host.knows_driver;
            world.host.perform(sleeper.step, How::Well, sleeper.knows_reverted);
            world.host.knows_driver = knows_driver;
        }
        world
    }
}

fn at_work(at: &Running, world: &World) -> Vec<Choice> {
    let step = at.step();
    let places = match step {
        Step::Prepare(_) | Step::Update(UpdateStep::Fetch) => &[Reached::Before][..],
        _ if proves(step) => &[Reached::Before],
        // An Arm that answers that it failed has left no switch: the host makes sure of that.
        Step::Update(UpdateStep::Arm) => &[Reached::Before],
        _ if confirms(at) => &[Reached::Before, Reached::After],
        Step::Update(_) | Step::Rollback(_) => &[Reached::Before, Reached::Half, Reached::After],
    };
    let mut fates = vec![Fate::NotBegun, Fate::Done(How::Well)];
    if step != Step::Prepare(PrepareStep::Preflight) {
        fates.push(Fate::GoesOn(How::Well));
        for place in places {
            fates.extend([Fate::Done(How::Fails(*place)), Fate::GoesOn(How::Fails(*place))]);
        }
    }
    let mut all = vec![Choice::Well];
    all.extend(places.iter().copied().map(Choice::Fails));
    for fate in fates {
        all.extend([Choice::Crash(fate), Choice::Lost(fate), Choice::Away(fate)]);
    }
    all.extend([Reached::Before, Reached::Half, Reached::After].map(Choice::Reboots));
    all.extend([Choice::RebootsUnseen, Choice::Taken]);
    if world.sleeper.is_none() {
        all.push(Choice::Paused);
    }
    if world.host.switch == Switch::Armed {
        all.extend([true, false].map(|well| Choice::SwitchFires { well }));
    }
    if world.host.switch_acted() && knows_reverted(at) && !confirms(at) {
        all.push(Choice::SaysRevertedAgain);
    }
    all
}

fn proves(step: Step) -> bool {
    matches!(step, Step::Update(UpdateStep::Verify) | Step::Rollback(crate::machine::RollbackStep::Verify))
}

fn knows_reverted(at: &Running) -> bool {
    matches!(at, Running::RollingBack { reverted: true, .. })
}

fn while_away(world: &World) -> Vec<Choice> {
    let mut all = vec![Choice::Returns, Choice::RebootsUnseen, Choice::Taken];
    if world.host.switch == Switch::Armed {
        all.extend([true, false].map(|well| Choice::SwitchFires { well }));
    }
    if world.host.switch_acted() {
        all.push(Choice::ReturnsReverted);
    }
    all
}

/// What becomes of the host, and what the run is told of it; nothing, where it does not notice.
fn happen(world: &mut World, at: &Running, choice: Choice) -> Option<&'static str> {
    let (step, knows) = (at.step(), knows_reverted(at));
    let host = &mut world.host;
    match choice {
        Choice::Well => Some(word(step, host.perform(step, How::Well, knows))),
        Choice::Fails(place) => Some(word(step, host.perform(step, How::Fails(place), knows))),
        Choice::Crash(fate) => {
            leave(host, step, fate, knows);
            host.knows_driver = false;
            Some("interrupted")
        }
        Choice::Lost(fate) => {
            leave(host, step, fate, knows);
            Some("interrupted")
        }
        Choice::Away(fate) => {
            leave(host, step, fate, knows);
            host.knows_driver = false;
            Some("unreachable")
        }
        Choice::Paused => {
            world.sleeper = Some(Sleeper { step, knows_reverted: knows, fenced: false });
            host.knows_driver = false;
            Some("interrupted")
        }
        Choice::Reboots(place) => {
            host.reboot_during(step, place, knows);
            Some("interrupted")
        }
        Choice::Taken => {
            host.taken = true;
            Some("superseded")
        }
        Choice::SaysRevertedAgain | Choice::ReturnsReverted => Some("reverted"),
        Choice::Returns => Some("interrupted"),
        Choice::RebootsUnseen => {
            host.reboot();
            None
        }
        Choice::SwitchFires { well } => {
            host.switch_fires(well);
            None
        }
        Choice::Start | Choice::Wakes => None,
    }
}

fn leave(host: &mut Host, step: Step, fate: Fate, knows_reverted: bool) {
    match fate {
        Fate::NotBegun => {}
        Fate::Done(how) => {
            host.perform(step, how, knows_reverted);
        }
        Fate::GoesOn(how) => host.begin(step, how, knows_reverted),
    }
}

fn word(step: Step, told: Told) -> &'static str {
    match told {
        Told::Ok if step == Step::Prepare(PrepareStep::Record) => "previous",
        Told::Ok => "ok",
        Told::Failed => "failed",
        Told::Rebooted => "rebooted",
        Told::Reverted => "reverted",
        Told::Superseded => "superseded",
    }
}
