//! The Management Activity API as typed calls.
//!
//! Every call goes the same way, that of `call`, and its failure is given to the caller as an
//! [`ApiError`].
//!
//! Every request carries `PublisherIdentifier`; without it, it would be throttled in a pool shared
//! with everybody. Where this module may connect to is decided by `address` alone (I6), and what it
//! reads into memory is capped (I7); blobs are streamed by [`Blob`].

use std::{
    collections::HashMap,
    num::NonZeroU32,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::SignedDuration;
use reqwest::Method;
use url::Url;
use uuid::Uuid;

use super::{
    Metrics,
    answer::Action,
    cloud::Cloud,
    pacing::Pacing,
    tokens::{Credential, Tokens},
};
use crate::{
    clock::Clock,
    content::{ContentId, ContentType, TenantId, Tenants},
};

mod address;
mod blob;
pub(super) mod body;
mod call;
mod directory;
mod error;
mod fields;
mod http;
mod link;
mod listing;
mod notification;
mod subscription;

use address::{Addresses, Paged};
pub use address::{ForeignPage, NextPage};
pub use blob::Blob;
use body::Answer;
use call::Call;
pub use call::RESTART_RULE;
pub use directory::{Directory, DirectoryError};
pub use error::{ApiError, ClientError, Disposition};
use link::Links;
pub use link::{DialError, LinkError};
pub use listing::{Page, Window};
pub use notification::Notified;
pub use subscription::{ListedWebhook, Started, State, Subscription, WebhookSpec};

/// Where Microsoft is and how it is asked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cloud the tenants live in. Its addresses are compared with, never asked because of this.
    pub cloud: Cloud,
    /// The root of the Management Activity API; its origin and path are the only ones asked.
    pub management_url: Url,
    /// The root of Entra's token endpoints.
    pub login_url: Url,
    /// A PEM file of certificates trusted beside the system's.
    pub ca: Option<PathBuf>,
    /// The `PublisherIdentifier` of every request; the tenant's own id if none.
    pub publisher_id: Option<Uuid>,
    /// Requests per tenant in any 60 seconds, all calls but tokens.
    pub requests_per_minute: NonZeroU32,
    /// How long an answer may stay without a byte.
    pub timeout: Duration,
    /// What access tokens are asked for: the cloud's own root also where a proxy is asked, because
    /// Entra knows no proxy.
    pub resource: String,
    /// How each tenant's application proves who it is.
    pub credentials: HashMap<TenantId, Credential>,
}

impl Config {
    /// The roots that addresses written by Microsoft may have: the one that is asked, and the
    /// cloud's own, which differs where a proxy is asked. Only to compare with.
    pub fn management_roots(&self) -> Vec<Url> {
        let own = self.cloud.management_root().parse().expect("the roots of clouds are addresses");
        vec![self.management_url.clone(), own]
    }
}

/// A client for all tenants. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

