//! Hosts, runs, their log and leases in SQLite.
