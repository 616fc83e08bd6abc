//! Which time completed sweeps of a feed cover. Pure.
//!
//! The ledger keeps the last complete sweep of each depth, so what lies before the last whole
//! week's is not known to be covered, although earlier sweeps may have been there.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    ledger::Swept,
    microsoft::client::Window,
    moment::{after, before},
    sweep::{self, window},
};

/// The time that completed sweeps of one feed cover.
#[derive(Debug)]
pub(super) struct Coverage(Vec<Window>);

impl Coverage {
    /// What sweeps of this rhythm cover at a moment of Microsoft's.
    ///
    /// The end of a sweep that is no older than the rhythm makes it is the present: what is younger
    /// is left to the webhook, or to the next sweep. Two sweeps no further apart are one, because
    /// each leaves out what had not settled.
    pub(super) fn new(
        swept: impl Iterator<Item = Swept>,
        rhythm: &sweep::Config,
        now: Timestamp,
    ) -> Self {
        let settle = rhythm.settle.unwrap_or_default();
        let apart = rhythm.interval.saturating_add(settle).saturating_add(TAKES);
        let mut covered: Vec<_> = swept
            .map(|swept| {
                // By the clock that is behind: `at` is when the sweep ended, and by our clock.
                let began = after(swept.until, settle).min(swept.at);
                let start = before(began, window::lookback(swept.depth));
                let is_present = after(swept.until, apart) >= now;
                Window { start, end: if is_present { Timestamp::MAX } else { swept.until } }
            })
            .filter(|covered| covered.start < covered.end)
            .collect();
        covered.sort_unstable_by_key(|covered| covered.start);
        let mut joined: Vec<Window> = Vec::new();
        for next in covered {
            match joined.last_mut() {
                Some(last) if next.start <= after(last.end, apart) => {
                    last.end = last.end.max(next.end);
                }
                _ => joined.push(next),
            }
        }
        Self(joined)
    }

    /// Whether all of a window is covered.
    pub(super) fn holds(&self, window: Window) -> bool {
        self.0.iter().any(|covered| covered.start <= window.start && window.end <= covered.end)
    }
}

/// What a sweep of the last hours takes, over all types of a tenant that is not throttled.
const TAKES: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{content::ContentType, ledger::SweepDepth};

    const NOW: &str = "2026-01-31T12:00:00Z";

    fn check(swept: &[(SweepDepth, &str)], from: &str, to: &str, expected: bool) {
        let rhythm = sweep::Config {
            interval: Duration::from_secs(600),
            settle: Some(Duration::from_secs(300)),
            startup_lookback: Duration::ZERO,
        };
        let swept = swept.iter().map(|(depth, until)| {
            let until = until.parse().unwrap();
            let at = after(until, Duration::from_secs(302));
            Swept { content_type: ContentType::General, depth: *depth, until, at }
        });
        let window = Window { start: from.parse().unwrap(), end: to.parse().unwrap() };
        let coverage = Coverage::new(swept, &rhythm, NOW.parse().unwrap());
        assert_eq!(coverage.holds(window), expected, "{from} to {to} in {coverage:?}");
    }

    #[test]
    fn without_a_sweep_nothing_is_known() {
        check(&[], "2026-01-30T00:00:00Z", "2026-01-31T00:00:00Z", false);
    }

    #[test]
    fn a_fresh_sweep_reaches_to_the_present() {
        let week = |until| [(SweepDepth::Week, until)];
        let today = ("2026-01-31T00:00:00Z", "2026-01-31T12:00:01Z");
        check(&week("2026-01-31T11:55:00Z"), today.0, today.1, true);
        check(&week("2026-01-31T11:44:00Z"), today.0, today.1, true);
        check(&week("2026-01-31T11:43:59Z"), today.0, today.1, false);
        check(&week("2026-01-31T11:43:59Z"), today.0, "2026-01-31T11:43:59Z", true);
        check(&week("2026-01-31T11:43:59Z"), "2026-01-30T00:00:00Z", today.0, true);
    }

    #[test]
    fn a_sweep_reaches_no_further_back_than_it_looked() {
        let sweeps = [
            (SweepDepth::Recent, "2026-01-31T11:55:00Z"),
            (SweepDepth::Day, "2026-01-31T11:25:00Z"),
        ];
        check(&sweeps, "2026-01-30T11:30:00Z", "2026-01-31T00:00:00Z", true);
        check(&sweeps, "2026-01-30T11:29:59Z", "2026-01-31T00:00:00Z", false);
        let week = [(SweepDepth::Week, "2026-01-31T11:55:00Z")];
        check(&week, "2026-01-24T12:05:00Z", "2026-01-25T00:00:00Z", true);
        check(&week, "2026-01-24T12:04:59Z", "2026-01-25T00:00:00Z", false);
    }

    #[test]
    fn what_settled_between_two_depths_is_covered_and_an_outage_is_not() {
        let sweeps = |week| [(SweepDepth::Day, "2026-01-31T11:55:00Z"), (SweepDepth::Week, week)];
        let both = ("2026-01-30T00:00:00Z", "2026-01-31T00:00:00Z");
        check(&sweeps("2026-01-30T11:56:00Z"), both.0, both.1, true);
        check(&sweeps("2026-01-30T11:40:00Z"), both.0, both.1, false);
    }
}
