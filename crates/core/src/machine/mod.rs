//! The pure machine: a total function from (plan, state, input) to the next state.
//!
//! ```text
//! pending ─ preparing ─ updating ─────────────────────────────────────── UPDATED
//!           Preflight   Fetch, Arm, Checkout, Install, Restart, Verify, Confirm
//!           Record        │     └──────────────────── any failure ─────┐
//!              │          │                                     rolling back
//!              └──────────┴── failure: ABORTED     Checkout, Install, Restart, Verify, Confirm
//!                                                         │ ok: ROLLED BACK   failure: NEEDS ATTENTION
//! ```
//!
//! A stored state `updating/Checkout#1` means "the checkout may have begun". A crash needs no record of its own:
//! load the state, feed [`Input::Interrupted`], get the same command with the next attempt. Commands are
//! idempotent by contract.

mod command;
mod failure;
mod input;
mod state;
mod step;
#[cfg(test)]
mod tests;

pub use command::{Action, Command};
pub use failure::{Problem, Reason, StepFailure};
pub use input::{Input, Observation};
pub use state::{Outcome, PrepareStep, Previous, RollbackStep, Running, State, Step, UpdateStep};
pub use step::{IllegalInput, Transition, step};
