//! Microsoft's side: its state, and the handle by which a test or a demonstration moves it.
//!
//! Whoever holds [`Microsoft`] is Microsoft: publishes content, breaks things, looks at who asked
//! for what. What a client sees of it is in `management` and `entra`.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use hyper::HeaderMap;
use jiff::Timestamp;
use url::Url;

use super::{
    Config, Edge, Feed, SimulatedTenant, certificates::Material, generator::Generator, locked,
    tasks::Tasks,
};
use crate::{
    clock::Clock,
    content::{ContentId, ContentType, TenantId},
    shutdown::Shutdown,
};

mod accounts;
mod answers;
mod assertion;
mod blob;
mod consent;
mod contents;
mod entra;
mod faults;
mod listing;
mod management;
mod notifier;
mod poster;
mod publication;
mod requests;
mod starting;
mod subscriptions;

pub use assertion::Federation;
pub use blob::Blob;
pub use consent::ConsentFault;
pub use faults::{Fault, Operation};
pub use notifier::{Announcing, Attempt, Entry, IdForm};
pub use poster::Answer;
pub use publication::{Publication, Published};
pub use requests::Request;
pub use starting::ListSpelling;
pub use subscriptions::{Subscription, Webhook, WebhookState};

pub(super) use management::answer;

use consent::Consents;
use contents::{Contents, New};
use entra::Entra;
use faults::Script;
use notifier::Outbox;
use poster::Poster;
use requests::Requests;
use subscriptions::Subscriptions;

/// The handle on Microsoft's side. Clones are the same world.
#[derive(Clone)]
pub struct Microsoft(Arc<World>);

impl Microsoft {
    pub(super) fn new(
        config: &Config,
        root: Url,
        login: Url,
        material: &Material,
        tasks: Tasks,
        shutdown: Shutdown,
    ) -> io::Result<Self> {
        let tenants = config.tenants.iter().cloned();
        let poster = Poster::new(
            config.edge.map(Edge::Plain),
            material.notifier_client(config.webhook_ca.as_deref())?,
            config.webhook_timeout,
            tasks.clone(),
        );
        Ok(Self(Arc::new(World {
            root,
            login,
            clock: config.clock.clone(),
            tenants: tenants.map(|tenant| (tenant.id, tenant)).collect(),
            signing_key: Generator::new(config.seed).key(),
            page_size: config.page_size.max(1),
            token_life: config.token_life,
            content_life: config.content_life,
            start_interval: config.start_interval,
            requests_per_minute: config.requests_per_minute,
            gzip: config.gzip,
            notification_delay: config.notification_delay,
            notification_batch: config.notification_batch,
            notification_retries: config.notification_retries.clone(),
            consents: Mutex::default(),
            entra: Mutex::default(),
            subscriptions: Mutex::default(),
            contents: Mutex::new(Contents::new(config.retain, config.retain_contents)),
            script: Mutex::default(),
            requests: Mutex::default(),
            announcing: Mutex::default(),
            spelling: Mutex::default(),
            outbox: Outbox::default(),
            poster,
            tasks,
            shutdown,
        })))
    }

    /// Makes a content of these records, lists it and notifies an enabled webhook.
    pub fn publish<R: AsRef<[u8]>>(
        &self,
        tenant: TenantId,
        content_type: ContentType,
        records: &[R],
    ) -> ContentId {
        self.publish_raw(tenant, content_type, Blob::array(records))
    }

    /// As [`Microsoft::publish`], with any body.
    pub fn publish_raw(
        &self,
        tenant: TenantId,
        content_type: ContentType,
        blob: Blob,
    ) -> ContentId {
        self.publish_as(tenant, content_type, Publication::of(blob))
    }

    /// As [`Microsoft::publish_raw`], with everything that can be odd about it.
    pub fn publish_as(
        &self,
        tenant: TenantId,
        content_type: ContentType,
        publication: Publication,
    ) -> ContentId {
        let world = &self.0;
        let feed = Feed { tenant, content_type };
        let created = publication.created.unwrap_or_else(|| world.clock.now());
        let content = locked(&world.contents).add(
            feed,
            New {
                // The wire has milliseconds, and windows are compared with what it says.
                created: Timestamp::from_millisecond(created.as_millisecond()).unwrap_or(created),
                life: world.content_life,
                blob: publication.blob,
                gzip: publication.gzip,
                listed: publication.listed,
            },
        );
        if let Some((fault, times)) = publication.fault {
            self.fail(Operation::BlobOf(content.id.clone()), fault, times);
        }
        let announcing = publication.announcing;
        let announcing = announcing.unwrap_or_else(|| *locked(&world.announcing));
        if world.webhook(feed).is_some() {
            let entry = world.entry(feed, &content, announcing.form);
            world.outbox.push(feed, &entry, announcing);
        }
        content.id
    }

    /// How everything published from now on is notified.
    pub fn announce(&self, announcing: Announcing) {
        *locked(&self.0.announcing) = announcing;
    }

    /// The entry of a notification that would announce this content; `None` when it is not there.
    pub fn entry(&self, tenant: TenantId, id: &ContentId, form: IdForm) -> Option<Entry> {
        let contents = locked(&self.0.contents);
        let (feed, content) = contents.find(tenant, id)?;
        Some(self.0.entry(feed, content, form))
    }

    /// Notifies an enabled webhook of the entry, whatever it says, with the usual retries.
    pub fn notify(&self, tenant: TenantId, content_type: ContentType, entry: &Entry) {
        let feed = Feed { tenant, content_type };
        self.0.outbox.push(feed, entry, Announcing::default());
    }

