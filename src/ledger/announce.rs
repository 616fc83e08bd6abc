//! Recording what was announced, whichever way it came: once, however often it is told (I2).
//!
//! Notifications come one by one from many callers; what is queued of them is recorded as one.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    backlog::Counts,
    dialect::{Statement, statement},
    listed::{self, is_listing},
    operation::{Operation, Together, alone},
    rows,
    sql::{Connection, json, query},
};
use crate::content::{Announcement, Via};

/// Whether an announcement was news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It was in the ledger already, in whatever state.
    Known,
    /// It was not.
    New,
}

/// Records content.
pub(super) struct Announce {
    pub(super) via: Via,
    pub(super) announcements: Vec<Announcement>,
    pub(super) now: Timestamp,
}

impl Operation for Announce {
    type Output = Vec<Recorded>;

    fn rows(&self) -> usize {
        self.announcements.len()
    }

    fn now(&self) -> Option<Timestamp> {
        Some(self.now)
    }

    async fn apply(&self, connection: &mut Connection) -> sqlx::Result<Vec<Recorded>> {
        alone(self, connection).await
    }

    fn wakes(&self, recorded: &Vec<Recorded>) -> bool {
        recorded.contains(&Recorded::New)
    }
}

impl Together for Announce {
    /// A listing is a page already, and is compared with what is there before it is added.
    fn joins(&self) -> bool {
        self.via == Via::Webhook
    }

    async fn all(
        connection: &mut Connection,
        announces: &[&Self],
    ) -> sqlx::Result<Vec<Vec<Recorded>>> {
        let Some(Self { via, .. }) = announces.first() else {
            return Ok(Vec::new());
        };
        let each = announces.iter().map(|announce| (&announce.announcements[..], announce.now));
        record(connection, *via, &each.collect::<Vec<_>>()).await
    }
}

/// Records content that came the same way at several moments, and says of each whether it was known
/// already (I2). What was listed is remembered as such, known or not.
async fn record(
    connection: &mut Connection,
    via: Via,
    several: &[(&[Announcement], Timestamp)],
) -> sqlx::Result<Vec<Vec<Recorded>>> {
    let mut news = Vec::new();
    for (announcements, now) in several {
        if is_listing(via) {
            for feed in announcements.chunk_by(same_feed) {
                listed::compare(connection, feed, *now, &mut news).await?;
            }
        } else {
            news.extend(announcements.iter().map(|announcement| (announcement, *now)));
        }
    }
    let all = several.iter().map(|(announcements, _)| announcements.len()).sum();
    let mut new = insert(connection, via, &news, all).await?;
    let mut counts = Counts::default();
    let recorded = several.iter().map(|(announcements, _)| {
        let recorded = announcements.iter().map(|announcement| {
            // Of content that is there twice, the first is the new one.
            if new.take(announcement) {
                counts.add(&announcement.tenant, 1);
                Recorded::New
            } else {
                Recorded::Known
            }
        });
        recorded.collect()
    });
    let recorded = recorded.collect();
    counts.store(connection).await?;
    Ok(recorded)
}

/// Which of the announcements were news.
enum New {
    /// Each of them, as is usual: a row for every one was added.
    All,
    /// These: whose, of which type, and the canonical id, in one text.
    Some(HashSet<String>),
}

impl New {
    /// Whether this one was, which it is once.
    fn take(&mut self, announcement: &Announcement) -> bool {
        let Announcement { tenant, content_type, id, .. } = announcement;
        match self {
            Self::All => true,
            Self::Some(names) => {
                names.remove(&format!("{tenant} {content_type} {}", id.canonical().as_str()))
            }
        }
    }
}

fn same_feed(one: &Announcement, next: &Announcement) -> bool {
    (one.tenant, one.content_type) == (next.tenant, next.content_type)
}

/// Adds content that came the same way, except what is known already (I2), and says which was new of
/// all that came.
async fn insert(
    connection: &mut Connection,
    via: Via,
    news: &[(&Announcement, Timestamp)],
    all: usize,
) -> sqlx::Result<New> {
    if news.is_empty() {
        return Ok(New::Some(HashSet::new()));
    }
    let canonical: Vec<_> = news.iter().map(|(news, _)| news.id.canonical()).collect();
    let entries: Vec<_> = news
        .iter()
        .zip(&canonical)
        .map(|((announcement, now), canonical)| Entry {
            tenant: announcement.tenant.to_string(),
            kind: announcement.content_type.as_str(),
            canonical: canonical.as_str(),
            id: announcement.id.as_str(),
            created: announcement.created.as_millisecond(),
            expires: announcement.expires.as_millisecond(),
            now: now.as_millisecond(),
        })
        .collect();
    let row = query(INSERT)
        .bind(via.as_str())
        .bind(if via == Via::Backfill { rows::BACKFILL } else { rows::LIVE })
        .bind(i64::from(is_listing(via)))
        .bind(json(&entries)?)
        .bind(i64::try_from(all).unwrap_or(i64::MAX))
        .fetch_one(connection)
        .await?;
    let Some(names) = row.try_get::<Option<String>>("names")? else {
        return Ok(New::All);
    };
    let names = serde_json::from_str(&names).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(New::Some(names))
}

#[derive(Serialize)]
struct Entry<'a> {
    tenant: String,
    kind: &'static str,
    canonical: &'a str,
    id: &'a str,
    created: i64,
    expires: i64,
    now: i64,
}

// Named, so that a test can ask for its plan.

/// Answers with one row, and names what was added only where something was known: rows of their own
/// would wake whoever waits for them once for each. In a file the newest ids are those of this
/// statement, whatever it passed over. These are two there, so it can be fetched and not put off.
pub(super) const INSERT: Statement = statement![
    [postgres "WITH added AS ("]
    "INSERT INTO content (tenant, content_type, canonical_id, content_id, via, created, expires, \
     announced, state, due, lane, listed, listed_created) \
     SELECT item.value ->> 'tenant', item.value ->> 'kind', item.value ->> 'canonical', \
     item.value ->> 'id', $1, CAST(item.value ->> 'created' AS BIGINT), \
     CAST(item.value ->> 'expires' AS BIGINT), CAST(item.value ->> 'now' AS BIGINT), 'waiting', \
     CAST(item.value ->> 'now' AS BIGINT), $2, \
     CASE WHEN $3 = 1 THEN CAST(item.value ->> 'now' AS BIGINT) END, \
     CASE WHEN $3 = 1 THEN CAST(item.value ->> 'created' AS BIGINT) END FROM " [each "$4"]
    " WHERE true ON CONFLICT (tenant, content_type, canonical_id) DO NOTHING"
    [postgres " RETURNING tenant || ' ' || content_type || ' ' || canonical_id AS name) \
     SELECT CASE WHEN COUNT(*) < $5 THEN CAST(COALESCE(jsonb_agg(name), '[]') AS TEXT) END AS names \
     FROM added"]
    [sqlite "; SELECT CASE WHEN changes() < $5 THEN (SELECT json_group_array(name) FROM \
     (SELECT tenant || ' ' || content_type || ' ' || canonical_id AS name \
     FROM content ORDER BY id DESC LIMIT changes())) END AS names"]
];
