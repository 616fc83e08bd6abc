//! The one loop that writes.
//!
//! Everybody waits for it in turn, so the process runs it apart from all tasks, on a thread of its
//! own.
//!
//! What is [queued](super::queue) goes into one transaction, and nobody is answered before its commit
//! (I1). When a commit fails, everyone in the group learns it and nothing is applied. When a single
//! operation fails, the others are not its victims: the group is rolled back and each operation
//! gets a transaction of its own.
//!
//! The connection is given up whenever its state is in doubt and opened anew for the next group,
//! so a full disk or a failing one needs no restart once it is well again. If the process dies
//! here, the database's log holds every commit that was answered, and nothing else is needed. If the
//! power fails, leases may be forgotten with the process that had them, and nothing else is.
//!
//! A server may be away: everyone is told so at once, and it is looked for again with growing pauses.
//! Others may write to it: a group that the server ends in favour of theirs is applied again.
//!
//! Pruning happens here too, in small steps between groups. It takes the time from the operations
//! it sees, so it is never ahead of the callers' clock. Where several processes share the ledger it
//! is a duty of one.

use std::{
    fs::File,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::{
    LedgerError, Shared,
    announce::Announce,
    database::Database,
    identities::Remember,
    operation::{Command, together},
    postgres::{Blame, blame},
    prune::{self, Cutoffs, Retention},
    queue::Queue,
    rows,
    settle::Settle,
    sql::{Connection, Halted, Pool},
    sqlite::{self, Synced},
};
use crate::shutdown::Shutdown;

/// The loop that owns the write connection.
#[derive(Debug)]
pub struct Writer {
    pub(super) queue: Queue,
    pub(super) shared: Arc<Shared>,
    pub(super) database: Database,
    /// None after a failure that leaves its state in doubt.
    pub(super) connection: Option<Connection>,
    pub(super) reads: Pool,
    pub(super) retention: Retention,
    /// Set while the server cannot be reached.
    pub(super) away: Option<Away>,
    /// When the callers live: the time of the last operation.
    pub(super) now: Option<Timestamp>,
    /// Held as long as this process may write.
    pub(super) _lock: Option<File>,
}

impl Writer {
    /// Writes until shutdown is requested or every [`super::Ledger`] is gone; then finishes what
    /// is queued and closes the file.
    ///
    /// # Errors
    ///
    /// When the file could not be closed in order. Nothing acknowledged is lost then either.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), LedgerError> {
        let period = self.retention.interval;
        let mut prune = interval_at(Instant::now() + period, period);
        prune.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut prune_more = false;
        let mut closing = false;
        loop {
            tokio::select! {
                // In this order a busy queue cannot keep pruning off for good, and pruning more
                // than one step waits for a quiet moment.
                biased;
                () = shutdown.requested(), if !closing => {
                    self.queue.close();
                    closing = true;
                }
                _ = prune.tick(), if !closing => prune_more = self.prune().await,
                command = self.queue.next() => match command {
                    Some(command) => self.commit_with_queued(command).await,
                    None => break,
                },
                () = std::future::ready(()), if prune_more && !closing => {
                    prune_more = self.prune().await;
                }
            }
        }
        self.close().await
    }

    async fn commit_with_queued(&mut self, first: Box<dyn Command>) {
        let group = self.queue.with(first);
        // What can wait may be as old as the queue is long. What was queued before the clock was set
        // back is written with the old time, and looked for when the next group follows the clock.
        let times = group.iter().filter(|command| !command.can_wait());
        if let Some(now) = times.filter_map(|command| command.now()).max() {
            self.follow_clock(now).await;
        }
        self.commit(group).await;
    }

    /// Follows the callers' clock. When it was set back, what is due at a moment of the old time
    /// would wait for as much longer.
    async fn follow_clock(&mut self, now: Timestamp) {
        let back = self.now.map(|before| before.duration_since(now));
        if let (Some(by), Some(connection)) =
            (back.filter(|by| *by > UNORDERED), self.connection.as_mut())
        {
            let set_back = timeout(TRANSACTION, rows::clock_set_back(connection, by, now)).await;
            if let Err(error) = set_back.unwrap_or_else(|_late| Err(late())) {
                // The clock is not followed, so that it is tried again.
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "the clock was set back, and what is due is not yet");
                return;
            }
            self.shared.changes.send_modify(|changes| *changes += 1);
        }
        self.now = Some(now);
    }

    async fn commit(&mut self, mut group: Vec<Box<dyn Command>>) {
        match self.attempt(&mut group).await {
            Err(Failure::Operation(_)) if group.len() > 1 => self.commit_one_by_one(group).await,
            outcome => self.finish(group, &outcome.map_err(Failure::into_error)),
        }
    }

    async fn commit_one_by_one(&mut self, group: Vec<Box<dyn Command>>) {
        let mut unavailable = None;
        for mut command in group {
            let outcome = match &unavailable {
                // Waiting once for a database that does not commit is enough for everyone.
                Some(error) => Err(LedgerError::clone(error)),
                None => match self.attempt(std::slice::from_mut(&mut command)).await {
                    Err(Failure::Transaction(error)) => {
                        unavailable = Some(error.clone());
                        Err(error)
                    }
                    outcome => outcome.map_err(Failure::into_error),
                },
            };
            self.finish(vec![command], &outcome);
        }
    }

    /// Applies the group in one transaction, all or nothing.
    async fn attempt(&mut self, group: &mut [Box<dyn Command>]) -> Result<(), Failure> {
        for _ in 1..CONFLICTS {
            match self.attempt_once(group).await {
                Err(Failure::Conflict(_)) => {}
                outcome => return outcome,
            }
        }
        self.attempt_once(group).await
    }

    async fn attempt_once(&mut self, group: &mut [Box<dyn Command>]) -> Result<(), Failure> {
        // What one of them needs, all of them get.
        let synced = group.iter().map(|command| command.synced()).min().unwrap_or(Synced::Now);
        let transaction = async {
            let mut connection = self.begin(synced).await?;
            let outcome = apply(&mut connection, group).await;
            if !matches!(outcome, Err(Failure::Transaction(_))) {
                self.connection = Some(connection);
            }
            outcome
        };
        match timeout(TRANSACTION, transaction).await {
            Ok(outcome) => outcome,
            Err(_late) => Err(Failure::transaction(late())),
        }
    }

    /// Begins a transaction, on a new connection if there is none, or a server does not answer.
    async fn begin(&mut self, synced: Synced) -> Result<Connection, Failure> {
        if let Some(mut connection) = self.connection.take()
            && connection.begin_synced(synced).await.is_ok()
        {
            return Ok(connection);
        }
        let mut connection = self.connect().await?;
        connection.begin_synced(synced).await.map_err(Failure::transaction)?;
        Ok(connection)
    }

    /// Connects anew; to a server not more often than makes sense.
    async fn connect(&mut self) -> Result<Connection, Failure> {
        if let Some(away) = self.away.as_ref().filter(|away| Instant::now() < away.until) {
            return Err(Failure::Transaction(away.error.clone()));
        }
        let error = match self.database.connect().await {
            Ok(connection) => {
                self.away = None;
                self.database.renew(&self.reads);
                return Ok(connection);
            }
            Err(error) => LedgerError::from(error),
        };
        if self.database.is_shared() {
            let pause = self.away.as_ref().map_or(AWAY_MIN, |away| AWAY_MAX.min(away.pause * 2));
            let until = Instant::now() + pause;
            self.away = Some(Away { until, pause, error: error.clone() });
        }
        Err(Failure::Transaction(error))
    }

    /// Tells everyone in the group what became of it.
    fn finish(&self, group: Vec<Box<dyn Command>>, outcome: &Result<(), LedgerError>) {
        self.note(outcome.as_ref().err());
        let wakes = outcome.is_ok() && group.iter().any(|command| command.wakes());
        for command in group {
            command.answer(outcome.clone());
        }
        if wakes {
            self.shared.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Remembers whether commits succeed; says so when that changes.
    fn note(&self, failure: Option<&LedgerError>) {
        let before = self.shared.writable.swap(failure.is_none(), Ordering::Relaxed);
        if failure.is_none() {
            self.shared.committed.send_replace(Instant::now());
        }
        match failure {
            Some(error) if before => {
                let error: &dyn std::error::Error = error;
                tracing::error!(error, "the ledger cannot commit");
            }
            None if !before => tracing::info!("the ledger commits again"),
            _ => {}
        }
    }

    /// Removes some of what is old enough; true if there may be more.
    pub(super) async fn prune(&mut self) -> bool {
        self.database.renew(&self.reads);
        let (Some(now), Some(connection)) = (self.now, self.connection.as_mut()) else {
            return false;
        };
        let Some(duty) = self.shared.prunes() else {
            return false;
        };
        let identities = self.shared.identities_since.load(Ordering::Relaxed);
        let cutoffs = Cutoffs {
            identities: Timestamp::from_millisecond(identities).unwrap_or(Timestamp::MIN),
            ..self.retention.cutoffs(now)
        };
        let pruned = timeout(TRANSACTION, prune::step(connection, cutoffs, duty)).await;
        let pruned = pruned.unwrap_or_else(|_late| Err(late()));
        match pruned {
            Ok(more) => more,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "the ledger cannot be pruned");
                self.connection = None;
                false
            }
        }
    }

    async fn close(mut self) -> Result<(), LedgerError> {
        // Readers first: the log can only be emptied when nobody reads from it.
        self.reads.close().await;
        if let Some(mut connection) = self.connection.take() {
            if connection.is_shared() {
                // A server that is away ends the session by itself.
                timeout(CLOSE, connection.close()).await.ok();
            } else {
                connection.run(sqlite::CHECKPOINT).await?;
                connection.close().await?;
            }
        }
        Ok(())
    }
}

