//! The public port: where Microsoft tells us about new content.
//!
//! Requests are looked at from the outside in, and turned away at the first thing that is wrong:
//! path, method, source, client certificate, auth id, declared length, then the body itself, the
//! ledger last. Nothing of a body is read before the auth id was right, and no answer has a body.
//!
//! Guarantees:
//! - I1: a notification is answered with 200 only after the ledger committed every good entry.
//! - I6: what a notification says is compared and recorded, never dialled ([`notification`]).
//! - I7: bodies in memory are bounded by [`Config::max_connections`] times [`Config::max_body`],
//!   also when HTTP/2 brings many requests over one connection; every wait ends with
//!   [`Config::request_timeout`].
//! - I9: neither headers nor bodies reach a log, a metric or an answer.
//! - I10: an entry that is refused is counted with its reason.
//!
//! A client that goes away, or is told that the ledger takes too long, does not undo an
//! announcement: what is left to do of recording it then goes on without the request. Microsoft
//! then repeats the notification and recording it again is a no-op (I2). The same holds when the
//! process dies here.
//!
//! A validation needs no ledger, so the port can be served before the first subscription is
//! started, which is when Microsoft asks.
//!
//! Not done here: connections, their limits and TLS ([`http`](crate::http)), retries, and anything
//! with the content itself.

use std::{error::Error as _, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{CONNECTION, HeaderName, HeaderValue},
};
use jiff::Timestamp;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::task::TaskTracker;
use url::Url;

use crate::{
    clock::Clock,
    content::{Announcement, Tenants, Via},
    http::{Front, Limits, Listener, Peer},
    ledger::{Ledger, Recorded},
    notification::{self, Body, Entry, NotANotification, Refused},
    outcomes::Outcomes,
    shutdown::Shutdown,
    tls::Acceptor,
};

mod auth;
mod body;
mod certificate;
mod config;
mod consent;
mod edge;
mod error;
mod metrics;
mod networks;
mod outcome;
mod source;
mod to_the_end;

pub use auth::{MAX_AUTH_ID, MIN_AUTH_ID};
pub use certificate::CertificateError;
pub use config::{Config, PassedCertificate, ServiceTag};
pub use edge::{Edge, Event, Events};
pub use error::BindError;
pub use metrics::Metrics;
pub use networks::ServiceTagError;
pub use outcome::{Outcome, Reject};

use certificate::Certificates;
use consent::Consents;
use source::Sources;
use to_the_end::ToTheEnd;

/// The bound public port.
#[derive(Debug)]
pub struct Webhook {
    listener: Listener,
    limits: Limits,
    front: Front,
    drain_delay: Duration,
    receiver: Receiver,
}

impl Webhook {
    /// Binds the port and reads the files the configuration names. Connections wait from here on,
    /// and are served by [`Self::run`]. The management roots are what content uris may begin with;
    /// they are compared, never asked.
    ///
    /// # Errors
    ///
    /// [`BindError`] when the system refuses the address, or a file cannot be used.
    pub async fn bind(
        config: Config,
        tenants: Tenants,
        management_roots: Vec<Url>,
        ledger: Ledger,
        clock: Clock,
        metrics: Metrics,
        outcomes: Outcomes,
    ) -> Result<Self, BindError> {
        let listener = Listener::bind(config.listen).await?;
        let limits = config.limits();
        let tagged = config.allowed_tag.map(ServiceTag::watch).transpose()?;
        let proxies = config.trusted_proxies.clone();
        let sources = Sources::new(config.allowed_sources, tagged, config.trusted_proxies);
        let sources = Arc::new(sources);
        let expected = Arc::clone(&sources);
        let front = Front {
            proxies,
            proxy_header: config.proxy_header,
            tls: config.tls.map(Acceptor::open).transpose()?,
            expected: Some(Box::new(move |address| expected.expects(address))),
            metrics: Some(metrics.connections()),
        };
        let receiver = Receiver {
            path: config.address.path().into(),
            auth_ids: auth::AuthIds::new(
                config.auth_id,
                config.previous_auth_id,
                config.min_auth_id,
            ),
            sources,
            certificates: config.client_certificate.map(Certificates::open).transpose()?,
            max_body: config.max_body,
            bodies: Arc::new(Semaphore::new(config.max_connections)),
            recordings: TaskTracker::new(),
            consents: config.consent_callback.then(Consents::new),
            body_timeout: config.body_timeout,
            request_timeout: config.request_timeout,
            tenants,
            management_roots,
            ledger,
            clock,
            metrics,
            outcomes,
            edge: Edge::default(),
        };
        Ok(Self { listener, limits, front, drain_delay: config.drain_delay, receiver })
    }

