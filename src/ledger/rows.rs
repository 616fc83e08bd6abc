//! The statements that write, and the reading of rows they depend on.
//!
//! Each is one statement on the connection it is given, whatever the number of rows;
//! transactions belong to the writer, decisions to [`super::state`]. What is decided on stays locked.

use std::{collections::HashMap, error::Error, fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    dialect::{Statement, statement},
    sql::{Connection, Row, json, query},
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

/// The content of a tenant that is due, oldest first, live content before what a backfill found. A
/// row that this version cannot read has its error in place of the content.
pub(super) async fn due(
    connection: &mut Connection,
    tenant: TenantId,
    limit: u32,
    now: Timestamp,
) -> sqlx::Result<Vec<(i64, sqlx::Result<Due>)>> {
    let mut rows = Vec::new();
    for lane in [LIVE, BACKFILL] {
        let left = i64::from(limit) - i64::try_from(rows.len()).unwrap_or(i64::MAX);
        if left > 0 {
            let more = query(DUE)
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
    connection: &mut Connection,
    tenant: TenantId,
    limit: u32,
    now: Timestamp,
) -> sqlx::Result<Vec<(i64, sqlx::Result<Due>)>> {
    let rows = query(EXPIRED)
        .bind(tenant.to_string())
        .bind(now.as_millisecond())
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    claimable(&rows)
}

fn claimable(rows: &[Row]) -> sqlx::Result<Vec<(i64, sqlx::Result<Due>)>> {
    rows.iter().map(|row| Ok((row.try_get("id")?, due_from(row)))).collect()
}

/// Content by its row, and whose it is.
pub(super) struct Found {
    pub(super) tenant: String,
    pub(super) progress: Progress,
}

/// The progress of contents, as far as they are (still) there.
pub(super) async fn progress(
    connection: &mut Connection,
    contents: &[i64],
) -> sqlx::Result<HashMap<i64, Found>> {
    let rows = query(PROGRESS).bind(json(contents)?).fetch_all(connection).await?;
    let found = rows.iter().map(|row| {
        let found = Found { tenant: row.try_get("tenant")?, progress: progress_from(row)? };
        Ok((row.try_get("id")?, found))
    });
    found.collect()
}

/// Writes the progress of contents that waited and go on waiting. What finds settled content, and
/// what counts waiting content, is not touched.
pub(super) async fn hold(
    connection: &mut Connection,
    contents: &[(i64, Progress)],
) -> sqlx::Result<()> {
    write(connection, HOLD, contents).await
}

/// Writes the progress of contents that are settled, or were.
pub(super) async fn store(
    connection: &mut Connection,
    contents: &[(i64, Progress)],
) -> sqlx::Result<()> {
    write(connection, STORE, contents).await
}

async fn write(
    connection: &mut Connection,
    statement: Statement,
    contents: &[(i64, Progress)],
) -> sqlx::Result<()> {
    let rows: Vec<_> = contents.iter().map(|(id, progress)| Written::new(*id, progress)).collect();
    if !rows.is_empty() {
        query(statement).bind(json(&rows)?).later(connection).await?;
    }
    Ok(())
}

/// Progress as it is written.
#[derive(Serialize)]
struct Written {
    id: i64,
    state: &'static str,
    due: i64,
    lease: Option<i64>,
    claims: i64,
    attempts: u32,
    reason: Option<&'static str>,
    undecodable: u32,
    settled: Option<i64>,
    records: i64,
    duplicates: i64,
}

impl Written {
    fn new(id: i64, progress: &Progress) -> Self {
        Self {
            id,
            state: progress.state.as_str(),
            due: progress.due.as_millisecond(),
            lease: progress.lease,
            claims: progress.claims,
            attempts: progress.attempts,
            reason: progress.last_reason.map(Reason::as_str),
            undecodable: progress.undecodable,
            settled: progress.settled.map(Timestamp::as_millisecond),
            records: count(progress.records),
            duplicates: count(progress.duplicates),
        }
    }
}

/// Makes content due later without touching anything else of it.
pub(super) async fn defer(
    connection: &mut Connection,
    content: i64,
    until: Timestamp,
) -> sqlx::Result<()> {
    query("UPDATE content SET due = $2 WHERE id = $1")
        .bind(content)
        .bind(until.as_millisecond())
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes everything that is due in the future due as much earlier as the clock was set back. Where
/// others write too, only what was due already by the old time, and is leased by nobody, becomes due
/// now: that is so however many of them say it, and does not take work out of their hands.
pub(super) async fn clock_set_back(
    connection: &mut Connection,
    by: SignedDuration,
    now: Timestamp,
) -> sqlx::Result<()> {
    query(CLOCK_SET_BACK)
        .bind(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
        .bind(now.as_millisecond())
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes everything that is leased due as long as it was before.
pub(super) async fn take_back(connection: &mut Connection) -> sqlx::Result<()> {
    query(TAKE_BACK).execute(connection).await.map(drop)
}

/// Changes something that matters to nobody.
pub(super) async fn probe(connection: &mut Connection) -> sqlx::Result<()> {
    query("UPDATE probe SET commits = commits + 1").execute(connection).await.map(drop)
}

/// Reads the announcement of a row.
pub(super) fn announcement_from(row: &Row) -> sqlx::Result<Announcement> {
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
pub(super) fn parsed<T>(row: &Row, column: &'static str) -> sqlx::Result<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    row.try_get::<&str>(column)?.parse().map_err(|error| unreadable(column, error))
}

/// Reads the last reason. One that only another version knows is as good as none: it explains, and
/// decides nothing.
pub(super) fn last_reason(row: &Row) -> sqlx::Result<Option<Reason>> {
    let name: Option<&str> = row.try_get("last_reason")?;
    Ok(name.and_then(|name| name.parse().ok()))
}

/// Reads a moment.
pub(super) fn moment(row: &Row, column: &'static str) -> sqlx::Result<Timestamp> {
    Timestamp::from_millisecond(row.try_get(column)?).map_err(|error| unreadable(column, error))
}

/// Reads a moment that may be missing.
pub(super) fn optional_moment(row: &Row, column: &'static str) -> sqlx::Result<Option<Timestamp>> {
    row.try_get::<Option<i64>>(column)?
        .map(|ms| Timestamp::from_millisecond(ms).map_err(|error| unreadable(column, error)))
        .transpose()
}

/// Reads a number that is never negative.
pub(super) fn number<T: TryFrom<i64, Error: Error + Send + Sync + 'static>>(
    row: &Row,
    column: &'static str,
) -> sqlx::Result<T> {
    T::try_from(row.try_get(column)?).map_err(|error| unreadable(column, error))
}

fn due_from(row: &Row) -> sqlx::Result<Due> {
    Ok(Due {
        announcement: announcement_from(row)?,
        via: parsed(row, "via")?,
        announced: moment(row, "announced")?,
        progress: progress_from(row)?,
    })
}

fn progress_from(row: &Row) -> sqlx::Result<Progress> {
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

pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

// Named, so that a test can ask for their plans.

/// Content of a tenant that waits and whose time has come. `SQLite` plans a statement anew whenever a
/// value is bound that a plan may depend on, which the number of a bare LIMIT is.
macro_rules! claimable {
    ($($which:literal)+) => {
        statement![
            "SELECT id, tenant, content_type, content_id, via, created, expires, announced, state, \
             due, lease, claims, attempts, last_reason, undecodable, settled, records, duplicates \
             FROM content WHERE tenant = $1 AND state = 'waiting' AND due <= $2 "
                $($which)+ " LIMIT CAST($3 AS BIGINT)" [free]
        ]
    };
}

pub(super) const DUE: Statement = claimable!["AND lane = $4 ORDER BY due, id"];

pub(super) const EXPIRED: Statement = claimable!["AND expires <= $2 ORDER BY expires"];

/// Always in the same order, so that no two wait for each other.
pub(super) const PROGRESS: Statement = statement![
    "SELECT id, tenant, state, due, lease, claims, attempts, last_reason, undecodable, settled, \
     records, duplicates FROM content \
     WHERE id IN (SELECT CAST(item.value AS BIGINT) FROM " [each "$1"] ") ORDER BY id" [locked]
];

pub(super) const HOLD: Statement = statement![
    "UPDATE content SET due = CAST(item.value ->> 'due' AS BIGINT), \
     lease = CAST(item.value ->> 'lease' AS BIGINT), \
     claims = CAST(item.value ->> 'claims' AS BIGINT), \
     attempts = CAST(item.value ->> 'attempts' AS BIGINT), \
     last_reason = item.value ->> 'reason', \
     undecodable = CAST(item.value ->> 'undecodable' AS BIGINT) FROM " [each "$1"]
    " WHERE content.id = CAST(item.value ->> 'id' AS BIGINT)"
];

pub(super) const STORE: Statement = statement![
    "UPDATE content SET state = item.value ->> 'state', \
     due = CAST(item.value ->> 'due' AS BIGINT), \
     lease = CAST(item.value ->> 'lease' AS BIGINT), \
     claims = CAST(item.value ->> 'claims' AS BIGINT), \
     attempts = CAST(item.value ->> 'attempts' AS BIGINT), \
     last_reason = item.value ->> 'reason', \
     undecodable = CAST(item.value ->> 'undecodable' AS BIGINT), \
     settled = CAST(item.value ->> 'settled' AS BIGINT), \
     records = CAST(item.value ->> 'records' AS BIGINT), \
     duplicates = CAST(item.value ->> 'duplicates' AS BIGINT) FROM " [each "$1"]
    " WHERE content.id = CAST(item.value ->> 'id' AS BIGINT)"
];

pub(super) const TAKE_BACK: &str = "UPDATE content SET due = announced WHERE id IN \
     (SELECT id FROM content WHERE state = 'waiting' AND lease IS NOT NULL)";

const CLOCK_SET_BACK: Statement = Statement {
    postgres: "UPDATE content SET due = $2 WHERE state = 'waiting' AND lease IS NULL \
         AND due > $2 AND due <= $2 + $1",
    sqlite: "UPDATE content SET due = due - $1 WHERE state = 'waiting' AND due > $2",
};

/// The lanes of claims: what Microsoft just announced, and what an operator asked for.
pub(super) const LIVE: i64 = 0;
pub(super) const BACKFILL: i64 = 1;
