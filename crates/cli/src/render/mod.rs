//! How results and progress look. Everything here makes [`crate::output::Line`]s; nothing prints.

pub(crate) mod evidence;
pub(crate) mod failure;
pub(crate) mod frame;
mod progress;
pub(crate) mod recap;
pub(crate) mod story;
pub(crate) mod table;
#[cfg(test)]
mod tests;
pub(crate) mod words;

pub use progress::{HostProgress, Progress};
