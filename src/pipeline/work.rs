//! What is done about one lease: the step, the receiver's word, the settlement.
//!
//! A content is delivered only when the receiver confirmed everything of it, and when what was left
//! to other contents arrived with them (I5). It is settled once (I4), however often the ledger has
//! to be asked.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{Span, debug, debug_span, info, warn};

use super::{
    Metrics,
    identities::Flight,
    renewal::{Held, Hold},
    step::{Sent, Step},
    verdict::{self, Failure, History},
};
use crate::{
    backoff::{Backoff, jitter},
    ledger::{Following, Lease, LeaseKey, LedgerError, Settled, Settlement},
    moment::before,
};

/// A content whose step is over.
#[derive(Debug)]
pub(super) struct Unconfirmed {
    lease: Lease,
    hold: Hold,
    sent: Sent,
    /// Of what is still to come.
    pub(super) span: Span,
}

/// What a step and a confirmation need.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) step: Step,
    pub(super) held: Held,
    pub(super) backoff: Backoff,
    pub(super) metrics: Metrics,
}

impl Work {
    /// Remembers what was delivered before the start, again and again while the ledger cannot be
    /// read: without it, records that come again would be sent again.
    ///
    /// Returns what tells of the deliveries of other replicas from then on, where there are any.
    pub(super) async fn recall(&self) -> Option<Following> {
        let started = Instant::now();
        loop {
            let now = self.step.clock.now();
            match self.try_recall(now).await {
                Ok((records, following)) => {
                    let took_ms = started.elapsed().as_millis();
                    info!(records, took_ms, "{records} delivered records remembered");
                    return following;
                }
                Err(LedgerError::Closed) => return std::future::pending().await,
                Err(error) => {
                    warn!(error = %error, "cannot read identities, claiming nothing before");
                    tokio::time::sleep(RECALL_AGAIN).await;
                }
            }
        }
    }

    async fn try_recall(&self, now: Timestamp) -> Result<(usize, Option<Following>), LedgerError> {
        let Step { ledger, identities, .. } = &self.step;
        // Before what is there is read, so that nothing is in between.
        let following = ledger.follow().await?;
        Ok((identities.recall(ledger, now).await?, following))
    }

    /// Learns what other replicas deliver, for ever.
    pub(super) async fn follow(self, mut following: Following) {
        let Step { ledger, identities, clock, .. } = &self.step;
        let mut up_to_date = clock.now();
        loop {
            let now = clock.now();
            if following.is_behind() {
                // What was not followed is read once more, with what was under way then.
                let since = before(up_to_date, OVERLAP);
                if let Ok(Some(anew)) = ledger.follow().await
                    && identities.read(ledger, since, now).await.is_ok()
                {
                    following = anew;
                }
            }
            match following.next().await {
                Ok((rows, more)) => {
                    identities.learn(&rows, now);
                    if more {
                        continue;
                    }
                    if following.is_whole() {
                        up_to_date = now;
                    }
                }
                Err(error) => debug!(error = %error, "what others deliver cannot be read"),
            }
            tokio::time::sleep(FOLLOW).await;
        }
    }

    pub(super) async fn step(self, lease: Lease, hold: Hold) -> Unconfirmed {
        let sent = self.step.run(&lease).await;
        Unconfirmed { lease, hold, sent, span: debug_span!("confirm") }
    }

    pub(super) async fn confirm(self, unconfirmed: Unconfirmed) {
        let Unconfirmed { lease, hold, sent, .. } = unconfirmed;
        let Sent { receipt, mut flight, tally, failed } = sent;
        let landing = receipt.settled().await;
        let failed = failed.or(landing.failed.map(Failure::Retry));
        flight.land(&landing.confirmed, failed.map(Failure::reason));
        self.metrics.arrived(&lease, flight.arrived(), &self.step.tables);
        let failed = match failed {
            None => flight.needs_landed().await.err().map(Failure::Retry),
            failed => failed,
        };
        if let Some(failure) = failed {
            self.store(&mut flight, hold.key()).await;
            drop(flight);
            return self.fail(&lease, hold, failure).await;
        }
        let settlement = Settlement::Delivered {
            records: flight.arrived().total(),
            duplicates: tally.duplicates,
            dead: tally.dead.clone(),
            keys: flight.unstored().into(),
        };
        let key = hold.key();
        if self.settle(hold, settlement).await {
            let records = flight.arrived().total();
            self.metrics.delivered(&lease, records, &tally, self.step.clock.now());
        } else {
            // Whoever settles it now finds these records known, and has no keys to store.
            self.store(&mut flight, key).await;
        }
    }

    /// Keeps the identities of what arrived of a content that is not settled by this attempt.
    async fn store(&self, flight: &mut Flight, key: LeaseKey) {
        let now = self.step.clock.now();
        if let Err(error) = flight.store(&self.step.ledger, key, now).await {
            // They are remembered until the end of the process all the same.
            debug!(error = %error, "cannot keep the identities of a content that is not settled");
        }
    }

    async fn fail(&self, lease: &Lease, hold: Hold, failure: Failure) {
        let now = self.step.clock.now();
        let history = History {
            attempts: lease.attempts,
            last_reason: lease.last_reason,
            undecodable: lease.undecodable,
            expires: lease.announcement.expires,
        };
        let settlement = verdict::settlement(failure, history, now, self.backoff, jitter());
        let reason = match settlement {
            Settlement::Expired(reason) => reason,
            _ => failure.reason(),
        };
        let counts = settlement != Settlement::Release;
        if self.settle(hold, settlement.clone()).await && counts {
            self.metrics.failed(lease, reason, &settlement);
        }
    }

    /// Tells the ledger, again and again while it cannot commit: a delivered content that is not
    /// settled would be sent twice. Returns whether the lease was still ours.
    async fn settle(&self, hold: Hold, settlement: Settlement) -> bool {
        loop {
            let now = self.step.clock.now();
            match self.step.ledger.settle(hold.key(), settlement.clone(), now).await {
                Ok(settled) => return settled == Settled::Applied,
                Err(LedgerError::Closed) => return false,
                Err(error) => {
                    // The ledger says once that it cannot commit; this is one of very many.
                    debug!(error = %error, "cannot settle content, trying again");
                    tokio::time::sleep(SETTLE_AGAIN).await;
                }
            }
        }
    }
}

/// A ledger that cannot be read comes back when somebody mends the disk.
const RECALL_AGAIN: Duration = Duration::from_secs(1);

/// Another replica recognises a record that soon after it was confirmed.
const FOLLOW: Duration = Duration::from_secs(1);

/// Longer than from the moment of a settlement to the end of its transaction, whatever two clocks say.
const OVERLAP: Duration = Duration::from_secs(15 * 60);

/// A ledger that cannot commit (a full disk) comes back when somebody makes room.
const SETTLE_AGAIN: Duration = Duration::from_secs(1);
