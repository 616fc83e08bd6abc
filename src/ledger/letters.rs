//! Dead letters, for an operator: what was given up on, and another chance for it.
//!
//! Works on the file of a running service, or on the one it left behind. A replay makes dead
//! content claimable again and takes its letters away; a service claims it at its next look. A
//! letter of a single record names its content, which is fetched again as a whole: records that the
//! service remembers are not sent again. What Microsoft has deleted cannot be replayed.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Config, Filter, LedgerError, OpenError,
    backlog::Counts,
    database::Database,
    dialect::{Statement, statement},
    guest::Guest,
    operation::Operation,
    rows,
    sql::{Connection, Pool, Row, json, query},
};
use crate::{
    content::{Announcement, CanonicalId},
    reason::Reason,
};

/// The dead letters of a ledger.
#[derive(Debug)]
pub struct DeadLetters {
    reads: Pool,
    guest: Guest,
}

impl DeadLetters {
    /// Opens the ledger; the service may be running or not.
    ///
    /// # Errors
    ///
    /// [`OpenError::Missing`] when there is none yet, and whatever keeps it from being read.
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        let database = Database::existing(&config.location)?;
        database.check_schema().await?;
        Ok(Self { reads: database.reads(), guest: Guest::new(database) })
    }

    /// The letters wanted, newest first.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn list(
        &self,
        wanted: Wanted,
        limit: Option<u32>,
    ) -> Result<Vec<DeadLetter>, LedgerError> {
        let limit = limit.map_or(i64::MAX, i64::from);
        let found = self.letters(wanted, i64::MAX, limit).await?;
        Ok(found.into_iter().map(|found| found.letter).collect())
    }

    /// Makes the contents of the letters wanted due again, and says for each content what became of
    /// it, newest letter first. A content that is due again has no letters any more, wanted or not.
    /// With `ids`, only contents with one of them.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]; a part may be due again then.
    pub async fn replay(
        &mut self,
        wanted: Wanted,
        ids: &HashSet<CanonicalId>,
        now: Timestamp,
    ) -> Result<Vec<Replayed>, LedgerError> {
        let mut contents = self.contents(wanted, ids).await?;
        let mut possible: Vec<_> =
            contents.iter_mut().filter(|(_, replayed)| !replayed.letter.is_deleted(now)).collect();
        for some in possible.chunks_mut(CONTENTS) {
            let contents = some.iter().map(|(content, _)| *content).collect();
            let outcomes = self.guest.commit(&Replay { contents, now }).await?;
            for ((_, replayed), outcome) in some.iter_mut().zip(outcomes) {
                replayed.outcome = outcome;
            }
        }
        Ok(contents.into_iter().map(|(_, replayed)| replayed).collect())
    }

    /// The contents of the letters wanted, each as one that is not replayed yet.
    async fn contents(
        &self,
        wanted: Wanted,
        ids: &HashSet<CanonicalId>,
    ) -> Result<Vec<(i64, Replayed)>, LedgerError> {
        let mut contents: Vec<(i64, Replayed)> = Vec::new();
        let mut places = HashMap::new();
        let mut before = i64::MAX;
        loop {
            let page = self.letters(wanted, before, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(contents);
            };
            before = last.id;
            for Found { content, letter, .. } in page {
                if !ids.is_empty() && !ids.contains(&letter.announcement.id.canonical()) {
                    continue;
                }
                let place = *places.entry(content).or_insert(contents.len());
                match contents.get_mut(place) {
                    Some((_, replayed)) => replayed.letters += 1,
                    None => {
                        let outcome = Outcome::Deleted;
                        contents.push((content, Replayed { letter, letters: 1, outcome }));
                    }
                }
            }
        }
    }

    async fn letters(
        &self,
        wanted: Wanted,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Found>, LedgerError> {
        let found = query(
            "SELECT dead_letter.id, content, record_index, reason, at, tenant, content_type, \
             content_id, created, expires, attempts \
             FROM dead_letter JOIN content ON content.id = dead_letter.content \
             WHERE dead_letter.id < $1 \
             AND (CAST($2 AS TEXT) IS NULL OR tenant = $2) \
             AND (CAST($3 AS TEXT) IS NULL OR content_type = $3) \
             AND (CAST($4 AS TEXT) IS NULL OR reason = $4) \
             AND (CAST($5 AS BIGINT) IS NULL OR at >= $5) \
             ORDER BY dead_letter.id DESC LIMIT $6",
        )
        .bind(before)
        .bind(wanted.filter.tenant.map(|tenant| tenant.to_string()))
        .bind(wanted.filter.content_type.map(|kind| kind.as_str()))
        .bind(wanted.reason.map(Reason::as_str))
        .bind(wanted.since.map(Timestamp::as_millisecond))
        .bind(limit)
        .fetch_all(&self.reads)
        .await?;
        Ok(found.iter().map(found_from).collect::<sqlx::Result<_>>()?)
    }
}

