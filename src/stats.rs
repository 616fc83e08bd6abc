//! The service's own counters, told to Devo: once in an interval, one JSON event in a table of its
//! own, so that an alert can stand where the analysts look.
//!
//! An event counts a window, from the end of the last one that was confirmed to now. It goes the
//! confirmed way (I5), on a connection of its own, so that it never delays a record. What is not
//! confirmed is not sent again: the next event covers its window as well, so no count is lost while
//! the process lives, and where an event had arrived all the same, two of them have the same
//! `window_start` and the longer one counts. Either outcome is counted. After the drain a last event
//! tells what was confirmed until then; a process that dies keeps the counts of its last window to
//! itself. What a removed tenant counted since the last event is gone with its series.
//!
//! Knows neither how records are delivered nor what is counted elsewhere. No event holds more than
//! names of tenants and numbers (I9).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use prometheus::{IntCounterVec, Opts, Registry};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::debug;

use crate::{
    clock::Clock,
    deliver::{Outlet, State},
    frame::Framer,
    outcomes::{Outcomes, Totals},
    shutdown::Shutdown,
};

/// Where and when the counters are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The whole tag, two levels at least.
    pub table: String,
    /// From one event to the next.
    pub interval: Duration,
    /// The host in the syslog header, as for records.
    pub hostname: String,
}

/// Tells the counters.
#[derive(Debug)]
pub struct Stats {
    interval: Duration,
    outcomes: Outcomes,
    outlet: Outlet,
    clock: Clock,
    framer: Framer,
    table: String,
    window: Window,
    events: IntCounterVec,
}

impl Stats {
    /// A window that begins now.
    ///
    /// # Errors
    ///
    /// When the registry already holds the name.
    pub fn register(
        registry: &Registry,
        config: Config,
        outcomes: Outcomes,
        outlet: Outlet,
        clock: Clock,
    ) -> Result<Self, prometheus::Error> {
        let events = IntCounterVec::new(
            Opts::new(
                "m365_stats_events_total",
                "Events with our own counters sent to Devo, by whether Devo confirmed them; the next event covers the window of an unconfirmed one as well.",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(events.clone()))?;
        for outcome in [CONFIRMED, UNCONFIRMED] {
            events.with_label_values(&[outcome]);
        }
        let Config { table, interval, hostname } = config;
        let (prefix, table) = table.rsplit_once('.').unwrap_or(("", &table));
        Ok(Self {
            interval,
            framer: Framer::new(&hostname, prefix),
            table: table.to_owned(),
            window: Window { start: clock.now(), counted: outcomes.totals() },
            outcomes,
            outlet,
            clock,
            events,
        })
    }

    /// Tells them in every interval, and a last time when asked to stop.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut due = interval(self.interval);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        due.reset();
        while !shutdown.is_requested() {
            tokio::select! {
                () = shutdown.requested() => break,
                _ = due.tick() => {}
            }
            // One that is under way has a moment more: if it arrives and nobody waits for the
            // receiver's word, the last event tells its window once more.
            let late = async {
                shutdown.requested().await;
                sleep(UNDER_WAY).await;
            };
            tokio::select! {
                () = late => break,
                () = self.tell(false) => {}
            }
        }
        // A drain does not wait for a receiver that is known to be away.
        if !matches!(self.outlet.state(), State::Unreachable { .. }) {
            self.tell(true).await;
        }
    }

    async fn tell(&mut self, draining: bool) {
        let (now, totals) = (self.clock.now(), self.outcomes.totals());
        let event = self.window.event(&totals, now, draining);
        let json = serde_json::to_vec(&event).expect("strings and numbers are JSON");
        let mut line = Vec::new();
        self.framer.frame(&mut line, now, &self.table, &json);
        let outcome = match self.outlet.courier().send(&line).await {
            Ok(()) => {
                self.window = Window { start: now, counted: totals };
                CONFIRMED
            }
            Err(error) => {
                debug!(error = %error, "an event with our own counters is not confirmed");
                UNCONFIRMED
            }
        };
        self.events.with_label_values(&[outcome]).inc();
    }
}

/// What was told, and up to when.
#[derive(Debug)]
struct Window {
    start: Timestamp,
    counted: BTreeMap<String, Totals>,
}

