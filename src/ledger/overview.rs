//! What a page shows of the ledger: who got how much when, what waits, what is dead. Nothing here
//! writes.
//!
//! No single statement here reads more than [`CHUNK`] rows or the waiting content of one tenant, so
//! none holds up the end of the process, and whoever asks decides how often. Contents are found by
//! the moment they were recorded without an index of it: ids only grow, so the first one of a moment
//! is found by halving.

use std::{collections::HashMap, ops::Range, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    Ledger, LedgerError, Reader, Swept, Tally, listed, rows,
    sql::{Row, query},
};
use crate::{
    content::{ContentType, TenantId},
    reason::Reason,
};

/// A tenant's feed.
pub type Feed = (TenantId, ContentType);

impl Ledger {
    /// A view of the ledger that shares the connections of this handle.
    pub fn reader(&self) -> Reader {
        Reader(self.reads.clone())
    }
}

impl Reader {
    /// What came and what was delivered since a moment, in steps of time.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn traffic(
        &self,
        since: Timestamp,
        step: Duration,
        steps: usize,
    ) -> Result<HashMap<Feed, Traffic>, LedgerError> {
        let mut found: HashMap<Feed, Traffic> = HashMap::new();
        let millis = i64::try_from(step.as_millis()).unwrap_or(i64::MAX).max(1);
        let from = since.as_millisecond();
        for ids in self.ids_since(since).await? {
            let rows = query(ANNOUNCED)
                .bind(ids.start)
                .bind(ids.end)
                .bind(from)
                .bind(millis)
                .fetch_all(&self.0)
                .await?;
            for row in &rows {
                let traffic = found.entry(feed(row)?).or_insert_with(|| Traffic::new(steps));
                add(&mut traffic.announced, row, "contents")?;
                traffic.notified = traffic.notified.max(rows::optional_moment(row, "notified")?);
                traffic.found = traffic.found.max(rows::optional_moment(row, "found")?);
            }
        }
        for index in 0..steps {
            let start =
                from.saturating_add(millis.saturating_mul(i64::try_from(index).unwrap_or(0)));
            let rows = query(DELIVERED)
                .bind(start)
                .bind(start.saturating_add(millis))
                .fetch_all(&self.0)
                .await?;
            for row in &rows {
                let traffic = found.entry(feed(row)?).or_insert_with(|| Traffic::new(steps));
                let contents = rows::number(row, "contents")?;
                traffic.delivered[index] = contents;
                traffic.records[index] = rows::number(row, "records")?;
                traffic.last = traffic.last.max(rows::optional_moment(row, "last")?);
                let late: i64 = row.try_get("late")?;
                traffic.late[index] = SignedDuration::from_millis(late.max(0));
            }
        }
        Ok(found)
    }

    /// What is known of each feed's content that was created since a moment: when something last
    /// happened, and what became of it by the day (UTC) of its creation.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn books(&self, since: Timestamp) -> Result<HashMap<Feed, Books>, LedgerError> {
        let mut found: HashMap<Feed, Books> = HashMap::new();
        for ids in self.ids_since(since).await? {
            let rows = query(BOOKS)
                .bind(ids.start)
                .bind(ids.end)
                .bind(since.as_millisecond())
                .fetch_all(&self.0)
                .await?;
            for row in &rows {
                found.entry(feed(row)?).or_default().add(row)?;
            }
        }
        Ok(found)
    }

    /// The last complete sweeps of every feed.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn every_sweep(&self) -> Result<HashMap<TenantId, Vec<Swept>>, LedgerError> {
        let rows = query("SELECT tenant, content_type, depth, completed_until, at FROM sweep")
            .fetch_all(&self.0)
            .await?;
        let mut found: HashMap<TenantId, Vec<Swept>> = HashMap::new();
        for row in &rows {
            found.entry(rows::parsed(row, "tenant")?).or_default().push(listed::swept(row)?);
        }
        Ok(found)
    }

    /// How much of each feed of a tenant is undelivered. Reads what waits.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn waiting(
        &self,
        tenant: TenantId,
    ) -> Result<HashMap<ContentType, u64>, LedgerError> {
        let rows = query(WAITING).bind(tenant.to_string()).fetch_all(&self.0).await?;
        let waiting = rows
            .iter()
            .map(|row| Ok((rows::parsed(row, "content_type")?, rows::number(row, "contents")?)));
        Ok(waiting.collect::<sqlx::Result<_>>()?)
    }

    /// The dead letters, by feed and reason.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn given_up(&self, now: Timestamp) -> Result<Vec<GivenUp>, LedgerError> {
        let last = self.scalar("SELECT MAX(id) AS value FROM dead_letter").await?;
        let first = self.scalar("SELECT MIN(id) AS value FROM dead_letter").await?;
        let mut found: HashMap<(Feed, String), GivenUp> = HashMap::new();
        for ids in chunks(first.unwrap_or(0)..last.map_or(0, |last| last + 1)) {
            let rows = query(GIVEN_UP)
                .bind(ids.start)
                .bind(ids.end)
                .bind(now.as_millisecond())
                .bind(Reason::ContentExpired.as_str())
                .fetch_all(&self.0)
                .await?;
            for row in &rows {
                let reason: String = row.try_get("reason")?;
                let (feed, at) = (feed(row)?, rows::moment(row, "at")?);
                let group = found.entry((feed, reason.clone())).or_insert_with(|| GivenUp {
                    feed,
                    reason: reason.parse().ok(),
                    letters: 0,
                    replayable: 0,
                    at,
                });
                group.letters += rows::number::<u64>(row, "letters")?;
                group.replayable += rows::number::<u64>(row, "replayable")?;
                group.at = group.at.max(at);
            }
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort_by(|one, other| other.at.cmp(&one.at).then(one.feed.cmp(&other.feed)));
        Ok(found)
    }

    /// The ids of content recorded since a moment, in pieces. A clock that was set back makes it a
    /// few too many or too few.
    async fn ids_since(&self, since: Timestamp) -> Result<Vec<Range<i64>>, LedgerError> {
        let last = self.scalar(LAST).await?;
        let first = self.scalar(FIRST).await?;
        let (Some(first), Some(last)) = (first, last) else { return Ok(Vec::new()) };
        let end = last + 1;
        let (mut low, mut high) = (first, end);
        while low < high {
            let middle = low + (high - low) / 2;
            let row = query(NEXT).bind(middle).fetch_optional(&self.0).await?;
            let announced: Option<i64> = row.map(|row| row.try_get("announced")).transpose()?;
            if announced.is_none_or(|announced| announced >= since.as_millisecond()) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(chunks(low..end).collect())
    }

    async fn scalar(&self, statement: &'static str) -> sqlx::Result<Option<i64>> {
        query(statement).fetch_one(&self.0).await?.try_get("value")
    }
}