    /// The address bound, with the port the system chose if none was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// What is seen at this port, for status pages and for explaining failed starts.
    pub fn edge(&self) -> Edge {
        self.receiver.edge.clone()
    }

    /// What TLS is ended with; none: somebody else ends it.
    pub fn acceptor(&self) -> Option<Acceptor> {
        self.front.tls.clone()
    }

    /// Serves until asked to stop; then goes on for the drain delay, bids farewell with each answer,
    /// stops accepting, finishes what was begun and returns.
    pub async fn run(self, shutdown: Shutdown) {
        let receiver = Arc::new(self.receiver);
        let recordings = receiver.recordings.clone();
        let leaving = shutdown.clone();
        let answer = move |peer: Peer, request| {
            let (receiver, leaving) = (Arc::clone(&receiver), leaving.clone());
            async move {
                let mut answer = receiver.answer(&peer, request).await;
                // So that nobody on HTTP/1.1 sends the next just when the connection is closed; on
                // HTTP/2 the listener tells before.
                if leaving.is_requested() {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                answer
            }
        };
        let stop = Shutdown::new();
        let delayed = async {
            shutdown.requested().await;
            sleep(self.drain_delay).await;
            stop.request();
        };
        let served = self.listener.serve(self.limits, self.front, answer, stop.clone());
        tokio::join!(delayed, served);
        recordings.close();
        recordings.wait().await;
    }
}

/// Answers requests.
#[derive(Debug)]
struct Receiver {
    path: Box<str>,
    auth_ids: auth::AuthIds,
    sources: Arc<Sources>,
    certificates: Option<Certificates>,
    max_body: usize,
    bodies: Arc<Semaphore>,
    /// What is being recorded, whether or not its client still waits.
    recordings: TaskTracker,
    consents: Option<Consents>,
    body_timeout: Duration,
    request_timeout: Duration,
    tenants: Tenants,
    management_roots: Vec<Url>,
    ledger: Ledger,
    clock: Clock,
    metrics: Metrics,
    outcomes: Outcomes,
    edge: Edge,
}

impl Receiver {
    async fn answer(
        self: &Arc<Self>,
        peer: &Peer,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let mut seen = Seen {
            receiver: self,
            validation: request.headers().contains_key(VALIDATION_CODE),
            outcome: Outcome::Rejected(Reject::Aborted),
        };
        seen.outcome = match self.receive(peer, request).await {
            Ok(outcome) => outcome,
            Err(reject) => Outcome::Rejected(reject),
        };
        seen.outcome.answer()
    }

    async fn receive(
        self: &Arc<Self>,
        peer: &Peer,
        request: Request<Incoming>,
    ) -> Result<Outcome, Reject> {
        let deadline = Instant::now() + self.request_timeout;
        let (head, body) = request.into_parts();
        let consent = timeout_at(deadline, self.consent(&head));
        if let Some(consent) = consent.await.map_err(|_| Reject::ledger_too_slow())? {
            return consent;
        }
        if head.uri.path() != &*self.path {
            return Err(Reject::NotFound);
        }
        if head.method != Method::POST {
            return Err(Reject::MethodNotAllowed);
        }
        if !self.sources.allow(peer.ip(), &head.headers) {
            return Err(Reject::Forbidden);
        }
        if let Some(certificates) = &self.certificates
            && !(self.sources.is_proxy(peer.ip()) && certificates.acceptable(&head.headers))
        {
            return Err(Reject::Certificate);
        }
        self.auth_ids.check(&head.headers)?;
        peer.authenticated();
        if body::declares_too_much(&body, self.max_body) {
            return Err(Reject::TooLarge);
        }
        let place = timeout_at(deadline, self.bodies.clone().acquire_owned())
            .await
            .map_err(|_| Reject::overloaded())?
            .expect("the semaphore is never closed");
        let body_deadline = deadline.min(Instant::now() + self.body_timeout);
        let body = timeout_at(body_deadline, body::read(body, self.max_body))
            .await
            .map_err(|_| Reject::TimedOut)??;
        let asked = head.headers.contains_key(VALIDATION_CODE);
        match notification::parse(&body) {
            Ok(Body::Entries(entries)) if entries.is_empty() && asked => Ok(Outcome::Validated),
            // Entries count whatever the headers say: a 200 for them means that they are recorded.
            Ok(Body::Entries(entries)) => {
                let judged = self.judge(&entries);
                let record = self.clone().record(judged, place);
                timeout_at(deadline, ToTheEnd::new(record, &self.recordings))
                    .await
                    .map_err(|_| Reject::ledger_too_slow())??;
                Ok(Outcome::Accepted)
            }
            Ok(Body::Validation) => Ok(Outcome::Validated),
            Err(NotANotification) if asked => Ok(Outcome::Validated),
            Err(NotANotification) => Err(Reject::Malformed),
        }
    }

