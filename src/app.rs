//! The composition root: builds every part, binds every socket, runs, and drains in order.
//!
//! Without a webhook there is no public port, and everything is found by the sweep.
//!
//! [`App::bind`] does everything that can fail for a reason an operator can mend, and returns an
//! app that knows its addresses before it runs. [`App::run`] ends when asked, or with an error
//! when a part that should run for ever has ended.
//!
//! The drain, all of it within half a minute: not ready, but still serving, until the load balancer
//! has noticed; stop accepting and finish requests; claim nothing more and finish steps; confirm
//! the sessions; settle; close the ledger. If the process dies anywhere in between, the leases run
//! out and nothing is lost.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use prometheus::Registry;
use tokio::{sync::mpsc, time::Instant};
use tracing::info;

use crate::{
    admin::{self, Admin},
    clock::Clock,
    completeness::Completeness,
    content::Tenants,
    deliver::{self, Outlet, Sessions},
    duties::{self, Duties},
    expiry::Expiry,
    identity,
    ledger::{self, Ledger, Writer},
    logbook::{self, Logbook},
    microsoft::{self, Client},
    outcomes::{Announced, Outcomes},
    pipeline::{self, Pipeline},
    route::{self, Tables},
    shutdown::Shutdown,
    stats::{self, Stats},
    subscriptions::{self, Subscriptions},
    sweep::{self, Sweep},
    webhook::{self, Webhook},
};

mod activity;
mod admission;
mod apart;
mod certificates;
mod error;

use activity::Activity;
use admission::Admission;
pub use admission::take_up;
use apart::apart;
pub use error::{RunError, StartError};

/// Everything the process needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The admin port.
    pub admin: admin::Config,
    /// The connection to Devo.
    pub deliver: deliver::Config,
    /// The durable state.
    pub ledger: ledger::Config,
    /// Telling Devo our own log; none: not.
    pub logbook: Option<logbook::Config>,
    /// The API and its credentials.
    pub microsoft: microsoft::Config,
    /// Fetching and retrying.
    pub pipeline: pipeline::Config,
    /// How long and how many delivered records are remembered.
    pub records: identity::Config,
    /// Which table a record belongs to.
    pub route: route::Config,
    /// Telling Devo our own counters; none: not.
    pub stats: Option<stats::Config>,
    /// What Microsoft should call, and when that is checked.
    pub subscriptions: subscriptions::Config,
    /// Listing what no notification announced.
    pub sweep: sweep::Config,
    /// Whose records are collected.
    pub tenants: Tenants,
    /// The public port; none: Microsoft cannot call us.
    pub webhook: Option<webhook::Config>,
}

/// A process that is built and bound, and has not begun to work.
#[derive(Debug)]
pub struct App {
    admin: Admin,
    admission: Admission,
    keeper: duties::Keeper,
    drain_delay: Duration,
    expiry: Expiry,
    logbook: Option<Logbook>,
    pipeline: Pipeline,
    sessions: Sessions,
    stats: Option<Stats>,
    subscriptions: Subscriptions,
    sweep: Sweep,
    webhook: Option<Webhook>,
    writer: Writer,
    draining: Shutdown,
}

