//! Keeps every wanted subscription enabled, with our webhook.
//!
//! At start and at each interval every tenant is looked at by a task of its own: list, [`plan()`],
//! start what needs it, list again. One tenant's failure, throttling or pending start delays no
//! other.
//!
//! Microsoft allows one start of a subscription in about 15 minutes and refuses another in words.
//! Both the rule and the words are remembered per subscription, in memory and in the ledger, where
//! a command that starts by hand finds them and leaves its own. Nothing is ever stopped here, and with `manage` off nothing is
//! started either.
//!
//! While a start is pending Microsoft posts the validation to our webhook, so the public port must
//! be served before [`Subscriptions::run`].

use std::{collections::HashMap, sync::Arc, sync::Mutex, time::Duration};

use futures_util::future::join_all;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tracing::{Instrument as _, debug_span};
use url::Url;

use crate::{
    clock::Clock,
    content::{ContentType, Tenant, TenantId, Tenants},
    duties::Duties,
    ledger::{Fence, Ledger},
    microsoft::{
        ApiError, Client,
        answer::Action,
        client::{Started, Subscription, WebhookSpec},
    },
    roster,
    secret::{Secret, SecretError},
    shutdown::Shutdown,
};

mod edge;
mod error;
mod keeping;
mod memory;
mod metrics;
mod observed;
mod plan;
mod survey;

pub use edge::{Calls, Edge};
pub use error::CheckError;
pub use metrics::Metrics;
pub use observed::{Observation, Observed, SeenWebhook, Status};
pub use plan::{Starts, Step, Wanted, WantedWebhook, Why, plan};
pub use survey::Survey;

use edge::Starting;
use keeping::Role;

/// What shall be, and how often it is looked at.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether to call start; otherwise subscriptions are only observed.
    pub manage: bool,
    /// Time between two looks at a tenant.
    pub check_interval: Duration,
    /// Least time between two starts of one subscription.
    pub restart_after: Duration,
    /// How long a registered webhook lives unless renewed; none: for ever.
    pub webhook_expiry: Option<Duration>,
    /// The webhook; none: subscriptions are enabled without one.
    pub webhook: Option<Webhook>,
    /// How long a load balancer may take to notice that this process is ready. Nothing is started
    /// before, because Microsoft looks at the webhook then, and a refusal counts for long.
    pub noticed_within: Duration,
}

/// Our webhook as registered with Microsoft.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Where Microsoft posts to.
    pub address: Url,
    /// What Microsoft sends back as `Webhook-AuthID`.
    pub auth_id: Secret,
}

/// The keeper of all tenants' subscriptions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Subscriptions(Arc<Inner>);

impl Subscriptions {
    /// A keeper that has not looked yet. Where this process serves the webhook, `edge` explains
    /// starts that fail because of it. With a ledger, starts are remembered for other processes.
    pub fn new(
        config: Config,
        client: Client,
        tenants: Tenants,
        clock: Clock,
        metrics: Metrics,
        edge: Option<Edge>,
        ledger: Option<Ledger>,
    ) -> Self {
        Self(Arc::new(Inner {
            observed: Observed::new(&tenants),
            starts: Mutex::default(),
            refused: Mutex::default(),
            edge,
            ledger,
            starting: Starting::default(),
            lists: Semaphore::new(CONCURRENT_LISTS),
            config,
            client,
            tenants,
            clock,
            metrics,
            duties: Duties::all(),
        }))
    }

    /// Looks at every tenant again and again until shutdown. A pending start is abandoned then; the
    /// next process finds out what became of it.
    pub async fn run(self, shutdown: Shutdown) {
        let noticed = Instant::now() + self.0.config.noticed_within;
        tokio::select! {
            () = roster::each(&self.0.tenants, |tenant| self.clone().keep(tenant.id, noticed)) => {}
            () = shutdown.requested() => {}
        }
    }

    /// Looks at one tenant once, starts what needs it and is allowed, and says when to look again.
    pub async fn check(&self, tenant: TenantId) -> Duration {
        self.check_under(tenant, Role::Starts(None)).await
    }

