//! Whether everything Microsoft lists has arrived, feed by feed and day by day.
//!
//! Microsoft is asked now, and each content it lists is looked up in the ledger by its canonical
//! id, so content that nobody ever told the ledger of shows as missing. What a sweep found listed
//! before counts as listed, and what was announced, never listed, and is dead, counts as dead.
//! Where Microsoft cannot be asked, or no longer lists that far back, the last sweep's word stands
//! if a completed sweep covers the time (`coverage`), and otherwise nobody knows; the report says
//! which of the three it is. What is not known is never whole.
//!
//! A day of which Microsoft lists only the later part is asked for from there on; the earlier part
//! is the sweeps'.
//!
//! A day is one of UTC, by the time Microsoft gives as the content's creation, and a range without
//! an end ends at Microsoft's present: an answer that shows our clock to be wrong begins the report
//! anew. One day of one feed is in memory at a time. Nothing is written.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

use crate::{
    clock::Clock,
    content::{ContentType, TenantId},
    ledger::{LedgerError, Reader, Tally},
    microsoft::{answer::Action, client::Window},
    moment::{after, before},
    sweep::{self, Believed, ListError, Lister, window},
};

mod coverage;
mod week;

use coverage::Coverage;
pub use week::Week;

/// Compares the listing with the ledger.
#[derive(Debug)]
pub struct Completeness {
    reader: Reader,
    /// None: Microsoft is not asked.
    lister: Option<Lister>,
    /// How the service beside sweeps.
    rhythm: sweep::Config,
    clock: Clock,
}

impl Completeness {
    /// Nothing is asked yet. Without a lister Microsoft never is.
    ///
    /// The rhythm is that of the service: a day that goes on is covered while the last sweep is no
    /// older than that makes it.
    pub const fn new(
        reader: Reader,
        lister: Option<Lister>,
        rhythm: sweep::Config,
        clock: Clock,
    ) -> Self {
        Self { reader, lister, rhythm, clock }
    }