/// What came and went in one feed, by step of time, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Contents recorded.
    pub announced: Vec<u64>,
    /// Contents delivered.
    pub delivered: Vec<u64>,
    /// Records of those.
    pub records: Vec<u64>,
    /// How long after their creation those were delivered, all together.
    pub late: Vec<SignedDuration>,
    /// When a notification last brought something new.
    pub notified: Option<Timestamp>,
    /// When content was last recorded, however it was found.
    pub found: Option<Timestamp>,
    /// When content was last delivered.
    pub last: Option<Timestamp>,
}

impl Traffic {
    /// Nothing yet.
    pub fn new(steps: usize) -> Self {
        let none = vec![0; steps];
        Self {
            announced: none.clone(),
            delivered: none.clone(),
            records: none,
            late: vec![SignedDuration::ZERO; steps],
            notified: None,
            found: None,
            last: None,
        }
    }
}

/// What is known of one feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// When a notification last brought something new.
    pub notified: Option<Timestamp>,
    /// When content was last recorded, however it was found.
    pub announced: Option<Timestamp>,
    /// When content was last delivered.
    pub delivered: Option<Timestamp>,
    /// What became of what was listed, and of what was given up on unlisted; by days since 1970.
    pub days: HashMap<i64, Tally>,
}

impl Books {
    fn add(&mut self, row: &Row) -> sqlx::Result<()> {
        self.notified = self.notified.max(rows::optional_moment(row, "notified")?);
        self.announced = self.announced.max(rows::optional_moment(row, "announced")?);
        self.delivered = self.delivered.max(rows::optional_moment(row, "delivered_at")?);
        let tally = self.days.entry(row.try_get("day")?).or_default();
        let was_listed = row.try_get::<bool>("was_listed")?;
        if was_listed {
            tally.listed += rows::number::<u64>(row, "contents")?;
            tally.delivered += rows::number::<u64>(row, "delivered")?;
            tally.waiting += rows::number::<u64>(row, "waiting")?;
        }
        tally.dead += rows::number::<u64>(row, "dead")?;
        tally.dead_records += rows::number::<u64>(row, "dead_records")?;
        Ok(())
    }
}

