//! The time of day.

/// Tells the time. It is written beside what happened and decides nothing.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970-01-01 00:00 UTC.
    fn now_us(&self) -> i64;
}
