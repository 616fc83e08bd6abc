//! What each tenant has waiting: a count, and the first entries of two indexes.
//!
//! The count is changed by the transaction that announces, settles or replays content, so it is as
//! durable as they are. Reading it costs the same however much is waiting.
//!
//! Not by triggers: `SQLite` keeps a journal for every statement that fires one, of each page it
//! touches.

use std::collections::HashSet;

use jiff::Timestamp;
use sqlx::{Connection as _, SqliteConnection, SqlitePool};

use super::rows;
use crate::content::TenantId;

/// The undelivered content of one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Whose content.
    pub tenant: TenantId,
    /// How many contents are undelivered, worked on or not.
    pub waiting: u64,
    /// When the oldest of them was created.
    pub oldest_created: Timestamp,
    /// When the first of them expires.
    pub first_expiry: Timestamp,
}

/// The depth of every tenant that has undelivered content.
pub(super) async fn depth(reads: &SqlitePool) -> sqlx::Result<Vec<Depth>> {
    let rows = sqlx::query(DEPTH).fetch_all(reads).await?;
    rows.iter()
        .map(|row| {
            Ok(Depth {
                tenant: rows::parsed(row, "tenant")?,
                waiting: rows::number(row, "waiting")?,
                oldest_created: rows::moment(row, "oldest_created")?,
                first_expiry: rows::moment(row, "first_expiry")?,
            })
        })
        .collect()
}

/// Those of the tenants that have content to claim.
pub(super) async fn tenants_due(
    reads: &SqlitePool,
    tenants: &[TenantId],
    now: Timestamp,
) -> sqlx::Result<Vec<TenantId>> {
    let due: Vec<String> =
        sqlx::query_scalar(TENANTS_DUE).bind(now.as_millisecond()).fetch_all(reads).await?;
    let due: HashSet<_> = due.into_iter().collect();
    Ok(tenants.iter().filter(|tenant| due.contains(&tenant.to_string())).copied().collect())
}

/// Counts anew, so that no start begins with a count that anybody else has changed.
pub(super) async fn recount(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    sqlx::query("DELETE FROM backlog").execute(&mut *transaction).await?;
    sqlx::query(RECOUNT).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Counts content that was added.
pub(super) async fn announced(
    connection: &mut SqliteConnection,
    tenant: TenantId,
    contents: usize,
) -> sqlx::Result<()> {
    if contents == 0 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO backlog (tenant, waiting) VALUES ($1, $2) \
         ON CONFLICT (tenant) DO UPDATE SET waiting = waiting + excluded.waiting",
    )
    .bind(tenant.to_string())
    .bind(i64::try_from(contents).unwrap_or(i64::MAX))
    .execute(connection)
    .await?;
    Ok(())
}

/// Counts content that no longer waits.
pub(super) async fn settled(connection: &mut SqliteConnection, content: i64) -> sqlx::Result<()> {
    count(connection, content, -1).await
}

/// Counts content that waits again.
pub(super) async fn replayed(connection: &mut SqliteConnection, content: i64) -> sqlx::Result<()> {
    count(connection, content, 1).await
}

async fn count(connection: &mut SqliteConnection, content: i64, more: i64) -> sqlx::Result<()> {
    // A tenant that never had anything waiting since the counts are kept has none yet.
    sqlx::query(
        "INSERT INTO backlog (tenant, waiting) SELECT tenant, $2 FROM content WHERE id = $1 \
         ON CONFLICT (tenant) DO UPDATE SET waiting = waiting + excluded.waiting",
    )
    .bind(content)
    .bind(more)
    .execute(connection)
    .await?;
    Ok(())
}

// Named, so that a test can ask for their plans.

pub(super) const RECOUNT: &str = "INSERT INTO backlog (tenant, waiting) \
     SELECT tenant, COUNT(*) FROM content WHERE state = 'waiting' GROUP BY tenant";

pub(super) const DEPTH: &str = "SELECT tenant, waiting, \
     (SELECT MIN(created) FROM content WHERE content.tenant = backlog.tenant \
     AND state = 'waiting') AS oldest_created, \
     (SELECT MIN(expires) FROM content WHERE content.tenant = backlog.tenant \
     AND state = 'waiting') AS first_expiry \
     FROM backlog WHERE waiting > 0 ORDER BY tenant";

pub(super) const TENANTS_DUE: &str = "SELECT tenant FROM backlog WHERE waiting > 0 AND EXISTS \
     (SELECT 1 FROM content WHERE content.tenant = backlog.tenant AND lane IN (0, 1) \
     AND state = 'waiting' AND due <= $1)";
