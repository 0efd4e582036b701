//! The `uphaul` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    uphaul::main()
}
