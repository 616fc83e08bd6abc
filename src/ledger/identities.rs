//! The stored identities of delivered records.
//!
//! They are written by the transaction that settles the content they came with, or before that when
//! only a part of it has arrived, read once at a start, oldest first, and pruned when the reader no
//! longer has a use for them.

use std::sync::{Arc, atomic::Ordering};

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    LedgerError,
    dialect::{Statement, statement},
    operation::{Operation, Together, alone},
    replicas::Me,
    rows,
    sql::{Connection, Pool, Row, json, query},
};
use crate::identity::{Key, Secret};

/// A walk through the stored identities, oldest first.
#[derive(Debug)]
pub struct Identities {
    reads: Pool,
    /// The last row seen.
    after: (i64, i64),
    ahead: usize,
}

/// The identities that one settlement stored, or a part of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// When.
    pub at: Timestamp,
    /// Of what.
    pub keys: Vec<Key>,
}

impl Identities {
    /// Begins with the newest rows that hold `most` keys together, or with those of `since`.
    pub(super) async fn open(reads: &Pool, since: Timestamp, most: usize) -> sqlx::Result<Self> {
        let beginning = query(BEGINNING)
            .bind(since.as_millisecond())
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .fetch_optional(reads)
            .await?;
        let (after, ahead) = match beginning {
            Some(row) => ((row.try_get("at")?, row.try_get("id")?), most),
            None => ((since.as_millisecond(), i64::MIN), stored(reads, since).await?.min(most)),
        };
        Ok(Self { reads: reads.clone(), after, ahead })
    }

    /// How many keys the walk has ahead at its beginning, or a few more.
    pub const fn ahead(&self) -> usize {
        self.ahead
    }

    /// The next rows; none at the end. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<Remembered>>, LedgerError> {
        let mut after = self.after;
        let (mut page, mut keys) = (Vec::new(), 0);
        let mut rows = query(NEXT).bind(after.0).bind(after.1).bind(PAGE).fetch(&self.reads);
        while keys < PAGE_KEYS
            && let Some(row) = rows.try_next().await?
        {
            after = (row.try_get("at")?, row.try_get("id")?);
            let remembered = remembered_from(&row)?;
            keys += remembered.keys.len();
            page.push(remembered);
        }
        drop(rows);
        self.after = after;
        Ok((!page.is_empty()).then_some(page))
    }
}

/// How many keys are stored since a moment.
async fn stored(reads: &Pool, since: Timestamp) -> sqlx::Result<usize> {
    let row = query(NUMBER).bind(since.as_millisecond()).fetch_one(reads).await?;
    rows::number(&row, "keys")
}

/// What others stored of a content.
pub(super) async fn of_content(
    reads: &Pool,
    content: i64,
    me: &Me,
) -> sqlx::Result<Vec<Remembered>> {
    let rows = query(OF_CONTENT).quick().bind(content).bind(me.id.to_string());
    rows.fetch_all(reads).await?.iter().map(remembered_from).collect()
}

/// Keeps identities without settling anything.
pub(super) struct Remember {
    pub(super) content: i64,
    pub(super) keys: Arc<[Key]>,
    pub(super) now: Timestamp,
    pub(super) by: Arc<Me>,
}

impl Operation for Remember {
    type Output = ();

