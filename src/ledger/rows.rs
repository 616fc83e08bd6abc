//! The statements that write, and the reading of rows they depend on.
//!
//! Each is one prepared statement of portable SQL on the connection it is given; transactions
//! belong to the writer, decisions to [`super::state`].

use std::{error::Error, fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    DeadRecord, Recorded, identities,
    listed::is_listing,
    state::{Progress, State},
};
use crate::{
    content::{Announcement, ContentId, TenantId, Via},
    reason::Reason,
};

/// Content that can be claimed.
pub(super) struct Due {
    pub(super) announcement: Announcement,
    pub(super) via: Via,
    pub(super) announced: Timestamp,
    pub(super) progress: Progress,
}

/// Adds content, unless it is known already (I2).
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    via: Via,
    announcement: &Announcement,
    now: Timestamp,
) -> sqlx::Result<Recorded> {
    let progress = Progress::announced(now);
    let done = sqlx::query(
        "INSERT INTO content (tenant, content_type, canonical_id, content_id, via, created, \
         expires, announced, state, due, lane, listed, listed_created) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
         ON CONFLICT (tenant, content_type, canonical_id) DO NOTHING",
    )
    .bind(announcement.tenant.to_string())
    .bind(announcement.content_type.as_str())
    .bind(announcement.id.canonical().as_str().to_owned())
    .bind(announcement.id.as_str())
    .bind(via.as_str())
    .bind(announcement.created.as_millisecond())
    .bind(announcement.expires.as_millisecond())
    .bind(now.as_millisecond())
    .bind(progress.state.as_str())
    .bind(progress.due.as_millisecond())
    .bind(if via == Via::Backfill { BACKFILL } else { LIVE })
    .bind(is_listing(via).then_some(now.as_millisecond()))
    .bind(is_listing(via).then_some(announcement.created.as_millisecond()))
    .execute(connection)
    .await?;
    Ok(if done.rows_affected() > 0 { Recorded::New } else { Recorded::Known })
}

/// The content of a tenant that is due, oldest first, live content before what a backfill found. A
/// row that this version cannot read has its error in place of the content.
pub(super) async fn due(
    connection: &mut SqliteConnection,
    tenant: TenantId,
    limit: u32,
    now: Timestamp,
) -> sqlx::Result<Vec<(i64, sqlx::Result<Due>)>> {
    let mut rows = Vec::new();
    for lane in [LIVE, BACKFILL] {
        let left = i64::from(limit) - i64::try_from(rows.len()).unwrap_or(i64::MAX);
        if left > 0 {
            let more = sqlx::query(DUE)
                .bind(tenant.to_string())
                .bind(now.as_millisecond())
                .bind(left)
                .bind(lane)
                .fetch_all(&mut *connection)
                .await?;
            rows.extend(more);
        }
    }
    claimable(&rows)
}

/// The content of a tenant that nobody holds and that has expired, as [`due`] gives it.
pub(super) async fn expired(
    connection: &mut SqliteConnection,
    tenant: TenantId,
    limit: u32,
    now: Timestamp,
) -> sqlx::Result<Vec<(i64, sqlx::Result<Due>)>> {
    let rows = sqlx::query(EXPIRED)
        .bind(tenant.to_string())
        .bind(now.as_millisecond())
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    claimable(&rows)
}

fn claimable(rows: &[SqliteRow]) -> sqlx::Result<Vec<(i64, sqlx::Result<Due>)>> {
    rows.iter().map(|row| Ok((row.try_get("id")?, due_from(row)))).collect()
}

/// The progress of one content; none when it is not there (any more).
pub(super) async fn progress(
    connection: &mut SqliteConnection,
    content: i64,
) -> sqlx::Result<Option<Progress>> {
    sqlx::query(
        "SELECT state, due, lease, claims, attempts, last_reason, undecodable, settled, records, \
         duplicates FROM content WHERE id = $1",
    )
    .bind(content)
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(progress_from)
    .transpose()
}

