//! RemoteExecutor over simulated hosts with planned faults: what `--executor mock` gives, and what the tests of many
//! hosts stand on.
//!
//! A simulated host has no shell. It reads the values that travel with Uphaul's own commands
//! ([`uphaul_core::script`], protocol) and does what their scripts would do: the claim and its number, one job a step
//! that is found again by its name, a tree, installed dependencies, a running service, reboots. Anything else is
//! refused. It has no clock either: its uptime goes on by a second with each command, and by [`MockFleet::pass`].
//!
//! ```
//! use uphaul_exec_mock::{Cut, Fault, MockExecutor, MockFleet, MockHost, Release, What};
//!
//! let fleet = MockFleet::new();
//! let v1 = fleet.release("v1", Release::good());
//! let v2 = fleet.release("v2", Release::good());
//! fleet.host("web-1", MockHost::at(&v1));
//! fleet.plan("web-1", Fault::job("update-Install", What::Lose(Cut::GoesOn)));
//! let executor = MockExecutor::new(fleet.clone());
//! # let _ = (executor, v2);
//! assert_eq!(fleet.versions("web-1"), "v1/v1/v1");
//! ```

mod executor;
mod fault;
mod fleet;
mod happen;
mod host;
mod origin;

pub use executor::MockExecutor;
pub use fault::{At, Cut, Fault, Moment, What};
pub use fleet::{MockFleet, MockHost};
pub use host::{Door, Service, TRANSCRIPT_MAX, Version};
pub use origin::{Health, Install, Release, Start};

#[cfg(test)]
mod tests;