/// The server could not be reached.
#[derive(Debug)]
pub(super) struct Away {
    /// When it is tried again.
    until: Instant,
    pause: Duration,
    error: LedgerError,
}

/// Why a group was not committed.
enum Failure {
    /// Another process was at the same rows; the transaction was rolled back.
    Conflict(LedgerError),
    /// One operation failed; the transaction was rolled back.
    Operation(LedgerError),
    /// The transaction could not be begun, committed or rolled back.
    Transaction(LedgerError),
}

impl Failure {
    fn transaction(error: sqlx::Error) -> Self {
        Self::Transaction(error.into())
    }

    fn into_error(self) -> LedgerError {
        match self {
            Self::Conflict(error) | Self::Operation(error) | Self::Transaction(error) => error,
        }
    }
}

async fn apply(connection: &mut Connection, group: &mut [Box<dyn Command>]) -> Result<(), Failure> {
    let error = match apply_each(connection, group).await {
        Ok(()) => match connection.commit().await {
            Ok(()) => return Ok(()),
            Err(Halted { at_last: true, error }) => return Err(Failure::transaction(error)),
            Err(Halted { at_last: false, error }) => error,
        },
        Err(error) => error,
    };
    // A full disk ends the transaction by itself, and then there is nothing to roll back; the
    // connection is not trusted after that. Nor is one to a server that is going.
    let blame = if connection.is_shared() { blame(&error) } else { Blame::Statement };
    Err(match (connection.rollback().await, blame) {
        (Ok(()), Blame::Conflict) => Failure::Conflict(error.into()),
        (Ok(()), Blame::Statement) => Failure::Operation(error.into()),
        _ => Failure::transaction(error),
    })
}

