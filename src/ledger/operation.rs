//! What can be asked of the writer: each operation changes rows inside a transaction it neither
//! begins nor ends, and may be applied again after a rollback.

use std::any::Any;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::{
    Lease, LeaseKey, LedgerError,
    rows::{self, Due},
    sql::Connection,
    sqlite::Synced,
    state::{Claimed, Progress},
};
use crate::content::TenantId;

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

    /// No start of a service on the file leaves a lease of the one before.
    fn synced(&self) -> Synced {
        Synced::Later
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<Vec<Lease>> {
        let (mut leases, mut held) = (Vec::new(), Vec::new());
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
            if let Some((lease, progress)) = self.lease(content, due) {
                leases.push(lease);
                held.push((content, progress));
            }
        }
        rows::hold(connection, &held).await?;
        Ok(leases)
    }
}

impl Claim {
    fn lease(&self, content: i64, due: Due) -> Option<(Lease, Progress)> {
        let Claimed { progress, token, lost } = due.progress.claim(self.now, self.until)?;
        let lease = Lease {
            key: LeaseKey { content, token },
            announcement: due.announcement,
            via: due.via,
            announced: due.announced,
            attempts: progress.attempts,
            last_reason: progress.last_reason,
            undecodable: progress.undecodable,
            lost,
        };
        Some((lease, progress))
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

    /// As of a claim.
    fn synced(&self) -> Synced {
        Synced::Later
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<Vec<LeaseKey>> {
        let contents: Vec<_> = self.leases.iter().map(|lease| lease.content).collect();
        let found = rows::progress(connection, &contents).await?;
        let (mut ours, mut held) = (Vec::with_capacity(self.leases.len()), Vec::new());
        for lease in &self.leases {
            let found = found.get(&lease.content);
            if let Some(progress) = found.and_then(|f| f.progress.renew(lease.token, self.until)) {
                held.push((lease.content, progress));
                ours.push(*lease);
            }
        }
        rows::hold(connection, &held).await?;
        Ok(ours)
    }
}

/// Commits something that matters to nobody, to find out whether that is possible.
pub(super) struct Probe;

impl Operation for Probe {
    type Output = ();

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<()> {
        rows::probe(connection).await
    }
}

/// An operation and who waits for its outcome.
pub(super) struct Request<O: Operation> {
    pub(super) operation: O,
    pub(super) output: Option<O::Output>,
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

    fn synced(&self) -> Synced {
        self.operation.synced()
    }

    fn can_wait(&self) -> bool {
        self.operation.can_wait()
    }

    fn apply<'a>(&'a mut self, connection: &'a mut Connection) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            self.output = Some(self.operation.apply(connection).await?);
            Ok(())
        })
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
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
    fn rows(&self) -> usize {
        1
    }

    /// The moment its caller lives in, if it knows one.
    fn now(&self) -> Option<Timestamp> {
        None
    }

    /// When it has to be on the disk.
    fn synced(&self) -> Synced {
        Synced::Now
    }

    /// Makes the change inside the present transaction.
    fn apply(
        &self,
        connection: &mut Connection,
    ) -> impl Future<Output = sqlx::Result<Self::Output>> + Send;

    /// Whether nobody is kept waiting by its answer.
    fn can_wait(&self) -> bool {
        false
    }

    /// Whether it made content claimable that was not.
    fn wakes(&self, _output: &Self::Output) -> bool {
        false
    }
}

/// A change that costs hardly more for many than for one.
pub(super) trait Together: Operation {
    /// Whether it can be made with others.
    fn joins(&self) -> bool {
        true
    }

    /// Makes changes in the present transaction, as if one after the other, and says in the same
    /// order what each came to.
    fn all(
        connection: &mut Connection,
        operations: &[&Self],
    ) -> impl Future<Output = sqlx::Result<Vec<Self::Output>>> + Send;
}

/// Makes a change that nobody shares.
pub(super) async fn alone<O: Together>(
    operation: &O,
    connection: &mut Connection,
) -> sqlx::Result<O::Output> {
    let outputs = O::all(connection, &[operation]).await?;
    Ok(outputs.into_iter().next().expect("each operation has its output"))
}

/// Makes the changes of one kind that come first; says how many they were.
pub(super) async fn together<O: Together>(
    connection: &mut Connection,
    commands: &mut [Box<dyn Command>],
) -> sqlx::Result<usize> {
    let requests = commands.iter_mut().map_while(|command| {
        let request = command.as_any().downcast_mut::<Request<O>>()?;
        request.operation.joins().then_some(request)
    });
    let mut requests: Vec<_> = requests.collect();
    if !requests.is_empty() {
        let operations: Vec<_> = requests.iter().map(|request| &request.operation).collect();
        let outputs = O::all(connection, &operations).await?;
        for (request, output) in requests.iter_mut().zip(outputs) {
            request.output = Some(output);
        }
    }
    Ok(requests.len())
}

/// An operation of any kind, as the writer sees it.
pub(super) trait Command: Send + Sync {
    fn rows(&self) -> usize;

    fn now(&self) -> Option<Timestamp>;

    fn synced(&self) -> Synced;

    fn can_wait(&self) -> bool;

    /// Applies the operation and keeps its output for [`Command::answer`].
    fn apply<'a>(&'a mut self, connection: &'a mut Connection) -> BoxFuture<'a, sqlx::Result<()>>;

    /// The [`Request`] itself.
    fn as_any(&mut self) -> &mut dyn Any;

    fn wakes(&self) -> bool;

    /// Tells the caller, after the transaction was committed or failed.
    fn answer(self: Box<Self>, committed: Result<(), LedgerError>);
}