    async fn check_under(&self, tenant: TenantId, role: Role) -> Duration {
        let inner = &*self.0;
        let Some(tenant) = inner.tenants.find(tenant) else {
            return inner.config.check_interval;
        };
        let span = debug_span!("subscriptions", tenant = &*tenant.name);
        let result = self.look_and_start(&tenant, role).instrument(span).await;
        let next = match &result {
            Ok(observations) => self.next_look(observations),
            Err(error) => self.note_failure(&tenant, error),
        };
        inner.observed.note(&tenant, inner.clock.now(), result);
        next.clamp(LEAST_PAUSE, inner.config.check_interval.max(LEAST_PAUSE))
    }

    /// Starts one subscription as it is wanted, whatever was started before.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when the webhook's auth id cannot be read, or the start fails.
    pub async fn start(
        &self,
        tenant: TenantId,
        content_type: ContentType,
    ) -> Result<Started, CheckError> {
        let webhook = self.wanted_webhook()?.map(|webhook| WebhookSpec {
            address: webhook.address.to_string(),
            expiration: webhook.expiration(self.0.clock.now()),
            auth_id: webhook.auth_id,
        });
        let started = self.0.client.start(tenant, content_type, webhook.as_ref());
        Ok(started.await?)
    }

    /// What was seen last, for status pages.
    pub fn observed(&self) -> Observed {
        self.0.observed.clone()
    }

    async fn again_and_again(&self, tenant: TenantId, role: Role) {
        loop {
            let next = self.check_under(tenant, role).await;
            sleep(next).await;
        }
    }

    async fn look_and_start(
        &self,
        tenant: &Tenant,
        role: Role,
    ) -> Result<Vec<Observation>, CheckError> {
        let seen = self.look(tenant).await?;
        let Role::Starts(duty) = role else {
            return Ok(seen);
        };
        if !self.0.config.manage {
            return Ok(seen);
        }
        let starts = seen.iter().filter_map(|observation| match observation.step {
            Step::Start { content_type, why } => Some(self.apply(tenant, content_type, why, duty)),
            Step::Keep { .. } | Step::Wait { .. } => None,
        });
        // A start stays pending while our webhook is validated; they need not wait for each other.
        if join_all(starts).await.is_empty() {
            return Ok(seen);
        }
        self.look(tenant).await
    }

    async fn look(&self, tenant: &Tenant) -> Result<Vec<Observation>, CheckError> {
        Ok(self.look_whole(tenant).await?.0)
    }

    /// What is wanted, and the feeds that are listed as on although nobody wants them.
    async fn look_whole(
        &self,
        tenant: &Tenant,
    ) -> Result<(Vec<Observation>, Vec<ContentType>), CheckError> {
        let inner = &*self.0;
        let wanted =
            Wanted { content_types: &tenant.content_types, webhook: self.wanted_webhook()? };
        let listed = self.list(tenant.id).await?;
        self.recall(tenant).await;
        let now = inner.clock.now();
        let starts = self.starts_of(tenant.id);
        let seen: Vec<_> = plan(&wanted, &listed, now, &starts)
            .into_iter()
            .map(|step| {
                let feed = (tenant.id, step.content_type());
                if step.why().is_none() {
                    self.note_refused(feed, None);
                }
                let refused = self.refused(feed);
                Observation::new(&wanted, &listed, step, inner.config.manage, refused)
            })
            .collect();
        inner.metrics.observed(&tenant.name, &seen, now);
        let unwanted = listed.iter().filter(|listed| {
            listed.state.is_on() && !tenant.content_types.contains(&listed.content_type)
        });
        let unwanted = unwanted.map(|listed| listed.content_type).collect();
        Ok((seen, unwanted))
    }

    async fn list(&self, tenant: TenantId) -> Result<Vec<Subscription>, ApiError> {
        // Bounded by the client's timeout and by the pace of this tenant, a minute at most.
        let _place = self.0.lists.acquire().await.expect("the semaphore is never closed");
        self.0.client.list_subscriptions(tenant).await
    }

