//! What happens on a host as a case wants it: on a real one by a script or to its server, on a simulated one as it is
//! planned.

use uphaul_core::ports::RemoteCommand;
use uphaul_exec_mock::{Door, Fault, What};

use crate::bench::Host;
use crate::scripted::look;

/// It ends with this code, having printed and complained this.
pub fn ends(code: i32, stdout: impl Into<Vec<u8>>, stderr: impl Into<Vec<u8>>) -> What {
    What::Ends { code, stdout: stdout.into(), stderr: stderr.into() }
}

impl Host {
    /// The command; on a simulated host one that it knows, with the same limits, and this planned for it.
    pub fn acts(&self, command: RemoteCommand, planned: What) -> RemoteCommand {
        if !self.is_simulated() {
            return command;
        }
        self.access.fleet.plan(self.target.name.as_str(), Fault::next(planned));
        RemoteCommand { timeout: command.timeout, output_max: command.output_max, ..look() }
    }

    /// Cuts all connections, and can be reached again.
    pub fn cut(&self) {
        if self.is_simulated() {
            self.door(Door::Away);
            self.door(Door::Open);
        } else {
            self.sshd().cut();
        }
    }

    /// How a simulated host answers at its door.
    pub fn door(&self, door: Door) {
        self.access.fleet.door(self.target.name.as_str(), door);
    }

    /// Whether it is a simulated one.
    pub fn is_simulated(&self) -> bool {
        self.backend.is_simulated()
    }
}
