//! Growing, jittered delays. Pure: the attempt number and the randomness are arguments.

use std::time::Duration;

/// Doubles from `min` to `max`; the second half of each delay is random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
}

impl Backoff {
    /// # Errors
    ///
    /// [`InvalidBackoff`] when `min` is zero or above `max`.
    pub fn try_new(min: Duration, max: Duration) -> Result<Self, InvalidBackoff> {
        if min.is_zero() || min > max { Err(InvalidBackoff) } else { Ok(Self { min, max }) }
    }

    /// The delay after the given number of failed attempts (1 = the first failure).
    ///
    /// `random` spreads the delays: each lies between half and the whole of its step, so that
    /// contents that failed together do not come back together.
    pub fn delay(self, failures: u32, random: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let step = self.min.saturating_mul(1 << doublings).min(self.max);
        let half = step / 2;
        let spread = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).saturating_add(1);
        step - Duration::from_nanos(random % spread)
    }
}

/// The least delay must be above zero and not above the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the least delay must be above zero and not above the greatest")]
pub struct InvalidBackoff;

/// Randomness for jitter: the process's own hash seed, so no generator has to be carried around.
pub fn jitter() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zero_or_inverted_bounds_are_refused() {
        assert!(Backoff::try_new(Duration::ZERO, Duration::from_secs(1)).is_err());
        assert!(Backoff::try_new(Duration::from_secs(2), Duration::from_secs(1)).is_err());
    }

    #[test]
    fn jitter_differs_between_calls() {
        assert_ne!(jitter(), jitter());
    }

    proptest! {
        #[test]
        fn delays_grow_within_bounds(failures in 1_u32..200, random: u64) {
            let backoff = Backoff::try_new(Duration::from_secs(2), Duration::from_secs(900)).unwrap();
            let delay = backoff.delay(failures, random);
            prop_assert!(delay >= Duration::from_secs(1) && delay <= Duration::from_secs(900));
            // The shortest delay of the next step is never below the half of this one's longest.
            prop_assert!(backoff.delay(failures + 1, u64::MAX - 1) * 2 >= backoff.delay(failures, 0) / 2);
        }
    }
}