impl Window {
    /// What was counted since.
    fn event<'a>(
        &'a self,
        totals: &'a BTreeMap<String, Totals>,
        now: Timestamp,
        draining: bool,
    ) -> Event<'a> {
        let names: BTreeSet<&str> = totals.keys().map(String::as_str).collect();
        let tenants: Vec<_> = names
            .into_iter()
            .map(|tenant| {
                let counted = self.counted.get(tenant).copied().unwrap_or_default();
                let total = totals.get(tenant).copied().unwrap_or_default();
                TenantCounts {
                    tenant,
                    messages_successfully_processed: since(counted.successful, total.successful),
                    messages_unsuccessfully_processed: since(
                        counted.unsuccessful,
                        total.unsuccessful,
                    ),
                }
            })
            // What nobody's notifications came to is worth a line only when there is something.
            .filter(|counts| !counts.tenant.is_empty() || !counts.is_zero())
            .collect();
        Event {
            version: env!("CARGO_PKG_VERSION"),
            window_start: self.start,
            window_end: now,
            draining,
            messages_successfully_processed: tenants
                .iter()
                .map(|counts| counts.messages_successfully_processed)
                .sum(),
            messages_unsuccessfully_processed: tenants
                .iter()
                .map(|counts| counts.messages_unsuccessfully_processed)
                .sum(),
            tenants,
        }
    }
}

/// What arrives in Devo. The order of its fields is part of it: `deploy/devo` reads the first of a
/// name.
#[derive(Debug, Serialize)]
struct Event<'a> {
    version: &'static str,
    window_start: Timestamp,
    window_end: Timestamp,
    /// The last one of this process.
    draining: bool,
    messages_successfully_processed: u64,
    messages_unsuccessfully_processed: u64,
    tenants: Vec<TenantCounts<'a>>,
}

#[derive(Debug, Serialize)]
struct TenantCounts<'a> {
    /// As configured; empty: refused entries that belong to nobody.
    tenant: &'a str,
    messages_successfully_processed: u64,
    messages_unsuccessfully_processed: u64,
}

impl TenantCounts<'_> {
    fn is_zero(&self) -> bool {
        self.messages_successfully_processed + self.messages_unsuccessfully_processed == 0
    }
}

/// The growth of a counter, which begins anew when its tenant was away meanwhile.
fn since(counted: u64, total: u64) -> u64 {
    total.checked_sub(counted).unwrap_or(total)
}

/// Many round trips, and still time for the last event within the grace of a drain.
const UNDER_WAY: Duration = Duration::from_secs(2);

const CONFIRMED: &str = "confirmed";

const UNCONFIRMED: &str = "unconfirmed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_counts_what_came_since_the_last_one() {
        let window = Window {
            start: "2026-01-31T10:00:00Z".parse().unwrap(),
            counted: counts(&[("", 0, 2), ("a", 5, 1), ("back", 9, 9)]),
        };
        let totals = counts(&[("", 0, 2), ("a", 7, 4), ("back", 1, 0), ("new", 3, 0)]);
        let now = "2026-01-31T10:01:00.5Z".parse().unwrap();
        let event = serde_json::to_string(&window.event(&totals, now, false)).unwrap();
        let row = |tenant, successful, unsuccessful| {
            format!(
                r#"{{"tenant":"{tenant}","messages_successfully_processed":{successful},"messages_unsuccessfully_processed":{unsuccessful}}}"#
            )
        };
        assert_eq!(
            event,
            format!(
                r#"{{"version":"{}","window_start":"2026-01-31T10:00:00Z","window_end":"2026-01-31T10:01:00.5Z","draining":false,"messages_successfully_processed":6,"messages_unsuccessfully_processed":3,"tenants":[{},{},{}]}}"#,
                env!("CARGO_PKG_VERSION"),
                row("a", 2, 3),
                row("back", 1, 0),
                row("new", 3, 0),
            )
        );
    }

    #[test]
    fn refused_entries_of_nobody_are_told_when_there_are_some() {
        let window = Window { start: Timestamp::UNIX_EPOCH, counted: BTreeMap::new() };
        let totals = counts(&[("", 0, 2)]);
        let event = window.event(&totals, Timestamp::UNIX_EPOCH, true);
        assert_eq!(event.messages_unsuccessfully_processed, 2);
        assert_eq!(event.tenants.len(), 1);
        assert!(event.draining);
    }

    fn counts(of: &[(&str, u64, u64)]) -> BTreeMap<String, Totals> {
        let totals = |&(tenant, successful, unsuccessful): &(&str, u64, u64)| {
            (tenant.to_owned(), Totals { successful, unsuccessful })
        };
        of.iter().map(totals).collect()
    }
}
