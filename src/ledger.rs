//! The durable truth: what was announced, who works on it, what became of it.
//!
//! A [`Ledger`] is a handle that anyone may clone; its [`Writer`] is the one loop that writes. All
//! SQL of the program is below this module. A [`Backfill`] adds content from another process.
//!
//! - I1: an announcement is acknowledged only after its commit, which is on disk.
//! - I2: recording known content is a no-op.
//! - I3: content ends in exactly one of delivered, dead, expired, with a closed reason.
//! - I4: a lease is settled at most once; unsettled, its content becomes claimable again.
//!
//! A caller that goes away cancels nothing: once an operation is queued it belongs to the writer,
//! and is done whether or not somebody waits for the answer. If the process dies, every commit that
//! was answered is found again at the next start: restart is the recovery path. In a file that start
//! takes back all leases (none need outlive the power); on a server, which others use, they run out.
//!
//! Deliberately not here: when to try again, what an error means, how many to claim. Time is an
//! argument everywhere and is kept in milliseconds. Records are never stored, only announcements,
//! so a long outage of the receiver costs a few hundred bytes per content.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, timeout},
};

mod announce;
mod backfill;
mod backlog;
mod books;
mod changes;
mod config;
mod consents;
mod copy;
mod database;
mod dialect;
mod duties;
mod error;
mod examination;
mod following;
mod guest;
mod identities;
mod lease;
mod letters;
mod listed;
mod operation;
mod overview;
mod pauses;
mod postgres;
mod prune;
mod queue;
mod reader;
mod replicas;
mod rows;
mod schema;
mod settle;
mod shares;
mod sql;
mod sqlite;
mod starts;
mod state;
mod tenants;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

pub use announce::Recorded;
pub use backfill::{Backfill, Backfilled, Completed, Mark};
pub use backlog::Depth;
pub use books::Tally;
pub use changes::Changes;
pub use config::{Config, InvalidLocation, Location};
pub use copy::{Copied, CopyError, Progress, copy};
pub use database::OpenError;
pub use duties::{Duty, Fence, HeldDuty};
pub use error::LedgerError;
pub use examination::{Examination, Space, examine};
pub use following::Following;
use identities::Remember;
pub use identities::{Identities, Remembered};
pub use lease::{Lease, LeaseKey};
pub use letters::{DeadLetter, DeadLetters, Outcome, Replayed, Wanted};
pub use listed::{SweepDepth, Swept};
pub use overview::{Books, Feed, GivenUp, Traffic};
pub use postgres::{InvalidServer, Server};
pub use reader::{Ages, Filter, Pending, Reader, Status};
pub use replicas::{Beat, Replica, ReplicaId};
pub use settle::Settled;
pub use shares::{Grant, Use, WHOLE};
pub use starts::Start;
pub use state::{DeadRecord, Settlement};
pub use tenants::{Onboarding, StoreError, StoredTenant};
pub use writer::Writer;

use crate::{
    content::{Announcement, TenantId, Via},
    identity::{Key, Secret},
    moment,
};
use announce::Announce;
use database::Database;
use duties::Pruning;
use operation::{Claim, Operation, Probe, Renew, Request, Which};
use prune::Retention;
use queue::Entrance;
use replicas::Me;
use settle::Settle;
use sql::Pool;

/// The handle to the ledger.
#[derive(Clone, Debug)]
pub struct Ledger {
    commands: Entrance,
    reads: Pool,
    shared: Arc<Shared>,
    me: Arc<Me>,
}

impl Ledger {
    /// Opens the ledger, creating it if it is not there; a `SQLite` file for this process alone.
    ///
    /// Nothing is written until the [`Writer`] runs.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which names the file and says what to do.
    pub async fn open(config: &Config) -> Result<(Self, Writer), OpenError> {
        let (database, lock) = Database::create(&config.location)?;
        let mut connection = database.migrate_to_serve().await?;
        let secret = database.secret(&mut connection).await?;
        let reads = database.reads();
        let me = if database.is_shared() { Me::sharing() } else { Me::alone() };
        let (commands, queue) = queue::queue();
        let shared = Arc::new(Shared {
            file: config.location.file().map(Path::to_owned),
            lease: config.lease,
            secret,
            identities_since: AtomicI64::new(i64::MIN),
            changes: watch::Sender::new(0),
            writable: AtomicBool::new(true),
            pruning: Mutex::new(Pruning::Alone),
            committed: watch::Sender::new(Instant::now()),
            is_remote: database.is_shared(),
        });
        let writer = Writer {
            queue,
            shared: shared.clone(),
            database,
            connection: Some(connection),
            reads: reads.clone(),
            retention: Retention {
                delivered: config.keep_delivered,
                dead: config.keep_dead,
                interval: prune::INTERVAL,
            },
            away: None,
            now: None,
            _lock: lock,
        };
        let ledger = Self { commands, reads, shared, me: Arc::new(me) };
        Ok((ledger, writer))
    }

    /// Records content. Returns after the commit, and says for each in the same order whether it
    /// was new.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; nothing was recorded then, or it is not known to be.
    pub async fn announce(
        &self,
        via: Via,
        announcements: Vec<Announcement>,
        now: Timestamp,
    ) -> Result<Vec<Recorded>, LedgerError> {
        if announcements.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(Announce { via, announcements, now }).await
    }

