//! How the budget of requests is divided among replicas. Pure.
//!
//! Microsoft counts a tenant's requests of the last minute, whoever made them. So a share that
//! became free is not given away before what was asked with it has left that minute: a replica may
//! count on all of its share, and what is *reserved* for it is that or what it used lately,
//! whichever is more. Nobody ever gets more than is left, so that the sum of what was asked in any
//! minute stays within the budget while replicas come, go and die.
//!
//! A share is never much more than what its replica uses: that and a *head start*, with which it
//! gets to its whole part within some signs of life if it has so much to ask. What dies takes away
//! little for a minute, and one that dies again and again does not starve the others.

use jiff::{SignedDuration, Timestamp};

use super::replicas::REMEMBERED;

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

/// What a replica says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// What of the budget it keeps to.
    pub limit: u32,
    /// What of it was used in the last minute, with the busiest tenant.
    pub used: u32,
    /// What one request is of it.
    pub request: u32,
}

/// What a replica gets beside these others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its part, if it needs so much.
    pub part: u32,
    /// What it may use from now on.
    pub share: u32,
    /// What it shall shrink to before the next time, where that is less.
    pub target: u32,
}

/// Divides. What the replica keeps to already counts as its own until it has shrunk.
pub(super) fn grant(own: Use, others: &[Other], now: Timestamp) -> Grant {
    let Use { limit, used, request } = own;
    let reserved = |other: &Other| other.share.max(other.used).min(WHOLE);
    let (gone, alive): (Vec<_>, Vec<_>) =
        others.iter().filter(|other| other.counts(now)).partition(|other| other.gone.is_some());
    let of_gone = gone.into_iter().map(reserved).fold(0, u32::saturating_add);
    let of_alive = alive.iter().copied().map(reserved).fold(0, u32::saturating_add);
    let replicas = u32::try_from(alive.len()).unwrap_or(u32::MAX).saturating_add(1);
    // With less than one request nobody could do anything: rather some get one, and the others wait.
    let part = (WHOLE.saturating_sub(of_gone) / replicas).max(request);
    let head_start = request.max(part / HEAD_START);
    let target = part.min(used.saturating_add(head_start));
    let left = WHOLE.saturating_sub(of_gone).saturating_sub(of_alive);
    Grant { part, share: limit.max(target.min(left)), target: target.min(left.max(limit)) }
}

impl Other {
    fn counts(&self, now: Timestamp) -> bool {
        // Later than now is by a clock that is ahead; only far later is by one that was set back.
        self.gone.is_none_or(|gone| {
            let since = now.duration_since(gone);
            -REMEMBERED < since && since < COUNTED
        })
    }
}

/// A minute, the little that pacing adds to it, and some seconds for clocks that do not agree and
/// for requests that were under way.
const COUNTED: SignedDuration = SignedDuration::from_secs(66);