impl App {
    /// Opens the ledger, reads the certificates and binds the ports.
    ///
    /// # Errors
    ///
    /// [`StartError`], each variant with the file or address that is to blame.
    pub async fn bind(config: Config, clock: Clock) -> Result<Self, StartError> {
        let registry = Registry::new();
        let tenants = config.tenants;
        admin::register_process(&registry)?;
        let draining = Shutdown::new();

        let tables = Arc::new(Tables::try_new(config.route)?);
        let (ledger, writer) = Ledger::open(&config.ledger).await?;
        // From here on the tenants are all there, and everything below begins with them.
        let mut admission = Admission::open(tenants.clone(), ledger.clone()).await?;
        let outcomes = Outcomes::register(&registry, &tenants)?;
        admission.count(outcomes.clone());
        let (outlet, sessions) =
            Outlet::open(config.deliver, deliver::Metrics::register(&registry)?)?;
        let management_roots = config.microsoft.management_roots();
        let mut certificates = certificates::of_tenants(&config.microsoft, &tenants);
        let metrics = microsoft::Metrics::register(&registry, &tenants)?;
        admission.count(metrics.clone());
        let client = Client::new(config.microsoft, tenants.clone(), clock.clone(), metrics)?;
        let announced = Announced::register(&registry, &tenants)?;
        admission.count(announced.clone());
        let metrics = webhook::Metrics::register(&registry, announced.clone())?;
        let drain_delay = config.webhook.as_ref().map_or(Duration::ZERO, |port| port.drain_delay);
        let webhook = match config.webhook {
            None => None,
            Some(config) => {
                let address = config.listen;
                let bound = Webhook::bind(
                    config,
                    tenants.clone(),
                    management_roots,
                    ledger.clone(),
                    clock.clone(),
                    metrics,
                    outcomes.clone(),
                );
                Some(bound.await.map_err(|error| match error {
                    webhook::BindError::Listen(source) => StartError::Bind { address, source },
                    error => StartError::Webhook(error),
                })?)
            }
        };
        let parts = duties::Parts {
            ledger: ledger.clone(),
            tenants: tenants.clone(),
            pacing: client.pacing().clone(),
            clock: clock.clone(),
            draining: draining.clone(),
        };
        let about = duties::About { name: config.pipeline.hostname.clone(), ..Default::default() };
        let (duties, keeper) = Duties::open(parts, about, duties::Times::default());
        certificates.push(certificates::of_devo(outlet.clone()));
        certificates.extend(webhook.as_ref().and_then(certificates::of_webhook));
        let expiry = Expiry::register(&registry, clock.clone(), certificates)?;
        let metrics = sweep::Metrics::register(&registry, &tenants)?;
        admission.count(metrics.clone());
        let completeness = Completeness::new(ledger.reader(), None, config.sweep, clock.clone());
        let sweep = Sweep::new(
            config.sweep,
            client.clone(),
            ledger.clone(),
            tenants.clone(),
            clock.clone(),
            announced,
            metrics,
        )
        .under(duties.clone());
        let metrics = subscriptions::Metrics::register(&registry, &tenants)?;
        admission.count(metrics.clone());
        let subscriptions = Subscriptions::new(
            config.subscriptions,
            client.clone(),
            tenants.clone(),
            clock.clone(),
            metrics,
            webhook.as_ref().map(|webhook| edge(webhook.edge())),
            Some(ledger.clone()),
        )
        .under(duties);
        let stats = config.stats.map(|config| {
            let (outcomes, outlet) = (outcomes.clone(), outlet.clone());
            Stats::register(&registry, config, outcomes, outlet, clock.clone())
        });
        let logbook = config
            .logbook
            .map(|config| Logbook::register(&registry, config, outlet.clone(), clock.clone()));
        let metrics = pipeline::Metrics::register(&registry, &tenants, outcomes)?;
        admission.count(metrics.clone());
        let pipeline = Pipeline::new(
            &config.pipeline,
            &config.records,
            pipeline::Parts {
                ledger: ledger.clone(),
                client,
                outlet: outlet.clone(),
                tables,
                tenants: tenants.clone(),
                clock: clock.clone(),
            },
            metrics,
        );
        let address = config.admin.listen;
        let admin = Admin::bind(
            config.admin,
            admin::Parts {
                registry,
                ledger,
                outlet,
                observed: subscriptions.observed(),
                is_called: webhook.is_some(),
                completeness,
                ends: expiry.ends(),
                tenants,
                clock,
                draining: draining.clone(),
            },
        )
        .await
        .map_err(|source| StartError::Bind { address, source })?;
        admission.count(admin.series());
        let keeper = keeper.at(admin.local_addr());
        Ok(Self {
            admin,
            admission,
            keeper,
            drain_delay,
            expiry,
            logbook: logbook.transpose()?,
            pipeline,
            sessions,
            stats: stats.transpose()?,
            subscriptions,
            sweep,
            webhook,
            writer,
            draining,
        })
    }

    /// Where the public port listens, if there is one.
    pub fn webhook_addr(&self) -> Option<SocketAddr> {
        self.webhook.as_ref().map(Webhook::local_addr)
    }

