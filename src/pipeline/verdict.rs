//! What becomes of a lease whose step failed. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::{backoff::Backoff, ledger::Settlement, moment::after, reason::Reason};

/// How a step ended without everything being sent and confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The process is ending.
    Cut,
    /// Trying again cannot help.
    Final(Reason),
    /// Microsoft asked this tenant to wait; the content itself is not to blame.
    Throttled(Duration),
    /// Worth another attempt.
    Retry(Reason),
    /// Worth another attempt; what failed was somebody else's, a moment ago.
    Unasked(Reason),
}

impl Failure {
    /// The reason under which it is counted.
    pub(super) const fn reason(self) -> Reason {
        match self {
            Self::Final(reason) | Self::Retry(reason) | Self::Unasked(reason) => reason,
            Self::Cut => Reason::LeaseLost,
            Self::Throttled(_) => Reason::Throttled,
        }
    }
}

/// What is known of the content from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct History {
    /// Failed attempts before this one.
    pub(super) attempts: u32,
    /// Why the last of them failed.
    pub(super) last_reason: Option<Reason>,
    /// How many of them in a row, up to now, found a body that is no JSON.
    pub(super) undecodable: u32,
    /// When Microsoft deletes the content.
    pub(super) expires: Timestamp,
}

/// Decides what to tell the ledger (I3): the content waits, or ends with a closed reason.
///
/// Content ends at its own expiration, with the reason that kept it until then, but never without
/// having been tried: when the first attempt is this late, Microsoft has the last word on whether
/// the content is gone.
pub(super) fn settlement(
    failure: Failure,
    history: History,
    now: Timestamp,
    backoff: Backoff,
    random: u64,
) -> Settlement {
    let History { attempts, last_reason, undecodable, expires } = history;
    let (reason, asked) = match failure {
        Failure::Cut => return Settlement::Release,
        Failure::Final(Reason::ContentExpired) => {
            return Settlement::Expired(Reason::ContentExpired);
        }
        Failure::Final(reason) => return Settlement::Dead(reason),
        Failure::Throttled(wait) => return Settlement::Postpone { until: after(now, wait) },
        Failure::Retry(reason) => (reason, true),
        Failure::Unasked(reason) => (reason, false),
    };
    let failures = attempts.saturating_add(1);
    // Only in a row: a body that is no JSON once, among other failures, is one of them.
    if reason == Reason::Undecodable && undecodable.saturating_add(1) >= UNDECODABLE_ATTEMPTS {
        return Settlement::Dead(reason);
    }
    if now >= expires {
        return Settlement::Expired(reason);
    }
    // Once may be chance: a token revoked twice, a subscription just being started.
    let again = asked && last_reason == Some(reason);
    let step = if again && needs_a_person(reason) { u32::MAX } else { failures };
    let at = after(now, backoff.delay(step, random)).min(expires);
    Settlement::Retry { at, reason }
}

/// Failures only somebody's action ends; asking often helps nobody ("slow retry").
const fn needs_a_person(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::AuditingOff
            | Reason::CredentialsRefused
            | Reason::NotSubscribed
            | Reason::RoleMissing
            | Reason::Unauthorized
    )
}