    /// Reports on every feed and day of a range, without an end up to now and without a beginning
    /// the 7 days before its end.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read. That Microsoft cannot be asked is part of
    /// the report.
    pub async fn report(
        &self,
        feeds: &[(TenantId, ContentType)],
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Report, LedgerError> {
        let mut tries = 1;
        loop {
            let believed = Believed { skew: self.skew(), strict: to.is_none() && tries < TRIES };
            if let Some(report) = self.compare(feeds, from, to, believed).await? {
                return Ok(report);
            }
            tries += 1;
        }
    }

    /// None: the answers show that our clock is not where it was taken to be.
    async fn compare(
        &self,
        feeds: &[(TenantId, ContentType)],
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        believed: Believed,
    ) -> Result<Option<Report>, LedgerError> {
        let now = after(self.clock.now(), believed.skew);
        // What was created in this very moment is part of it.
        let to = to.unwrap_or_else(|| after(now, SECOND));
        let from = from.unwrap_or_else(|| window::earliest(to));
        let windows = days(from, to);
        let mut report = Report { asked: self.lister.is_some(), ..Report::default() };
        let mut silence = Silence::default();
        for &(tenant, content_type) in feeds {
            let mut troubled = HashSet::new();
            let first = report.days.len();
            let swept = self.reader.sweeps(tenant).await?.into_iter();
            let swept = swept.filter(|swept| swept.content_type == content_type);
            let coverage = Coverage::new(swept, &self.rhythm, now);
            for &(day, window) in &windows {
                let mut found = None;
                if !silence.holds(tenant, content_type) && window.end > window::earliest(now) {
                    found = match self.ask(tenant, content_type, window, &mut troubled).await {
                        Ok(found) => found,
                        Err(ListError::Ledger(error)) => return Err(error),
                        Err(error) => {
                            silence.note(tenant, content_type, &error);
                            report.silent.push(Silent { tenant, content_type, day, error });
                            None
                        }
                    };
                    if believed.strict && believed.differs(self.skew()) {
                        return Ok(None);
                    }
                }
                let listed = found.unwrap_or(Listed { tally: Tally::default(), from: window.end });
                let Listed { mut tally, from } = listed;
                let source = if from <= window.start {
                    Source::Microsoft
                } else {
                    let unasked = Window { start: window.start, end: from };
                    let range = window.start..from;
                    let reader = &self.reader;
                    tally += reader.listed_before(tenant, content_type, range, |_| false).await?;
                    if coverage.holds(unasked) { Source::Sweep } else { Source::Unknown }
                };
                report.days.push(Day { tenant, content_type, day, tally, source });
            }
            let never = self.reader.never_listed(tenant, content_type, from..to).await?;
            for (id, created, tally) in never {
                let day = created.to_zoned(TimeZone::UTC).date();
                let days = &mut report.days[first..];
                if !troubled.contains(&id)
                    && let Some(row) = days.iter_mut().find(|row| row.day == day)
                {
                    row.tally += tally;
                }
            }
        }
        Ok(Some(report))
    }

    /// How far Microsoft's clock is ahead of ours, as far as is known.
    fn skew(&self) -> SignedDuration {
        self.lister.as_ref().map_or(SignedDuration::ZERO, Lister::skew)
    }

    /// What became of what Microsoft lists in a window; none when it is not to be asked.
    async fn ask(
        &self,
        tenant: TenantId,
        content_type: ContentType,
        window: Window,
        troubled: &mut HashSet<String>,
    ) -> Result<Option<Listed>, ListError> {
        let Some(lister) = &self.lister else {
            return Ok(None);
        };
        // Windows are asked for in whole seconds, and end before theirs.
        match self.list(lister, tenant, content_type, window, SECOND, troubled).await {
            // The answer has told how far apart the clocks are.
            Err(ListError::Api(error)) if error.action() == Some(Action::WindowRefused) => {
                let end = SignedDuration::ZERO;
                self.list(lister, tenant, content_type, window, end, troubled).await.map(Some)
            }
            outcome => outcome.map(Some),
        }
    }

    async fn list(
        &self,
        lister: &Lister,
        tenant: TenantId,
        content_type: ContentType,
        window: Window,
        ahead: SignedDuration,
        troubled: &mut HashSet<String>,
    ) -> Result<Listed, ListError> {
        let now = lister.now(lister.skew());
        let from = listed_from(window.start, now).min(window.end);
        let window = Window { start: from, end: window.end.min(after(now, ahead)) };
        let mut tally = Tally::default();
        if window.start >= window.end {
            return Ok(Listed { tally, from });
        }
        let mut seen = HashSet::new();
        let mut pages = lister.pages(tenant, content_type, window);
        while let Some(mut page) = pages.next().await? {
            // Pages may overlap, and begin anew when they went stale.
            page.retain(|content| seen.insert(content.id.canonical()));
            tally += self.reader.tally(&page, troubled).await?;
        }
        let range = window.start..window.end;
        let is_listed_now = |id: &str| seen.contains(id);
        tally += self.reader.listed_before(tenant, content_type, range, is_listed_now).await?;
        // Entries that cannot be named cannot be fetched either.
        let malformed = u64::try_from(pages.malformed()).unwrap_or(u64::MAX);
        tally += Tally { listed: malformed, missing: malformed, ..Tally::default() };
        Ok(Listed { tally, from })
    }
}

/// What became of what Microsoft lists.
#[derive(Clone, Copy, Debug)]
struct Listed {
    tally: Tally,
    /// The beginning of what it was asked for, which it may no longer list from the start.
    from: Timestamp,
}

/// The books of some feeds and days.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order of the feeds, then of the days. A day without content is among them.
    pub days: Vec<Day>,
    /// What of the listing could not be read.
    pub silent: Vec<Silent>,
    /// Whether Microsoft was to be asked.
    pub asked: bool,
}

