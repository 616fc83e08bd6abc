//! What became of listed content, counted for people. Nothing here writes.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use sqlx::Row;

use super::{LedgerError, Reader, rows, state::State};
use crate::content::{Announcement, ContentType, TenantId};

/// What became of contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Contents that Microsoft lists, or listed.
    pub listed: u64,
    /// Of those: delivered, with or without dead records.
    pub delivered: u64,
    /// Undelivered, worked on or not.
    pub waiting: u64,
    /// Given up on, or expired.
    pub dead: u64,
    /// Not in the ledger.
    pub missing: u64,
    /// Single records given up on, in delivered contents.
    pub dead_records: u64,
}

impl Tally {
    /// Whether nothing is lost or about to be: what waits will arrive.
    pub const fn is_sound(&self) -> bool {
        self.missing == 0 && self.dead == 0 && self.dead_records == 0
    }

    /// Whether everything arrived.
    pub const fn is_whole(&self) -> bool {
        self.is_sound() && self.waiting == 0
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.listed += other.listed;
        self.delivered += other.delivered;
        self.waiting += other.waiting;
        self.dead += other.dead;
        self.missing += other.missing;
        self.dead_records += other.dead_records;
    }
}

impl Reader {
    /// What became of this content, by its canonical id.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn tally(&self, listed: &[Announcement]) -> Result<Tally, LedgerError> {
        let mut connection = self.0.acquire().await?;
        let mut tally = Tally::default();
        for announcement in listed {
            let row = sqlx::query(
                "SELECT state, (SELECT COUNT(*) FROM dead_letter \
                 WHERE dead_letter.content = content.id AND record_index IS NOT NULL) AS dead \
                 FROM content WHERE tenant = $1 AND content_type = $2 AND canonical_id = $3",
            )
            .bind(announcement.tenant.to_string())
            .bind(announcement.content_type.as_str())
            .bind(announcement.id.canonical().as_str().to_owned())
            .fetch_optional(&mut *connection)
            .await?;
            tally.listed += 1;
            let Some(row) = row else {
                tally.missing += 1;
                continue;
            };
            tally.dead_records += rows::number::<u64>(&row, "dead")?;
            match rows::parsed(&row, "state")? {
                State::Delivered => tally.delivered += 1,
                State::Waiting => tally.waiting += 1,
                State::Dead | State::Expired => tally.dead += 1,
            }
        }
        Ok(tally)
    }

    /// What became of the content that sweeps found listed, by the day (UTC) it was created. What a
    /// sweep finds is recorded at once, so nothing of it is missing.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn swept(
        &self,
        tenant: TenantId,
        content_type: ContentType,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Date, Tally)>, LedgerError> {
        let found = sqlx::query(
            "SELECT listed_created / 86400000 AS day, COUNT(*) AS listed, \
             COUNT(CASE WHEN state = 'delivered' THEN 1 END) AS delivered, \
             COUNT(CASE WHEN state = 'waiting' THEN 1 END) AS waiting, \
             COUNT(CASE WHEN state IN ('dead', 'expired') THEN 1 END) AS dead, \
             CAST(SUM((SELECT COUNT(*) FROM dead_letter WHERE dead_letter.content = content.id \
             AND record_index IS NOT NULL)) AS BIGINT) AS dead_records \
             FROM content WHERE tenant = $1 AND content_type = $2 AND listed IS NOT NULL \
             AND listed_created >= $3 AND listed_created < $4 GROUP BY day ORDER BY day",
        )
        .bind(tenant.to_string())
        .bind(content_type.as_str())
        .bind(from.as_millisecond())
        .bind(to.as_millisecond())
        .fetch_all(&self.0)
        .await?;
        let days = found.iter().map(|row| {
            let day: i64 = row.try_get("day")?;
            let midnight = Timestamp::from_second(day.saturating_mul(86_400))
                .map_err(|error| rows::unreadable("listed_created", error))?;
            let tally = Tally {
                listed: rows::number(row, "listed")?,
                delivered: rows::number(row, "delivered")?,
                waiting: rows::number(row, "waiting")?,
                dead: rows::number(row, "dead")?,
                missing: 0,
                dead_records: rows::number(row, "dead_records")?,
            };
            Ok((midnight.to_zoned(TimeZone::UTC).date(), tally))
        });
        Ok(days.collect::<sqlx::Result<_>>()?)
    }
}
