//! How soon a connection without a word counts as dead.

use std::time::Duration;

/// After how long without a byte from the server it is asked whether it is there, and after how long it counts as dead.
const OWN: Alive = Alive { interval: Duration::from_secs(3), questions: 2 };
/// libssh2 sends no two questions within less, whatever it is told; sooner there would be none that could be answered.
const INTERVAL_MIN: Duration = Duration::from_secs(2);
/// `ServerAliveCountMax` of OpenSSH where nobody sets it.
const COUNT_DEFAULT: u32 = 3;

/// When a silent server is asked whether it is there, and how often in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alive {
    /// After how long without a byte it is asked, and asked again.
    pub(crate) interval: Duration,
    /// How many questions stay without an answer until it counts as dead, an interval after the last.
    pub(crate) questions: u32,
}

impl Default for Alive {
    fn default() -> Self {
        OWN
    }
}

impl Alive {
    /// What `ServerAliveInterval` (seconds) and `ServerAliveCountMax` ask for, where that is tighter than our own, which
    /// holds in any case: a run must not wait for a host that is gone.
    pub(crate) fn of(interval_s: Option<u32>, count: Option<u32>) -> Self {
        // 0 turns the questions of ssh off.
        let Some(asked) = interval_s.filter(|seconds| *seconds > 0) else { return OWN };
        let asked = Duration::from_secs(asked.into());
        let dead =
            asked.saturating_mul(count.unwrap_or(COUNT_DEFAULT).saturating_add(1)).min(OWN.silent_max());
        let interval = asked.min(OWN.interval).min(dead / 2).max(INTERVAL_MIN);
        let fit = dead.as_millis() / interval.as_millis();
        // With less than one question every pause of the host would be its death.
        Self { interval, questions: u32::try_from(fit).map_or(1, |fit| fit.saturating_sub(1).max(1)) }
    }

    /// How long a server may be silent.
    pub(crate) fn silent_max(self) -> Duration {
        self.interval.saturating_mul(self.questions.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_makes_it_tighter_and_never_laxer() {
        let ms = |interval, count| {
            let alive = Alive::of(interval, count);
            (alive.interval.as_millis(), alive.silent_max().as_millis())
        };
        for (interval, count, told) in [
            (None, None, (3000, 9000)),
            (None, Some(1), (3000, 9000)),
            (Some(0), Some(1), (3000, 9000)),
            (Some(60), None, (3000, 9000)),
            (Some(u32::MAX), Some(u32::MAX), (3000, 9000)),
            // 5 s twice are more than our own 9 s, once are less.
            (Some(5), Some(1), (3000, 9000)),
            (Some(5), Some(0), (2500, 5000)),
            (Some(3), Some(1), (3000, 6000)),
            (Some(2), Some(2), (2000, 6000)),
            (Some(2), Some(100), (2000, 8000)),
            // libssh2 asks no sooner.
            (Some(1), Some(0), (2000, 4000)),
            (Some(1), Some(3), (2000, 4000)),
        ] {
            assert_eq!(ms(interval, count), told, "{interval:?} {count:?}");
        }
        for interval in 0..70 {
            for count in 0..20 {
                let alive = Alive::of(Some(interval), Some(count));
                assert!(alive.interval <= OWN.interval && alive.silent_max() <= OWN.silent_max());
            }
        }
    }
}
