//! What the demo looks like at one moment, taken from the books of the simulated world.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::traffic::Book;
use crate::simulator::{Operation, Simulator};

/// One moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Moment {
    pub(super) blobs: u64,
    pub(super) downloads: u64,
    pub(super) notifications: u64,
    pub(super) published: u64,
    /// Records at the simulated Devo; with another receiver, records the ledger counts delivered.
    pub(super) arrived: u64,
    pub(super) per_second: u64,
    pub(super) lag: Duration,
    /// Lines by tag, most first.
    pub(super) tables: Vec<(String, u64)>,
}

/// Follows the counts over time, for rate and lag.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// When so many records had been published, for those that have not all arrived.
    published: VecDeque<(Instant, u64)>,
    arrived: VecDeque<(Instant, u64)>,
    lags: Vec<Duration>,
}

impl Progress {
    /// Takes a moment. `delivered` replaces the simulated receiver's count where there is none.
    pub(super) fn take(
        &mut self,
        simulator: &Simulator,
        book: &Book,
        delivered: Option<u64>,
    ) -> Moment {
        let received = simulator.devo().received();
        let arrived = delivered.unwrap_or(received.distinct);
        let mut tables: Vec<_> = received.tags.into_iter().collect();
        tables.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let microsoft = simulator.microsoft();
        let now = Instant::now();
        Moment {
            blobs: book.blobs,
            downloads: microsoft.count(None, &Operation::Blob),
            notifications: u64::try_from(microsoft.attempts().len()).unwrap_or(u64::MAX),
            published: book.records,
            arrived,
            per_second: self.rate(now, arrived),
            lag: self.lag(now, book.records, arrived),
            tables,
        }
    }

    /// The median and the greatest lag seen.
    pub(super) fn lags(&self) -> (Duration, Duration) {
        let mut lags = self.lags.clone();
        lags.sort_unstable();
        let median = lags.get(lags.len() / 2).copied().unwrap_or_default();
        (median, lags.last().copied().unwrap_or_default())
    }

    /// How long ago as many records had been published as have arrived by now.
    fn lag(&mut self, now: Instant, published: u64, arrived: u64) -> Duration {
        if self.published.back().is_none_or(|(_, count)| *count < published) {
            self.published.push_back((now, published));
        }
        while self.published.front().is_some_and(|(_, count)| *count <= arrived) {
            self.published.pop_front();
        }
        let lag = self.published.front().map_or(Duration::ZERO, |(at, _)| now - *at);
        self.lags.push(lag);
        lag
    }

    fn rate(&mut self, now: Instant, arrived: u64) -> u64 {
        self.arrived.push_back((now, arrived));
        while self.arrived.len() > 2 && self.arrived.front().is_some_and(|(at, _)| now - *at > RATE)
        {
            self.arrived.pop_front();
        }
        let Some((since, before)) = self.arrived.front() else { return 0 };
        let millis = u64::try_from((now - *since).as_millis()).unwrap_or(u64::MAX);
        arrived.saturating_sub(*before).saturating_mul(1000).checked_div(millis).unwrap_or(0)
    }
}

/// The stretch the rate is taken over: long enough not to flicker between two confirmations.
const RATE: Duration = Duration::from_secs(3);
