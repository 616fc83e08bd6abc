//! What happens to content in the ledger: pure decisions, no SQL and no clock.
//!
//! - I3: content waits until it is settled as delivered, dead or expired, and then never moves,
//!   unless an operator replays it.
//! - I4: a settlement counts only with the token of the present lease. A lease that runs out makes
//!   the content claimable again, and that counts as a failed attempt.
//!
//! The same moment serves as due date and as deadline of a lease, so that nobody has to notice a
//! lost lease: the content simply becomes due.

use std::{fmt, str::FromStr, sync::Arc};

use jiff::Timestamp;

use crate::{content::Unknown, identity::Key, reason::Reason};

/// What became of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Given up on for the reason, which counts as an attempt.
    Dead(Reason),
    /// The receiver confirmed everything but the records listed as dead.
    Delivered {
        /// Records confirmed now.
        records: u64,
        /// Records recognised and not sent again.
        duplicates: u64,
        /// Records given up on, each for its own reason.
        dead: Vec<DeadRecord>,
        /// The identities of the records confirmed now, as far as they are kept.
        keys: Arc<[Key]>,
    },
    /// Its time at Microsoft ran out; not an attempt.
    Expired(Reason),
    /// Not now, and not an attempt: throttled or shutting down.
    Postpone {
        /// When it becomes due.
        until: Timestamp,
    },
    /// Due at once, and not an attempt.
    Release,
    /// The attempt failed.
    Retry {
        /// When it becomes due.
        at: Timestamp,
        /// Why it failed.
        reason: Reason,
    },
}

/// A record given up on while the rest of its content was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadRecord {
    /// Its place in the content, counted from 0.
    pub index: u64,
    /// Why.
    pub reason: Reason,
}

/// Where content stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    Dead,
    Delivered,
    Expired,
    Waiting,
}

impl State {
    pub(super) const ALL: [Self; 4] = [Self::Dead, Self::Delivered, Self::Expired, Self::Waiting];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Delivered => "delivered",
            Self::Expired => "expired",
            Self::Waiting => "waiting",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(Unknown)
    }
}

/// The part of a row that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) state: State,
    pub(super) due: Timestamp,
    pub(super) lease: Option<i64>,
    pub(super) claims: i64,
    pub(super) attempts: u32,
    pub(super) last_reason: Option<Reason>,
    pub(super) undecodable: u32,
    pub(super) settled: Option<Timestamp>,
    pub(super) records: u64,
    pub(super) duplicates: u64,
}

impl Progress {
    /// Leases the content, unless it is settled or not due. Every lease has a token of its own.
    pub(super) fn claim(self, now: Timestamp, until: Timestamp) -> Option<Claimed> {
        if self.state != State::Waiting || self.due > now {
            return None;
        }
        let lost = self.lease.is_some();
        let token = self.claims + 1;
        let progress = Self {
            due: until,
            lease: Some(token),
            claims: token,
            attempts: self.attempts.saturating_add(u32::from(lost)),
            last_reason: if lost { Some(Reason::LeaseLost) } else { self.last_reason },
            ..self
        };
        Some(Claimed { progress, token, lost })
    }

    /// Prolongs the lease with this token, unless another has taken its place.
    pub(super) fn renew(self, token: i64, until: Timestamp) -> Option<Self> {
        self.is_leased(token).then_some(Self { due: until, ..self })
    }

    /// Ends the lease with this token, unless another has taken its place.
    ///
    /// A lease that ran out but was not claimed again still counts: nobody else did the work.
    pub(super) fn settle(
        self,
        token: i64,
        settlement: &Settlement,
        now: Timestamp,
    ) -> Option<Self> {
        if !self.is_leased(token) {
            return None;
        }
        let free = Self { lease: None, ..self };
        let attempts = self.attempts.saturating_add(1);
        Some(match *settlement {
            Settlement::Dead(reason) => Self {
                state: State::Dead,
                attempts,
                last_reason: Some(reason),
                settled: Some(now),
                ..free
            },
            // Content that is replayed was delivered before.
            Settlement::Delivered { records, duplicates, .. } => Self {
                state: State::Delivered,
                settled: Some(now),
                records: free.records.saturating_add(records),
                duplicates: free.duplicates.saturating_add(duplicates),
                ..free
            },
            Settlement::Expired(reason) => Self {
                state: State::Expired,
                // Past its expiration it may end without having been tried.
                attempts: if reason == Reason::PastExpiration { free.attempts } else { attempts },
                last_reason: Some(reason),
                settled: Some(now),
                ..free
            },
            Settlement::Postpone { until } => Self { due: until, ..free },
            Settlement::Release => Self { due: now, ..free },
            Settlement::Retry { at, reason } => Self {
                due: at,
                attempts,
                last_reason: Some(reason),
                undecodable: free.undecodable_after(reason),
                ..free
            },
        })
    }

    /// Makes settled content due again, as if it was new.
    pub(super) fn replay(self, now: Timestamp) -> Option<Self> {
        if self.state == State::Waiting {
            return None;
        }
        Some(Self {
            state: State::Waiting,
            due: now,
            lease: None,
            attempts: 0,
            last_reason: None,
            undecodable: 0,
            settled: None,
            ..self
        })
    }

    /// Losing a lease says nothing of the body, so it neither counts nor ends the row.
    const fn undecodable_after(&self, reason: Reason) -> u32 {
        match reason {
            Reason::LeaseLost => self.undecodable,
            Reason::Undecodable => self.undecodable.saturating_add(1),
            _ => 0,
        }
    }

    fn is_leased(&self, token: i64) -> bool {
        self.state == State::Waiting && self.lease == Some(token)
    }
}

/// Content just leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claimed {
    pub(super) progress: Progress,
    pub(super) token: i64,
    /// Whether the lease before ran out without a word.
    pub(super) lost: bool,
}