/// The part of its part that a replica may use until its next sign of life, beyond what it used in
/// the last minute: several times what it may use on the whole in that time.
const HEAD_START: u32 = 8;

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

    fn own(limit: u32, used: u32) -> Use {
        Use { limit, used, request: 500 }
    }

    #[test]
    fn one_alone_may_use_everything_and_equals_equal_parts() {
        for (others, part) in [(0, WHOLE), (2, WHOLE / 3)] {
            let others = vec![alive(part, 0); others];
            let first = grant(own(0, 0), &others, at(0));
            assert_eq!(first, Grant { part, share: part / 8, target: part / 8 });
            let (mut limit, mut beats) = (0, 0);
            while limit < part {
                // It uses all it may, and says so.
                limit = grant(own(limit, limit), &others, at(beats)).share;
                beats += 1;
            }
            assert!(limit == part && beats <= 9, "{limit} after {beats}");
        }
    }

    #[test]
    fn a_part_of_a_few_requests_is_used_whole() {
        let few = |used| Use { limit: used, used, request: 100_000 };
        let others = [alive(333_333, 0); 2];
        assert_eq!(grant(few(0), &others, at(0)).share, 100_000);
        assert_eq!(grant(few(200_000), &others, at(0)).share, 300_000);
        assert_eq!(grant(few(300_000), &others, at(0)).share, 333_333);
    }

    #[test]
    fn of_few_requests_each_gets_one() {
        for replicas in 1..=6_u32 {
            let request = WHOLE / replicas;
            let mut others = Vec::new();
            for _ in 0..replicas {
                let own = Use { limit: 0, used: 0, request };
                let Grant { share, .. } = grant(own, &others, at(0));
                assert_eq!(share, request, "{replicas}");
                others.push(alive(share, share));
            }
        }
        // More replicas than requests: nobody gets a half.
        let own = Use { limit: 0, used: 0, request: 500_000 };
        let taken = [alive(500_000, 0), alive(0, 0)];
        assert_eq!(grant(own, &taken, at(0)).share, 500_000);
    }

    #[test]
    fn what_is_not_used_is_free_for_others() {
        let eighth = WHOLE / 8;
        let first = grant(own(WHOLE, 10), &[], at(0));
        assert_eq!((first.share, first.target), (WHOLE, 10 + eighth));
        let idle = alive(10 + eighth, 10);
        let half = WHOLE / 2;
        assert_eq!(grant(own(half - eighth, half), &[idle], at(0)).share, half);
    }

    #[test]
    fn who_joins_gets_what_is_left_and_its_part_when_the_other_has_shrunk() {
        assert_eq!(grant(own(0, 0), &[alive(WHOLE, 0)], at(0)).share, 0);
        let (half, sixteenth) = (WHOLE / 2, WHOLE / 16);
        // The other hears of it, keeps to less, and says so with its next sign of life.
        let first = grant(own(WHOLE, WHOLE), &[alive(0, 0)], at(0));
        assert_eq!((first.share, first.target), (WHOLE, half));
        assert_eq!(grant(own(half, half), &[alive(0, 0)], at(2)).share, half);
        assert_eq!(grant(own(0, 0), &[alive(half, 10)], at(2)).share, sixteenth);
        // What was used before counts until its minute is over.
        assert_eq!(grant(own(0, 0), &[alive(half, 990_000)], at(2)).share, 10_000);
    }

    #[test]
    fn what_the_dead_may_have_used_is_kept_back_for_a_minute() {
        let dead = Other { share: 500_000, used: 0, gone: Some(at(0)) };
        let greedy = own(500_000, WHOLE);
        assert_eq!(grant(greedy, &[dead], at(65)).share, 500_000);
        assert_eq!(grant(greedy, &[dead], at(66)).share, WHOLE);
        // One that left in order says how much it was.
        let left = Other { share: 1000, used: 1000, gone: Some(at(0)) };
        assert_eq!(grant(greedy, &[left], at(1)).share, 999_000);
        // One declared so by a clock that is ahead counts all the same.
        assert_eq!(grant(greedy, &[dead], at(-300)).share, 500_000);
        // A clock that was set back keeps nothing back for ever.
        assert_eq!(grant(greedy, &[dead], at(-3600)).share, WHOLE);
    }

    #[test]
    fn one_that_dies_again_and_again_does_not_starve_the_others() {
        let (mut rows, mut limit) = (Vec::new(), 0);
        for beat in 0..60 {
            let now = at(2 * beat);
            // It dies every ten seconds without having asked for much.
            if beat % 5 == 0 {
                let own = Use { limit: 0, used: 0, request: 500 };
                let mut others = rows.clone();
                others.push(alive(limit, limit));
                let share = grant(own, &others, now).share;
                rows.push(Other { share, used: 500, gone: Some(now) });
            }
            let busy = Use { limit, used: limit, request: 500 };
            let grant = grant(busy, &rows, now);
            limit = grant.share.min(grant.target);
        }
        assert!(limit > WHOLE / 2, "{limit}");
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
                        let used = lives[one].in_last_minute(now);
                        let own = Use { limit: lives[one].limit, used, request: 500 };
                        let grant = grant(own, &others, at(now));
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
