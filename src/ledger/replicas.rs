//! The processes that share the ledger: who lives, since when, and which part of the budget is
//! whose.
//!
//! Each gives signs of life by counting in its row. Who is silent for a term is declared gone by
//! whoever saw it so, by the count it saw, so that a sign of life in between keeps it alive; from
//! then on its duties may be taken, and its next sign of life tells it. It may join again, and holds
//! nothing then.
//!
//! Deliberately not here: what silence is, which the observers measure with clocks of their own.

use std::{fmt, str::FromStr, sync::atomic::AtomicI64, time::Duration};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    Ledger, LedgerError, Reader, duties,
    operation::Operation,
    rows,
    shares::{self, Grant, Other, Use},
    sql::{Connection, Pool, Row, query},
};
use crate::moment::before;

/// Names a process among those that share the ledger; never another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaId(Uuid);

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for ReplicaId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

/// A process that shares the ledger, or did a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Who.
    pub id: ReplicaId,
    /// What people call it: its host.
    pub name: String,
    /// Where its status is shown.
    pub address: String,
    /// Its version.
    pub version: String,
    /// When it joined, by its clock.
    pub started: Timestamp,
    /// When it last gave a sign of life, by its clock.
    pub seen: Timestamp,
    /// Counts its signs of life.
    pub beat: i64,
    /// How long it may be silent.
    pub term: Duration,
    /// Whether it takes duties; it does not when it drains.
    pub taking: bool,
    /// What it used of the busiest tenant's budget in the last minute, in millionths.
    pub used: u32,
    /// When it left or was declared gone, if it is.
    pub gone: Option<Timestamp>,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// What people call it.
    pub name: String,
    /// Where its status is shown.
    pub address: String,
    /// Its version.
    pub version: String,
    /// How long it may be silent.
    pub term: Duration,
    /// Whether it begins anew: it was never here, or was declared gone. It holds nothing then.
    pub joins: bool,
    /// Whether it takes duties.
    pub taking: bool,
    /// What of the budget it keeps to and uses, in millionths.
    pub budget: Use,
}

impl Ledger {
    /// Who this process is.
    pub fn replica(&self) -> ReplicaId {
        self.me.id
    }

    /// Whether other processes may write here as well.
    pub fn is_shared(&self) -> bool {
        self.me.shared
    }

    /// Gives a sign of life, and says what of the budget is ours now; none if this process was
    /// declared gone.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; it is then not known whether others saw it.
    pub async fn beat(&self, beat: Beat, now: Timestamp) -> Result<Option<Grant>, LedgerError> {
        self.ask(Live { me: self.me.id, beat, now }).await
    }

    /// Declares a replica gone, unless it gave a sign of life since this one; says whether it is.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; it is then gone or not.
    pub async fn declare_gone(
        &self,
        replica: ReplicaId,
        beat: i64,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        self.ask(Declare { replica, beat, now }).await
    }

    /// Gives everything back and leaves, having used this much of the budget in the last minute.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; others then find out by the silence.
    pub async fn leave(&self, used: u32, now: Timestamp) -> Result<(), LedgerError> {
        self.ask(Leave { me: self.me.id, used, now }).await
    }

    /// Every replica, also those that are gone since a short while. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn replicas(&self) -> Result<Vec<Replica>, LedgerError> {
        Ok(replicas(&self.reads).await?)
    }
}

impl Reader {
    /// As [`Ledger::replicas`].
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn replicas(&self) -> Result<Vec<Replica>, LedgerError> {
        Ok(replicas(&self.0).await?)
    }
}

/// This process.
#[derive(Debug)]
pub(super) struct Me {
    pub(super) id: ReplicaId,
    /// Whether other processes may write as well.
    pub(super) shared: bool,
    /// Rows of identities stored.
    pub(super) stored: AtomicI64,
}

impl Me {
    /// The only process.
    pub(super) fn alone() -> Self {
        Self { shared: false, ..Self::sharing() }
    }

    /// One of several.
    pub(super) fn sharing() -> Self {
        Self { id: ReplicaId(Uuid::new_v4()), shared: true, stored: AtomicI64::new(0) }
    }
}

/// Forgets everybody, for the one process that can be: the others are gone.
pub(super) async fn forget_all(connection: &mut Connection) -> sqlx::Result<()> {
    query("DELETE FROM replica").execute(&mut *connection).await?;
    query("UPDATE duty SET holder = NULL WHERE holder IS NOT NULL").execute(connection).await?;
    Ok(())
}

/// Whether a replica was not declared gone, which nobody changes before this transaction ends.
pub(super) async fn lives(connection: &mut Connection, replica: ReplicaId) -> sqlx::Result<bool> {
    let done = query("UPDATE replica SET beat = beat WHERE id = $1 AND gone IS NULL")
        .bind(replica.to_string())
        .execute(connection)
        .await?;
    Ok(done > 0)
}

