//! One feed of a tenant, as it is shown. Pure.

use jiff::{SignedDuration, Timestamp, civil::Date};
use serde::Serialize;

use super::Seen;
use crate::{
    completeness::{Source, Week},
    content::{ContentType, Tenant},
    ledger::{Tally, Traffic},
    subscriptions::Observation,
};

/// One feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::admin) struct FeedStatus {
    /// Which.
    pub(in crate::admin) content_type: &'static str,
    /// The subscription, as Microsoft lists it.
    pub(in crate::admin) subscription: Light,
    /// Its webhook, as Microsoft lists it.
    pub(in crate::admin) webhook: Light,
    /// What is the matter with the subscription, or is about to happen to it.
    pub(in crate::admin) problem: Option<String>,
    /// When a notification last brought something new, within the last week.
    pub(in crate::admin) last_notified: Option<Timestamp>,
    /// When content was last recorded, however it was found, within the last week.
    pub(in crate::admin) last_found: Option<Timestamp>,
    /// When content was last delivered, of what was found within the last week.
    pub(in crate::admin) last_delivered: Option<Timestamp>,
    /// Contents not yet delivered; none when they cannot be counted.
    pub(in crate::admin) waiting: Option<u64>,
    /// How long after its creation content was delivered, on average of the last hour or so.
    pub(in crate::admin) lag_seconds: Option<i64>,
    /// Dead letters.
    pub(in crate::admin) dead: Option<u64>,
    /// Contents recorded in each half hour, oldest first; empty when not known yet.
    pub(in crate::admin) announced: Vec<u64>,
    /// Contents delivered in each half hour.
    pub(in crate::admin) delivered: Vec<u64>,
    /// Records delivered in that time.
    pub(in crate::admin) records: u64,
    /// The books of the last week, oldest day first; empty when not known yet.
    pub(in crate::admin) days: Vec<DayStatus>,
}

/// Whether something is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::admin) enum Light {
    /// It is listed, and off or over.
    Off,
    /// It is listed and on.
    On,
    /// It is not listed.
    Missing,
    /// It is not to be.
    NotWanted,
    /// Nobody has looked yet.
    Unknown,
}

/// One day of a feed, by the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(in crate::admin) struct DayStatus {
    /// The day (UTC).
    pub(in crate::admin) day: Date,
    /// How it went.
    pub(in crate::admin) verdict: Verdict,
    /// Contents listed.
    pub(in crate::admin) listed: u64,
    /// Of those: delivered.
    pub(in crate::admin) delivered: u64,
    /// Undelivered.
    pub(in crate::admin) waiting: u64,
    /// Given up on.
    pub(in crate::admin) dead: u64,
    /// Single records given up on.
    pub(in crate::admin) dead_records: u64,
}

/// How a day went. Worse is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::admin) enum Verdict {
    /// There was nothing.
    Empty,
    /// Everything arrived.
    Whole,
    /// No completed sweep covers it.
    Unknown,
    /// Something waits.
    Waiting,
    /// Something is lost, or will be if nobody replays it.
    Dead,
}

impl DayStatus {
    fn new(day: Date, tally: Tally, source: Source) -> Self {
        let verdict = if !tally.is_sound() {
            Verdict::Dead
        } else if tally.waiting > 0 {
            Verdict::Waiting
        } else if source == Source::Unknown {
            Verdict::Unknown
        } else if tally.listed == 0 {
            Verdict::Empty
        } else {
            Verdict::Whole
        };
        let Tally { listed, delivered, waiting, dead, dead_records, .. } = tally;
        Self { day, verdict, listed, delivered, waiting, dead, dead_records }
    }

    /// The same day of several feeds.
    pub(in crate::admin) fn and(self, other: &Self) -> Self {
        Self {
            day: self.day,
            verdict: self.verdict.max(other.verdict),
            listed: self.listed + other.listed,
            delivered: self.delivered + other.delivered,
            waiting: self.waiting + other.waiting,
            dead: self.dead + other.dead,
            dead_records: self.dead_records + other.dead_records,
        }
    }
}

/// Every feed of a tenant, in a steady order.
pub(super) fn feeds(seen: &Seen<'_>, tenant: &Tenant, observed: &[Observation]) -> Vec<FeedStatus> {
    let mut kinds = tenant.content_types.clone();
    kinds.sort_unstable();
    let observation = |kind| observed.iter().find(|seen| seen.content_type == kind);
    kinds.into_iter().map(|kind| feed(seen, tenant, kind, observation(kind))).collect()
}

fn feed(
    seen: &Seen<'_>,
    tenant: &Tenant,
    kind: ContentType,
    observation: Option<&Observation>,
) -> FeedStatus {
    let key = (tenant.id, kind);
    let looks = seen.looks;
    let none = Traffic::new(0);
    let empty = Traffic::new(crate::admin::looks::STEPS);
    let traffic = looks.traffic.as_ref().map_or(&none, |all| all.get(&key).unwrap_or(&empty));
    let week = looks.weeks.as_ref().and_then(|all| all.get(&key)).cloned().unwrap_or_default();
    let Week { notified, announced, delivered, days } = week;
    let dead = looks.given_up.as_ref().map(|all| {
        let of_feed = all.iter().filter(|group| group.feed == key);
        of_feed.map(|group| group.letters).sum()
    });
    FeedStatus {
        content_type: kind.as_str(),
        subscription: subscription(observation),
        webhook: webhook(seen, observation),
        problem: observation.map(super::subscription).filter(|seen| !seen.ok).map(|s| s.detail),
        last_notified: notified.max(traffic.notified),
        last_found: announced.max(traffic.found),
        last_delivered: delivered.max(traffic.last),
        waiting: looks.waiting.as_ref().map(|all| all.get(&key).copied().unwrap_or(0)),
        lag_seconds: lag(traffic),
        dead,
        announced: traffic.announced.clone(),
        delivered: traffic.delivered.clone(),
        records: traffic.records.iter().sum(),
        days: days.iter().map(|day| DayStatus::new(day.day, day.tally, day.source)).collect(),
    }
}

fn subscription(observation: Option<&Observation>) -> Light {
    match observation {
        None => Light::Unknown,
        Some(seen) if seen.is_enabled() => Light::On,
        Some(seen) if seen.state.is_some() => Light::Off,
        Some(_) => Light::Missing,
    }
}

fn webhook(seen: &Seen<'_>, observation: Option<&Observation>) -> Light {
    match observation {
        _ if !seen.is_called => Light::NotWanted,
        None => Light::Unknown,
        Some(observed) if observed.is_webhook_enabled(seen.now) => Light::On,
        Some(observed) if observed.webhook.is_some() => Light::Off,
        Some(_) => Light::Missing,
    }
}

fn lag(traffic: &Traffic) -> Option<i64> {
    let last = |steps: &[u64]| steps.iter().rev().take(HOUR).sum::<u64>();
    let contents = i64::try_from(last(&traffic.delivered)).ok()?;
    let late: SignedDuration = traffic.late.iter().rev().take(HOUR).copied().sum();
    late.as_secs().checked_div(contents)
}

/// The present step and the two before it: at least an hour.
const HOUR: usize = 3;