/// A front door in trouble may answer 200 with a page of its own for half a minute, which is how long
/// this many attempts take at least; a blob that is no JSON for longer stays none.
const UNDECODABLE_ATTEMPTS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn check(failure: Failure, attempts: u32, expires_in: i64) -> Settlement {
        let backoff = Backoff::try_new(Duration::from_secs(2), Duration::from_secs(900)).unwrap();
        let expires = NOW + jiff::SignedDuration::from_secs(expires_in);
        let last_reason = match failure {
            Failure::Final(reason) | Failure::Retry(reason) | Failure::Unasked(reason) => {
                Some(reason)
            }
            Failure::Cut | Failure::Throttled(_) => None,
        };
        let history = History { attempts, last_reason, undecodable: 0, expires };
        settlement(failure, history, NOW, backoff, 0)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn final_failures_end_the_content_with_their_reason() {
        let gone = Failure::Final(Reason::ContentGone);
        assert_eq!(check(gone, 0, 1000), Settlement::Dead(Reason::ContentGone));
        let expired = Failure::Final(Reason::ContentExpired);
        assert_eq!(check(expired, 0, 1000), Settlement::Expired(Reason::ContentExpired));
    }

    #[test]
    fn retries_grow_until_the_expiration() {
        let failed = Failure::Retry(Reason::ServerError);
        let reason = Reason::ServerError;
        assert_eq!(check(failed, 0, 1000), Settlement::Retry { at: at(2), reason });
        assert_eq!(check(failed, 2, 1000), Settlement::Retry { at: at(8), reason });
        assert_eq!(check(failed, 30, 10_000), Settlement::Retry { at: at(900), reason });
        // The last attempt is made at the expiration itself.
        assert_eq!(check(failed, 30, 100), Settlement::Retry { at: at(100), reason });
        assert_eq!(check(failed, 3, 0), Settlement::Expired(reason));
    }

    #[test]
    fn what_a_person_must_mend_is_asked_for_seldom() {
        for reason in [
            Reason::AuditingOff,
            Reason::CredentialsRefused,
            Reason::NotSubscribed,
            Reason::RoleMissing,
            Reason::Unauthorized,
        ] {
            let settled = check(Failure::Retry(reason), 0, 10_000);
            assert_eq!(settled, Settlement::Retry { at: at(900), reason });
            assert!(reason.advice().is_some(), "the person is told: {reason}");
        }
    }

    #[test]
    fn a_first_refusal_may_be_chance() {
        let backoff = Backoff::try_new(Duration::from_secs(2), Duration::from_secs(900)).unwrap();
        let history =
            History { attempts: 0, last_reason: None, undecodable: 0, expires: at(10_000) };
        let reason = Reason::Unauthorized;
        let settled = settlement(Failure::Retry(reason), history, NOW, backoff, 0);
        assert_eq!(settled, Settlement::Retry { at: at(2), reason });
    }

    #[test]
    fn a_refusal_that_is_only_remembered_is_no_second_one() {
        let reason = Reason::CredentialsRefused;
        for (attempts, delay) in [(1, 4), (2, 8), (30, 900)] {
            let settled = check(Failure::Unasked(reason), attempts, 10_000);
            assert_eq!(settled, Settlement::Retry { at: at(delay), reason });
        }
    }

    #[test]
    fn being_cut_is_no_attempt() {
        assert_eq!(check(Failure::Cut, 7, 1000), Settlement::Release);
    }

    #[test]
    fn throttling_is_no_attempt() {
        let wait = Failure::Throttled(Duration::from_secs(526));
        assert_eq!(check(wait, 7, 1000), Settlement::Postpone { until: at(526) });
    }

    /// What becomes of content whose body is no JSON, by the failures before.
    fn undecodable_after(reasons: &[Reason]) -> Settlement {
        let backoff = Backoff::try_new(Duration::from_secs(2), Duration::from_secs(900)).unwrap();
        let row = reasons.iter().rev().filter(|reason| **reason != Reason::LeaseLost);
        let row = row.take_while(|reason| **reason == Reason::Undecodable).count();
        let history = History {
            attempts: reasons.len().try_into().unwrap(),
            last_reason: reasons.last().copied(),
            undecodable: row.try_into().unwrap(),
            expires: at(10_000),
        };
        settlement(Failure::Retry(Reason::Undecodable), history, NOW, backoff, 0)
    }

    #[test]
    fn an_undecodable_body_gets_five_chances() {
        let (failed, lost) = (Reason::ServerError, Reason::LeaseLost);
        let reason = Reason::Undecodable;
        for before in [
            &[][..],
            &[reason; 3],
            &[failed, reason, reason, reason],
            &[failed; 7],
            &[reason, reason, reason, reason, failed],
            &[reason, failed, reason, reason, reason],
            &[reason, reason, reason, lost, lost],
        ] {
            let settled = undecodable_after(before);
            assert!(matches!(settled, Settlement::Retry { .. }), "{before:?}: {settled:?}");
        }
        for before in [
            &[reason; 4][..],
            &[failed, reason, reason, reason, reason],
            &[reason, reason, lost, reason, reason],
            &[reason, reason, reason, reason, lost],
        ] {
            assert_eq!(undecodable_after(before), Settlement::Dead(reason), "{before:?}");
        }
    }
}
