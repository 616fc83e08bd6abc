//! Ending leases: what the writer takes at once is settled together, in as many statements as one.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    LeaseKey,
    backlog::Counts,
    identities::{self, Packed},
    letters::{Letter, bury},
    operation::{Operation, Together, alone},
    replicas::Me,
    rows,
    sql::Connection,
    state::Settlement,
};

/// Whether a settlement counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It did.
    Applied,
    /// The lease was lost or settled before; nothing changed.
    Stale,
}

/// Ends a lease.
pub(super) struct Settle {
    pub(super) lease: LeaseKey,
    pub(super) settlement: Settlement,
    pub(super) now: Timestamp,
    pub(super) by: Arc<Me>,
}

impl Settle {
    /// What stays of content that ends.
    fn keep(&self, letters: &mut Vec<Letter>, identities: &mut Packed) {
        let (content, now) = (self.lease.content, self.now);
        match &self.settlement {
            Settlement::Dead(reason) | Settlement::Expired(reason) => {
                letters.push(Letter::new(content, None, *reason, now));
            }
            Settlement::Delivered { dead, keys, .. } => {
                let dead = dead.iter();
                letters.extend(
                    dead.map(|dead| Letter::new(content, Some(dead.index), dead.reason, now)),
                );
                identities.add(content, keys, now, &self.by);
            }
            Settlement::Postpone { .. } | Settlement::Release | Settlement::Retry { .. } => {}
        }
    }
}

impl Together for Settle {
    async fn all(connection: &mut Connection, settles: &[&Self]) -> sqlx::Result<Vec<Settled>> {
        let contents: Vec<_> = settles.iter().map(|settle| settle.lease.content).collect();
        let mut found = rows::progress(connection, &contents).await?;
        let mut settled = Vec::with_capacity(settles.len());
        let (mut held, mut ended) = (Vec::new(), Vec::new());
        let (mut letters, mut keys, mut counts) = <(Vec<_>, Packed, Counts)>::default();
        for settle in settles {
            let LeaseKey { content, token } = settle.lease;
            let after = found.get_mut(&content).and_then(|found| {
                found.progress = found.progress.settle(token, &settle.settlement, settle.now)?;
                Some(found)
            });
            let Some(after) = after else {
                settled.push(Settled::Stale);
                continue;
            };
            settled.push(Settled::Applied);
            if after.progress.settled.is_none() {
                held.push((content, after.progress));
                continue;
            }
            ended.push((content, after.progress));
            counts.add(&after.tenant, -1);
            settle.keep(&mut letters, &mut keys);
        }
        rows::hold(connection, &held).await?;
        rows::store(connection, &ended).await?;
        counts.store(connection).await?;
        bury(connection, &letters).await?;
        // All of one process.
        if let Some(settle) = settles.first() {
            keys.store(connection, &settle.by).await?;
        }
        Ok(settled)
    }
}

impl Operation for Settle {
    type Output = Settled;

    fn rows(&self) -> usize {
        match &self.settlement {
            Settlement::Delivered { dead, keys, .. } => {
                1 + dead.len() + identities::weight(keys.len())
            }
            _ => 1,
        }
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    fn can_wait(&self) -> bool {
        true
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<Settled> {
        alone(self, connection).await
    }

    fn wakes(&self, settled: &Settled) -> bool {
        *settled == Settled::Applied
            && match self.settlement {
                Settlement::Release => true,
                Settlement::Postpone { until } => until <= self.now,
                Settlement::Retry { at, .. } => at <= self.now,
                _ => false,
            }
    }
}
