//! RemoteExecutor over simulated hosts with planned faults.