struct Live {
    me: ReplicaId,
    beat: Beat,
    now: Timestamp,
}

impl Operation for Live {
    type Output = Option<Grant>;

    fn rows(&self) -> usize {
        2
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<Option<Grant>> {
        // Whoever divides the budget waits here for those who do so before.
        query("UPDATE roll SET beats = beats + 1").execute(&mut *connection).await?;
        if self.beat.joins {
            self.join(connection).await?;
        }
        let others = query("SELECT share, used, gone FROM replica WHERE id <> $1")
            .bind(self.me.to_string())
            .fetch_all(&mut *connection)
            .await?;
        let others: Vec<_> = others.iter().map(other_from).collect::<sqlx::Result<_>>()?;
        let grant = shares::grant(self.beat.budget, &others, self.now);
        let done = query(
            "UPDATE replica SET beat = beat + 1, seen = $2, taking = $3, share = $4, used = $5 \
             WHERE id = $1 AND gone IS NULL",
        )
        .bind(self.me.to_string())
        .bind(self.now.as_millisecond())
        .bind(i64::from(self.beat.taking))
        .bind(i64::from(grant.share))
        .bind(i64::from(self.beat.budget.used))
        .execute(connection)
        .await?;
        Ok((done > 0).then_some(grant))
    }
}

impl Live {
    async fn join(&self, connection: &mut Connection) -> sqlx::Result<()> {
        duties::give_all(connection, self.me).await?;
        query("DELETE FROM replica WHERE gone < $1")
            .bind(before(self.now, REMEMBERED).as_millisecond())
            .execute(&mut *connection)
            .await?;
        let Beat { name, address, version, term, .. } = &self.beat;
        query(
            "INSERT INTO replica (id, name, address, version, started, seen, beat, term, taking, \
             share, used) VALUES ($1, $2, $3, $4, $5, $5, 0, $6, 0, 0, 0) \
             ON CONFLICT (id) DO UPDATE SET started = excluded.started, gone = NULL",
        )
        .bind(self.me.to_string())
        .bind(name.as_str())
        .bind(address.as_str())
        .bind(version.as_str())
        .bind(self.now.as_millisecond())
        .bind(i64::try_from(term.as_millis()).unwrap_or(i64::MAX))
        .execute(connection)
        .await?;
        Ok(())
    }
}

struct Declare {
    replica: ReplicaId,
    beat: i64,
    now: Timestamp,
}

impl Operation for Declare {
    type Output = bool;

    fn rows(&self) -> usize {
        1
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<bool> {
        let done =
            query("UPDATE replica SET gone = $3 WHERE id = $1 AND beat = $2 AND gone IS NULL")
                .bind(self.replica.to_string())
                .bind(self.beat)
                .bind(self.now.as_millisecond())
                .execute(connection)
                .await?;
        Ok(done > 0)
    }
}

struct Leave {
    me: ReplicaId,
    used: u32,
    now: Timestamp,
}

impl Operation for Leave {
    type Output = ();

    fn rows(&self) -> usize {
        1
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<()> {
        duties::give_all(connection, self.me).await?;
        query(
            "UPDATE replica SET gone = $2, seen = $2, share = $3, used = $3 \
             WHERE id = $1 AND gone IS NULL",
        )
        .bind(self.me.to_string())
        .bind(self.now.as_millisecond())
        .bind(i64::from(self.used))
        .execute(connection)
        .await?;
        Ok(())
    }
}

async fn replicas(reads: &Pool) -> sqlx::Result<Vec<Replica>> {
    let rows = query(
        "SELECT id, name, address, version, started, seen, beat, term, taking, used, gone \
         FROM replica ORDER BY name, id",
    )
    .quick()
    .fetch_all(reads)
    .await?;
    rows.iter().map(replica_from).collect()
}

fn replica_from(row: &Row) -> sqlx::Result<Replica> {
    let taking: i64 = row.try_get("taking")?;
    Ok(Replica {
        id: rows::parsed(row, "id")?,
        name: row.try_get("name")?,
        address: row.try_get("address")?,
        version: row.try_get("version")?,
        started: rows::moment(row, "started")?,
        seen: rows::moment(row, "seen")?,
        beat: row.try_get("beat")?,
        term: Duration::from_millis(rows::number(row, "term")?),
        taking: taking != 0,
        used: rows::number(row, "used")?,
        gone: rows::optional_moment(row, "gone")?,
    })
}

fn other_from(row: &Row) -> sqlx::Result<Other> {
    Ok(Other {
        share: rows::number(row, "share")?,
        used: rows::number(row, "used")?,
        gone: rows::optional_moment(row, "gone")?,
    })
}

/// How long one that is gone is remembered: long enough that everybody has read what it delivered.
pub(super) const REMEMBERED: SignedDuration = SignedDuration::from_mins(15);
