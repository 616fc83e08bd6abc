//! What the ledger holds, for people and gauges. Nothing here writes.
//!
//! A [`Reader`] works beside a running service on the same ledger, or on the one it left behind.

use jiff::Timestamp;

use super::{
    Config, LedgerError, OpenError, Swept,
    database::Database,
    listed, rows,
    sql::{Pool, Row, query},
};
use crate::{
    content::{Announcement, ContentType, TenantId, Via},
    reason::Reason,
};

/// A read-only view of a ledger.
#[derive(Clone, Debug)]
pub struct Reader(pub(super) Pool);

impl Reader {
    /// Opens the ledger for reading; the service may be running or not.
    ///
    /// # Errors
    ///
    /// [`OpenError::Missing`] when there is none yet, and whatever keeps it from being read.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        let database = Database::existing(&config.location)?;
        database.check_schema().await?;
        Ok(Self(database.reads()))
    }

    /// Counts per tenant and content type. Reads every row once.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn status(&self, now: Timestamp) -> Result<Vec<Status>, LedgerError> {
        let rows = query(
            "SELECT tenant, content_type, \
             COUNT(CASE WHEN state = 'waiting' AND (lease IS NULL OR due <= $1) THEN 1 END) \
             AS waiting, \
             COUNT(CASE WHEN state = 'waiting' AND lease IS NOT NULL AND due > $1 THEN 1 END) \
             AS leased, \
             COUNT(CASE WHEN state = 'delivered' THEN 1 END) AS delivered, \
             COUNT(CASE WHEN state = 'dead' THEN 1 END) AS dead, \
             COUNT(CASE WHEN state = 'expired' THEN 1 END) AS expired, \
             MIN(CASE WHEN state = 'waiting' THEN created END) AS oldest_created, \
             MIN(CASE WHEN state = 'waiting' THEN expires END) AS first_expiry, \
             CAST(SUM(records) AS BIGINT) AS records \
             FROM content GROUP BY tenant, content_type ORDER BY tenant, content_type",
        )
        .bind(now.as_millisecond())
        .fetch_all(&self.0)
        .await?;
        Ok(rows.iter().map(status_from).collect::<sqlx::Result<_>>()?)
    }

    /// When content of each tenant and type last came and was last delivered. Reads every row once.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn ages(&self) -> Result<Vec<Ages>, LedgerError> {
        let rows = query(
            "SELECT tenant, content_type, MAX(announced) AS announced, \
             MAX(CASE WHEN state = 'delivered' THEN settled END) AS delivered \
             FROM content GROUP BY tenant, content_type",
        )
        .fetch_all(&self.0)
        .await?;
        let ages = rows.iter().map(|row| {
            Ok(Ages {
                tenant: rows::parsed(row, "tenant")?,
                content_type: rows::parsed(row, "content_type")?,
                announced: rows::optional_moment(row, "announced")?,
                delivered: rows::optional_moment(row, "delivered")?,
            })
        });
        Ok(ages.collect::<sqlx::Result<_>>()?)
    }

    /// The last complete sweeps of a tenant.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn sweeps(&self, tenant: TenantId) -> Result<Vec<Swept>, LedgerError> {
        Ok(listed::sweeps(&self.0, tenant).await?)
    }

    /// Undelivered content, oldest first.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn pending(
        &self,
        filter: Filter,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Pending>, LedgerError> {
        let rows = query(
            "SELECT tenant, content_type, content_id, via, created, expires, announced, \
             attempts, due, lease, last_reason FROM content WHERE state = 'waiting' \
             AND (CAST($1 AS TEXT) IS NULL OR tenant = $1) \
             AND (CAST($2 AS TEXT) IS NULL OR content_type = $2) ORDER BY created, id LIMIT $3",
        )
        .bind(filter.tenant.map(|tenant| tenant.to_string()))
        .bind(filter.content_type.map(ContentType::as_str))
        .bind(i64::from(limit))
        .fetch_all(&self.0)
        .await?;
        Ok(rows.iter().map(|row| pending_from(row, now)).collect::<sqlx::Result<_>>()?)
    }
}

/// Which content is meant; a field that is not set means any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of one tenant.
    pub tenant: Option<TenantId>,
    /// Of one content type.
    pub content_type: Option<ContentType>,
}

/// How the content of one tenant and type is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whose content.
    pub tenant: TenantId,
    /// Of which type.
    pub content_type: ContentType,
    /// Contents waiting that nobody works on.
    pub waiting: u64,
    /// Contents waiting that are worked on.
    pub leased: u64,
    /// Contents delivered.
    pub delivered: u64,
    /// Contents given up on.
    pub dead: u64,
    /// Contents whose time ran out.
    pub expired: u64,
    /// When the oldest undelivered content was created.
    pub oldest_created: Option<Timestamp>,
    /// When the first undelivered content expires.
    pub first_expiry: Option<Timestamp>,
    /// Records delivered.
    pub records: u64,
}

/// When something last happened to a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ages {
    /// Whose feed.
    pub tenant: TenantId,
    /// Which.
    pub content_type: ContentType,
    /// When content was last recorded.
    pub announced: Option<Timestamp>,
    /// When content was last delivered.
    pub delivered: Option<Timestamp>,
}

/// Content that is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The content.
    pub announcement: Announcement,
    /// How it was announced first.
    pub via: Via,
    /// When it was recorded.
    pub announced: Timestamp,
    /// Failed attempts so far.
    pub attempts: u32,
    /// When it may be claimed; while leased, when the lease runs out.
    pub due: Timestamp,
    /// Whether somebody works on it.
    pub leased: bool,
    /// Why the last attempt failed.
    pub last_reason: Option<Reason>,
}

fn status_from(row: &Row) -> sqlx::Result<Status> {
    Ok(Status {
        tenant: rows::parsed(row, "tenant")?,
        content_type: rows::parsed(row, "content_type")?,
        waiting: rows::number(row, "waiting")?,
        leased: rows::number(row, "leased")?,
        delivered: rows::number(row, "delivered")?,
        dead: rows::number(row, "dead")?,
        expired: rows::number(row, "expired")?,
        oldest_created: rows::optional_moment(row, "oldest_created")?,
        first_expiry: rows::optional_moment(row, "first_expiry")?,
        records: rows::number(row, "records")?,
    })
}

fn pending_from(row: &Row, now: Timestamp) -> sqlx::Result<Pending> {
    let due = rows::moment(row, "due")?;
    let lease: Option<i64> = row.try_get("lease")?;
    Ok(Pending {
        announcement: rows::announcement_from(row)?,
        via: rows::parsed(row, "via")?,
        announced: rows::moment(row, "announced")?,
        attempts: rows::number(row, "attempts")?,
        due,
        leased: lease.is_some() && due > now,
        last_reason: rows::last_reason(row)?,
    })
}
