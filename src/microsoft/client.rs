//! The Management Activity API as typed calls.
//!
//! Every call goes the same way: a token, a place in the tenant's pace, the request; refused with 401
//! it is made once more with a new token; any other failure is read by [`answer`] and given to the
//! caller as an [`ApiError`]. Nothing is retried behind the caller's back beyond that.
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

use jiff::{SignedDuration, fmt::rfc2822};
use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER},
};
use tokio::time::{Instant, timeout};
use url::Url;
use uuid::Uuid;

use super::{
    Metrics,
    answer::{self, Action},
    cloud::Cloud,
    pacing::Pacing,
    tokens::Tokens,
};
use crate::{
    clock::Clock,
    content::{ContentId, ContentType, TenantId, Tenants},
    secret::Secret,
};

mod address;
mod blob;
pub(super) mod body;
mod error;
mod fields;
mod http;
mod listing;
mod subscription;

pub use address::NextPage;
use address::{Addresses, Paged};
pub use blob::Blob;
use body::Answer;
pub use error::{ApiError, ClientError, Disposition};
pub use listing::{Page, Window};
pub use subscription::{ListedWebhook, State, Subscription, WebhookSpec};

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
    /// The client secret of each tenant's application.
    pub credentials: HashMap<TenantId, Secret>,
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
        let addresses = Addresses::new(config.management_url, config.publisher_id)?;
        if config.login_url.cannot_be_a_base() {
            return Err(ClientError::Root);
        }
        let tokens = Tokens::new(
            http.clone(),
            config.login_url,
            // A proxy in between is no resource that Entra knows.
            config.cloud.management_root().to_owned(),
            config.credentials,
            tenants.clone(),
        );
        Ok(Self(Arc::new(Inner {
            http,
            addresses,
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
    ) -> Result<(), ApiError> {
        let call = Call {
            method: Method::POST,
            url: self.0.addresses.start(tenant, content_type),
            body: webhook.map(WebhookSpec::to_json),
            timeout: Some(START_TIMEOUT.max(self.0.timeout)),
            restart_rule: true,
        };
        match self.call(tenant, call).await {
            Err(error) if error.action() != Some(Action::AlreadyEnabled) => Err(error),
            _ => Ok(()),
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
    /// [`ApiError`], as for every call; [`Action::WindowRefused`] when Microsoft does not accept the
    /// window.
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
        let next = self.0.addresses.next_page(tenant, Paged::Listing, answer.headers())?;
        let body = self.read_all(&mut answer).await?;
        listing::read(&body, tenant, content_type, self.0.clock.now(), next)
            .ok_or(ApiError::Unreadable)
    }

    /// Makes a call and gives its answer if that is a success.
    async fn call(&self, tenant: TenantId, call: Call) -> Result<Answer, ApiError> {
        let mut replaced = false;
        loop {
            let (generation, mut answer) = self.send(tenant, &call).await?;
            let status = answer.status();
            if status.is_success() {
                self.0.pacing.admitted(tenant);
                return Ok(answer);
            }
            let body = timeout(self.0.timeout, answer.prefix(MAX_ERROR)).await;
            // A body that cannot be read leaves the status to speak.
            let body = body.ok().and_then(Result::ok).unwrap_or_default();
            let wait = text(answer.headers(), RETRY_AFTER.as_str());
            let action = answer::read(status.as_u16(), wait, self.0.clock.now(), &body);
            match action {
                // A role granted a moment ago is in the next token only.
                Action::Unauthorized | Action::RoleMissing
                    if !replaced && self.0.tokens.refused(tenant, generation) =>
                {
                    replaced = true;
                }
                Action::Throttled { wait } => {
                    let own_rule = call.restart_rule && status.as_u16() == 403;
                    return Err(self.throttled(tenant, wait, own_rule));
                }
                action => {
                    // A server in trouble may answer before it counts.
                    if !status.is_server_error() {
                        self.0.pacing.admitted(tenant);
                    }
                    return Err(ApiError::Answered { action, status: status.as_u16() });
                }
            }
        }
    }

    /// One request. The token is had first, so that a failing Entra spends nobody's budget.
    async fn send(&self, tenant: TenantId, call: &Call) -> Result<(u64, Answer), ApiError> {
        // Also the guard of everything per tenant below: pacing knows configured tenants only.
        let bearer = self.0.tokens.bearer(tenant).await?;
        let permit = self.0.pacing.permit(tenant).await?;
        let mut request = self
            .0
            .http
            .request(call.method.clone(), call.url.clone())
            .header(AUTHORIZATION, bearer.header.clone());
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        } else if call.method == Method::POST {
            request = request.header("content-length", "0");
        }
        let limit = call.timeout.unwrap_or(self.0.timeout);
        let answer = timeout(limit, request.send()).await;
        drop(permit);
        let answer = Answer::new(answer.map_err(|_| ApiError::Timeout)??);
        self.note_skew(answer.headers());
        Ok((bearer.generation, answer))
    }

    fn throttled(&self, tenant: TenantId, wait: Option<Duration>, own_rule: bool) -> ApiError {
        let name = self.0.tenants.name(tenant);
        self.0.metrics.throttled(name);
        if own_rule {
            let until = Instant::now() + wait.unwrap_or(RESTART_RULE);
            return ApiError::Throttled { until };
        }
        let known = self.0.pacing.paused_until(tenant).is_some();
        let until = self.0.pacing.pause(tenant, wait);
        if !known {
            let pause_s = until.duration_since(Instant::now()).as_secs();
            tracing::warn!(tenant = name, pause_s, "Microsoft throttles the tenant, pausing it");
        }
        ApiError::Throttled { until }
    }

    async fn read_all(&self, answer: &mut Answer) -> Result<Vec<u8>, ApiError> {
        answer.whole(MAX_LISTING, self.0.timeout).await
    }

    fn note_skew(&self, headers: &HeaderMap) {
        let date = text(headers, DATE.as_str())
            .and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
        if let Some(date) = date {
            let ahead = date.duration_since(self.0.clock.now()).as_millis();
            let ahead = i64::try_from(ahead).unwrap_or(i64::MAX);
            self.0.skew_ms.store(ahead, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    addresses: Addresses,
    tokens: Tokens,
    pacing: Pacing,
    timeout: Duration,
    tenants: Tenants,
    clock: Clock,
    metrics: Metrics,
    skew_ms: AtomicI64,
}

struct Call {
    method: Method,
    url: Url,
    body: Option<Vec<u8>>,
    /// Until the answer begins, if not the client's own.
    timeout: Option<Duration>,
    /// Whether a 403 that says "too many requests" means this subscription's last start.
    restart_rule: bool,
}

impl Call {
    const fn get(url: Url) -> Self {
        Self { method: Method::GET, url, body: None, timeout: None, restart_rule: false }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A start is pending while Microsoft posts the validation to our webhook and waits for it.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// The least time between two starts of a subscription, where the answer does not tell the wait.
const RESTART_RULE: Duration = Duration::from_secs(15 * 60);

/// Errors have a few hundred bytes, or a stack trace.
const MAX_ERROR: usize = 64 * 1024;

/// A page has some hundred entries of half a kilobyte.
const MAX_LISTING: usize = 16 * 1024 * 1024;

const NO_SKEW: i64 = i64::MIN;

#[cfg(test)]
mod tests;
