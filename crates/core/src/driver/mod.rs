//! The driver: writes a transition down, performs its command, tells the machine what came back.

mod commit;
mod evidence;
mod fleet;
mod link;
mod observe;
mod perform;
mod run;
mod stop;

pub use commit::Committed;
pub use fleet::{FleetEnd, fleet, fleet_within};
pub use link::{Link, Reach};
pub use observe::{Event, Observer, Silent};
pub use run::{Drive, DriveEnd, Ports, drive, drive_over};
pub use stop::{Stop, StopHandle, StopLevel, stop_pair};
