//! The way of every call: a token, a place in the tenant's pace, the request.
//!
//! Refused for what its token says, a call is made once more with a new token; any other failure is
//! read by [`answer`] and given to the caller. Nothing is retried behind its back beyond that.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri};
use jiff::fmt::rfc2822;
use reqwest::{
    Method,
    header::{
        AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderValue,
        RETRY_AFTER,
    },
};
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, debug_span, field::Empty};
use url::{Position, Url};

use super::{ApiError, Client, LinkError, body::Answer, http};
use crate::{
    content::TenantId,
    microsoft::{
        answer::{self, Action},
        tokens::TokenError,
        trace,
    },
};

/// What is asked.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Option<Vec<u8>>,
    /// Until the answer begins, if not the client's own.
    pub(super) timeout: Option<Duration>,
    /// Whether a 403 that says "too many requests" means this subscription's last start.
    pub(super) restart_rule: bool,
}

impl Call {
    /// Asks for what is there.
    pub(super) const fn get(url: Url) -> Self {
        Self { method: Method::GET, url, body: None, timeout: None, restart_rule: false }
    }

    fn request(&self, bearer: HeaderValue) -> Result<Request<Full<Bytes>>, LinkError> {
        let mut request = Request::new(Full::from(self.body.clone().unwrap_or_default()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = origin_form(&self.url)?;
        let headers = request.headers_mut();
        *headers = http::headers();
        headers.insert(HOST, authority(&self.url)?);
        headers.insert(AUTHORIZATION, bearer);
        if self.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        } else if self.method == Method::POST {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(request)
    }
}

impl Client {
    /// Makes a call and gives its answer if that is a success.
    pub(super) async fn call(&self, tenant: TenantId, call: Call) -> Result<Answer, ApiError> {
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
        // A tenant that was removed may still have a token that is good.
        if self.0.tenants.find(tenant).is_none() {
            return Err(TokenError::NotConfigured.into());
        }
        let bearer = self.0.tokens.bearer(tenant).await?;
        let permit = self.0.pacing.permit(tenant).await?;
        let mut request = call.request(bearer.header.clone())?;
        let limit = call.timeout.unwrap_or(self.0.timeout);
        let span = debug_span!(
            "call",
            otel.kind = "client",
            http.request.method = call.method.as_str(),
            http.response.status_code = Empty,
        );
        let asked = async {
            request.headers_mut().extend(trace::headers());
            self.0.links.ask(request).await
        };
        let answer = timeout(limit, asked.instrument(span.clone())).await;
        drop(permit);
        let answer = answer.map_err(|_| ApiError::Timeout)??;
        let answer = Answer::new(answer.map(reqwest::Body::wrap).into());
        span.record("http.response.status_code", answer.status().as_u16());
        self.note_skew(answer.headers());
        Ok((bearer.generation, answer))
    }

    fn throttled(&self, tenant: TenantId, wait: Option<Duration>, own_rule: bool) -> ApiError {
        let name = &*self.0.tenants.name(tenant);
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

/// RFC 9112, section 3.2.1.
fn origin_form(url: &Url) -> Result<Uri, LinkError> {
    url[Position::BeforePath..Position::AfterQuery].parse().map_err(|_| LinkError::Address)
}

fn authority(url: &Url) -> Result<HeaderValue, LinkError> {
    let authority = &url[Position::BeforeHost..Position::AfterPort];
    HeaderValue::from_str(authority).map_err(|_| LinkError::Address)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The least time between two starts of a subscription (seen in answers, not in the reference).
pub const RESTART_RULE: Duration = Duration::from_secs(15 * 60);

/// Errors have a few hundred bytes, or a stack trace.
const MAX_ERROR: usize = 64 * 1024;
