//! Rebuilds when a migration is added: the compiler itself does not watch the folder that they are embedded from.
fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
