//! What became of listed content, counted for people. Nothing here writes.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use futures_util::TryStreamExt as _;
use jiff::Timestamp;

use super::{
    LedgerError, Reader,
    dialect::{Statement, statement},
    rows,
    sql::{Row, json, query},
    state::State,
};
use crate::content::{Announcement, CanonicalId, ContentType, TenantId};

/// What became of contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Contents that Microsoft lists, or listed.
    pub listed: u64,
    /// Of those: delivered, with or without dead records.
    pub delivered: u64,
    /// Undelivered, worked on or not.
    pub waiting: u64,
    /// Given up on, or expired; also what was announced and never listed.
    pub dead: u64,
    /// Not in the ledger.
    pub missing: u64,
    /// Single records given up on, in delivered contents; also of those never listed.
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
    /// What became of this content, by its canonical id. Notes in `troubled` what of it no sweep
    /// ever found listed and is among [`Self::never_listed`].
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn tally(
        &self,
        listed: &[Announcement],
        troubled: &mut HashSet<String>,
    ) -> Result<Tally, LedgerError> {
        let mut tally = Tally::default();
        let same_feed = |one: &Announcement, next: &Announcement| {
            (one.tenant, one.content_type) == (next.tenant, next.content_type)
        };
        for feed in listed.chunk_by(same_feed).flat_map(|feed| feed.chunks(AT_ONCE)) {
            let found = self.of(feed).await?;
            for announcement in feed {
                let id = announcement.id.canonical().as_str().to_owned();
                let Some((one, was_listed)) = found.get(&id) else {
                    tally += Tally { listed: 1, missing: 1, ..Tally::default() };
                    continue;
                };
                if !one.is_sound() && !was_listed {
                    troubled.insert(id);
                }
                tally += *one;
            }
        }
        Ok(tally)
    }

    /// What became of those of one feed that are known, and whether a sweep found them listed.
    async fn of(&self, feed: &[Announcement]) -> sqlx::Result<HashMap<String, (Tally, bool)>> {
        let Some(Announcement { tenant, content_type, .. }) = feed.first() else {
            return Ok(HashMap::new());
        };
        let ids: Vec<_> = feed.iter().map(|announcement| announcement.id.canonical()).collect();
        let ids: Vec<_> = ids.iter().map(CanonicalId::as_str).collect();
        let rows = query(OF_SOME)
            .bind(tenant.to_string())
            .bind(content_type.as_str())
            .bind(json(&ids)?)
            .fetch_all(&self.0)
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get("id")?, (tally_of(row)?, row.try_get("was_listed")?))))
            .collect()
    }

    /// What became of the content of a window that sweeps found listed, leaving out what is listed
    /// now. What a sweep finds is recorded at once, so nothing of it is missing.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn listed_before(
        &self,
        tenant: TenantId,
        content_type: ContentType,
        window: Range<Timestamp>,
        is_listed_now: impl Fn(&str) -> bool,
    ) -> Result<Tally, LedgerError> {
        let mut found = query(LISTED_BEFORE)
            .bind(tenant.to_string())
            .bind(content_type.as_str())
            .bind(window.start.as_millisecond())
            .bind(window.end.as_millisecond())
            .fetch(&self.0);
        let mut tally = Tally::default();
        while let Some(row) = found.try_next().await? {
            if !is_listed_now(row.try_get("id")?) {
                tally += tally_of(&row)?;
            }
        }
        Ok(tally)
    }

    /// Content that was announced, never listed by anything that is noted, and is dead or has dead
    /// records: its canonical id, and when it was created.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn never_listed(
        &self,
        tenant: TenantId,
        content_type: ContentType,
        window: Range<Timestamp>,
    ) -> Result<Vec<(String, Timestamp, Tally)>, LedgerError> {
        let found = query(NEVER_LISTED)
            .bind(tenant.to_string())
            .bind(content_type.as_str())
            .bind(window.start.as_millisecond())
            .bind(window.end.as_millisecond())
            .fetch_all(&self.0)
            .await?;
        let found = found.iter().map(|row| {
            let tally = Tally { listed: 0, delivered: 0, ..tally_of(row)? };
            Ok((row.try_get("id")?, rows::moment(row, "created")?, tally))
        });
        Ok(found.collect::<sqlx::Result<_>>()?)
    }
}

/// What became of one content.
fn tally_of(row: &Row) -> sqlx::Result<Tally> {
    let mut tally =
        Tally { listed: 1, dead_records: rows::number(row, "dead_records")?, ..Tally::default() };
    match rows::parsed(row, "state")? {
        State::Delivered => tally.delivered = 1,
        State::Waiting => tally.waiting = 1,
        State::Dead | State::Expired => tally.dead = 1,
    }
    Ok(tally)
}

/// Contents looked up at once.
const AT_ONCE: usize = 1000;

// Named, so that a test can ask for their plans.

pub(super) const OF_SOME: Statement = statement![
    "SELECT canonical_id AS id, state, listed IS NOT NULL AS was_listed, \
     (SELECT COUNT(*) FROM dead_letter WHERE dead_letter.content = content.id \
     AND record_index IS NOT NULL) AS dead_records FROM " [texts "$3"]
    " CROSS JOIN content WHERE tenant = $1 AND content_type = $2 AND canonical_id = item.value"
];

/// What was listed has the moment of its listing.
pub(super) const LISTED_BEFORE: &str = "SELECT canonical_id AS id, state, \
     (SELECT COUNT(*) FROM dead_letter WHERE dead_letter.content = content.id \
     AND record_index IS NOT NULL) AS dead_records \
     FROM content WHERE tenant = $1 AND content_type = $2 AND listed IS NOT NULL \
     AND COALESCE(listed_created, created) >= $3 AND COALESCE(listed_created, created) < $4";

/// Only what is dead has letters. They are counted, because a server may read all of them to find
/// out for each content whether there is one.
pub(super) const NEVER_LISTED: &str = "SELECT canonical_id AS id, state, created, \
     (SELECT COUNT(*) FROM dead_letter WHERE dead_letter.content = content.id \
     AND record_index IS NOT NULL) AS dead_records \
     FROM content WHERE tenant = $1 AND content_type = $2 AND listed IS NULL \
     AND COALESCE(listed_created, created) >= $3 AND COALESCE(listed_created, created) < $4 \
     AND (state IN ('dead', 'expired') \
     OR (SELECT COUNT(*) FROM dead_letter WHERE dead_letter.content = content.id) > 0)";
