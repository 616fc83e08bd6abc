//! What other replicas delivered since the last look, so that one recognises what another sent.
//!
//! Each replica numbers the rows of identities it stores, in memory and without a gap, and others
//! read them by that number. Transactions may commit in another order than they began, so a row may
//! appear after one with a higher number was read: a number that was passed over is *missing*, and
//! is asked for at every look until it appears, or is so late ([`LATE`]) that its transaction can
//! only have been rolled back. No clock is compared and no row is read twice, but for the few at the
//! beginning, whose keys are known then, which does no harm.
//!
//! A look reads some pages at most, and costs one query for each other replica when there is
//! nothing. Who did not look for longer than replicas that are gone are remembered has to read
//! everything again ([`Following::is_behind`]).

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{
    Ledger, LedgerError, Remembered, ReplicaId,
    identities::{PAGE_KEYS, remembered_from},
    replicas::REMEMBERED,
    rows,
    sql::{Pool, query},
};

/// A walk through what others store, which never ends.
#[derive(Debug)]
pub struct Following {
    reads: Pool,
    me: ReplicaId,
    others: HashMap<ReplicaId, Place>,
    /// When everything that was there had been read.
    up_to_date: Instant,
    /// Whether the last look read everything there was.
    whole: bool,
}

/// How far the rows of one replica are read.
#[derive(Debug, Default)]
struct Place {
    /// The highest number seen.
    top: i64,
    /// Lower ones that were not there yet.
    gaps: Vec<Gap>,
}

/// Numbers that were passed over, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gap {
    from: i64,
    to: i64,
    since: Instant,
}

impl Ledger {
    /// Begins to follow what others store from now on; none where nobody shares the ledger. What
    /// was stored before is read from [`Ledger::identities`], afterwards, so that nothing is in
    /// between.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn follow(&self) -> Result<Option<Following>, LedgerError> {
        if !self.is_shared() {
            return Ok(None);
        }
        let mut following = Following {
            reads: self.reads.clone(),
            me: self.replica(),
            others: HashMap::new(),
            up_to_date: Instant::now(),
            whole: true,
        };
        for replica in following.others().await? {
            let top: i64 = query(TOP)
                .quick()
                .bind(replica.to_string())
                .fetch_one(&self.reads)
                .await?
                .try_get("top")?;
            let place = Place { top: top.saturating_sub(OVERLAP).max(0), ..Place::default() };
            following.others.insert(replica, place);
        }
        Ok(Some(following))
    }
}

impl Following {
    /// What others stored since the last time, a few pages at most, and whether there may be more.
    ///
    /// Not cancel safe: what was read by a call that is dropped is not read again.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read; the next call goes on.
    pub async fn next(&mut self) -> Result<(Vec<Remembered>, bool), LedgerError> {
        let now = Instant::now();
        let mut found = Vec::new();
        self.whole = false;
        match self.read(&mut found, now).await {
            // What was read before it failed counts as read.
            Err(error) if found.is_empty() => Err(error.into()),
            Err(_) => Ok((found, false)),
            Ok(more) => {
                if !more {
                    self.up_to_date = now;
                    self.whole = true;
                }
                Ok((found, more))
            }
        }
    }

    /// Whether the last look read everything that was there, of everybody.
    pub const fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether rows of replicas that are forgotten may have been missed.
    pub fn is_behind(&self) -> bool {
        let remembered = Duration::try_from(REMEMBERED).unwrap_or_default();
        self.up_to_date.elapsed() > remembered / 2
    }

    async fn read(&mut self, found: &mut Vec<Remembered>, now: Instant) -> sqlx::Result<bool> {
        let present = self.others().await?;
        self.others.retain(|replica, _| present.contains(replica));
        let mut more = false;
        for replica in present {
            let place = self.others.entry(replica).or_default();
            more |= place.read_new(&self.reads, replica, found, now).await?;
            place.read_late(&self.reads, replica, found, now).await?;
        }
        Ok(more)
    }

    async fn others(&self) -> sqlx::Result<Vec<ReplicaId>> {
        let rows = query("SELECT id FROM replica WHERE id <> $1")
            .quick()
            .bind(self.me.to_string())
            .fetch_all(&self.reads)
            .await?;
        rows.iter().map(|row| rows::parsed(row, "id")).collect()
    }
}

