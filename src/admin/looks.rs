//! What the page shows of the ledger, looked up beside the requests that show it.
//!
//! One task looks, one look after the other, and only while somebody watches: what it costs does
//! not depend on how many do. Each look has a pace. It is not repeated sooner than that, nor before
//! twenty times what it took has passed, so that a large ledger is looked at more rarely; but after
//! half a minute it is, since one look may have been slow for a reason that is gone. A request waits
//! for the first looks for a moment and then shows what there is.
//!
//! What came and went is read from the ledger's rows and not counted here: it is right after a
//! restart, whoever did the work, and nothing is kept for those at whom nobody looks.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{
    clock::Clock,
    completeness::{Completeness, Week},
    content::Tenants,
    duties,
    expiry::{Ends, Kind},
    ledger::{Feed, GivenUp, Ledger, LedgerError, Reader, Traffic},
    shutdown::Shutdown,
};

/// What was seen last. What was never looked at is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks {
    /// When the last round of looks was done.
    pub(super) at: Option<Instant>,
    /// What came and went, in [`STEPS`] steps of [`STEP`].
    pub(super) traffic: Option<Arc<HashMap<Feed, Traffic>>>,
    /// The last week of each feed.
    pub(super) weeks: Option<Arc<HashMap<Feed, Week>>>,
    /// What waits, by feed; those of which nothing waits are left out.
    pub(super) waiting: Option<Arc<HashMap<Feed, u64>>>,
    /// The dead letters, newest first.
    pub(super) given_up: Option<Arc<[GivenUp]>>,
    /// The ends of certificates.
    pub(super) certificates: Option<Arc<[End]>>,
    /// Who shares the ledger, and does what.
    pub(super) replicas: Option<Arc<[duties::Entry]>>,
}

/// What a certificate is for, of which tenant, and when it ends.
pub(super) type End = (Kind, Arc<str>, Timestamp);

/// Where looks are asked for and shown. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Board {
    newest: watch::Sender<Arc<Looks>>,
    asked: watch::Sender<Option<Instant>>,
}

impl Board {
    pub(super) fn new() -> Self {
        Self { newest: watch::Sender::new(Arc::default()), asked: watch::Sender::new(None) }
    }

    /// The newest looks; none older than a few seconds, if that can be had soon.
    pub(super) async fn look(&self) -> Arc<Looks> {
        self.asked.send_replace(Some(Instant::now()));
        let mut newest = self.newest.subscribe();
        let fresh = newest.wait_for(|looks| looks.at.is_some_and(|at| at.elapsed() < FRESH));
        // Too late is as good as never: what there is, is shown.
        let _late = timeout(PATIENCE, fresh).await.is_err();
        self.newest.borrow().clone()
    }

    async fn watched(&self) {
        let recently = |asked: &Option<Instant>| asked.is_some_and(|at| at.elapsed() < WATCHED);
        // The sender is in self, so waiting does not end otherwise.
        self.asked.subscribe().wait_for(recently).await.ok();
    }

    fn show(&self, change: impl FnOnce(&mut Looks)) {
        self.newest.send_modify(|looks| change(Arc::make_mut(looks)));
    }
}

/// The one who looks.
#[derive(Debug)]
pub(super) struct Keeper {
    board: Board,
    reader: Reader,
    ledger: Ledger,
    completeness: Completeness,
    ends: Ends,
    tenants: Tenants,
    clock: Clock,
    paces: Paces,
}

impl Keeper {
    pub(super) fn new(
        board: Board,
        ledger: Ledger,
        completeness: Completeness,
        ends: Ends,
        tenants: Tenants,
        clock: Clock,
    ) -> Self {
        let reader = ledger.reader();
        Self { board, reader, ledger, completeness, ends, tenants, clock, paces: Paces::new() }
    }

