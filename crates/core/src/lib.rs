//! Uphaul's core: what a run of one host is, told as data.
//!
//! A *run* takes one host to one commit. Its life is a [`machine::State`]; [`machine::step`] is the one total
//! function that moves it, without clock, I/O or randomness. The state alone says which
//! [`machine::Command`] must be running now; [`script`] turns a command into the words that are sent to the
//! host; the driver (feature `driver`) writes each transition down before it performs its command.
//!
//! Modules point one way: `ids <- plan <- machine <- {evidence, script} <- ports <- driver`.

pub mod host_key;
pub mod ids;
pub mod machine;
pub mod plan;
pub mod quote;
mod signers;

#[cfg(feature = "driver")]
pub mod driver;
#[cfg(feature = "driver")]
pub mod evidence;
#[cfg(feature = "driver")]
pub mod ports;
#[cfg(feature = "driver")]
pub mod script;
