//! Lists what Microsoft has and announces it, so that nothing depends on a notification.
//!
//! Every tenant is swept by a task of its own, one request at a time, at three depths ([`window`]):
//! what a notification lost is found within the interval, what appears late within an hour or a
//! day, and what was missed during an outage when it is over. Recording known content changes
//! nothing but that it was listed (I2), and ids are compared in their canonical form, so content
//! that comes by both ways is fetched once.
//!
//! A window counts as swept only when every page of it was read and everything on them is in the
//! ledger. How far each depth came is kept there too, so a restart goes on where the process ended.
//! The youngest content is left to the webhook, where there is one; the window then ends before it.
//!
//! Time is Microsoft's: windows are computed with what its answers say about our clock, and a
//! window that turns out to have been computed with a wrong one is listed again.
//!
//! Where replicas share the ledger, sweeping a tenant is a duty of one: it stops as soon as the duty
//! is lost, and what it notes after that is refused.
//!
//! If the process dies in the middle of a sweep, it is due again. What is refused (no subscription,
//! auditing off, a role missing) is said once and tried again, at each interval at last; starting
//! subscriptions is for others.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use tokio::time::sleep;
use tracing::{Instrument as _, debug_span};

use crate::{
    backoff::Backoff,
    clock::Clock,
    content::{Tenant, Tenants, Via},
    duties::{Duties, Hold},
    ledger::{Duty, Ledger, Mark, SweepDepth},
    microsoft::Client,
    outcomes::Announced,
    roster,
    shutdown::Shutdown,
};

mod backfill;
mod feed;
mod listing;
mod metrics;
mod reading;
mod skew;
pub mod window;

pub use backfill::{Backfill, BackfillError, Done, Progress, Range, Summary};
pub use listing::{ListError, Lister, Pages};
pub use metrics::Metrics;
pub use skew::Believed;

use feed::Feed;
use metrics::Outcome;
use window::{Cadence, Completed};

/// How often and how far back the listing is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The time between two sweeps of the last hours.
    pub interval: Duration,
    /// Content younger than this is left to the webhook; none: there is no webhook.
    pub settle: Option<Duration>,
    /// How far back the first sweep after a start goes at least.
    pub startup_lookback: Duration,
}

/// The sweep of all tenants. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sweep(Arc<Inner>);

impl Sweep {
    /// A sweep that has not listed anything yet.
    pub fn new(
        config: Config,
        client: Client,
        ledger: Ledger,
        tenants: Tenants,
        clock: Clock,
        announced: Announced,
        metrics: Metrics,
    ) -> Self {
        let Config { interval, settle, startup_lookback } = config;
        Self(Arc::new(Inner {
            cadence: Cadence { interval, startup_lookback },
            after_failure: feed::after_failure(interval.max(MIN_PAUSE)),
            settle: settle.unwrap_or_default(),
            lister: Lister::new(client, clock.clone(), PAGES_AT_A_TIME),
            ledger,
            tenants,
            clock,
            announced,
            metrics,
            duties: Duties::all(),
        }))
    }

    /// The same sweep, of the tenants whose sweep is a duty of this process.
    ///
    /// # Panics
    ///
    /// When it has begun already.
    #[must_use]
    pub fn under(mut self, duties: Duties) -> Self {
        Arc::get_mut(&mut self.0).expect("it has not begun").duties = duties;
        self
    }

    /// Sweeps every tenant again and again until shutdown. A sweep that is under way then is cut
    /// off; it is due again at the next start.
    pub async fn run(self, shutdown: Shutdown) {
        let inner = self.0.clone();
        tokio::select! {
            () = roster::each(&inner.tenants, |tenant| self.clone().keep(tenant)) => {}
            () = self.clone().count_backfilled() => {}
            () = shutdown.requested() => {}
        }
    }

    async fn keep(self, tenant: Arc<Tenant>) {
        loop {
            let hold = tokio::select! {
                hold = self.0.duties.hold(Duty::Sweep(tenant.id)) => hold,
                () = self.follow(&tenant) => continue,
            };
            tokio::select! {
                () = self.keep_under(&tenant, &hold) => {}
                () = hold.lost() => {}
            }
        }
    }

    /// Shows what another replica swept, as long as it does.
    async fn follow(&self, tenant: &Tenant) {
        loop {
            sleep(MAX_PAUSE).await;
            self.remembered(tenant).await;
        }
    }

    async fn keep_under(&self, tenant: &Tenant, hold: &Hold) {
        let mut feeds = self.remembered(tenant).await;
        feeds.iter_mut().for_each(|feed| feed.duty = hold.fence());
        loop {
            let mut pause = MAX_PAUSE;
            for feed in &mut feeds {
                pause = pause.min(self.look(tenant, feed).await);
            }
            sleep(pause.max(MIN_PAUSE)).await;
        }
    }