    /// Where the admin port listens.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// Works until asked to stop, then drains.
    ///
    /// # Errors
    ///
    /// [`RunError`] when a part ended that should run for ever.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let (report, mut ended) = mpsc::channel(1);
        let (webhook_addr, admin_addr) = (self.webhook_addr(), self.admin_addr());
        // From below to above: the ledger accepts before anybody announces, and the webhook
        // answers validations before the first subscription is started.
        let writer = Activity::start("ledger", report.clone(), |stop| apart(self.writer.run(stop)));
        let sessions = Activity::start("delivery", report.clone(), |stop| self.sessions.run(stop));
        let admission =
            Activity::start("admission", report.clone(), |stop| self.admission.run(stop));
        let admin = Activity::start("admin port", report.clone(), |stop| self.admin.run(stop));
        let webhook = self
            .webhook
            .map(|webhook| Activity::start("webhook", report.clone(), |stop| webhook.run(stop)));
        let pipeline = Activity::start("pipeline", report.clone(), |stop| self.pipeline.run(stop));
        let duties = Activity::start("duties", report.clone(), |stop| self.keeper.run(stop));
        let sweep = Activity::start("sweep", report.clone(), |stop| self.sweep.run(stop));
        let expiry = Activity::start("expiry", report.clone(), |stop| self.expiry.run(stop));
        let stats = self
            .stats
            .map(|stats| Activity::start("stats", report.clone(), |stop| stats.run(stop)));
        let logbook = self
            .logbook
            .map(|logbook| Activity::start("logbook", report.clone(), |stop| logbook.run(stop)));
        let subscriptions =
            Activity::start("subscriptions", report, |stop| self.subscriptions.run(stop));
        match webhook_addr {
            Some(webhook_addr) => info!(
                webhook = %webhook_addr, admin = %admin_addr,
                "listening for notifications on {webhook_addr}, status on http://{admin_addr}/"
            ),
            None => info!(
                admin = %admin_addr,
                "no webhook: listing what Microsoft has, status on http://{admin_addr}/"
            ),
        }

        let failed = tokio::select! {
            () = shutdown.requested() => None,
            Some(part) = ended.recv() => Some(part),
        };

        self.draining.request();
        let grace_ends = Instant::now() + GRACE;
        info!("draining: not ready, still serving until the load balancer has noticed");
        // The webhook keeps serving through its drain delay, and the pipeline works meanwhile.
        admission.request_stop();
        subscriptions.request_stop();
        sweep.request_stop();
        if let Some(webhook) = webhook {
            webhook.end(soon(grace_ends, self.drain_delay + REQUESTS)).await;
        }
        let unsettled = pipeline.end(soon(grace_ends, STEPS)).await;
        sessions.request_stop();
        if let Some(unsettled) = unsettled {
            unsettled.settle(soon(grace_ends, CONFIRMATIONS)).await;
        }
        // Whatever is confirmed is counted by now.
        if let Some(stats) = &stats {
            stats.request_stop();
        }
        sessions.end(soon(grace_ends, CLOSING)).await;
        sweep.end(soon(grace_ends, CLOSING)).await;
        subscriptions.end(soon(grace_ends, CLOSING)).await;
        expiry.end(soon(grace_ends, CLOSING)).await;
        admission.end(soon(grace_ends, CLOSING)).await;
        duties.end(soon(grace_ends, CLOSING)).await;
        writer.end(soon(grace_ends, CLOSING)).await;
        if let Some(stats) = stats {
            stats.end(soon(grace_ends, CLOSING)).await;
        }
        if let Some(logbook) = logbook {
            logbook.end(soon(grace_ends, CLOSING)).await;
        }
        admin.end(soon(grace_ends, CLOSING)).await;
        match failed {
            None => {
                info!("drained");
                Ok(())
            }
            Some(part) => Err(RunError { part }),
        }
    }
}

/// The public port as the keeper of the subscriptions looks at it.
fn edge(edge: webhook::Edge) -> subscriptions::Edge {
    subscriptions::Edge::new(move || {
        let seen = edge.seen();
        subscriptions::Calls {
            requests: seen.requests,
            validations: seen.validation_requests,
            told: seen.last_validation.map(|event| event.outcome.as_str()),
        }
    })
}

fn soon(grace_ends: Instant, by: Duration) -> Instant {
    grace_ends.min(Instant::now() + by)
}

/// The whole drain ends within this, as service managers commonly kill after half a minute.
const GRACE: Duration = Duration::from_secs(28);

/// Requests are small; what takes longer than this will not end well.
const REQUESTS: Duration = Duration::from_secs(3);

/// The pipeline bounds its steps itself; this only catches it should it not.
const STEPS: Duration = Duration::from_secs(12);

/// The wait for the receiver's end of stream at the very end.
const CONFIRMATIONS: Duration = Duration::from_secs(10);

/// Parts that have nothing left to do.
const CLOSING: Duration = Duration::from_secs(3);
