//! What the tests of the whole share.

pub mod cost;
pub mod daemon;
pub mod faults;
pub mod hostile;
pub mod lab;
pub mod memory;
pub mod postgres;
pub mod relay;
pub mod rig;
pub mod signing;
pub mod simulated;
pub mod sshd;
mod sshd_keys;
pub mod story;
