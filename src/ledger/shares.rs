//! How the budget of requests is divided among replicas. Pure.
//!
//! Microsoft counts a tenant's requests of the last minute, whoever made them. So a share that
//! became free is not given away before what was asked with it has left that minute: a replica may
//! count on all of its share, and what is *reserved* for it is that or what it used lately,
//! whichever is more. One that joins gets what nobody has reserved, and with its next signs of life
//! its whole part, as the others shrink. Nobody ever gets more than is left, so that the sum of
//! what was asked in any minute stays within the budget while replicas come, go and die.

use jiff::{SignedDuration, Timestamp};

/// The whole budget, in the unit of shares: millionths of every tenant's.
pub const WHOLE: u32 = 1_000_000;

/// What another replica may use or has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) share: u32,
    pub(super) used: u32,
    /// When it was gone, if it is.
    pub(super) gone: Option<Timestamp>,
}

/// What a replica gets beside these others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What it may use from now on.
    pub share: u32,
    /// What it shall shrink to before the next time, where that is less.
    pub target: u32,
}

/// Divides. `limit` is what the replica keeps to already; it counts as its own until it has shrunk.
pub(super) fn grant(limit: u32, others: &[Other], now: Timestamp) -> Grant {
    let reserved = |other: &Other| other.share.max(other.used).min(WHOLE);
    let (gone, alive): (Vec<_>, Vec<_>) =
        others.iter().filter(|other| other.counts(now)).partition(|other| other.gone.is_some());
    let of_gone = gone.into_iter().map(reserved).fold(0, u32::saturating_add);
    let of_alive = alive.iter().copied().map(reserved).fold(0, u32::saturating_add);
    let replicas = u32::try_from(alive.len()).unwrap_or(u32::MAX).saturating_add(1);
    let target = WHOLE.saturating_sub(of_gone) / replicas;
    let left = WHOLE.saturating_sub(of_gone).saturating_sub(of_alive);
    Grant { share: limit.max(target.min(left)), target: target.min(left.max(limit)) }
}

impl Other {
    fn counts(&self, now: Timestamp) -> bool {
        self.gone.is_none_or(|gone| now.duration_since(gone).abs() < COUNTED)
    }
}

/// A minute, the little that pacing adds to it, and some seconds for clocks that do not agree and
/// for requests that were under way.
const COUNTED: SignedDuration = SignedDuration::from_secs(66);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn alive(share: u32, used: u32) -> Other {
        Other { share, used, gone: None }
    }

    #[test]
    fn one_alone_has_everything_and_equals_have_equal_parts() {
        assert_eq!(grant(0, &[], at(0)), Grant { share: WHOLE, target: WHOLE });
        let third = WHOLE / 3;
        let others = [alive(third, 0), alive(third, 0)];
        assert_eq!(grant(0, &others, at(0)), Grant { share: third, target: third });
    }

    #[test]
    fn who_joins_gets_what_is_left_and_its_part_when_the_other_has_shrunk() {
        assert_eq!(grant(0, &[alive(WHOLE, 0)], at(0)).share, 0);
        let half = WHOLE / 2;
        // The other hears of it, keeps to less, and says so with its next sign of life.
        let first = grant(WHOLE, &[alive(0, 0)], at(0));
        assert_eq!(first, Grant { share: WHOLE, target: half });
        assert_eq!(grant(half, &[alive(0, 0)], at(2)).share, half);
        assert_eq!(grant(0, &[alive(half, 10)], at(2)).share, half);
        // What was used before counts until its minute is over.
        assert_eq!(grant(0, &[alive(half, 800_000)], at(2)).share, 200_000);
    }

    #[test]
    fn what_the_dead_may_have_used_is_kept_back_for_a_minute() {
        let dead = Other { share: 500_000, used: 0, gone: Some(at(0)) };
        assert_eq!(grant(500_000, &[dead], at(65)).share, 500_000);
        assert_eq!(grant(500_000, &[dead], at(66)).share, WHOLE);
        // One that left in order says how much it was.
        let left = Other { share: 1000, used: 1000, gone: Some(at(0)) };
        assert_eq!(grant(500_000, &[left], at(1)).share, 999_000);
        // A clock that was set back keeps nothing back for ever.
        assert_eq!(grant(500_000, &[dead], at(-3600)).share, WHOLE);
    }

    /// A replica as the others see it, and all it ever used, by second.
    #[derive(Clone, Debug)]
    struct Life {
        row: Other,
        /// What it keeps to.
        limit: u32,
        used: Vec<(i64, u32)>,
    }

    impl Life {
        fn in_last_minute(&self, now: i64) -> u32 {
            self.used.iter().filter(|(at, _)| *at > now - 60).map(|(_, used)| used).sum()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Replicas that use all they may, and come, leave and die at any moment, never ask for
        /// more than the budget in any minute.
        #[test]
        fn no_minute_holds_more_than_the_budget(
            events in proptest::collection::vec((0..4_u8, 0..8_usize), 300),
        ) {
            let mut lives: Vec<Life> = Vec::new();
            for (second, (event, which)) in events.into_iter().enumerate() {
                let now = i64::try_from(second).unwrap();
                let living: Vec<_> =
                    (0..lives.len()).filter(|&at| lives[at].row.gone.is_none()).collect();
                match event {
                    0 if living.len() < 5 && which == 0 => {
                        let row = alive(0, 0);
                        lives.push(Life { row, limit: 0, used: Vec::new() });
                    }
                    1 if which == 0 && !living.is_empty() => {
                        lives[living[second % living.len()]].row.gone = Some(at(now));
                    }
                    _ => {}
                }
                let mut total = 0;
                for one in 0..lives.len() {
                    if lives[one].row.gone.is_none() {
                        // All that it may, and then a sign of life.
                        let free = lives[one].limit.saturating_sub(lives[one].in_last_minute(now));
                        lives[one].used.push((now, free));
                        let others: Vec<_> = (0..lives.len())
                            .filter(|other| *other != one)
                            .map(|other| lives[other].row)
                            .collect();
                        let grant = grant(lives[one].limit, &others, at(now));
                        let used = lives[one].in_last_minute(now);
                        let life = &mut lives[one];
                        life.row = alive(grant.share, used);
                        life.limit = grant.share.min(grant.target);
                    }
                    total += lives[one].in_last_minute(now);
                }
                prop_assert!(total <= WHOLE, "{total} at {second}");
            }
        }
    }
}
