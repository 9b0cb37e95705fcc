//! The back-off of failed work: 5 s, doubling up to 15 min.

use std::time::Duration;

/// The delay after the first failure.
pub const FIRST: Duration = Duration::from_secs(5);
/// The maximum delay.
pub const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Returns the delay after `failures` consecutive failures, shortened by up to 5 %.
///
/// `jitter` scales the reduction from 0 to 5 % (`u16::MAX`), so that companions that failed together do not
/// retry together; the caller provides it, so that tests are deterministic.
pub fn delay(failures: u32, jitter: u16) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let full = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    full - full / 20 * u32::from(jitter) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn delay_doubles_from_5_seconds_to_15_minutes() {
        let seconds: Vec<_> = (1..=10).map(|n| delay(n, 0).as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]);
    }

    #[test]
    fn a_permanent_failure_is_tried_at_most_110_times_a_day() {
        for jitter in [0, u16::MAX / 2, u16::MAX] {
            let mut elapsed = Duration::ZERO;
            let attempts = (1..)
                .take_while(|count| {
                    elapsed += delay(*count, jitter);
                    elapsed < Duration::from_secs(24 * 3600)
                })
                .count();
            assert!(attempts <= 110, "{attempts} with a jitter of {jitter}");
        }
    }

    proptest! {
        #[test]
        fn delay_stays_within_its_bounds(failures: u32, jitter: u16) {
            let delay = delay(failures, jitter);
            prop_assert!(delay <= LONGEST && delay >= FIRST * 19 / 20);
        }
    }
}