    /// Says which of the tenants have content to claim, in the order given. What it costs does not
    /// depend on how much is waiting. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn tenants_due(
        &self,
        tenants: &[TenantId],
        now: Timestamp,
    ) -> Result<Vec<TenantId>, LedgerError> {
        Ok(backlog::tenants_due(&self.reads, tenants, now).await?)
    }

    /// Leases up to `limit` contents of a tenant, those due longest first, and what a backfill
    /// found only when nothing else is due.
    ///
    /// Not cancel safe: leases granted to a caller that has gone run out unused, and count as
    /// failed attempts.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; leases that were granted all the same run out.
    pub async fn claim(
        &self,
        tenant: TenantId,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Lease>, LedgerError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let until = moment::after(now, self.shared.lease);
        self.ask(Claim { tenant, which: Which::Due, limit, now, until }).await
    }

    /// As [`Ledger::claim`], of what Microsoft has deleted by now, and nothing else.
    ///
    /// # Errors
    ///
    /// As for [`Ledger::claim`].
    pub async fn claim_expired(
        &self,
        tenant: TenantId,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Lease>, LedgerError> {
        let until = moment::after(now, self.shared.lease);
        self.ask(Claim { tenant, which: Which::Expired, limit, now, until }).await
    }

    /// Makes leases last a whole lease from now; returns those that are still ours.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; the leases then last as long as before, or longer.
    pub async fn renew(
        &self,
        leases: Vec<LeaseKey>,
        now: Timestamp,
    ) -> Result<Vec<LeaseKey>, LedgerError> {
        if leases.is_empty() {
            return Ok(leases);
        }
        let until = moment::after(now, self.shared.lease);
        self.ask(Renew { leases, now, until }).await
    }

    /// Ends a lease. Returns after the commit.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; the lease is then still there, or was settled. Asking again is safe.
    pub async fn settle(
        &self,
        lease: LeaseKey,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<Settled, LedgerError> {
        self.ask(Settle { lease, settlement, now, by: self.me.clone() }).await
    }

    /// What the identities in this ledger are made with.
    pub fn secret(&self) -> Secret {
        self.shared.secret.clone()
    }

    /// The identities of records that were delivered `since`, or of the newest ones where there are
    /// more than `most`.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn identities(
        &self,
        since: Timestamp,
        most: usize,
    ) -> Result<Identities, LedgerError> {
        Ok(Identities::open(&self.reads, since, most).await?)
    }

    /// What other replicas stored of a content that is leased to us: its records that arrived while
    /// they had it.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn identities_of(&self, lease: LeaseKey) -> Result<Vec<Remembered>, LedgerError> {
        if !self.is_shared() || lease.is_first() {
            return Ok(Vec::new());
        }
        Ok(identities::of_content(&self.reads, lease.content, &self.me).await?)
    }

    /// Says that identities from before this moment are of no use any more. They go little by
    /// little.
    pub fn forget_identities(&self, before: Timestamp) {
        self.shared.identities_since.store(before.as_millisecond(), Ordering::Relaxed);
    }

    /// Keeps the identities of records that arrived although their content is not delivered yet.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; they are then not kept.
    pub async fn remember(
        &self,
        lease: LeaseKey,
        keys: Arc<[Key]>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        self.ask(Remember { content: lease.content, keys, now, by: self.me.clone() }).await
    }

    /// How long a claim holds without being renewed.
    pub fn lease(&self) -> Duration {
        self.shared.lease
    }

    /// Watches for content that becomes claimable, from this call on.
    pub fn changes(&self) -> Changes {
        Changes::new(&self.shared.changes)
    }

    /// What is undelivered, for each tenant that has any. What it costs does not depend on how much
    /// is waiting. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn depth(&self) -> Result<Vec<Depth>, LedgerError> {
        Ok(backlog::depth(&self.reads).await?)
    }

    /// Whether commits succeed: the last one did, or one made to find out does.
    pub async fn is_writable(&self) -> bool {
        if self.commands.is_closed() {
            return false;
        }
        let mut known = self.shared.writable.load(Ordering::Relaxed);
        if known && self.shared.is_remote {
            // A server goes away without a word while nobody asks for anything.
            known = self.shared.committed.borrow().elapsed() < FRESH;
        }
        // Who asks does not wait for as long as a transaction may.
        known || timeout(PROBE, self.ask(Probe)).await.is_ok_and(|probed| probed.is_ok())
    }

    /// The room on a file's file system, where the system tells. Asked anew at each call.
    pub fn space(&self) -> Option<Space> {
        self.shared.file.as_deref().and_then(examination::space)
    }

    async fn ask<O: Operation>(&self, operation: O) -> Result<O::Output, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.commands.put(Box::new(Request::new(operation, reply))).await?;
        answer.await.map_err(|_| LedgerError::Closed)?
    }
}

/// What the handles and the writer have in common.
#[derive(Debug)]
struct Shared {
    file: Option<PathBuf>,
    lease: Duration,
    secret: Secret,
    /// From when on stored identities are of use, in milliseconds.
    identities_since: AtomicI64,
    /// Counts what [`Changes`] wait for.
    changes: watch::Sender<u64>,
    /// Whether the last attempt to commit succeeded.
    writable: AtomicBool,
    /// Whether this process prunes.
    pruning: Mutex<Pruning>,
    /// When a commit last succeeded.
    committed: watch::Sender<Instant>,
    /// Whether the database is elsewhere.
    is_remote: bool,
}

/// So long a commit says that the next one will succeed.
const FRESH: Duration = Duration::from_secs(1);

const PROBE: Duration = Duration::from_secs(10);