    /// Every feed of a tenant with what was swept before.
    async fn remembered(&self, tenant: &Tenant) -> Vec<Feed> {
        let swept = loop {
            match self.0.ledger.sweeps(tenant.id).await {
                Ok(swept) => break swept,
                Err(error) => {
                    tracing::warn!(
                        tenant = &*tenant.name,
                        error = &error as &dyn std::error::Error,
                        "cannot read what was swept before, trying again"
                    );
                    sleep(READ_AGAIN).await;
                }
            }
        };
        let feeds = tenant.content_types.iter().map(|&content_type| {
            let mut completed = Completed::default();
            for swept in swept.iter().filter(|swept| swept.content_type == content_type) {
                completed.note(swept);
                if swept.depth == SweepDepth::Recent {
                    self.0.metrics.complete(&tenant.name, content_type, swept.at);
                }
            }
            Feed::new(content_type, completed)
        });
        feeds.collect()
    }

    /// Sweeps one feed if that is due, and says when to look again.
    async fn look(&self, tenant: &Tenant, feed: &mut Feed) -> Duration {
        let cadence = &self.0.cadence;
        let now = self.0.clock.now();
        if let Some(left) = feed.held_back() {
            return left;
        }
        let Some(back) = cadence.due(&feed.completed, feed.at_start, now) else {
            return cadence.pause(&feed.completed, now);
        };
        let span = debug_span!(
            "sweep",
            tenant = &*tenant.name,
            content.r#type = feed.content_type.as_str(),
        );
        match self.sweep(tenant, feed, back).instrument(span).await {
            Ok(()) => {
                feed.succeeded(tenant);
                cadence.pause(&feed.completed, self.0.clock.now())
            }
            Err(error) => feed.failed(tenant, &error, self.0.after_failure),
        }
    }

    /// Reads everything back to a moment, with the clocks set right.
    async fn sweep(
        &self,
        tenant: &Tenant,
        feed: &mut Feed,
        back: Duration,
    ) -> Result<(), ListError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let skew = self.0.lister.skew();
            let strict = tries < TRIES;
            match self.windows(tenant, feed, back, Believed { skew, strict }).await {
                Err(ListError::Clock) if strict => {
                    let skew_s = self.0.lister.skew().as_secs();
                    tracing::warn!(
                        tenant = &*tenant.name,
                        skew_s,
                        "our clock is not Microsoft's, listing again by theirs; set the clock of \
                         this machine"
                    );
                }
                outcome => return outcome,
            }
        }
    }

    /// Counts what commands announce beside this process, which cannot count here themselves.
    async fn count_backfilled(self) {
        loop {
            // Several replicas would count the same.
            let hold = self.0.duties.hold(Duty::Prune).await;
            tokio::select! {
                () = self.count_backfilled_here() => {}
                () = hold.lost() => {}
            }
        }
    }

    async fn count_backfilled_here(&self) {
        let inner = &*self.0;
        let mut mark: Option<Mark> = None;
        loop {
            // A ledger that cannot be read says so elsewhere; the mark waits.
            if let Ok((next, found)) = inner.ledger.backfilled(mark).await {
                mark = Some(next);
                for found in found {
                    let name = inner.tenants.name(found.tenant);
                    if !name.is_empty() {
                        inner.announced.count(
                            &name,
                            found.content_type,
                            Via::Backfill,
                            found.contents,
                        );
                    }
                }
            }
            sleep(COUNT_EVERY).await;
        }
    }
}

#[derive(Debug)]
struct Inner {
    cadence: Cadence,
    after_failure: Backoff,
    settle: Duration,
    lister: Lister,
    ledger: Ledger,
    tenants: Tenants,
    clock: Clock,
    announced: Announced,
    metrics: Metrics,
    duties: Duties,
}

/// At start every tenant is due. A page is at most some megabytes, most are some hundred kilobytes.
const PAGES_AT_A_TIME: NonZeroUsize = NonZeroUsize::new(8).expect("eight is not zero");

/// Times a sweep is begun before clocks that do not agree are left to the next one.
const TRIES: u32 = 3;

/// The shortest pause, whatever is configured.
const MIN_PAUSE: Duration = Duration::from_millis(500);

/// A clock that is set wakes nobody, so due dates are looked at this often.
const MAX_PAUSE: Duration = Duration::from_secs(60);

const READ_AGAIN: Duration = Duration::from_secs(1);

/// Soon enough for a dashboard.
const COUNT_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
