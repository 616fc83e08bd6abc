//! What a slot's successes and failures mean for its next step. Pure: time is an argument.
//!
//! Two delays come out of it. Until `dial_after` nothing is dialled; until `hold_until` no batch
//! is taken either, though a connection may be open. Both grow while nothing gets confirmed, so
//! that neither a receiver that resets, nor one that never confirms, nor a balancer that throws
//! us out causes a storm. Only a confirmed session is a success.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{DialError, board::Trouble, dial::Welcome};
use crate::{
    backoff::{Backoff, jitter},
    reason::Reason,
};

/// A slot's memory of what went wrong since the last confirmed session.
#[derive(Debug)]
pub(super) struct Health {
    unconfirmed_delay: Backoff,
    refusal: Option<Arc<DialError>>,
    refusals: u32,
    breaks: u32,
    brief: u32,
    unconfirmed: u32,
    dial_after: Option<Instant>,
    hold_until: Option<Instant>,
}

impl Health {
    pub(super) fn new(confirm_timeout: Duration) -> Self {
        // Each attempt sends a session's worth again, so the delay starts at what one attempt
        // takes anyway.
        let min = confirm_timeout.clamp(Duration::from_millis(1), LONGEST_HOLD);
        Self {
            unconfirmed_delay: Backoff::try_new(min, min * HOLDS)
                .expect("the least delay is at least a millisecond"),
            refusal: None,
            refusals: 0,
            breaks: 0,
            brief: 0,
            unconfirmed: 0,
            dial_after: None,
            hold_until: None,
        }
    }

    /// A connection is open. Whether that is news.
    pub(super) fn dialled(&mut self) -> bool {
        self.refusals = 0;
        self.refusal.take().is_some()
    }

    /// No connection could be opened. Whether that is news.
    pub(super) fn refused(&mut self, cause: Arc<DialError>, now: Instant) -> bool {
        self.refusals += 1;
        self.dial_after = Some(now + reconnect_delay(self.refusals));
        self.refusal.replace(cause).is_none()
    }

    /// A connection that carried nothing ended, having been open for `age`. The receiver's right
    /// if it was idle, a waste if the next one ends as soon.
    pub(super) fn ended_unused(&mut self, age: Duration, now: Instant) {
        if age >= BRIEF {
            self.brief = 0;
            return;
        }
        self.brief += 1;
        self.dial_after = Some(now + reconnect_delay(self.brief));
    }

    /// A session came to its end. Whether that is a change for the better or the worse.
    pub(super) fn judged(&mut self, outcome: Result<(), Reason>, now: Instant) -> bool {
        match outcome {
            Ok(()) => {
                let recovered = self.unconfirmed > 0 || self.breaks > 0;
                self.unconfirmed = 0;
                self.breaks = 0;
                self.brief = 0;
                self.hold_until = None;
                recovered
            }
            // Sessions that were under way side by side fail one after the other for one cause.
            Err(_) if self.is_held(now) => false,
            Err(Reason::Unconfirmed) => {
                self.unconfirmed += 1;
                let delay = self.unconfirmed_delay.delay(self.unconfirmed, jitter());
                self.hold_until = Some(now + delay);
                self.unconfirmed == 1
            }
            Err(_) if self.dial_after.is_some_and(|at| now < at) => false,
            Err(_) => {
                self.breaks += 1;
                let delay = reconnect_delay(self.breaks);
                self.dial_after = Some(now + delay);
                // The first time, a connection that is already open is worth a try at once.
                if self.breaks > 1 {
                    self.hold_until = Some(now + delay);
                }
                self.breaks == 1
            }
        }
    }

    /// Whether a connection may be opened.
    pub(super) fn may_dial(&self, now: Instant) -> bool {
        !self.is_held(now) && self.dial_after.is_none_or(|at| at <= now)
    }

    /// What the next connection has to show: more, when the last ones were taken away.
    pub(super) fn welcome(&self) -> Welcome {
        if self.brief > 0 || self.breaks > 0 { Welcome::Stay } else { Welcome::Sign }
    }

    /// Whether no batch may be taken.
    pub(super) fn is_held(&self, now: Instant) -> bool {
        self.hold_until.is_some_and(|until| now < until)
    }