    fn rows(&self) -> usize {
        weight(self.keys.len())
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    fn can_wait(&self) -> bool {
        true
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<()> {
        alone(self, connection).await
    }
}

impl Together for Remember {
    async fn all(connection: &mut Connection, several: &[&Self]) -> sqlx::Result<Vec<()>> {
        let mut packed = Packed::default();
        for one in several {
            packed.add(one.content, &one.keys, one.now, &one.by);
        }
        // All of one process.
        if let Some(one) = several.first() {
            packed.store(connection, &one.by).await?;
        }
        Ok(several.iter().map(|_| ()).collect())
    }
}

/// What the keys of this ledger are made with.
pub(super) async fn secret(connection: &mut Connection) -> sqlx::Result<Secret> {
    let row = query("SELECT secret FROM identity_secret").fetch_one(connection).await?;
    let bytes: &[u8] = row.try_get("secret")?;
    let bytes: [u8; 16] = bytes.try_into().map_err(|error| rows::unreadable("secret", error))?;
    Ok(bytes.into())
}

/// What was confirmed, on its way into the ledger.
#[derive(Debug, Default)]
pub(super) struct Packed {
    rows: Vec<Part>,
    keys: Vec<[u8; Key::SIZE]>,
}

/// A row, and where its keys are among all.
#[derive(Debug, Serialize)]
struct Part {
    content: i64,
    at: i64,
    number: usize,
    start: usize,
    length: usize,
    seq: Option<i64>,
}

impl Packed {
    /// Adds what was confirmed of a content. Where others share the ledger each row has its number
    /// among those of its replica, by which they find it; one that was rolled back leaves a gap.
    pub(super) fn add(&mut self, content: i64, keys: &[Key], now: Timestamp, by: &Me) {
        for keys in keys.chunks(KEYS) {
            let start = self.keys.len() * Key::SIZE;
            self.keys.extend(keys.iter().map(|key| key.to_bytes()));
            self.rows.push(Part {
                content,
                at: now.as_millisecond(),
                number: keys.len(),
                start: start + 1,
                length: keys.len() * Key::SIZE,
                seq: by.shared.then(|| by.stored.fetch_add(1, Ordering::Relaxed) + 1),
            });
        }
    }

    /// Stores all of it.
    pub(super) async fn store(self, connection: &mut Connection, by: &Me) -> sqlx::Result<()> {
        if !self.rows.is_empty() {
            query(STORE)
                .bind(json(&self.rows)?)
                .bind(self.keys.into_flattened())
                .bind(by.shared.then(|| by.id.to_string()))
                .later(connection)
                .await?;
        }
        Ok(())
    }
}

/// Deletes up to `limit` rows that were stored before this, and says how many.
pub(super) async fn prune(
    connection: &mut Connection,
    before: Timestamp,
    limit: u32,
) -> sqlx::Result<u64> {
    query(PRUNE).bind(before.as_millisecond()).bind(i64::from(limit)).execute(connection).await
}

/// About how many rows of the usual size keys amount to.
pub(super) fn weight(keys: usize) -> usize {
    keys.div_ceil(32)
}

pub(super) fn remembered_from(row: &Row) -> sqlx::Result<Remembered> {
    let packed: &[u8] = row.try_get("keys")?;
    let (keys, _) = packed.as_chunks();
    Ok(Remembered {
        at: rows::moment(row, "at")?,
        keys: keys.iter().map(|key| Key::from_bytes(*key)).collect(),
    })
}

/// Bytes are counted from 1.
pub(super) const STORE: Statement = statement![
    "INSERT INTO identity (content, at, number, keys, replica, seq) \
     SELECT CAST(item.value ->> 'content' AS BIGINT), CAST(item.value ->> 'at' AS BIGINT), \
     CAST(item.value ->> 'number' AS BIGINT), substr($2, \
     CAST(item.value ->> 'start' AS INTEGER), CAST(item.value ->> 'length' AS INTEGER)), \
     CAST($3 AS TEXT), CAST(item.value ->> 'seq' AS BIGINT) FROM "
    [each "$1"]
];

pub(super) const PRUNE: Statement = statement![
    "DELETE FROM identity WHERE id" [among] "SELECT id FROM identity WHERE at < $1 \
     ORDER BY at LIMIT $2" [free] [end]
];

/// Keys in a row: 64 KiB, so that neither a row nor a page of rows is large.
const KEYS: usize = 4096;

/// Rows found by one query. Beginning a query costs as much as reading some hundred rows.
const PAGE: i64 = 8192;

/// Keys after which a page ends: about 1 MiB, and one row more.
pub(super) const PAGE_KEYS: usize = 64 * 1024;

// Named, so that a test can ask for their plans.

pub(super) const OF_CONTENT: &str = "SELECT at, keys FROM identity \
     WHERE content = $1 AND replica IS NOT NULL AND replica <> $2";

/// The newest row that is too much, if there is one. Counts come from the index alone.
pub(super) const BEGINNING: &str = "SELECT at, id FROM (SELECT at, id, SUM(number) OVER \
     (ORDER BY at DESC, id DESC ROWS UNBOUNDED PRECEDING) AS newer FROM identity WHERE at >= $1) \
     AS kept WHERE newer > $2 ORDER BY at DESC, id DESC LIMIT 1";

/// From the index alone, too.
pub(super) const NUMBER: &str =
    "SELECT CAST(COALESCE(SUM(number), 0) AS BIGINT) AS keys FROM identity WHERE at >= $1";

/// For `SQLite` in two parts, because it would find `(at, id) > (…)` by `at` alone, and read again and
/// again what shares a moment.
pub(super) const NEXT: Statement = Statement {
    postgres: "SELECT at, id, keys FROM identity WHERE (at, id) > ($1, $2) \
         ORDER BY at, id LIMIT $3",
    sqlite: "SELECT at, id, keys FROM identity WHERE at = $1 AND id > $2 \
         UNION ALL SELECT at, id, keys FROM identity WHERE at > $1 ORDER BY at, id LIMIT $3",
};
