//! What Microsoft's listing told: which content it holds, and how far a sweep of it has come.
//!
//! Content is remembered as listed in the same transaction that records it, so a sweep that is
//! noted as complete has nothing in its window that is not here.
//!
//! A sweep reads the same content dozens of times in its life at Microsoft. Only the first listing,
//! or one that says something else, is written; reading the rest again costs no write.

use std::{collections::HashMap, fmt, str::FromStr};

use jiff::Timestamp;

use super::{
    Fence, Ledger, LedgerError,
    dialect::{Statement, statement},
    operation::Operation,
    rows,
    sql::{Connection, Pool, Row, json, query},
};
use crate::content::{Announcement, CanonicalId, ContentType, TenantId, Unknown, Via};

/// How far back a sweep looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SweepDepth {
    /// A day.
    Day,
    /// The last hours.
    Recent,
    /// Everything Microsoft lists.
    Week,
}

impl SweepDepth {
    /// Every depth.
    pub const ALL: [Self; 3] = [Self::Day, Self::Recent, Self::Week];

    /// The database value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Recent => "recent",
            Self::Week => "week",
        }
    }
}

impl fmt::Display for SweepDepth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SweepDepth {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|depth| depth.as_str() == text).ok_or(Unknown)
    }
}

/// The last complete sweep of one depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Of which feed.
    pub content_type: ContentType,
    /// How far back it looked.
    pub depth: SweepDepth,
    /// What was listed before this moment, by Microsoft's clock, is in the ledger.
    pub until: Timestamp,
    /// When it was complete, by ours.
    pub at: Timestamp,
}

impl Ledger {
    /// Notes that a tenant was swept. Returns after the commit.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; the sweep is then due sooner than it need be.
    pub async fn swept(&self, tenant: TenantId, swept: Vec<Swept>) -> Result<(), LedgerError> {
        self.swept_under(None, tenant, swept).await
    }

    /// As [`Ledger::swept`], if the duty to sweep the tenant is still held.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Outdated`] if it is not, and as [`Ledger::swept`].
    pub async fn swept_under(
        &self,
        duty: Option<Fence>,
        tenant: TenantId,
        swept: Vec<Swept>,
    ) -> Result<(), LedgerError> {
        if swept.is_empty() {
            return Ok(());
        }
        self.ask_under(duty, NoteSwept { tenant, swept }).await
    }

    /// The last complete sweeps of a tenant. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn sweeps(&self, tenant: TenantId) -> Result<Vec<Swept>, LedgerError> {
        Ok(sweeps(&self.reads, tenant).await?)
    }
}

/// The last complete sweeps of a tenant.
pub(super) async fn sweeps(reads: &Pool, tenant: TenantId) -> sqlx::Result<Vec<Swept>> {
    let rows =
        query("SELECT content_type, depth, completed_until, at FROM sweep WHERE tenant = $1")
            .bind(tenant.to_string())
            .fetch_all(reads)
            .await?;
    rows.iter().map(swept).collect()
}

/// A row of the table of sweeps.
pub(super) fn swept(row: &Row) -> sqlx::Result<Swept> {
    Ok(Swept {
        content_type: rows::parsed(row, "content_type")?,
        depth: rows::parsed(row, "depth")?,
        until: rows::moment(row, "completed_until")?,
        at: rows::moment(row, "at")?,
    })
}

/// Notes that a tenant was swept.
struct NoteSwept {
    tenant: TenantId,
    swept: Vec<Swept>,
}

impl Operation for NoteSwept {
    type Output = ();

    fn rows(&self) -> usize {
        self.swept.len()
    }

    fn now(&self) -> Option<Timestamp> {
        self.swept.last().map(|swept| swept.at)
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<()> {
        for Swept { content_type, depth, until, at } in &self.swept {
            query(
                "INSERT INTO sweep (tenant, content_type, depth, completed_until, at) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, content_type, depth) \
                 DO UPDATE SET completed_until = excluded.completed_until, at = excluded.at",
            )
            .bind(self.tenant.to_string())
            .bind(content_type.as_str())
            .bind(depth.as_str())
            .bind(until.as_millisecond())
            .bind(at.as_millisecond())
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}

/// Finds what is news among what Microsoft lists of one feed. Nearly all was listed before, and then
/// this is all that is done about it.
pub(super) async fn compare<'a>(
    connection: &mut Connection,
    feed: &'a [Announcement],
    now: Timestamp,
    news: &mut Vec<(&'a Announcement, Timestamp)>,
) -> sqlx::Result<()> {
    let known = known(connection, feed).await?;
    for announcement in feed {
        match known.get(announcement.id.canonical().as_str()) {
            None => news.push((announcement, now)),
            Some(noted) if noted.differs(announcement, now) => {
                note_listed(connection, announcement, now).await?;
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Whether the announcement is an entry of Microsoft's listing.
pub(super) const fn is_listing(via: Via) -> bool {
    matches!(via, Via::Backfill | Via::Sweep)
}

/// What is known of content.
struct Noted {
    /// As created when it was listed, if it was.
    created: Option<i64>,
    expires: i64,
}

impl Noted {
    /// Whether the listing says something new.
    fn differs(&self, listed: &Announcement, now: Timestamp) -> bool {
        self.created != Some(listed.created.as_millisecond())
            || (now.as_millisecond() < self.expires
                && self.expires < listed.expires.as_millisecond())
    }
}

/// Which content of one feed is known, by its canonical id.
async fn known(
    connection: &mut Connection,
    feed: &[Announcement],
) -> sqlx::Result<HashMap<String, Noted>> {
    let Some(Announcement { tenant, content_type, .. }) = feed.first() else {
        return Ok(HashMap::new());
    };
    let ids: Vec<_> = feed.iter().map(|announcement| announcement.id.canonical()).collect();
    let ids: Vec<_> = ids.iter().map(CanonicalId::as_str).collect();
    let rows = query(KNOWN)
        .bind(tenant.to_string())
        .bind(content_type.as_str())
        .bind(json(&ids)?)
        .fetch_all(connection)
        .await?;
    let known = rows.iter().map(|row| {
        let noted = Noted { created: row.try_get("noted")?, expires: row.try_get("expires")? };
        Ok((row.try_get("id")?, noted))
    });
    known.collect()
}

/// Remembers that Microsoft listed known content. Of two expirations the later one counts: given
/// up on too soon it would be lost, and asked for too late Microsoft says that it is gone. One that
/// has passed stays: without a date, what is still listed would be put off with each listing.
async fn note_listed(
    connection: &mut Connection,
    announcement: &Announcement,
    now: Timestamp,
) -> sqlx::Result<()> {
    query(NOTE)
        .bind(announcement.tenant.to_string())
        .bind(announcement.content_type.as_str())
        .bind(announcement.id.canonical().as_str().to_owned())
        .bind(now.as_millisecond())
        .bind(announcement.created.as_millisecond())
        .bind(announcement.expires.as_millisecond())
        .execute(connection)
        .await?;
    Ok(())
}

// Named, so that a test can ask for their plans.

pub(super) const NOTE: &str = "UPDATE content SET listed = $4, listed_created = $5, \
     expires = CASE WHEN expires > $4 AND expires < $6 THEN $6 ELSE expires END \
     WHERE tenant = $1 AND content_type = $2 AND canonical_id = $3";

pub(super) const KNOWN: Statement = statement![
    "SELECT canonical_id AS id, \
     CASE WHEN listed IS NOT NULL THEN listed_created END AS noted, expires FROM " [texts "$3"]
    " CROSS JOIN content WHERE tenant = $1 AND content_type = $2 AND canonical_id = item.value"
];
