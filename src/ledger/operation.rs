//! What can be asked of the writer: each operation changes rows inside a transaction it neither
//! begins nor ends, and may be applied again after a rollback.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::{
    Lease, LeaseKey, LedgerError, Recorded, Settled, backlog, identities, listed,
    rows::{self, Due},
    state::{Claimed, Settlement},
};
use crate::content::{Announcement, TenantId, Via};

/// Records content.
pub(super) struct Announce {
    pub(super) via: Via,
    pub(super) announcements: Vec<Announcement>,
    pub(super) now: Timestamp,
}

impl Operation for Announce {
    type Output = Vec<Recorded>;

    fn rows(&self) -> usize {
        self.announcements.len()
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut SqliteConnection) -> sqlx::Result<Vec<Recorded>> {
        listed::record(connection, self.via, &self.announcements, self.now).await
    }

    fn wakes(&self, recorded: &Vec<Recorded>) -> bool {
        recorded.contains(&Recorded::New)
    }
}

/// Leases due content of a tenant.
pub(super) struct Claim {
    pub(super) tenant: TenantId,
    pub(super) which: Which,
    pub(super) limit: u32,
    pub(super) now: Timestamp,
    pub(super) until: Timestamp,
}

/// Which content is claimed, of what waits and nobody holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    /// Whose turn it is.
    Due,
    /// What has expired.
    Expired,
}

impl Operation for Claim {
    type Output = Vec<Lease>;

    fn rows(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut SqliteConnection) -> sqlx::Result<Vec<Lease>> {
        let mut leases = Vec::new();
        let claimable = match self.which {
            Which::Due => rows::due(connection, self.tenant, self.limit, self.now).await?,
            Which::Expired => rows::expired(connection, self.tenant, self.limit, self.now).await?,
        };
        for (content, due) in claimable {
            let due = match due {
                Ok(due) => due,
                Err(error) => {
                    // Left where it is it would head every claim and starve its tenant.
                    tracing::error!(
                        content.row = content,
                        error = %error,
                        "a row of the ledger cannot be read and is left for later"
                    );
                    rows::defer(connection, content, self.until).await?;
                    continue;
                }
            };
            leases.extend(self.lease(connection, content, due).await?);
        }
        Ok(leases)
    }
}

impl Claim {
    async fn lease(
        &self,
        connection: &mut SqliteConnection,
        content: i64,
        due: Due,
    ) -> sqlx::Result<Option<Lease>> {
        let Some(claimed) = due.progress.claim(self.now, self.until) else {
            return Ok(None);
        };
        let Claimed { progress, token, lost } = claimed;
        rows::hold(connection, content, &progress).await?;
        Ok(Some(Lease {
            key: LeaseKey { content, token },
            announcement: due.announcement,
            via: due.via,
            announced: due.announced,
            attempts: progress.attempts,
            last_reason: progress.last_reason,
            undecodable: progress.undecodable,
            lost,
        }))
    }
}

/// Prolongs leases.
pub(super) struct Renew {
    pub(super) leases: Vec<LeaseKey>,
    pub(super) now: Timestamp,
    pub(super) until: Timestamp,
}

impl Operation for Renew {
    type Output = Vec<LeaseKey>;

    fn rows(&self) -> usize {
        self.leases.len()
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut SqliteConnection) -> sqlx::Result<Vec<LeaseKey>> {
        let mut ours = Vec::with_capacity(self.leases.len());
        for lease in &self.leases {
            let renewed = rows::progress(connection, lease.content)
                .await?
                .and_then(|progress| progress.renew(lease.token, self.until));
            if let Some(progress) = renewed {
                rows::hold(connection, lease.content, &progress).await?;
                ours.push(*lease);
            }
        }
        Ok(ours)
    }
}

/// Ends a lease.
pub(super) struct Settle {
    pub(super) lease: LeaseKey,
    pub(super) settlement: Settlement,
    pub(super) now: Timestamp,
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

