//! What each tenant has waiting: a count, and the first entries of two indexes.
//!
//! The count is changed by the transaction that announces, settles or replays content, so it is as
//! durable as they are. Reading it costs the same however much is waiting. Where several processes
//! write, each connection counts in rows of its own, or each commit would wait for the one before;
//! what counts is the sum.
//!
//! Not by triggers: `SQLite` keeps a journal for every statement that fires one, of each page it
//! touches.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    dialect::{Statement, statement},
    rows,
    sql::{Connection, Pool, json, query},
};
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
pub(super) async fn depth(reads: &Pool) -> sqlx::Result<Vec<Depth>> {
    let rows = query(DEPTH).fetch_all(reads).await?;
    let depths = rows.iter().filter_map(|row| {
        // A count that somebody else has changed counts what is not there.
        let oldest_created = rows::optional_moment(row, "oldest_created").transpose()?;
        let first_expiry = rows::optional_moment(row, "first_expiry").transpose()?;
        let depth = || {
            Ok(Depth {
                tenant: rows::parsed(row, "tenant")?,
                waiting: rows::number(row, "waiting")?,
                oldest_created: oldest_created?,
                first_expiry: first_expiry?,
            })
        };
        Some(depth())
    });
    depths.collect()
}

/// Those of the tenants that have content to claim.
pub(super) async fn tenants_due(
    reads: &Pool,
    tenants: &[TenantId],
    now: Timestamp,
) -> sqlx::Result<Vec<TenantId>> {
    let names: Vec<_> = tenants.iter().map(TenantId::to_string).collect();
    let rows = query(TENANTS_DUE)
        .quick()
        .bind(now.as_millisecond())
        .bind(json(&names)?)
        .fetch_all(reads)
        .await?;
    let due: HashSet<&str> =
        rows.iter().map(|row| row.try_get("tenant")).collect::<sqlx::Result<_>>()?;
    let tenants = tenants.iter().zip(&names).filter(|(_, name)| due.contains(name.as_str()));
    Ok(tenants.map(|(tenant, _)| *tenant).collect())
}

/// Counts anew, so that no start begins with a count that anybody else has changed. For a ledger
/// that nobody else writes.
pub(super) async fn recount(connection: &mut Connection) -> sqlx::Result<()> {
    connection.begin().await?;
    query("DELETE FROM backlog").execute(&mut *connection).await?;
    count_all(connection).await?;
    Ok(connection.commit().await?)
}

/// Counts what waits, where nothing is counted yet.
pub(super) async fn count_all(connection: &mut Connection) -> sqlx::Result<()> {
    query(RECOUNT).execute(connection).await?;
    Ok(())
}

/// Takes over the parts of connections that have ended, and of others; theirs begin at nothing.
pub(super) async fn merge(connection: &mut Connection) -> sqlx::Result<()> {
    query(MERGE).execute(connection).await?;
    Ok(())
}

/// How much more each tenant has waiting, or less.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<String, i64>);

impl Counts {
    pub(super) fn add(&mut self, tenant: &impl ToString, more: i64) {
        *self.0.entry(tenant.to_string()).or_default() += more;
    }

    /// Counts it.
    pub(super) async fn store(self, connection: &mut Connection) -> sqlx::Result<()> {
        // In the order of tenants, so that no two wait for each other.
        let counts: Vec<_> = self.0.into_iter().filter(|(_, more)| *more != 0).collect();
        let counts: Vec<_> =
            counts.iter().map(|(tenant, more)| Count { tenant, more: *more }).collect();
        if !counts.is_empty() {
            query(COUNT).bind(json(&counts)?).later(connection).await?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Count<'a> {
    tenant: &'a str,
    more: i64,
}

// Named, so that a test can ask for their plans.

/// Of no connection, as of one that has ended.
pub(super) const RECOUNT: Statement = Statement {
    postgres: "INSERT INTO backlog (tenant, writer, waiting) \
         SELECT tenant, 0, COUNT(*) FROM content WHERE state = 'waiting' GROUP BY tenant",
    sqlite: "INSERT INTO backlog (tenant, waiting) \
         SELECT tenant, COUNT(*) FROM content WHERE state = 'waiting' GROUP BY tenant",
};

/// A tenant that never had anything waiting since the counts are kept has none yet.
pub(super) const COUNT: Statement = Statement {
    postgres: "INSERT INTO backlog (tenant, writer, waiting) \
         SELECT item.value ->> 'tenant', pg_backend_pid(), CAST(item.value ->> 'more' AS BIGINT) \
         FROM jsonb_array_elements(CAST($1 AS JSONB)) AS item (value) \
         ON CONFLICT (tenant, writer) DO UPDATE SET waiting = backlog.waiting + excluded.waiting",
    sqlite: "INSERT INTO backlog (tenant, waiting) \
         SELECT item.value ->> 'tenant', item.value ->> 'more' FROM jsonb_each($1) AS item \
         WHERE true ON CONFLICT (tenant) DO UPDATE SET waiting = backlog.waiting + excluded.waiting",
};

/// Rows that are being counted in are left alone; a connection whose row was taken makes a new one.
const MERGE: &str = "WITH ended AS (DELETE FROM backlog WHERE (tenant, writer) IN \
     (SELECT tenant, writer FROM backlog WHERE writer <> pg_backend_pid() \
     FOR UPDATE SKIP LOCKED) RETURNING tenant, waiting) \
     INSERT INTO backlog (tenant, writer, waiting) \
     SELECT tenant, pg_backend_pid(), CAST(SUM(waiting) AS BIGINT) FROM ended GROUP BY tenant \
     ON CONFLICT (tenant, writer) DO UPDATE SET waiting = backlog.waiting + excluded.waiting";

pub(super) const DEPTH: &str = "SELECT tenant, CAST(SUM(waiting) AS BIGINT) AS waiting, \
     (SELECT MIN(created) FROM content WHERE content.tenant = backlog.tenant \
     AND state = 'waiting') AS oldest_created, \
     (SELECT MIN(expires) FROM content WHERE content.tenant = backlog.tenant \
     AND state = 'waiting') AS first_expiry \
     FROM backlog GROUP BY tenant HAVING SUM(waiting) > 0 ORDER BY tenant";

pub(super) const TENANTS_DUE: Statement = statement![
    "SELECT item.value AS tenant FROM " [texts "$2"] " WHERE EXISTS \
     (SELECT 1 FROM content WHERE content.tenant = item.value AND lane IN (0, 1) \
     AND state = 'waiting' AND due <= $1)"
];
