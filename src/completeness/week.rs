//! The last week by the ledger's books alone, for a page that is looked at again and again.
//!
//! The same rows as a report that does not ask Microsoft, but of all feeds at once, in one pass over
//! the contents recorded in that time. Nothing can be missing here: only Microsoft could tell.

use std::collections::HashMap;

use jiff::{Timestamp, civil::Date};

use super::{Completeness, Coverage, Day, SECOND, Source, days};
use crate::{
    ledger::{Books, Feed, LedgerError},
    moment::after,
    sweep::window,
};

impl Completeness {
    /// The last 7 days of these feeds. Microsoft is not asked.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read.
    pub async fn week(&self, feeds: &[Feed]) -> Result<HashMap<Feed, Week>, LedgerError> {
        let now = self.clock.now();
        let to = after(now, SECOND);
        let from = window::earliest(to);
        // Content is recorded after it was created.
        let mut books = self.reader.books(from).await?;
        let swept = self.reader.every_sweep().await?;
        let windows = days(from, to);
        let week = |feed: Feed| {
            let (tenant, content_type) = feed;
            let books = books.remove(&feed).unwrap_or_default();
            let swept = swept.get(&tenant).into_iter().flatten().copied();
            let swept = swept.filter(|swept| swept.content_type == content_type);
            let coverage = Coverage::new(swept, &self.rhythm, now);
            let days = windows.iter().map(|&(day, window)| Day {
                tenant,
                content_type,
                day,
                tally: books.days.get(&number(day)).copied().unwrap_or_default(),
                source: if coverage.holds(window) { Source::Sweep } else { Source::Unknown },
            });
            let days = days.collect();
            let Books { notified, announced, delivered, .. } = books;
            (feed, Week { notified, announced, delivered, days })
        };
        Ok(feeds.iter().copied().map(week).collect())
    }
}

/// The last week of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Week {
    /// When a notification last brought something new.
    pub notified: Option<Timestamp>,
    /// When content was last recorded, however it was found.
    pub announced: Option<Timestamp>,
    /// When content was last delivered.
    pub delivered: Option<Timestamp>,
    /// Oldest first; the first and the last are parts of days.
    pub days: Vec<Day>,
}

/// Days since 1970.
fn number(day: Date) -> i64 {
    let since = day.duration_since(Date::constant(1970, 1, 1));
    since.as_hours() / 24
}
