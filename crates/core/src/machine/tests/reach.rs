//! All states that can be reached, and where each input leads from each of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::fixtures::{alphabet, plan};
use crate::machine::{IllegalInput, Input, State, Transition, step};
use crate::plan::Plan;

/// The machine, or a broken one that the tests have to find out.
pub(super) type StepFn = fn(&Plan, &State, Input) -> Result<Transition, Box<IllegalInput>>;

/// More than any plan of the tests has; the search stops here rather than run for ever.
const STATES_MAX: usize = 20_000;

pub(super) struct Reach {
    pub(super) states: Vec<State>,
    /// For each state and each letter of the alphabet, the state that it leads to.
    pub(super) next: Vec<Vec<Option<usize>>>,
    /// Every legal transition, in the order it was found.
    pub(super) transitions: Vec<Transition>,
}

impl Reach {
    /// Searches breadth first from `Pending`, with every input in every state.
    pub(super) fn of(plan: &Plan, step: StepFn) -> Self {
        let alphabet = alphabet();
        let mut found = Self { states: vec![State::Pending], next: Vec::new(), transitions: Vec::new() };
        let mut places = HashMap::from([(State::Pending, 0)]);
        while let Some(from) = found.states.get(found.next.len()).cloned() {
            let mut row = Vec::new();
            for (_, input) in &alphabet {
                let Ok(transition) = step(plan, &from, input.clone()) else {
                    row.push(None);
                    continue;
                };
                let place = *places.entry(transition.to.clone()).or_insert_with(|| {
                    found.states.push(transition.to.clone());
                    found.states.len() - 1
                });
                assert!(found.states.len() <= STATES_MAX, "more than {STATES_MAX} states");
                row.push(Some(place));
                found.transitions.push(transition);
            }
            found.next.push(row);
        }
        found
    }

    /// How many legal transitions there are.
    pub(super) fn edges(&self) -> usize {
        self.transitions.len()
    }

    /// The longest way through states of which `through` is true, in transitions, from any of them; `None` where
    /// there is no longest one, because a way leads back to itself.
    pub(super) fn longest(&self, through: impl Fn(&State) -> bool) -> Option<usize> {
        // 0 unseen, 1 on the way, 2 done; no recursion, so that a long way cannot end the test by its stack.
        let mut seen = vec![0_u8; self.states.len()];
        let mut length = vec![0_usize; self.states.len()];
        for root in 0..self.states.len() {
            let mut way = vec![root];
            while let Some(&at) = way.last() {
                let leaves = through(&self.states[at]);
                let after = || self.next[at].iter().flatten().copied().filter(|_| leaves);
                if seen[at] == 2 {
                    way.pop();
                } else if seen[at] == 1 {
                    length[at] = after().map(|to| length[to] + 1).max().unwrap_or(0);
                    seen[at] = 2;
                    way.pop();
                } else {
                    seen[at] = 1;
                    for to in after() {
                        if seen[to] == 1 {
                            return None;
                        }
                        way.push(to);
                    }
                }
            }
        }
        length.into_iter().max()
    }

    /// For each state, whether some input leads on from it to a state of which `goal` is true.
    pub(super) fn can_reach(&self, goal: impl Fn(&State) -> bool) -> Vec<bool> {
        let mut can: Vec<bool> = self.states.iter().map(goal).collect();
        loop {
            let mut grew = false;
            for at in 0..can.len() {
                if !can[at] && self.next[at].iter().flatten().any(|to| can[*to]) {
                    can[at] = true;
                    grew = true;
                }
            }
            if !grew {
                return can;
            }
        }
    }
}

/// What can be reached with [`plan`], explored once for all tests.
pub(super) fn reach(attempts_max: u8, switch: bool) -> Arc<Reach> {
    static FOUND: Mutex<BTreeMap<(u8, bool), Arc<Reach>>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let explored = || Arc::new(Reach::of(&plan(attempts_max, switch), step));
    found.entry((attempts_max, switch)).or_insert_with(explored).clone()
}