/// In order, but what costs little more for many than for one, as one.
async fn apply_each(
    connection: &mut Connection,
    mut rest: &mut [Box<dyn Command>],
) -> sqlx::Result<()> {
    while !rest.is_empty() {
        let mut count = together::<Settle>(connection, rest).await?;
        if count == 0 {
            count = together::<Remember>(connection, rest).await?;
        }
        if count == 0 {
            count = together::<Announce>(connection, rest).await?;
        }
        if count == 0 {
            rest[0].apply(connection).await?;
            count = 1;
        }
        rest = &mut rest[count..];
    }
    Ok(())
}

fn late() -> sqlx::Error {
    io::Error::from(io::ErrorKind::TimedOut).into()
}

/// Operations are queued by many tasks, not quite in the order of their times.
const UNORDERED: SignedDuration = SignedDuration::from_secs(30);

/// Times that a group is tried which meets other processes at the same rows.
const CONFLICTS: u32 = 5;

/// How long a group may take: longer than a server lets one wait for another's rows, or a file for
/// another's transaction.
const TRANSACTION: Duration = Duration::from_secs(25);

const CLOSE: Duration = Duration::from_secs(2);

/// Soon enough for a server that only starts anew, and no burden for one that does not.
const AWAY_MIN: Duration = Duration::from_millis(50);
const AWAY_MAX: Duration = Duration::from_secs(2);