    /// Looks while somebody watches, until asked to stop; what is being read then is given up.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        let looking = async {
            loop {
                self.board.watched().await;
                if let Err(error) = self.round().await {
                    // Readiness says so; what was seen before stays.
                    tracing::debug!(%error, "the ledger cannot be looked at for the status page");
                }
                self.board.show(|looks| looks.at = Some(Instant::now()));
                sleep(ROUND).await;
            }
        };
        tokio::select! {
            biased;
            () = shutdown.requested() => {}
            () = looking => {}
        }
    }

    async fn round(&mut self) -> Result<(), LedgerError> {
        if let Some(since) = self.paces.waiting.due() {
            let mut waiting = HashMap::new();
            for depth in self.ledger.depth().await? {
                let of_tenant = self.reader.waiting(depth.tenant).await?;
                waiting.extend(of_tenant.into_iter().map(|(kind, n)| ((depth.tenant, kind), n)));
            }
            self.board.show(|looks| looks.waiting = Some(Arc::new(waiting)));
            self.paces.waiting.done(since);
        }
        if let Some(since) = self.paces.given_up.due() {
            let given_up = self.reader.given_up(self.clock.now()).await?;
            self.board.show(|looks| looks.given_up = Some(given_up.into()));
            self.paces.given_up.done(since);
        }
        if let Some(since) = self.paces.replicas.due() {
            let replicas = self.replicas().await?;
            self.board.show(|looks| looks.replicas = Some(replicas.into()));
            self.paces.replicas.done(since);
        }
        if let Some(since) = self.paces.traffic.due() {
            let traffic = self.reader.traffic(begin(self.clock.now()), STEP, STEPS).await?;
            self.board.show(|looks| looks.traffic = Some(Arc::new(traffic)));
            self.paces.traffic.done(since);
        }
        if let Some(since) = self.paces.certificates.due() {
            let known = self.ends.known();
            self.board.show(|looks| looks.certificates = Some(known.into()));
            self.paces.certificates.done(since);
        }
        if let Some(since) = self.paces.weeks.due() {
            let feeds = self.feeds();
            let weeks = self.completeness.week(&feeds).await?;
            self.board.show(|looks| looks.weeks = Some(Arc::new(weeks)));
            self.paces.weeks.done(since);
        }
        Ok(())
    }

    async fn replicas(&self) -> Result<Vec<duties::Entry>, LedgerError> {
        let (replicas, duties) = (self.ledger.replicas().await?, self.ledger.duties().await?);
        let name = |tenant| self.tenants.name(tenant).to_string();
        Ok(duties::roll(&replicas, &duties, name, self.clock.now()))
    }

    fn feeds(&self) -> Vec<Feed> {
        let of = |tenant: Arc<crate::content::Tenant>| {
            let id = tenant.id;
            tenant.content_types.clone().into_iter().map(move |kind| (id, kind))
        };
        self.tenants.iter().flat_map(of).collect()
    }
}

/// When each look is due.
#[derive(Debug)]
struct Paces {
    waiting: Pace,
    given_up: Pace,
    replicas: Pace,
    traffic: Pace,
    certificates: Pace,
    weeks: Pace,
}

impl Paces {
    fn new() -> Self {
        Self {
            waiting: Pace::every(Duration::from_secs(1)),
            given_up: Pace::every(Duration::from_secs(2)),
            replicas: Pace::every(Duration::from_secs(2)),
            traffic: Pace::every(Duration::from_secs(2)),
            certificates: Pace::every(Duration::from_secs(10)),
            weeks: Pace::every(Duration::from_secs(60)),
        }
    }
}

/// When one look is due.
#[derive(Clone, Copy, Debug)]
struct Pace {
    every: Duration,
    next: Option<Instant>,
}

impl Pace {
    const fn every(every: Duration) -> Self {
        Self { every, next: None }
    }

    /// The present moment, if the look is due.
    fn due(&self) -> Option<Instant> {
        let now = Instant::now();
        self.next.is_none_or(|next| next <= now).then_some(now)
    }

    fn done(&mut self, since: Instant) {
        let now = Instant::now();
        let took = now.duration_since(since);
        self.next = Some(now + self.every.max(took.saturating_mul(SHARE).min(STALE)));
    }
}

/// The beginning of the first step that is shown. Steps begin at the same moments whoever asks, so
/// that only the last one changes from look to look.
pub(super) fn begin(now: Timestamp) -> Timestamp {
    let step = i64::try_from(STEP.as_secs()).unwrap_or(i64::MAX);
    let steps = i64::try_from(STEPS).unwrap_or(0);
    let last = now.as_second().div_euclid(step) * step;
    Timestamp::from_second(last - (steps - 1) * step).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// How finely the last hours are drawn.
pub(super) const STEP: Duration = Duration::from_secs(30 * 60);

/// Twelve hours: a night.
pub(super) const STEPS: usize = 24;

/// One part in so many of the time may go into a look.
const SHARE: u32 = 20;

/// Older than this, whoever watches would take what is shown for the present wrongly.
const STALE: Duration = Duration::from_secs(30);

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(1);

/// Looks younger than this need not be waited for.
const FRESH: Duration = Duration::from_secs(5);

/// How long somebody who asked once counts as watching.
const WATCHED: Duration = Duration::from_secs(10);

/// Longer than the looks at a usual ledger take, and short enough for a page.
const PATIENCE: Duration = Duration::from_millis(700);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_took_long_is_not_repeated_soon() {
        let mut pace = Pace::every(Duration::from_secs(2));
        let since = pace.due().expect("never looked");
        pace.done(since);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(pace.due().is_none());
        tokio::time::advance(Duration::from_secs(1)).await;
        pace.due().expect("its time has come");
        for (took, rest) in [(1, 20), (3, 30)] {
            let since = Instant::now();
            tokio::time::advance(Duration::from_secs(took)).await;
            pace.done(since);
            tokio::time::advance(Duration::from_secs(rest - 1)).await;
            assert!(pace.due().is_none(), "it took {took} seconds");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(pace.due().is_some());
        }
    }

    #[test]
    fn steps_begin_at_the_same_moments() {
        let begin = |now: &str| begin(now.parse().unwrap()).to_string();
        assert_eq!(begin("2026-01-31T12:00:00Z"), "2026-01-31T00:30:00Z");
        assert_eq!(begin("2026-01-31T12:29:59Z"), "2026-01-31T00:30:00Z");
        assert_eq!(begin("2026-01-31T12:30:00Z"), "2026-01-31T01:00:00Z");
    }
}