impl Place {
    /// Reads a page of rows above the highest; says whether there may be more.
    async fn read_new(
        &mut self,
        reads: &Pool,
        replica: ReplicaId,
        found: &mut Vec<Remembered>,
        now: Instant,
    ) -> sqlx::Result<bool> {
        let numbers = query(NUMBERS).quick().bind(replica.to_string()).bind(self.top).bind(PAGE);
        let (mut keys, mut page, mut to) = (0, 0, self.top);
        let numbers = numbers.fetch_all(reads).await?;
        for row in &numbers {
            if keys >= PAGE_KEYS {
                break;
            }
            keys += rows::number::<usize>(row, "number")?;
            to = row.try_get("seq")?;
            page += 1;
        }
        if page == 0 {
            return Ok(false);
        }
        let rows = query(NEXT)
            .quick()
            .bind(replica.to_string())
            .bind(self.top)
            .bind(to)
            .bind(i64::MAX)
            .fetch_all(reads)
            .await?;
        for row in rows {
            // One that appeared meanwhile is here as well.
            self.reach(row.try_get("seq")?, now);
            found.push(remembered_from(&row)?);
        }
        self.reach(to, now);
        Ok(page < numbers.len() || numbers.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX))
    }

    /// Reads what has appeared of the rows that were passed over.
    async fn read_late(
        &mut self,
        reads: &Pool,
        replica: ReplicaId,
        found: &mut Vec<Remembered>,
        now: Instant,
    ) -> sqlx::Result<()> {
        for gap in std::mem::take(&mut self.gaps) {
            let rows = query(NEXT)
                .quick()
                .bind(replica.to_string())
                .bind(gap.from - 1)
                .bind(gap.to)
                .bind(LATE_PAGE)
                .fetch_all(reads)
                .await;
            let Ok(rows) = rows else {
                self.gaps.push(gap);
                continue;
            };
            // This was the last look at one that is missing for so long.
            let is_late = now.duration_since(gap.since) >= LATE;
            let mut from = gap.from;
            for row in rows {
                let seq: i64 = row.try_get("seq")?;
                found.push(remembered_from(&row)?);
                if !is_late {
                    self.pass_over(Gap { from, to: seq - 1, ..gap });
                }
                from = seq + 1;
            }
            if !is_late {
                self.pass_over(Gap { from, ..gap });
            }
        }
        Ok(())
    }

    /// Notes that a row was read, and those before it that were not there.
    fn reach(&mut self, seq: i64, since: Instant) {
        // Before that they are not late but pruned.
        let from = (self.top + 1).max(seq - MOST_MISSING);
        self.pass_over(Gap { from, to: seq - 1, since });
        self.top = seq;
    }

    fn pass_over(&mut self, gap: Gap) {
        if gap.from <= gap.to {
            if self.gaps.len() == MOST_GAPS {
                self.gaps.remove(0);
            }
            self.gaps.push(gap);
        }
    }
}

/// Longer than any transaction of a replica lasts: after this a number is one that was rolled back.
const LATE: Duration = Duration::from_secs(60);

/// Far more rows than all transactions hold together that a process has open at one moment.
const MOST_MISSING: i64 = 16 * 1024;

/// Each is looked for by itself. The oldest gives way, which can only repeat a record.
const MOST_GAPS: usize = 256;

/// At the beginning so many are read that may be known, because lower ones may be late.
const OVERLAP: i64 = 1024;

/// Rows read at once; it ends sooner where they hold many keys.
const PAGE: i64 = 4096;

/// Rows of a gap read at once.
const LATE_PAGE: i64 = 64;

// Named, so that a test can ask for their plans.

/// How much there is, without reading it.
pub(super) const NUMBERS: &str = "SELECT seq, number FROM identity \
     WHERE replica = $1 AND seq > $2 ORDER BY seq LIMIT $3";

pub(super) const NEXT: &str = "SELECT seq, at, keys FROM identity \
     WHERE replica = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4";

pub(super) const TOP: &str = "SELECT COALESCE(MAX(seq), 0) AS top FROM identity WHERE replica = $1";
