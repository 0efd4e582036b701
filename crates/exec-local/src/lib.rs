//! RemoteExecutor on this machine.
