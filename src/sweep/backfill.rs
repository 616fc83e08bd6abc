//! Announcing what Microsoft lists for a range of time, because an operator asked for it.
//!
//! Day by day, the oldest first, since it expires first. A day that was read to its end is noted in
//! the ledger and not read again, so an interrupted backfill goes on where it was. Content is
//! claimed after that of webhook and sweep; the listing itself is one request at a time.

use std::{num::NonZeroUsize, time::Duration};

use jiff::Timestamp;

use super::{ListError, Lister, window};
use crate::{
    clock::Clock,
    content::{ContentType, TenantId},
    ledger::{self, Completed, LedgerError, Recorded},
    microsoft::{Client, client::Window},
    moment::before,
};

/// What to announce.
#[derive(Clone, Debug)]
pub struct Range {
    /// Whose content.
    pub tenant: TenantId,
    /// Of which types.
    pub content_types: Vec<ContentType>,
    /// Created from this moment on.
    pub from: Timestamp,
    /// Created before this moment; none: until now.
    pub to: Option<Timestamp>,
    /// Whether to read again what was read to its end before.
    pub again: bool,
}

/// One backfill.
#[derive(Debug)]
pub struct Backfill {
    lister: Lister,
    ledger: ledger::Backfill,
    clock: Clock,
}

impl Backfill {
    /// A backfill with a client of its own, which leaves the service its part of the budget.
    pub fn new(client: Client, ledger: ledger::Backfill, clock: Clock) -> Self {
        Self { lister: Lister::new(client, clock.clone(), NonZeroUsize::MIN), ledger, clock }
    }

    /// Tells of each time that it waits because Microsoft throttles the tenant, and for how long.
    #[must_use]
    pub fn telling(
        mut self,
        throttled: impl Fn(TenantId, Duration) + Send + Sync + 'static,
    ) -> Self {
        self.lister = self.lister.telling(throttled);
        self
    }

    /// Announces the range, and says how far it is.
    ///
    /// # Errors
    ///
    /// [`BackfillError`]; what was read until then is announced, and the next run goes on there.
    pub async fn run(
        mut self,
        range: &Range,
        mut progress: impl FnMut(Progress),
    ) -> Result<Done, BackfillError> {
        let (days, cut_to) = self.days(range)?;
        let mut summary = Summary::default();
        let mut refused: Vec<(ContentType, BackfillError)> = Vec::new();
        let total = days.len() * range.content_types.len();
        for day in days {
            for &content_type in &range.content_types {
                // It is the same for other days, and other types have roles of their own.
                if refused.iter().any(|(refused, _)| *refused == content_type) {
                    continue;
                }
                let window = Completed {
                    tenant: range.tenant,
                    content_type,
                    start: day.start,
                    end: day.end,
                };
                if !range.again && self.ledger.is_complete(window).await? {
                    summary.skipped += 1;
                } else {
                    let mut show = |summary: &Summary| {
                        progress(Progress { content_type, day, total, summary: *summary });
                    };
                    match self.announce(window, &mut summary, &mut show).await {
                        Err(error) if error.is_refusal() => {
                            refused.push((content_type, error));
                            continue;
                        }
                        outcome => outcome?,
                    }
                    summary.windows += 1;
                }
                progress(Progress { content_type, day, total, summary });
            }
        }
        Ok(Done { summary, cut_to, refused })
    }

    /// The windows, and where they begin if Microsoft does not list all of the first day.
    fn days(&self, range: &Range) -> Result<(Vec<Window>, Option<Timestamp>), BackfillError> {
        let now = self.lister.now(self.lister.skew());
        let earliest = window::earliest(now);
        // "Seven days ago" is meant as far back as there is.
        if range.from < before(earliest, window::DAY) {
            return Err(BackfillError::TooOld { earliest });
        }
        let latest = window::latest(now);
        let from = range.from.max(earliest);
        let days = window::days(from, range.to.map_or(latest, |to| to.min(latest)));
        if days.is_empty() {
            return Err(BackfillError::Empty);
        }
        Ok((days, (range.from < earliest).then_some(from)))
    }

    async fn announce(
        &mut self,
        window: Completed,
        summary: &mut Summary,
        show: &mut impl FnMut(&Summary),
    ) -> Result<(), BackfillError> {
        let Completed { tenant, content_type, start, end } = window;
        let mut pages = self.lister.pages(tenant, content_type, Window { start, end });
        while let Some(listed) = pages.next().await.map_err(BackfillError::reading)? {
            let recorded = self.ledger.announce(&listed, self.clock.now()).await?;
            let new = recorded.iter().filter(|recorded| **recorded == Recorded::New).count();
            summary.listed += recorded.len();
            summary.new += new;
            show(summary);
        }
        summary.malformed += pages.malformed();
        // A window that reached into Microsoft's future is not complete, whatever was read.
        if end <= window::latest(self.lister.now(self.lister.skew())) {
            self.ledger.complete(window, self.clock.now()).await?;
        }
        Ok(())
    }
}

/// A backfill that came to its end.
#[derive(Debug)]
pub struct Done {
    /// What it did.
    pub summary: Summary,
    /// Where it began instead, because Microsoft does not list what is older.
    pub cut_to: Option<Timestamp>,
    /// Types that Microsoft refuses to list, and why.
    pub refused: Vec<(ContentType, BackfillError)>,
}

/// How far a backfill is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The type that is read.
    pub content_type: ContentType,
    /// The day that is read.
    pub day: Window,
    /// How many windows there are.
    pub total: usize,
    /// What was done so far.
    pub summary: Summary,
}

/// What a backfill did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Windows read to their ends.
    pub windows: usize,
    /// Windows that were read before.
    pub skipped: usize,
    /// Entries of the listing.
    pub listed: usize,
    /// Those of them that the ledger did not know.
    pub new: usize,
    /// Entries without a usable id.
    pub malformed: usize,
}

/// Why a backfill ended before it was done.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    /// Nothing lies between the two moments.
    #[error("the range is empty: --from must be before --to and in the past")]
    Empty,
    /// The ledger does not take it.
    #[error("the ledger cannot be written")]
    Ledger(#[from] LedgerError),
    /// Microsoft does not list it.
    #[error(
        "Microsoft's listing cannot be read; what was read so far is announced, run the same command again to go on"
    )]
    Listing(#[source] ListError),
    /// Nobody is subscribed to the type.
    #[error(
        "there is no enabled subscription for this type, so Microsoft lists nothing; `run` starts it"
    )]
    NotSubscribed(#[source] ListError),
    /// Microsoft does not list so far back.
    #[error(
        "Microsoft lists content of the last 7 days only: --from must not be before {earliest:.0}"
    )]
    TooOld {
        /// The earliest moment that can be asked for.
        earliest: Timestamp,
    },
}

impl BackfillError {
    /// Whether somebody has to allow the listing first.
    const fn is_refusal(&self) -> bool {
        matches!(self, Self::Listing(error) | Self::NotSubscribed(error) if error.is_refusal())
    }

    fn reading(error: ListError) -> Self {
        if error.is_not_subscribed() { Self::NotSubscribed(error) } else { Self::Listing(error) }
    }
}
