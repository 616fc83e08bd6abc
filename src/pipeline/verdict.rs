//! What becomes of a lease whose step failed. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{backoff::Backoff, ledger::Settlement, reason::Reason};

/// How a step ended without everything being sent and confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Trying again cannot help.
    Final(Reason),
    /// Microsoft asked this tenant to wait; the content itself is not to blame.
    Throttled(Duration),
    /// Worth another attempt.
    Retry(Reason),
}

impl Failure {
    /// The reason under which it is counted.
    pub(super) const fn reason(self) -> Reason {
        match self {
            Self::Final(reason) | Self::Retry(reason) => reason,
            Self::Throttled(_) => Reason::Throttled,
        }
    }
}

/// Decides what to tell the ledger (I3): the content waits, or ends with a closed reason.
///
/// `attempts` counts the failed ones before this one. Content ends at its own expiration, but
/// never without having been tried: when the first attempt is this late, Microsoft has the last
/// word on whether the content is gone.
pub(super) fn settlement(
    failure: Failure,
    attempts: u32,
    now: Timestamp,
    expires: Timestamp,
    backoff: Backoff,
    random: u64,
) -> Settlement {
    let reason = match failure {
        Failure::Final(Reason::ContentExpired) => {
            return Settlement::Expired(Reason::ContentExpired);
        }
        Failure::Final(reason) => return Settlement::Dead(reason),
        Failure::Throttled(wait) => return Settlement::Postpone { until: later(now, wait) },
        Failure::Retry(reason) => reason,
    };
    let failures = attempts.saturating_add(1);
    if reason == Reason::Undecodable && failures >= UNDECODABLE_ATTEMPTS {
        return Settlement::Dead(reason);
    }
    if now >= expires {
        return Settlement::Expired(Reason::PastExpiration);
    }
    let step = if needs_a_person(reason) { u32::MAX } else { failures };
    let at = later(now, backoff.delay(step, random)).min(expires);
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

fn later(now: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| now.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

/// An error page answered with 200 passes; a blob that is no JSON three times stays none.
const UNDECODABLE_ATTEMPTS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn check(failure: Failure, attempts: u32, expires_in: i64) -> Settlement {
        let backoff = Backoff::try_new(Duration::from_secs(2), Duration::from_secs(900)).unwrap();
        let expires = NOW.checked_add(SignedDuration::from_secs(expires_in)).unwrap();
        settlement(failure, attempts, NOW, expires, backoff, 0)
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
        assert_eq!(check(failed, 3, 0), Settlement::Expired(Reason::PastExpiration));
    }

    #[test]
    fn what_a_person_must_mend_is_asked_for_seldom() {
        let reason = Reason::RoleMissing;
        let settled = check(Failure::Retry(reason), 0, 10_000);
        assert_eq!(settled, Settlement::Retry { at: at(900), reason });
    }

    #[test]
    fn throttling_is_no_attempt() {
        let wait = Failure::Throttled(Duration::from_secs(526));
        assert_eq!(check(wait, 7, 1000), Settlement::Postpone { until: at(526) });
    }

    #[test]
    fn an_undecodable_body_gets_three_chances() {
        let failed = Failure::Retry(Reason::Undecodable);
        assert!(matches!(check(failed, 0, 1000), Settlement::Retry { .. }));
        assert!(matches!(check(failed, 1, 1000), Settlement::Retry { .. }));
        assert_eq!(check(failed, 2, 1000), Settlement::Dead(Reason::Undecodable));
    }
}