impl Report {
    /// All of it.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.days.iter().for_each(|day| total += day.tally);
        total
    }

    /// The days of which nobody knows what there is.
    pub fn unknown(&self) -> impl Iterator<Item = &Day> {
        self.days.iter().filter(|day| day.source == Source::Unknown)
    }

    /// Whether all is known, and nothing is lost or about to be.
    pub fn is_sound(&self) -> bool {
        self.unknown().next().is_none() && self.total().is_sound()
    }

    /// Whether all is known, and everything arrived.
    pub fn is_whole(&self) -> bool {
        self.unknown().next().is_none() && self.total().is_whole()
    }
}

/// What of the listing could not be read, and why. What comes after it may not have been asked for.
#[derive(Debug)]
pub struct Silent {
    /// Whose feed.
    pub tenant: TenantId,
    /// Which.
    pub content_type: ContentType,
    /// The day (UTC).
    pub day: Date,
    /// Why.
    pub error: ListError,
}

impl Silent {
    /// Whether this is why Microsoft did not say anything of a day.
    pub fn holds(&self, day: &Day) -> bool {
        self.tenant == day.tenant
            && (self.content_type == day.content_type || !self.error.is_refusal())
    }
}

/// What is not asked for any more within a report.
#[derive(Debug, Default)]
struct Silence {
    tenants: HashMap<TenantId, u32>,
    feeds: HashSet<(TenantId, ContentType)>,
}

impl Silence {
    fn holds(&self, tenant: TenantId, content_type: ContentType) -> bool {
        self.feeds.contains(&(tenant, content_type))
            || self.tenants.get(&tenant).is_some_and(|failures| *failures >= MOST_FAILURES)
    }

    fn note(&mut self, tenant: TenantId, content_type: ContentType, error: &ListError) {
        if error.is_refusal() {
            // A role or a subscription that is missing; other types have theirs.
            self.feeds.insert((tenant, content_type));
        } else {
            // One day may be spoilt by itself. If it is not that, each attempt takes its time.
            *self.tenants.entry(tenant).or_default() += 1;
        }
    }
}

/// One day of one feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// Whose feed.
    pub tenant: TenantId,
    /// Which.
    pub content_type: ContentType,
    /// The day (UTC) on which the content was created.
    pub day: Date,
    /// What became of its content; where it is not known what there is, of what is known of.
    pub tally: Tally,
    /// Who says what there is.
    pub source: Source,
}

/// Who says what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Microsoft, now.
    Microsoft,
    /// The completed sweeps that cover it, at least of what Microsoft was not asked for.
    Sweep,
    /// Nobody: Microsoft was not asked, or does not say, and no completed sweep covers it.
    Unknown,
}

impl Source {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Microsoft => "microsoft",
            Self::Sweep => "sweep",
            Self::Unknown => "unknown",
        }
    }
}

/// The range cut at midnight, UTC.
fn days(from: Timestamp, to: Timestamp) -> Vec<(Date, Window)> {
    let mut days = Vec::new();
    let mut start = from;
    while start < to {
        let day = start.to_zoned(TimeZone::UTC).date();
        let midnight = day
            .checked_add(1.day())
            .and_then(|next| next.to_zoned(TimeZone::UTC))
            .map_or(Timestamp::MAX, |midnight| midnight.timestamp());
        let end = midnight.min(to);
        days.push((day, Window { start, end }));
        start = end;
    }
    days
}

/// From when on Microsoft is asked. What was listed when the report began is not cut for the time
/// it takes; what is cut, is so in a whole second, as Microsoft is asked.
fn listed_from(start: Timestamp, now: Timestamp) -> Timestamp {
    if start >= before(now, EDGE) {
        return start;
    }
    let from = window::earliest(now);
    Timestamp::from_second(from.as_second()).unwrap_or(from)
}

/// Still before the edge, but not for long.
const EDGE: SignedDuration = SignedDuration::from_mins(167 * 60 + 59);

/// Days that could not be read after which a tenant is not asked any more.
const MOST_FAILURES: u32 = 3;

/// Times a report is begun before clocks that do not agree are left as they are.
const TRIES: u32 = 3;

const SECOND: SignedDuration = SignedDuration::from_secs(1);

#[cfg(test)]
mod tests;