    async fn apply(&self, connection: &mut SqliteConnection) -> sqlx::Result<Settled> {
        let LeaseKey { content, token } = self.lease;
        let settled = rows::progress(connection, content)
            .await?
            .and_then(|progress| progress.settle(token, &self.settlement, self.now));
        let Some(progress) = settled else {
            return Ok(Settled::Stale);
        };
        if progress.settled.is_none() {
            rows::hold(connection, content, &progress).await?;
            return Ok(Settled::Applied);
        }
        rows::store(connection, content, &progress).await?;
        backlog::settled(connection, content).await?;
        match &self.settlement {
            Settlement::Dead(reason) | Settlement::Expired(reason) => {
                rows::bury(connection, content, None, *reason, self.now).await?;
            }
            Settlement::Delivered { dead, keys, .. } => {
                rows::bury_records(connection, content, dead, self.now).await?;
                identities::store(connection, content, keys, self.now).await?;
            }
            Settlement::Postpone { .. } | Settlement::Release | Settlement::Retry { .. } => {}
        }
        Ok(Settled::Applied)
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

/// Commits something that matters to nobody, to find out whether that is possible.
pub(super) struct Probe;

impl Operation for Probe {
    type Output = ();

    fn rows(&self) -> usize {
        1
    }

    fn now(&self) -> Option<Timestamp> {
        None
    }

    async fn apply(&self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        rows::probe(connection).await
    }
}

/// An operation and who waits for its outcome.
pub(super) struct Request<O: Operation> {
    operation: O,
    output: Option<O::Output>,
    reply: oneshot::Sender<Result<O::Output, LedgerError>>,
}

impl<O: Operation> Request<O> {
    pub(super) fn new(
        operation: O,
        reply: oneshot::Sender<Result<O::Output, LedgerError>>,
    ) -> Self {
        Self { operation, output: None, reply }
    }
}

impl<O: Operation> Command for Request<O> {
    fn rows(&self) -> usize {
        self.operation.rows()
    }

    fn now(&self) -> Option<Timestamp> {
        self.operation.now()
    }

    fn apply<'a>(
        &'a mut self,
        connection: &'a mut SqliteConnection,
    ) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            self.output = Some(self.operation.apply(connection).await?);
            Ok(())
        })
    }

    fn wakes(&self) -> bool {
        self.output.as_ref().is_some_and(|output| self.operation.wakes(output))
    }

    fn answer(self: Box<Self>, committed: Result<(), LedgerError>) {
        let Self { output, reply, .. } = *self;
        let outcome = committed
            .map(|()| output.expect("an operation is applied before its transaction is committed"));
        // The caller may have gone; what it asked for is done all the same.
        reply.send(outcome).ok();
    }
}

/// A change of rows.
pub(super) trait Operation: Send + Sync + 'static {
    /// What the caller learns after the commit.
    type Output: Send + Sync + 'static;

    /// About how many rows it touches.
    fn rows(&self) -> usize;

    /// The moment its caller lives in.
    fn now(&self) -> Option<Timestamp>;

    /// Makes the change inside the present transaction.
    fn apply(
        &self,
        connection: &mut SqliteConnection,
    ) -> impl Future<Output = sqlx::Result<Self::Output>> + Send;

    /// Whether it made content claimable that was not.
    fn wakes(&self, _output: &Self::Output) -> bool {
        false
    }
}

/// An operation of any kind, as the writer sees it.
pub(super) trait Command: Send + Sync {
    fn rows(&self) -> usize;

    fn now(&self) -> Option<Timestamp>;

    /// Applies the operation and keeps its output for [`Command::answer`].
    fn apply<'a>(
        &'a mut self,
        connection: &'a mut SqliteConnection,
    ) -> BoxFuture<'a, sqlx::Result<()>>;

    fn wakes(&self) -> bool;

    /// Tells the caller, after the transaction was committed or failed.
    fn answer(self: Box<Self>, committed: Result<(), LedgerError>);
}
