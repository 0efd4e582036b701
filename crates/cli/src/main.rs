//! The `uphaul` binary.
fn main() {}
