//! The work: claims content, runs one step per lease, waits for the receiver's word, settles.
//!
//! Keeps I3 to I5: every claimed lease is settled at most once, as delivered only after the
//! receiver confirmed all of it, and otherwise retried or ended with a closed reason. A lease that
//! is not settled, because a step panicked or the process died, runs out and is claimed again;
//! there is no other recovery path.
//!
//! A record delivered before, or on its way in another content, is not sent again; nothing is
//! claimed before the identities of earlier records are remembered, and those that other replicas
//! deliver are learned within seconds.
//!
//! A step whose records are all sent gives its place free and waits among the confirmations, of
//! which there is a bounded number. Nothing is claimed while Devo is away or for a tenant that
//! Microsoft throttles, so what cannot move holds no place.
//!
//! Knows nothing of HTTP servers or of how content was announced.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    task::{self, JoinError, JoinSet},
    time::{Instant, MissedTickBehavior},
};
use tracing::{Instrument, debug, error, info_span, warn};

use crate::{
    backoff::Backoff,
    clock::Clock,
    content::{TenantId, Tenants},
    deliver::Outlet,
    frame::Framer,
    identity,
    ledger::{Changes, Lease, LeaseKey, Ledger, Settlement},
    microsoft::Client,
    route::Tables,
    shutdown::Shutdown,
};

mod buffers;
mod draft;
mod fairness;
mod identities;
mod metrics;
mod orphans;
mod renewal;
mod step;
mod tally;
mod verdict;
mod work;

pub use metrics::Metrics;

use draft::Draft;
use fairness::Due;
use identities::Identities;
use renewal::Held;
use step::Step;
use work::{Unconfirmed, Work};

/// How the pipeline works.
#[derive(Clone, Debug)]
pub struct Config {
    /// Blobs in flight, all tenants together. More hides latency, and costs about a batch of
    /// memory each.
    pub concurrency: NonZeroUsize,
    /// The delays between attempts at one content.
    pub backoff: Backoff,
    /// The largest record in bytes; a larger one becomes a dead letter of its own.
    pub max_record: usize,
    /// The host in the syslog header.
    pub hostname: String,
}

/// What the pipeline works with.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where claims come from and outcomes go.
    pub ledger: Ledger,
    /// Where blobs come from.
    pub client: Client,
    /// Where records go.
    pub outlet: Outlet,
    /// Which table a record belongs to.
    pub tables: Arc<Tables>,
    /// Whose content this is.
    pub tenants: Tenants,
    /// Wall time.
    pub clock: Clock,
}

/// The claim loop.
#[derive(Debug)]
pub struct Pipeline {
    places: usize,
    changes: Changes,
    tenants: Tenants,
    running: HashMap<task::Id, Running>,
    steps: JoinSet<Unconfirmed>,
    work: Work,
    confirmations: JoinSet<()>,
}

impl Pipeline {
    /// A pipeline that has claimed nothing yet.
    pub fn new(
        config: &Config,
        records: &identity::Config,
        parts: Parts,
        metrics: Metrics,
    ) -> Self {
        let Parts { ledger, client, outlet, tables, tenants, clock } = parts;
        let framer = Framer::new(&config.hostname, tables.prefix());
        let step = Step {
            client,
            outlet,
            identities: Identities::new(records, ledger.secret()),
            ledger,
            tables,
            framer,
            buffers: Draft::buffers(),
            clock,
            max_record: config.max_record,
            cut: Shutdown::new(),
        };
        Self {
            places: config.concurrency.get(),
            changes: step.ledger.changes(),
            tenants,
            running: HashMap::new(),
            steps: JoinSet::new(),
            work: Work { step, held: Held::default(), backoff: config.backoff, metrics },
            confirmations: JoinSet::new(),
        }
    }

    /// Works until asked to stop, then finishes the running steps, up to a few seconds. What is
    /// then still unconfirmed is handed back to be waited for.
    pub async fn run(mut self, shutdown: Shutdown) -> Unsettled {
        let mut watching = JoinSet::new();
        watching.spawn(orphans::watch(
            self.work.step.ledger.clone(),
            self.tenants.clone(),
            self.work.step.clock.clone(),
            self.work.metrics.clone(),
        ));
        watching.spawn(
            self.work
                .held
                .clone()
                .renew(self.work.step.ledger.clone(), self.work.step.clock.clone()),
        );
        tokio::select! {
            () = shutdown.requested() => {}
            following = self.work.recall() => if let Some(following) = following {
                watching.spawn(self.work.clone().follow(following));
            },
        }
        // A claim is a commit: after an event a few places are filled at once, and a single one
        // is filled when it stayed free for the length of a poll.
        let few = self.places.div_ceil(4);
        let mut least = 1;
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !shutdown.is_requested() {
            let now = self.work.step.clock.now();
            self.work.step.ledger.forget_identities(self.work.step.identities.advance(now));
            self.claim(least).await;
            least = few;
            tokio::select! {
                () = shutdown.requested() => break,
                _ = poll.tick() => least = 1,
                () = self.changes.wait() => {}
                Some(ended) = self.steps.join_next_with_id() => self.step_ended(ended),
                Some(ended) = self.confirmations.join_next() => report_panic(ended),
                // They never end but by a panic, and without them long steps would lose their
                // leases.
                Some(_) = watching.join_next() => break,
            }
            while let Some(ended) = self.steps.try_join_next_with_id() {
                self.step_ended(ended);
            }
            while let Some(ended) = self.confirmations.try_join_next() {
                report_panic(ended);
            }
        }
        self.finish_steps().await;
        Unsettled { confirmations: self.confirmations, watching }
    }

