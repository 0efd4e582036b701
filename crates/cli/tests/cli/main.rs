//! The real binary, as people see it: what they type, what they read, the exit code.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod adopt;
mod asked;
mod bad_config;
mod bad_hosts;
mod config;
mod db;
mod doctor;
mod env;
mod help;
mod hosts;
mod modes;
mod postgres;
mod record;
mod secrets;
mod shell;
mod signature;
mod streams;
mod unlock;
