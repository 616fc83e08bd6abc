//! Announcing beside the service, for a command that an operator runs.
//!
//! The service owns the file: leases, outcomes and pruning are its alone, and its lock keeps a
//! second service out. What happens here is no more than it allows for: short transactions that add
//! content (I2) or note it as listed, and wait their turn as the service's own do. A service that
//! runs claims the content within moments, because it looks for due content all the time; without
//! one the content waits.

use jiff::Timestamp;

use super::{
    Config, Ledger, LedgerError, OpenError, Recorded,
    announce::Announce,
    guest::Guest,
    operation::Operation,
    rows,
    sql::{Connection, query},
};
use crate::content::{Announcement, ContentType, TenantId, Via};

/// A ledger to announce old content to, whether or not the service runs.
#[derive(Debug)]
pub struct Backfill(Guest);

impl Backfill {
    /// Opens the ledger; creates it, or brings it up to date, if no service has done so yet.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which names the file and says what to do.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        Guest::open(config).await.map(Self)
    }

    /// Records content, a few rows at a time, and says for each in the same order whether it was
    /// new. It is claimed after what was announced otherwise.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the file stayed busy or failed; a part may have been recorded then.
    pub async fn announce(
        &mut self,
        announcements: &[Announcement],
        now: Timestamp,
    ) -> Result<Vec<Recorded>, LedgerError> {
        let mut recorded = Vec::with_capacity(announcements.len());
        for some in announcements.chunks(ROWS) {
            recorded.extend(
                self.0
                    .commit(&Announce { via: Via::Backfill, announcements: some.to_vec(), now })
                    .await?,
            );
        }
        Ok(recorded)
    }

    /// Notes that everything Microsoft lists in a window is recorded.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; the window is then read again next time.
    pub async fn complete(&mut self, window: Completed, now: Timestamp) -> Result<(), LedgerError> {
        self.0.commit(&Complete { window, now }).await
    }

    /// Whether a window was completed before, by itself or within a larger one.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn is_complete(&mut self, window: Completed) -> Result<bool, LedgerError> {
        let connection = self.0.connection().await?;
        let found = query(
            "SELECT 1 FROM backfill WHERE tenant = $1 AND content_type = $2 \
             AND window_start <= $3 AND window_end >= $4 LIMIT 1",
        )
        .bind(window.tenant.to_string())
        .bind(window.content_type.as_str())
        .bind(window.start.as_millisecond())
        .bind(window.end.as_millisecond())
        .fetch_optional(connection)
        .await?;
        Ok(found.is_some())
    }
}

/// A window of content creation times of one feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Whose feed.
    pub tenant: TenantId,
    /// Which.
    pub content_type: ContentType,
    /// Its first moment.
    pub start: Timestamp,
    /// The moment after its last.
    pub end: Timestamp,
}

/// Content that commands have announced to a file of which this process is the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backfilled {
    /// Whose.
    pub tenant: TenantId,
    /// Of which type.
    pub content_type: ContentType,
    /// How much.
    pub contents: u64,
}

/// Up to where [`Ledger::backfilled`] has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(i64);

impl Ledger {
    /// Counts what commands announced since a mark, and gives the next one; without a mark nothing
    /// is counted yet. What it costs does not depend on what is older. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn backfilled(
        &self,
        since: Option<Mark>,
    ) -> Result<(Mark, Vec<Backfilled>), LedgerError> {
        let last: i64 = query("SELECT COALESCE(MAX(id), 0) AS last FROM content")
            .fetch_one(&self.reads)
            .await?
            .try_get("last")?;
        let Some(Mark(since)) = since else {
            return Ok((Mark(last), Vec::new()));
        };
        let rows = query(FOUND).bind(since).bind(last).fetch_all(&self.reads).await?;
        let found = rows.iter().map(|row| {
            Ok(Backfilled {
                tenant: rows::parsed(row, "tenant")?,
                content_type: rows::parsed(row, "content_type")?,
                contents: rows::number(row, "contents")?,
            })
        });
        // Ids are never used twice, even when the newest row is deleted.
        Ok((Mark(last.max(since)), found.collect::<sqlx::Result<_>>()?))
    }
}

struct Complete {
    window: Completed,
    now: Timestamp,
}

impl Operation for Complete {
    type Output = ();

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<()> {
        query(
            "INSERT INTO backfill (tenant, content_type, window_start, window_end, at) \
             VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (tenant, content_type, window_start, window_end) \
             DO UPDATE SET at = excluded.at",
        )
        .bind(self.window.tenant.to_string())
        .bind(self.window.content_type.as_str())
        .bind(self.window.start.as_millisecond())
        .bind(self.window.end.as_millisecond())
        .bind(self.now.as_millisecond())
        .execute(&mut *connection)
        .await?;
        query("DELETE FROM backfill WHERE window_end < $1")
            .bind(self.now.as_millisecond().saturating_sub(FORGOTTEN_MS))
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// Rows in one transaction: a few milliseconds, for which the service's own commit may wait.
const ROWS: usize = 100;

/// Windows of content that Microsoft has long deleted.
const FORGOTTEN_MS: i64 = 30 * 24 * 3600 * 1000;

/// Named, so that a test can ask for its plan.
pub(super) const FOUND: &str = "SELECT tenant, content_type, COUNT(*) AS contents FROM content \
     WHERE id > $1 AND id <= $2 AND via = 'backfill' GROUP BY tenant, content_type";