/// Which letters are meant; a field that is not set means any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of which content.
    pub filter: Filter,
    /// Given up on for this reason.
    pub reason: Option<Reason>,
    /// Given up on at this moment or later.
    pub since: Option<Timestamp>,
}

/// What was given up on: a content, or one record of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The content.
    pub announcement: Announcement,
    /// The place of the record in the content, if only that is dead.
    pub record_index: Option<u64>,
    /// Why; none: a reason that only another version knows.
    pub reason: Option<Reason>,
    /// Failed attempts at the content.
    pub attempts: u32,
    /// When it was given up on.
    pub at: Timestamp,
}

impl DeadLetter {
    /// Whether Microsoft has deleted the content, as far as we know or were told.
    fn is_deleted(&self, now: Timestamp) -> bool {
        self.announcement.expires <= now || self.reason == Some(Reason::ContentExpired)
    }
}

/// What became of the replay of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Its newest letter.
    pub letter: DeadLetter,
    /// How many letters it had.
    pub letters: u64,
    /// Whether it is due again.
    pub outcome: Outcome,
}

/// Whether content is due again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No: Microsoft has deleted it.
    Deleted,
    /// Yes.
    Due,
    /// No: the ledger has forgotten it meanwhile.
    Forgotten,
    /// It was already; somebody else replayed it.
    Waiting,
}

/// Makes contents due again.
struct Replay {
    contents: Vec<i64>,
    now: Timestamp,
}

impl Operation for Replay {
    type Output = Vec<Outcome>;

    fn rows(&self) -> usize {
        self.contents.len()
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<Vec<Outcome>> {
        let found = rows::progress(connection, &self.contents).await?;
        let mut outcomes = Vec::with_capacity(self.contents.len());
        let (mut due, mut counts) = (Vec::new(), Counts::default());
        for content in &self.contents {
            outcomes.push(match found.get(content) {
                None => Outcome::Forgotten,
                Some(found) => match found.progress.replay(self.now) {
                    None => Outcome::Waiting,
                    Some(progress) => {
                        due.push((*content, progress));
                        counts.add(&found.tenant, 1);
                        Outcome::Due
                    }
                },
            });
        }
        rows::store(connection, &due).await?;
        counts.store(connection).await?;
        let due: Vec<_> = due.iter().map(|(content, _)| content).collect();
        query(UNBURY).bind(json(&due)?).execute(connection).await?;
        Ok(outcomes)
    }
}

/// A content, or one record of it, that is given up on.
#[derive(Debug, Serialize)]
pub(super) struct Letter {
    content: i64,
    record: Option<i64>,
    reason: &'static str,
    at: i64,
}

impl Letter {
    pub(super) fn new(content: i64, record: Option<u64>, reason: Reason, now: Timestamp) -> Self {
        let (reason, at) = (reason.as_str(), now.as_millisecond());
        Self { content, record: record.map(rows::count), reason, at }
    }
}

/// Keeps what was given up on.
pub(super) async fn bury(connection: &mut Connection, letters: &[Letter]) -> sqlx::Result<()> {
    if !letters.is_empty() {
        query(BURY).bind(json(letters)?).later(connection).await?;
    }
    Ok(())
}

/// A letter and where it is.
struct Found {
    id: i64,
    content: i64,
    letter: DeadLetter,
}

fn found_from(row: &Row) -> sqlx::Result<Found> {
    let reason: &str = row.try_get("reason")?;
    let index: Option<i64> = row.try_get("record_index")?;
    Ok(Found {
        id: row.try_get("id")?,
        content: row.try_get("content")?,
        letter: DeadLetter {
            announcement: rows::announcement_from(row)?,
            record_index: index.and_then(|index| index.try_into().ok()),
            reason: reason.parse().ok(),
            attempts: rows::number(row, "attempts")?,
            at: rows::moment(row, "at")?,
        },
    })
}

pub(super) const BURY: Statement = statement![
    "INSERT INTO dead_letter (content, record_index, reason, at) \
     SELECT CAST(item.value ->> 'content' AS BIGINT), CAST(item.value ->> 'record' AS BIGINT), \
     item.value ->> 'reason', CAST(item.value ->> 'at' AS BIGINT) FROM " [each "$1"]
];

pub(super) const UNBURY: Statement = statement![
    "DELETE FROM dead_letter WHERE content" [among] "SELECT CAST(item.value AS BIGINT) FROM "
    [each "$1"] [end]
];

/// Letters read at once.
const PAGE: i64 = 1000;

/// Contents in one transaction: a few milliseconds, for which the service's own commit may wait.
const CONTENTS: usize = 100;