    async fn apply(
        &self,
        tenant: &Tenant,
        content_type: ContentType,
        why: Why,
        duty: Option<Fence>,
    ) {
        let inner = &*self.0;
        let (tenant, name) = (tenant.id, &*tenant.name);
        let kind = content_type.as_str();
        let why = why.as_str();
        // Before anything is waited for: those that start together share what reaches us.
        let pending = inner.starting.begin(self.calls());
        let begun = self.begun(tenant, content_type);
        if self.note_start(name, begun, duty).await.is_err() {
            return;
        }
        let result = self.start(tenant, content_type).await;
        let ended = self.ended(begun, &result);
        match result {
            Ok(_) => {
                self.note_refused((tenant, content_type), None);
                tracing::info!(tenant = name, content.r#type = kind, why, "subscription started");
            }
            Err(CheckError::Api(ApiError::Throttled { until })) => {
                let wait = until.saturating_duration_since(Instant::now());
                let wait_s = wait.as_secs();
                tracing::info!(
                    tenant = name,
                    content.r#type = kind,
                    why,
                    wait_s,
                    "Microsoft allows the start of the subscription later"
                );
            }
            Err(CheckError::Api(error)) if error.action() == Some(Action::WebhookRefused) => {
                let calls = pending.reached(self.calls());
                self.note_refused((tenant, content_type), Some(calls));
                tracing::error!(
                    tenant = name,
                    content.r#type = kind,
                    why,
                    requests = calls.requests,
                    validations = calls.validations,
                    "Microsoft did not get 200 from our webhook (AF20021); {calls}. Make webhook.address \
                     reachable from the internet with a certificate of a public authority, and \
                     its auth id the same on every replica"
                );
            }
            Err(error) => {
                tracing::warn!(
                    tenant = name,
                    content.r#type = kind,
                    why,
                    error = &error as &dyn std::error::Error,
                    "subscription could not be started"
                );
            }
        }
        if self.note_start(name, ended, duty).await.is_err() {
            self.note_here(ended);
        }
    }

    /// None of this process, if another one serves the webhook.
    fn calls(&self) -> Calls {
        self.0.edge.as_ref().map(Edge::calls).unwrap_or_default()
    }

    fn note_refused(&self, feed: Feed, calls: Option<Calls>) {
        let mut refused = self.0.refused.lock().expect("no holder panics");
        match calls {
            Some(calls) => refused.insert(feed, calls),
            None => refused.remove(&feed),
        };
    }

    fn refused(&self, feed: Feed) -> Option<Calls> {
        self.0.refused.lock().expect("no holder panics").get(&feed).copied()
    }

    fn wanted_webhook(&self) -> Result<Option<WantedWebhook>, SecretError> {
        let Some(webhook) = &self.0.config.webhook else {
            return Ok(None);
        };
        Ok(Some(WantedWebhook {
            address: webhook.address.clone(),
            auth_id: (*webhook.auth_id.current()?).clone(),
            expiry: self.0.config.webhook_expiry,
        }))
    }

    /// Sooner than the interval only where a start has been put off until then.
    fn next_look(&self, observations: &[Observation]) -> Duration {
        let now = self.0.clock.now();
        let waits = observations.iter().filter_map(|observation| match observation.step {
            Step::Wait { until, .. } => {
                Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
            }
            Step::Keep { .. } | Step::Start { .. } => None,
        });
        waits.min().unwrap_or(Duration::MAX)
    }

    fn note_failure(&self, tenant: &Tenant, error: &CheckError) -> Duration {
        tracing::warn!(
            tenant = &*tenant.name,
            reason = error.reason().as_str(),
            advice = error.reason().advice(),
            error = error as &dyn std::error::Error,
            "subscriptions could not be listed"
        );
        match error {
            CheckError::Api(ApiError::Throttled { until }) => {
                until.saturating_duration_since(Instant::now())
            }
            // A fault passes sooner than the interval: until then a webhook may be disabled and
            // nobody mends it.
            _ => self.0.config.check_interval.min(AFTER_FAULT),
        }
    }
}

#[derive(Debug)]
struct Inner {
    config: Config,
    client: Client,
    tenants: Tenants,
    clock: Clock,
    metrics: Metrics,
    observed: Observed,
    starts: Mutex<HashMap<TenantId, Starts>>,
    /// What reached the webhook during the last start, where that failed because of the webhook.
    refused: Mutex<HashMap<Feed, Calls>>,
    edge: Option<Edge>,
    ledger: Option<Ledger>,
    starting: Starting,
    lists: Semaphore,
    duties: Duties,
}

type Feed = (TenantId, ContentType);

/// At start all tenants are due at once; Microsoft and Entra need not see them in one burst.
const CONCURRENT_LISTS: usize = 64;

/// Often enough for a network that comes up after us, seldom enough for one that stays away.
const AFTER_FAULT: Duration = Duration::from_secs(15);

const LEAST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
