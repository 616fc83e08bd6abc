//! When to look how far back, and through which windows. Pure.
//!
//! Content appears late under an old creation time: most within the hour, nearly all within a day,
//! the rest within a week. A mark that only moves forward would miss it, so each depth is looked at
//! again and again, the deeper the more rarely.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    content::LISTED,
    ledger::{SweepDepth, Swept},
    microsoft::client::Window,
    moment::before,
};

/// How often each depth is swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// Between two sweeps of the last hours.
    pub interval: Duration,
    /// How far back the first sweep after a start looks at least.
    pub startup_lookback: Duration,
}

impl Cadence {
    /// How far back to look now; none when nothing is due. The widest depth that is due stands for
    /// the narrower ones.
    pub fn due(&self, completed: &Completed, at_start: bool, now: Timestamp) -> Option<Duration> {
        let due = SweepDepth::ALL
            .into_iter()
            .filter(|depth| self.wait(*depth, completed, now).is_zero())
            .map(lookback)
            .max();
        let start = at_start.then_some(self.startup_lookback.min(MAX_LOOKBACK));
        due.max(start)
    }

    /// How long nothing is due.
    pub fn pause(&self, completed: &Completed, now: Timestamp) -> Duration {
        let waits = SweepDepth::ALL.into_iter().map(|depth| self.wait(depth, completed, now));
        waits.min().unwrap_or_default()
    }

    fn wait(&self, depth: SweepDepth, completed: &Completed, now: Timestamp) -> Duration {
        let period = match depth {
            SweepDepth::Recent => self.interval,
            SweepDepth::Day => HOUR,
            SweepDepth::Week => DAY,
        };
        let Some(at) = completed.at(depth) else {
            return Duration::ZERO;
        };
        match Duration::try_from(now.duration_since(at)) {
            Ok(since) => period.saturating_sub(since),
            // Completed in the future: a clock was set back, and nothing is known.
            Err(_) => Duration::ZERO,
        }
    }
}

/// When each depth was last complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Completed {
    day: Option<Timestamp>,
    recent: Option<Timestamp>,
    week: Option<Timestamp>,
}

impl Completed {
    /// Notes a complete sweep.
    pub const fn note(&mut self, swept: &Swept) {
        let at = match swept.depth {
            SweepDepth::Day => &mut self.day,
            SweepDepth::Recent => &mut self.recent,
            SweepDepth::Week => &mut self.week,
        };
        *at = Some(swept.at);
    }

    const fn at(&self, depth: SweepDepth) -> Option<Timestamp> {
        match depth {
            SweepDepth::Day => self.day,
            SweepDepth::Recent => self.recent,
            SweepDepth::Week => self.week,
        }
    }
}

/// The windows of a look back from `now`, which is Microsoft's time.
///
/// They are whole seconds, at most 24 hours each, newest first, each beginning where the next older
/// one ends. The last `settle` is left out, and the last seconds always are, because the listing is
/// not stable there.
pub fn windows(now: Timestamp, back: Duration, settle: Duration) -> Vec<Window> {
    let end = whole_second(before(now, settle.max(UNSTABLE)));
    let start = whole_second(before(now, back.min(MAX_LOOKBACK)));
    let mut windows = split(start, end);
    windows.reverse();
    windows
}

/// A range as windows of at most a day, oldest first, cut where days of UTC begin, so that the same
/// range asked again has the same windows.
pub fn days(start: Timestamp, end: Timestamp) -> Vec<Window> {
    let (start, end) = (whole_second(start), whole_second(end));
    let day = i64::try_from(DAY.as_secs()).unwrap_or(i64::MAX);
    let mut windows = Vec::new();
    let mut from = start;
    while from < end {
        let midnight = (from.as_second().div_euclid(day) + 1) * day;
        let to = Timestamp::from_second(midnight).map_or(end, |midnight| midnight.min(end));
        windows.push(Window { start: from, end: to });
        from = to;
    }
    windows
}

/// The depths that a look back to `start` answers.
pub fn covered(now: Timestamp, start: Timestamp) -> impl Iterator<Item = SweepDepth> {
    SweepDepth::ALL.into_iter().filter(move |depth| start <= before(now, lookback(*depth)))
}

/// The earliest moment that can safely be listed.
pub fn earliest(now: Timestamp) -> Timestamp {
    before(now, MAX_LOOKBACK)
}

/// The last moment before which a listing is stable.
pub fn latest(now: Timestamp) -> Timestamp {
    whole_second(before(now, UNSTABLE))
}

/// Whether a window holds more than the last hours.
pub fn is_wide(window: Window) -> bool {
    window.end.duration_since(window.start).unsigned_abs() > RECENT
}

/// How far a sweep of this depth looks back.
pub const fn lookback(depth: SweepDepth) -> Duration {
    match depth {
        SweepDepth::Recent => RECENT,
        SweepDepth::Day => DAY,
        SweepDepth::Week => MAX_LOOKBACK,
    }
}

/// From the end, so that every window but the oldest is a whole day.
fn split(start: Timestamp, end: Timestamp) -> Vec<Window> {
    let mut windows = Vec::new();
    let mut to = end;
    while start < to {
        let from = before(to, DAY).max(start);
        windows.push(Window { start: from, end: to });
        to = from;
    }
    windows.reverse();
    windows
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_nanosecond().div_euclid(1_000_000_000).try_into().unwrap_or(0))
        .unwrap_or(at)
}

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Also the longest window: beyond it Microsoft may leave content out without a word.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Four of five late contents appear within an hour; the listing itself may be minutes behind.
const RECENT: Duration = Duration::from_secs(2 * 60 * 60);

/// How far back anything is listed: five minutes less than Microsoft does, to keep clear of the edge.
pub const MAX_LOOKBACK: Duration = LISTED.saturating_sub(Duration::from_secs(5 * 60));

/// How long before now the listing may still change.
const UNSTABLE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
