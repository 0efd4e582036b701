//! What the tests of the whole share.

pub mod lab;
pub mod rig;
