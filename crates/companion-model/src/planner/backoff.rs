//! The back-off of failed work: 5 s, doubling up to 15 min, or up to 20 s for a cheap repair that is undone.

use std::time::Duration;

use crate::model::observed::Work;

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

/// Returns how many of `failures` remain after an attempt reached the desired state.
///
/// What is undone again and again has another cause than the repair, and waiting costs more than repeating a start
/// or a write, so their delay ends at 20 s. A build or pull is expensive: its delay grows as if it had failed.
pub fn after_success(work: Work, failures: u32) -> u32 {
    match work {
        Work::Image => failures,
        Work::Hook | Work::Unit | Work::Load | Work::Service | Work::Removal | Work::Prune => {
            failures.min(2)
        }
    }
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
    fn success_shortens_the_next_delay_of_a_repair_but_not_of_a_build() {
        assert_eq!(delay(after_success(Work::Service, 9) + 1, 0), Duration::from_secs(20));
        assert_eq!(after_success(Work::Service, 1), 1);
        assert_eq!(after_success(Work::Image, 9), 9);
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