    /// Whether the last verdicts leave a doubt that the receiver confirms at all.
    pub(super) fn is_doubtful(&self) -> bool {
        self.unconfirmed > 0
    }

    /// The next moment at which one of the delays is over.
    pub(super) fn relief(&self, now: Instant) -> Option<Instant> {
        let delays = [self.dial_after, self.hold_until];
        delays.into_iter().flatten().filter(|at| *at > now).min()
    }

    /// What keeps the slot from delivering.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        if self.unconfirmed > 0 {
            return Some(Trouble::Unconfirmed { consecutive: self.unconfirmed });
        }
        // One broken session is an accident; the next ones are a receiver that takes nothing.
        if self.breaks > 1 {
            return Some(Trouble::Breaking { consecutive: self.breaks });
        }
        let cause = self.refusal.clone()?;
        Some(Trouble::Unreachable { cause })
    }

    /// The reason for batches that wait in vain.
    pub(super) fn reason(&self) -> Reason {
        if self.unconfirmed > 0 { Reason::Unconfirmed } else { Reason::Unreachable }
    }
}

fn reconnect_delay(failures: u32) -> Duration {
    Backoff::try_new(RECONNECT_MIN, RECONNECT_MAX)
        .expect("the constants are in order")
        .delay(failures, jitter())
}

/// A receiver that restarts is back within seconds.
const RECONNECT_MIN: Duration = Duration::from_secs(1);

/// An outage of hours ends with at most this delay.
const RECONNECT_MAX: Duration = Duration::from_secs(30);

/// The growth of the delay for a receiver that does not confirm: to 15 min, at the default.
const HOLDS: u32 = 30;

/// A confirmation nobody should wait longer for, or the delay would pass a content's life.
const LONGEST_HOLD: Duration = Duration::from_secs(3600);

/// Balancers let a silent connection live longer than this.
const BRIEF: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn unconfirmed_sessions_hold_the_slot_for_longer_and_longer() {
        let second = Duration::from_secs(1);
        let mut health = Health::new(second);
        let mut now = Instant::now();
        for (n, least) in [(1, second / 2), (2, second), (3, second * 2), (4, second * 4)] {
            assert_eq!(health.judged(Err(Reason::Unconfirmed), now), n == 1);
            // A session that was under way beside it changes nothing.
            assert!(!health.judged(Err(Reason::Unconfirmed), now));
            assert!(
                matches!(health.trouble(), Some(Trouble::Unconfirmed { consecutive }) if consecutive == n)
            );
            assert!(!health.may_dial(now), "no new session while held");
            let relief = health.relief(now).unwrap();
            assert!(relief - now >= least && relief - now <= least * 2);
            now = relief;
            assert!(!health.is_held(now));
        }
        assert!(health.judged(Ok(()), now));
        assert!(health.trouble().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn breaks_without_a_confirmation_in_between_hold_the_slot() {
        let mut health = Health::new(Duration::from_secs(30));
        let mut now = Instant::now();
        assert!(health.judged(Err(Reason::ConnectionLost), now));
        assert!(!health.is_held(now), "the spare may be tried at once");
        assert!(!health.may_dial(now));
        now = health.relief(now).unwrap();
        assert!(!health.dialled(), "a connection alone is no success");
        assert!(!health.judged(Err(Reason::ConnectionLost), now));
        assert!(health.is_held(now));
        assert!(health.relief(now).unwrap() - now >= RECONNECT_MIN);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_connections_may_end_but_not_in_a_tight_loop() {
        let mut health = Health::new(Duration::from_secs(30));
        let now = Instant::now();
        health.ended_unused(BRIEF, now);
        assert!(health.may_dial(now));
        assert_eq!(health.welcome(), Welcome::Sign);
        health.ended_unused(Duration::ZERO, now);
        assert!(!health.may_dial(now));
        assert_eq!(health.welcome(), Welcome::Stay);
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_news_once_and_end_with_a_connection() {
        let mut health = Health::new(Duration::from_secs(30));
        let now = Instant::now();
        assert!(health.refused(Arc::new(DialError::Timeout), now));
        assert!(!health.refused(Arc::new(DialError::Timeout), now));
        assert!(matches!(health.trouble(), Some(Trouble::Unreachable { .. })));
        assert!(health.dialled());
        assert!(health.trouble().is_none());
    }
}