    fn judge(&self, entries: &[Entry<'_>]) -> Judged {
        let now = self.clock.now();
        let mut judged = Judged { now, good: Vec::with_capacity(entries.len()), refused: vec![] };
        for entry in entries {
            match notification::judge(entry, &self.tenants, &self.management_roots, now) {
                Ok(announcement) => judged.good.push(announcement),
                Err(refusal) => judged.refused.push(refusal),
            }
        }
        judged
    }

    /// Runs to its end though its client goes away: what the ledger then holds has been counted.
    async fn record(
        self: Arc<Self>,
        judged: Judged,
        _place: OwnedSemaphorePermit,
    ) -> Result<(), Reject> {
        let Judged { now, good, refused } = judged;
        let entries = good.len() + refused.len();
        let new = self.announce(good, now).await?;
        // Only now, because a notification that is not accepted will be sent and judged again.
        for Refused { tenant, reason } in &refused {
            let tenant = tenant.map(|tenant| self.tenants.name(tenant));
            let tenant = tenant.as_deref().unwrap_or_default();
            self.outcomes.given_up(tenant, *reason, 1);
            tracing::debug!(tenant, %reason, "entry refused");
        }
        let refused = refused.len();
        tracing::debug!(entries, new, refused, "notification accepted");
        Ok(())
    }

    /// Hands over to the ledger; returns how many of the announcements it did not know.
    async fn announce(
        &self,
        announcements: Vec<Announcement>,
        now: Timestamp,
    ) -> Result<usize, Reject> {
        if announcements.is_empty() {
            return Ok(0);
        }
        let feeds: Vec<_> = announcements
            .iter()
            .map(|announcement| (announcement.tenant, announcement.content_type))
            .collect();
        let announced = self.ledger.announce(Via::Webhook, announcements, now).await;
        let recorded = announced.map_err(|error| {
            let cause = error.source();
            tracing::error!(%error, cause, "notification not accepted");
            Reject::Unavailable
        })?;
        let mut new = 0;
        for ((tenant, content_type), recorded) in feeds.into_iter().zip(recorded) {
            if recorded == Recorded::New {
                new += 1;
                let tenant = self.tenants.name(tenant);
                self.metrics.announced(&tenant, content_type);
            }
        }
        Ok(new)
    }
}

/// The entries of a notification, told apart.
#[derive(Debug)]
struct Judged {
    now: Timestamp,
    good: Vec<Announcement>,
    refused: Vec<Refused>,
}

/// A request that is counted when it ends, also when its client went away before.
struct Seen<'a> {
    receiver: &'a Receiver,
    validation: bool,
    outcome: Outcome,
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        let Receiver { metrics, edge, clock, .. } = self.receiver;
        let validation = self.validation || self.outcome == Outcome::Validated;
        let first = edge.note(self.outcome, validation, clock.now());
        metrics.request(self.outcome);
        let outcome = self.outcome.as_str();
        if first {
            tracing::info!("first validation answered: the webhook can be reached");
        } else {
            tracing::debug!(outcome, "request answered");
        }
    }
}

/// What Microsoft wants acknowledged; the same as in the body, and of no use to us.
const VALIDATION_CODE: HeaderName = HeaderName::from_static("webhook-validationcode");

#[cfg(test)]
mod tests;