    /// Posts exactly this to an address, over the edge if there is one, and gives the answer. No
    /// header is added but `Host` and `Content-Length`.
    ///
    /// # Errors
    ///
    /// When there is no answer in time.
    pub async fn notify_raw(
        &self,
        address: &Url,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> io::Result<Answer> {
        self.0.poster.post(address, headers, body.into()).await
    }

    /// Makes a content look past its expiration: a fetch gives AF20051.
    pub fn expire(&self, tenant: TenantId, id: &ContentId) {
        let now = self.0.clock.now();
        if let Some(content) = locked(&self.0.contents).find_mut(tenant, id) {
            content.expires = now;
        }
    }

    /// Everything that is held, whoever knows of it.
    pub fn contents(&self) -> Vec<Published> {
        locked(&self.0.contents).all().collect()
    }

    /// Contents that are held, and the bytes of their blobs.
    pub fn held(&self) -> (usize, usize) {
        locked(&self.0.contents).held()
    }

    /// Gives this instead of the true answer, the next so many times; `u32::MAX` until
    /// [`Microsoft::heal`].
    pub fn fail(&self, operation: Operation, fault: Fault, times: u32) {
        locked(&self.0.script).plan(None, operation, fault, times);
    }

    /// As [`Microsoft::fail`], for requests of one tenant.
    pub fn fail_tenant(&self, tenant: TenantId, operation: Operation, fault: Fault, times: u32) {
        locked(&self.0.script).plan(Some(tenant), operation, fault, times);
    }

    /// Ends every planned fault.
    pub fn heal(&self) {
        locked(&self.0.script).clear();
    }

    /// Ends what was planned for exactly this, of one tenant or (`None`) of nobody in particular.
    pub fn heal_operation(&self, tenant: Option<TenantId>, operation: &Operation) {
        locked(&self.0.script).clear_operation(tenant, operation);
    }

    /// The latest requests, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        locked(&self.0.requests).recent()
    }

    /// Requests of one kind since the start, of one tenant or (`None`) all.
    pub fn count(&self, tenant: Option<TenantId>, operation: &Operation) -> u64 {
        locked(&self.0.requests).count(tenant, operation)
    }

    /// Requests that lacked the `PublisherIdentifier`.
    pub fn without_publisher(&self) -> u64 {
        locked(&self.0.requests).without_publisher()
    }

    /// The most requests of a tenant within any stretch of this length, tokens left out.
    pub fn most_requests_within(&self, tenant: TenantId, stretch: Duration) -> usize {
        locked(&self.0.requests).most_within(tenant, stretch)
    }

    /// The state of a subscription.
    pub fn subscription(
        &self,
        tenant: TenantId,
        content_type: ContentType,
    ) -> Option<Subscription> {
        let feed = Feed { tenant, content_type };
        locked(&self.0.subscriptions).find(feed).cloned()
    }

    /// Every subscription.
    pub fn subscriptions(&self) -> Vec<(Feed, Subscription)> {
        let subscriptions = locked(&self.0.subscriptions);
        let all = subscriptions.iter();
        all.map(|(feed, subscription)| (*feed, subscription.clone())).collect()
    }

    /// Changes a subscription behind everybody's back; one that is missing is first made, enabled
    /// and without a webhook.
    pub fn change_subscription(
        &self,
        tenant: TenantId,
        content_type: ContentType,
        change: impl FnOnce(&mut Subscription),
    ) {
        let feed = Feed { tenant, content_type };
        change(locked(&self.0.subscriptions).entry(feed));
    }

    /// How the list of subscriptions is spelled.
    pub fn spell_list(&self, spelling: ListSpelling) {
        *locked(&self.0.spelling) = spelling;
    }

    /// The latest tries to notify, oldest first.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.0.outbox.attempts()
    }

    pub(super) fn set_edge(&self, edge: Option<Edge>) {
        self.0.poster.set_edge(edge);
    }

    pub(super) fn world(&self) -> Arc<World> {
        self.0.clone()
    }

    pub(super) fn notifier(&self) -> impl Future<Output = ()> + Send + 'static {
        notifier::run(self.0.clone())
    }
}

impl fmt::Debug for Microsoft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Microsoft").field("root", &self.0.root.as_str()).finish_non_exhaustive()
    }
}

/// The state of Microsoft's side. Locks are held for moments, never across a wait.
pub(super) struct World {
    root: Url,
    login: Url,
    clock: Clock,
    tenants: HashMap<TenantId, SimulatedTenant>,
    signing_key: [u8; 32],
    page_size: usize,
    token_life: Duration,
    content_life: Duration,
    start_interval: Duration,
    requests_per_minute: Option<usize>,
    gzip: bool,
    notification_delay: Duration,
    notification_batch: usize,
    notification_retries: Vec<Duration>,
    consents: Mutex<Consents>,
    entra: Mutex<Entra>,
    subscriptions: Mutex<Subscriptions>,
    contents: Mutex<Contents>,
    script: Mutex<Script>,
    requests: Mutex<Requests>,
    announcing: Mutex<Announcing>,
    spelling: Mutex<ListSpelling>,
    outbox: Outbox,
    poster: Poster,
    tasks: Tasks,
    shutdown: Shutdown,
}

impl World {
    /// Where a content is fetched; `$` stays raw in the path.
    fn content_uri(&self, tenant: TenantId, id: &str) -> String {
        format!("{}api/v1.0/{tenant}/activity/feed/audit/{id}", self.root)
    }
}