/// Writes the progress of content that waited and goes on waiting. What finds settled content, and
/// what counts waiting content, is not touched.
pub(super) async fn hold(
    connection: &mut SqliteConnection,
    content: i64,
    progress: &Progress,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE content SET due = $2, lease = $3, claims = $4, attempts = $5, last_reason = $6, \
         undecodable = $7 WHERE id = $1",
    )
    .bind(content)
    .bind(progress.due.as_millisecond())
    .bind(progress.lease)
    .bind(progress.claims)
    .bind(i64::from(progress.attempts))
    .bind(progress.last_reason.map(Reason::as_str))
    .bind(i64::from(progress.undecodable))
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes the progress of content that is settled, or was.
pub(super) async fn store(
    connection: &mut SqliteConnection,
    content: i64,
    progress: &Progress,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE content SET state = $2, due = $3, lease = $4, claims = $5, attempts = $6, \
         last_reason = $7, settled = $8, records = $9, duplicates = $10, undecodable = $11 WHERE id = $1",
    )
    .bind(content)
    .bind(progress.state.as_str())
    .bind(progress.due.as_millisecond())
    .bind(progress.lease)
    .bind(progress.claims)
    .bind(i64::from(progress.attempts))
    .bind(progress.last_reason.map(Reason::as_str))
    .bind(progress.settled.map(Timestamp::as_millisecond))
    .bind(count(progress.records))
    .bind(count(progress.duplicates))
    .bind(i64::from(progress.undecodable))
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes content due later without touching anything else of it.
pub(super) async fn defer(
    connection: &mut SqliteConnection,
    content: i64,
    until: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE content SET due = $2 WHERE id = $1")
        .bind(content)
        .bind(until.as_millisecond())
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes everything that is due in the future due as much earlier as the clock was set back.
pub(super) async fn clock_set_back(
    connection: &mut SqliteConnection,
    by: SignedDuration,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE content SET due = due - $1 WHERE state = 'waiting' AND due > $2")
        .bind(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
        .bind(now.as_millisecond())
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes everything that is leased due as long as it was before.
pub(super) async fn take_back(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query(TAKE_BACK).execute(connection).await?;
    Ok(())
}

/// Keeps that a content, or one record of it, was given up on.
pub(super) async fn bury(
    connection: &mut SqliteConnection,
    content: i64,
    record: Option<u64>,
    reason: Reason,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO dead_letter (content, record_index, reason, at) VALUES ($1, $2, $3, $4)",
    )
    .bind(content)
    .bind(record.map(count))
    .bind(reason.as_str())
    .bind(now.as_millisecond())
    .execute(connection)
    .await?;
    Ok(())
}

/// [`bury`] for every dead record of a delivered content.
pub(super) async fn bury_records(
    connection: &mut SqliteConnection,
    content: i64,
    dead: &[DeadRecord],
    now: Timestamp,
) -> sqlx::Result<()> {
    for record in dead {
        bury(connection, content, Some(record.index), record.reason, now).await?;
    }
    Ok(())
}

/// Until when settled rows are old enough to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cutoffs {
    pub(super) delivered: Timestamp,
    pub(super) dead: Timestamp,
    pub(super) identities: Timestamp,
    pub(super) now: Timestamp,
}

/// Deletes up to `limit` rows that nobody needs any more, and says how many.
///
/// Content that Microsoft still has is kept whatever its age, or the next sweep would deliver it
/// again. Delivered content with dead records is kept as long as what is dead.
pub(super) async fn prune(
    connection: &mut SqliteConnection,
    cutoffs: Cutoffs,
    limit: u32,
) -> sqlx::Result<u64> {
    let delivered = sqlx::query(
        "DELETE FROM content WHERE id IN (SELECT id FROM content \
         WHERE state = 'delivered' AND settled <= $1 AND expires <= $2 AND (settled <= $3 \
         OR NOT EXISTS (SELECT 1 FROM dead_letter WHERE dead_letter.content = content.id)) \
         LIMIT $4)",
    )
    .bind(cutoffs.delivered.as_millisecond())
    .bind(cutoffs.now.as_millisecond())
    .bind(cutoffs.dead.as_millisecond())
    .bind(i64::from(limit))
    .execute(&mut *connection)
    .await?
    .rows_affected();
    let dead = sqlx::query(
        "DELETE FROM content WHERE id IN (SELECT id FROM content \
         WHERE state IN ('dead', 'expired') AND settled <= $1 AND expires <= $2 LIMIT $3)",
    )
    .bind(cutoffs.dead.as_millisecond())
    .bind(cutoffs.now.as_millisecond())
    .bind(i64::from(limit).saturating_sub_unsigned(delivered))
    .execute(&mut *connection)
    .await?
    .rows_affected();
    let identities = identities::prune(connection, cutoffs.identities, limit).await?;
    Ok(delivered + dead + identities)
}

/// Changes something that matters to nobody.
pub(super) async fn probe(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query("UPDATE probe SET commits = commits + 1").execute(connection).await?;
    Ok(())
}

/// Reads the announcement of a row.
pub(super) fn announcement_from(row: &SqliteRow) -> sqlx::Result<Announcement> {
    Ok(Announcement {
        tenant: parsed(row, "tenant")?,
        content_type: parsed(row, "content_type")?,
        id: ContentId::parse(row.try_get("content_id")?)
            .map_err(|error| unreadable("content_id", error))?,
        created: moment(row, "created")?,
        expires: moment(row, "expires")?,
    })
}

/// Reads a name of a closed set.
pub(super) fn parsed<T>(row: &SqliteRow, column: &'static str) -> sqlx::Result<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    row.try_get::<&str, _>(column)?.parse().map_err(|error| unreadable(column, error))
}

/// Reads the last reason. One that only another version knows is as good as none: it explains, and
/// decides nothing.
pub(super) fn last_reason(row: &SqliteRow) -> sqlx::Result<Option<Reason>> {
    let name: Option<&str> = row.try_get("last_reason")?;
    Ok(name.and_then(|name| name.parse().ok()))
}

/// Reads a moment.
pub(super) fn moment(row: &SqliteRow, column: &'static str) -> sqlx::Result<Timestamp> {
    Timestamp::from_millisecond(row.try_get(column)?).map_err(|error| unreadable(column, error))
}

/// Reads a moment that may be missing.
pub(super) fn optional_moment(
    row: &SqliteRow,
    column: &'static str,
) -> sqlx::Result<Option<Timestamp>> {
    row.try_get::<Option<i64>, _>(column)?
        .map(|ms| Timestamp::from_millisecond(ms).map_err(|error| unreadable(column, error)))
        .transpose()
}

/// Reads a number that is never negative.
pub(super) fn number<T: TryFrom<i64, Error: Error + Send + Sync + 'static>>(
    row: &SqliteRow,
    column: &'static str,
) -> sqlx::Result<T> {
    T::try_from(row.try_get(column)?).map_err(|error| unreadable(column, error))
}