impl Client {
    /// A client that has not connected to anything yet.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when a root is no base for addresses, or TLS cannot be set up.
    pub fn new(
        config: Config,
        tenants: Tenants,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, ClientError> {
        let http = http::client(&config)?;
        let links = http::links(&config)?;
        let addresses = Addresses::new(config.management_url, config.publisher_id)?;
        if config.login_url.cannot_be_a_base() {
            return Err(ClientError::Root);
        }
        let tokens = Tokens::new(
            http.clone(),
            config.login_url.clone(),
            config.resource,
            config.credentials,
            tenants.clone(),
            clock.clone(),
        );
        Ok(Self(Arc::new(Inner {
            http,
            links,
            addresses,
            login: config.login_url,
            tokens,
            pacing: Pacing::new(config.requests_per_minute, &tenants),
            timeout: config.timeout,
            tenants,
            clock,
            metrics,
            skew_ms: AtomicI64::new(NO_SKEW),
        })))
    }

    /// The tenant's subscriptions to content types we know.
    ///
    /// # Errors
    ///
    /// [`ApiError`], as for every call.
    pub async fn list_subscriptions(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<Subscription>, ApiError> {
        let call = Call::get(self.0.addresses.subscriptions(tenant));
        let mut answer = self.call(tenant, call).await?;
        let body = self.read_all(&mut answer).await?;
        subscription::read(&body).ok_or(ApiError::Unreadable)
    }

    /// Starts a subscription, or changes or enables its webhook again. Without a webhook, one that
    /// is there is removed.
    ///
    /// Stays pending while Microsoft validates the webhook. A subscription that already is as asked
    /// for is a success.
    ///
    /// # Errors
    ///
    /// [`ApiError`], as for every call; [`Action::WebhookRefused`] when the validation failed, and
    /// [`ApiError::Throttled`] also when the last start is too young, which does not pause the
    /// tenant.
    pub async fn start(
        &self,
        tenant: TenantId,
        content_type: ContentType,
        webhook: Option<&WebhookSpec>,
    ) -> Result<Started, ApiError> {
        let call = Call {
            method: Method::POST,
            url: self.0.addresses.start(tenant, content_type),
            body: webhook.map(WebhookSpec::to_json),
            timeout: Some(START_TIMEOUT.max(self.0.timeout)),
            restart_rule: true,
        };
        match self.call(tenant, call).await {
            Err(error) if error.action() == Some(Action::AlreadyEnabled) => Ok(Started::Already),
            Err(error) => Err(error),
            Ok(_) => Ok(Started::Now),
        }
    }

    /// Stops a subscription. Its content may stay away for hours after the next start.
    ///
    /// # Errors
    ///
    /// [`ApiError`], as for every call.
    pub async fn stop(&self, tenant: TenantId, content_type: ContentType) -> Result<(), ApiError> {
        let mut call = Call::get(self.0.addresses.stop(tenant, content_type));
        call.method = Method::POST;
        self.call(tenant, call).await.map(drop)
    }

    /// The first page of the content that became available within a window of at most 24 hours.
    ///
    /// # Errors
    ///
    /// [`ApiError`], as for every call; [`Action::WindowRefused`] when Microsoft does not accept
    /// the window.
    pub async fn list_content(
        &self,
        tenant: TenantId,
        content_type: ContentType,
        window: Window,
    ) -> Result<Page, ApiError> {
        let url = self.0.addresses.content(tenant, content_type, window);
        self.page(tenant, content_type, url).await
    }

    /// The page after another one of the same tenant and content type.
    ///
    /// # Errors
    ///
    /// [`ApiError`], as for every call; [`Action::StalePage`] when the window must be listed again.
    pub async fn next_page(
        &self,
        tenant: TenantId,
        content_type: ContentType,
        page: NextPage,
    ) -> Result<Page, ApiError> {
        self.page(tenant, content_type, page.into_url()).await
    }

    /// Opens a blob by its id exactly as received.
    ///
    /// # Errors
    ///
    /// [`ApiError`], as for every call.
    pub async fn blob(&self, tenant: TenantId, id: &ContentId) -> Result<Blob, ApiError> {
        let url = self.0.addresses.blob(tenant, id);
        let answer = self.call(tenant, Call::get(url.clone())).await?;
        Ok(Blob::new(self.clone(), tenant, url, answer))
    }

    /// The tokens, for those who want to know whether the credentials work.
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// The pace of every tenant: room, pauses, and how many replicas share the budget.
    pub fn pacing(&self) -> &Pacing {
        &self.0.pacing
    }

    /// How far Microsoft's clock was ahead of ours at its last answer; to the second.
    pub fn clock_skew(&self) -> Option<SignedDuration> {
        match self.0.skew_ms.load(Ordering::Relaxed) {
            NO_SKEW => None,
            skew => Some(SignedDuration::from_millis(skew)),
        }
    }

    async fn page(
        &self,
        tenant: TenantId,
        content_type: ContentType,
        url: Url,
    ) -> Result<Page, ApiError> {
        let mut answer = self.call(tenant, Call::get(url)).await?;
        let next = self.0.addresses.next_page(tenant, Paged::Listing, answer.headers());
        let body = self.read_all(&mut answer).await?;
        listing::read(&body, tenant, content_type, self.0.clock.now(), next)
            .ok_or(ApiError::Unreadable)
    }

    async fn read_all(&self, answer: &mut Answer) -> Result<Vec<u8>, ApiError> {
        answer.whole(MAX_LISTING, self.0.timeout).await
    }
}

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    links: Links,
    addresses: Addresses,
    login: Url,
    tokens: Tokens,
    pacing: Pacing,
    timeout: Duration,
    tenants: Tenants,
    clock: Clock,
    metrics: Metrics,
    skew_ms: AtomicI64,
}

/// A start is pending while Microsoft posts the validation to our webhook and waits for it.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A page has some hundred entries of half a kilobyte.
const MAX_LISTING: usize = 16 * 1024 * 1024;

const NO_SKEW: i64 = i64::MIN;

#[cfg(test)]
mod tests;
