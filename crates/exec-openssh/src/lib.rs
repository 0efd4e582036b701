//! RemoteExecutor over the system's ssh.