    /// Claims as much as there is room for, if that is at least so much.
    async fn claim(&mut self, least: usize) {
        let free = self.places.saturating_sub(self.steps.len());
        if free < least
            || self.confirmations.len() >= MAX_UNCONFIRMED
            || !self.work.step.outlet.is_ready()
        {
            return;
        }
        let now = self.work.step.clock.now();
        let ids: Vec<_> = self.tenants.iter().map(|tenant| tenant.id).collect();
        let due = match self.work.step.ledger.tenants_due(&ids, now).await {
            Ok(due) => due,
            Err(error) => {
                debug!(error = %error, "cannot look for due content");
                return;
            }
        };
        let due: Vec<_> = due
            .into_iter()
            .map(|tenant| Due {
                tenant,
                running: self.running.values().filter(|step| step.tenant == tenant).count(),
                room: self.work.step.client.pacing().room(tenant),
            })
            .collect();
        let most = fairness::most(self.places, ids.len());
        let busy: HashSet<_> = self.running.values().map(|step| step.tenant).collect();
        // Steps of tenants that were removed end by themselves.
        let idle = ids.iter().filter(|id| !busy.contains(id)).count();
        let reserve = fairness::reserve(self.places, idle);
        for (tenant, limit) in fairness::shares(free, most, reserve, &due) {
            match self.work.step.ledger.claim(tenant, limit, now).await {
                Ok(leases) => {
                    for lease in leases {
                        self.start(lease);
                    }
                }
                Err(error) => debug!(error = %error, "cannot claim content"),
            }
        }
    }

    fn start(&mut self, lease: Lease) {
        let tenant = lease.announcement.tenant;
        let span = info_span!(
            "content",
            tenant = &*self.tenants.name(tenant),
            content.id = %lease.announcement.id,
            content.r#type = %lease.announcement.content_type,
            attempt = lease.attempts + 1,
        );
        if lease.lost {
            self.work.metrics.lease_lost(&lease);
        }
        let key = lease.key;
        let hold = self.work.held.hold(key);
        let step = self.steps.spawn(self.work.clone().step(lease, hold).instrument(span));
        self.running.insert(step.id(), Running { tenant, lease: key });
    }

    fn step_ended(&mut self, ended: Result<(task::Id, Unconfirmed), JoinError>) {
        match ended {
            Ok((id, unconfirmed)) => {
                self.running.remove(&id);
                let span = unconfirmed.span.clone();
                self.confirmations.spawn(self.work.clone().confirm(unconfirmed).instrument(span));
            }
            Err(error) => {
                error!(error = %error, "a step panicked, its lease will run out");
                self.running.remove(&error.id());
            }
        }
    }

    async fn end_steps(&mut self, within: Duration) {
        let deadline = Instant::now() + within;
        while let Ok(Some(ended)) =
            tokio::time::timeout_at(deadline, self.steps.join_next_with_id()).await
        {
            self.step_ended(ended);
        }
    }

    async fn finish_steps(&mut self) {
        self.end_steps(STEP_GRACE).await;
        // What is cut gives its content back, when it is known what of it arrived.
        self.work.step.cut.request();
        self.end_steps(CUT_GRACE).await;
        // Nothing should be left; if it is, it gives back what it holds.
        self.steps.shutdown().await;
        let now = self.work.step.clock.now();
        let released = self
            .running
            .values()
            .map(|step| self.work.step.ledger.settle(step.lease, Settlement::Release, now));
        for released in join_all(released).await {
            if let Err(error) = released {
                debug!(error = %error, "cannot release a lease, it will run out");
            }
        }
    }
}

/// Content that was sent and waits for the receiver's word after the pipeline has stopped.
#[derive(Debug)]
pub struct Unsettled {
    confirmations: JoinSet<()>,
    watching: JoinSet<()>,
}

impl Unsettled {
    /// Waits until everything is confirmed and settled, or the deadline. What is left is sent
    /// again after its lease.
    pub async fn settle(mut self, deadline: Instant) {
        while let Ok(Some(ended)) =
            tokio::time::timeout_at(deadline, self.confirmations.join_next()).await
        {
            report_panic(ended);
        }
        if !self.confirmations.is_empty() {
            warn!(contents = self.confirmations.len(), "unconfirmed content will be sent again");
        }
        self.confirmations.shutdown().await;
        self.watching.shutdown().await;
    }
}

/// A step in flight.
#[derive(Clone, Copy, Debug)]
struct Running {
    tenant: TenantId,
    lease: LeaseKey,
}

fn report_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(error = %error, "a confirmation panicked, its lease will run out");
    }
}

/// The bound on content that waits for confirmation: a few hundred bytes each, and far more than
/// a confirm interval brings at the rate Microsoft admits.
const MAX_UNCONFIRMED: usize = 16 * 1024;

/// Retry times pass without an event, so the ledger is asked this often.
const POLL: Duration = Duration::from_millis(250);

/// A step that is cut has nothing more to wait for.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// Part of the grace period of a shutdown: most blobs end well within it, and one that does not
/// is claimed again after the restart.
const STEP_GRACE: Duration = Duration::from_secs(8);
