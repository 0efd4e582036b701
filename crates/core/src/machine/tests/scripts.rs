//! Every script of up to four faults, on the toy host: what the record says at the end is what the host is.

use std::collections::{BTreeMap, HashMap};

use super::host::{Host, Switch, Version};
use super::reach::{Reach, reach};
use super::story::story;
use super::world::{Choice, Laws, Rules, World};
use crate::machine::{Outcome, RollbackStep, State, Step};

/// How many faults a script has at most.
const FAULTS_MAX: u8 = 4;
/// More worlds than any plan of the tests has; the exploration stops here rather than eat the memory.
const WORLDS_MAX: usize = 4_000_000;
/// How many broken scripts are told.
const STORIES_MAX: usize = 5;

/// All worlds that scripts lead to.
pub(super) struct Explored {
    pub(super) worlds: Vec<World>,
    /// For each world, what can happen and where it leads.
    pub(super) after: Vec<Vec<(Choice, u32)>>,
    /// For each world, by what it was found first.
    found_by: Vec<Option<(u32, Choice)>>,
    /// The worlds where something is wrong, and what.
    pub(super) wrong: Vec<(u32, String)>,
}

impl Explored {
    pub(super) fn of(laws: &Laws<'_>, faults: u8) -> Self {
        let root = World { at: 0, host: Host::NEW, sleeper: None, left: faults };
        let mut found =
            Self { worlds: vec![root], after: Vec::new(), found_by: vec![None], wrong: Vec::new() };
        let mut places = HashMap::from([(root.packed(), 0_u32)]);
        while let Some(world) = found.worlds.get(found.after.len()).copied() {
            let at = u32::try_from(found.after.len()).unwrap();
            if let Err(what) = check(laws, &world) {
                found.wrong.push((at, what));
            }
            let mut after = Vec::new();
            for choice in laws.choices(&world) {
                match laws.apply(&world, choice) {
                    Ok(next) => {
                        let place = *places.entry(next.packed()).or_insert_with(|| {
                            found.worlds.push(next);
                            found.found_by.push(Some((at, choice)));
                            u32::try_from(found.worlds.len() - 1).unwrap()
                        });
                        after.push((choice, place));
                    }
                    Err(input) => found.wrong.push((at, format!("{choice}: {input} means nothing here"))),
                }
            }
            assert!(found.worlds.len() <= WORLDS_MAX, "more than {WORLDS_MAX} worlds");
            found.after.push(after);
        }
        found
    }

    /// The choices that lead to a world.
    pub(super) fn script_to(&self, world: u32) -> Vec<Choice> {
        let mut script = Vec::new();
        let mut at = world;
        while let Some((from, choice)) = self.found_by[at as usize] {
            script.push(choice);
            at = from;
        }
        script.reverse();
        script
    }

    /// The worlds in an order in which everything comes before what it leads to.
    fn in_order(&self) -> Vec<u32> {
        let mut before = vec![0_u32; self.worlds.len()];
        for (_, to) in self.after.iter().flatten() {
            before[*to as usize] += 1;
        }
        let mut order = vec![0_u32];
        let mut place = 0;
        while let Some(&at) = order.get(place) {
            place += 1;
            for (_, to) in &self.after[at as usize] {
                before[*to as usize] -= 1;
                if before[*to as usize] == 0 {
                    order.push(*to);
                }
            }
        }
        assert_eq!(order.len(), self.worlds.len(), "some script never ends");
        order
    }

    /// How many scripts there are, by their end and the number of their faults; and the most transitions of one.
    pub(super) fn count(&self, laws: &Laws<'_>) -> (BTreeMap<(&'static str, u8), u128>, u32) {
        let mut scripts = vec![0_u128; self.worlds.len()];
        let mut moves = vec![0_u32; self.worlds.len()];
        let mut ends = BTreeMap::new();
        scripts[0] = 1;
        for at in self.in_order() {
            let at = at as usize;
            for (_, to) in &self.after[at] {
                let to = *to as usize;
                scripts[to] += scripts[at];
                let moved = u32::from(self.worlds[to].at != self.worlds[at].at);
                moves[to] = moves[to].max(moves[at] + moved);
            }
            // A sleeper that has not woken yet may also sleep on, so an end is an end with it and without it.
            let state = laws.state(&self.worlds[at]);
            if state.is_finished() {
                let faults = self.worlds[0].left - self.worlds[at].left;
                *ends.entry((state.word(), faults)).or_default() += scripts[at];
            }
        }
        (ends, moves.into_iter().max().unwrap_or(0))
    }
}

type WorldVerdict = Result<(), &'static str>;
type OfEnd = fn(&Outcome, &Host) -> WorldVerdict;

/// What holds at every end, by name.
const OF_ENDS: [(&str, OfEnd); 5] = [
    ("updated_is_the_target", invariant_updated_is_the_target),
    ("rolled_back_is_the_previous", invariant_rolled_back_is_the_previous),
    ("aborted_touched_nothing", invariant_aborted_touched_nothing),
    ("no_switch_is_left", invariant_no_switch_is_left),
    ("superseded_was_taken", invariant_superseded_was_taken),
];