/// Dead letters of one feed and reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// Whose.
    pub feed: Feed,
    /// Why; none: a reason that only another version knows.
    pub reason: Option<Reason>,
    /// How many.
    pub letters: u64,
    /// Of those, how many Microsoft still has, as far as we know.
    pub replayable: u64,
    /// When the last of them was given up on.
    pub at: Timestamp,
}

fn feed(row: &Row) -> sqlx::Result<Feed> {
    Ok((rows::parsed(row, "tenant")?, rows::parsed(row, "content_type")?))
}

fn add(steps: &mut [u64], row: &Row, name: &'static str) -> sqlx::Result<()> {
    let step: i64 = row.try_get("step")?;
    // What is recorded while this runs is the next look's.
    if let Some(count) = usize::try_from(step).ok().and_then(|step| steps.get_mut(step)) {
        *count += rows::number::<u64>(row, name)?;
    }
    Ok(())
}

fn chunks(ids: Range<i64>) -> impl Iterator<Item = Range<i64>> {
    let end = ids.end;
    let size = usize::try_from(CHUNK).unwrap_or(usize::MAX);
    ids.step_by(size).map(move |start| start..end.min(start.saturating_add(CHUNK)))
}

// Named, so that a test can ask for their plans.

pub(super) const FIRST: &str = "SELECT MIN(id) AS value FROM content";

pub(super) const LAST: &str = "SELECT MAX(id) AS value FROM content";

pub(super) const NEXT: &str = "SELECT announced FROM content WHERE id >= $1 ORDER BY id LIMIT 1";

pub(super) const ANNOUNCED: &str = "SELECT tenant, content_type, (announced - $3) / $4 AS step, \
     COUNT(*) AS contents, MAX(announced) AS found, \
     MAX(CASE WHEN via = 'webhook' THEN announced END) AS notified \
     FROM content WHERE id >= $1 AND id < $2 AND announced >= $3 \
     GROUP BY tenant, content_type, step";

pub(super) const DELIVERED: &str = "SELECT tenant, content_type, COUNT(*) AS contents, \
     CAST(SUM(records) AS BIGINT) AS records, CAST(SUM(settled - created) AS BIGINT) AS late, \
     MAX(settled) AS last FROM content WHERE state = 'delivered' AND settled >= $1 AND settled < $2 \
     GROUP BY tenant, content_type";

pub(super) const BOOKS: &str = "SELECT tenant, content_type, listed IS NOT NULL AS was_listed, \
     COALESCE(listed_created, created) / 86400000 AS day, COUNT(*) AS contents, \
     MAX(CASE WHEN via = 'webhook' THEN announced END) AS notified, MAX(announced) AS announced, \
     MAX(CASE WHEN state = 'delivered' THEN settled END) AS delivered_at, \
     COUNT(CASE WHEN state = 'delivered' THEN 1 END) AS delivered, \
     COUNT(CASE WHEN state = 'waiting' THEN 1 END) AS waiting, \
     COUNT(CASE WHEN state IN ('dead', 'expired') THEN 1 END) AS dead, \
     CAST(SUM((SELECT COUNT(*) FROM dead_letter WHERE dead_letter.content = content.id \
     AND record_index IS NOT NULL)) AS BIGINT) AS dead_records \
     FROM content WHERE id >= $1 AND id < $2 AND COALESCE(listed_created, created) >= $3 \
     GROUP BY tenant, content_type, was_listed, day";

/// Every moment is later than 1970; asked for, it leads to the index of what waits.
pub(super) const WAITING: &str = "SELECT content_type, COUNT(*) AS contents FROM content \
     WHERE tenant = $1 AND state = 'waiting' AND created >= 0 GROUP BY content_type";

pub(super) const GIVEN_UP: &str = "SELECT tenant, content_type, reason, COUNT(*) AS letters, \
     COUNT(CASE WHEN expires > $3 AND reason <> $4 THEN 1 END) AS replayable, MAX(at) AS at \
     FROM dead_letter JOIN content ON content.id = dead_letter.content \
     WHERE dead_letter.id >= $1 AND dead_letter.id < $2 GROUP BY tenant, content_type, reason";

/// Rows a single statement reads: some tens of milliseconds.
const CHUNK: i64 = 50_000;