fn due_from(row: &SqliteRow) -> sqlx::Result<Due> {
    Ok(Due {
        announcement: announcement_from(row)?,
        via: parsed(row, "via")?,
        announced: moment(row, "announced")?,
        progress: progress_from(row)?,
    })
}

fn progress_from(row: &SqliteRow) -> sqlx::Result<Progress> {
    Ok(Progress {
        state: parsed::<State>(row, "state")?,
        due: moment(row, "due")?,
        lease: row.try_get("lease")?,
        claims: row.try_get("claims")?,
        attempts: number(row, "attempts")?,
        last_reason: last_reason(row)?,
        undecodable: number(row, "undecodable")?,
        settled: optional_moment(row, "settled")?,
        records: number(row, "records")?,
        duplicates: number(row, "duplicates")?,
    })
}

/// A column whose value this version cannot read.
pub(super) fn unreadable(
    column: impl fmt::Display,
    error: impl Error + Send + Sync + 'static,
) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_string(), source: error.into() }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

// Named, so that a test can ask for their plans.

pub(super) const DUE: &str = "SELECT id, tenant, content_type, content_id, via, created, expires, \
     announced, state, due, lease, claims, attempts, last_reason, undecodable, settled, records, \
     duplicates FROM content WHERE tenant = $1 AND lane = $4 AND state = 'waiting' AND due <= $2 \
     ORDER BY due, id LIMIT $3";

pub(super) const EXPIRED: &str = "SELECT id, tenant, content_type, content_id, via, created, \
     expires, announced, state, due, lease, claims, attempts, last_reason, undecodable, settled, \
     records, duplicates FROM content WHERE tenant = $1 AND state = 'waiting' AND expires <= $2 \
     AND due <= $2 ORDER BY expires LIMIT $3";

pub(super) const TAKE_BACK: &str = "UPDATE content SET due = announced WHERE id IN \
     (SELECT id FROM content WHERE state = 'waiting' AND lease IS NOT NULL)";

/// The lanes of claims: what Microsoft just announced, and what an operator asked for.
const LIVE: i64 = 0;
const BACKFILL: i64 = 1;