fn check(laws: &Laws<'_>, world: &World) -> Result<(), String> {
    let State::Finished(outcome) = laws.state(world) else { return Ok(()) };
    // A job that nobody waits for ends later.
    let mut host = world.host;
    host.finish_pending();
    for (name, invariant) in OF_ENDS {
        invariant(outcome, &host).map_err(|what| format!("{name}: {what}"))?;
    }
    Ok(())
}

fn holds(condition: bool, what: &'static str) -> WorldVerdict {
    if condition { Ok(()) } else { Err(what) }
}

fn invariant_updated_is_the_target(outcome: &Outcome, host: &Host) -> WorldVerdict {
    let updated = matches!(outcome, Outcome::Updated { .. } | Outcome::Unchanged);
    holds(!updated || host.is_wholly(Version::Target), "updated, and the host is not wholly the target")
}

fn invariant_rolled_back_is_the_previous(outcome: &Outcome, host: &Host) -> WorldVerdict {
    let back = matches!(outcome, Outcome::RolledBack { .. });
    holds(!back || host.is_wholly(Version::Previous), "rolled back, and the host is not wholly the previous")
}

fn invariant_aborted_touched_nothing(outcome: &Outcome, host: &Host) -> WorldVerdict {
    let aborted = matches!(outcome, Outcome::Aborted { .. });
    holds(!aborted || !host.touched && host.is_wholly(Version::Previous), "aborted, and the host was touched")
}

fn invariant_no_switch_is_left(outcome: &Outcome, host: &Host) -> WorldVerdict {
    let over = match outcome {
        Outcome::Updated { .. } | Outcome::RolledBack { .. } | Outcome::Aborted { .. } => true,
        // Confirm itself has answered that it failed, and that is among the causes.
        Outcome::NeedsAttention { causes, .. } => {
            causes.iter().all(|cause| cause.step != Step::Rollback(RollbackStep::Confirm))
        }
        Outcome::Unchanged | Outcome::Superseded { .. } => false,
    };
    holds(!over || host.switch != Switch::Armed, "over, and the switch can still go back")
}

fn invariant_superseded_was_taken(outcome: &Outcome, host: &Host) -> WorldVerdict {
    let superseded = matches!(outcome, Outcome::Superseded { .. });
    holds(superseded == host.taken, "superseded without another run, or not in spite of one")
}

/// Explores, and tells the story of each broken script.
pub(super) fn stories_of_the_broken(reach: &Reach, rules: Rules, faults: u8) -> Vec<String> {
    let laws = Laws::new(reach, rules);
    let explored = Explored::of(&laws, faults);
    let tell = |(at, what): &(u32, String)| story(&laws, what, faults, &explored.script_to(*at));
    explored.wrong.iter().take(STORIES_MAX).map(tell).collect()
}

fn explore(attempts: u8, switch: bool) {
    let reach = reach(attempts, switch);
    let laws = Laws::new(&reach, Rules { fence: true });
    let explored = Explored::of(&laws, FAULTS_MAX);
    let told: Vec<String> = explored
        .wrong
        .iter()
        .take(STORIES_MAX)
        .map(|(at, what)| story(&laws, what, FAULTS_MAX, &explored.script_to(*at)))
        .collect();
    assert!(told.is_empty(), "{} violations\n\n{}", explored.wrong.len(), told.join("\n\n"));
    let (ends, moves) = explored.count(&laws);
    let scripts: u128 = ends.values().sum();
    let edges: usize = explored.after.iter().map(Vec::len).sum();
    println!(
        "at most {attempts} attempts, {} switch: {} states, {} edges; {} worlds, {edges} ways between them, \
         {scripts} scripts of up to {FAULTS_MAX} faults, at most {moves} transitions, 0 violations",
        if switch { "with" } else { "without" },
        reach.states.len(),
        reach.edges(),
        explored.worlds.len(),
    );
    for word in ["updated", "aborted", "rolled_back", "needs_attention", "superseded"] {
        let by_faults: Vec<String> =
            (0..=FAULTS_MAX).map(|faults| ends.get(&(word, faults)).unwrap_or(&0).to_string()).collect();
        println!("  {word:16} by faults 0 to {FAULTS_MAX}: {}", by_faults.join(", "));
    }
    assert_eq!(ends.get(&("updated", 0)), Some(&1), "without a fault there is one script, and it updates");
    assert_eq!(ends.keys().filter(|(_, faults)| *faults == 0).count(), 1);
    assert_eq!(ends.get(&("needs_attention", 1)), None, "one fault alone never needs a person");
}

#[test]
fn four_faults_without_a_switch() {
    explore(3, false);
}

#[test]
fn four_faults_with_a_switch() {
    explore(3, true);
}

#[test]
fn four_faults_with_two_attempts() {
    explore(2, false);
    explore(2, true);
}

#[test]
fn four_faults_with_one_attempt() {
    explore(1, false);
    explore(1, true);
}
