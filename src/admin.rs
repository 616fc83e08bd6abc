//! The admin port: metrics, health and the status page.
//!
//! | path | answer |
//! | --- | --- |
//! | `/metrics` | Prometheus text |
//! | `/livez` | 200 while the process can answer at all |
//! | `/readyz` | 200, or 503 with the part that is not ready |
//! | `/api/status` | everything the page shows, as JSON |
//! | `/` | the status page |
//!
//! Only shows; nothing can be changed from here. What it shows is asked of the parts at the moment
//! of the request, so there is no second truth. No answer holds a secret, a record or a content id
//! (I9).

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use prometheus::{Encoder, IntGaugeVec, Opts, Registry, TextEncoder, process_collector};
use tokio::time::timeout;

use crate::{
    clock::Clock,
    content::Tenants,
    deliver::Outlet,
    http::{self, Front, Limits, Listener},
    ledger::{Depth, Ledger},
    roster::PerTenant,
    shutdown::Shutdown,
    subscriptions::Observed,
};

mod backlog;
mod page;
mod status;
mod vitals;

use status::{Readiness, Status};

use backlog::Backlog;
use vitals::Vitals;

/// Where the admin port is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address; keep it inside.
    pub listen: SocketAddr,
}

/// Whom the admin port asks.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Every series of the process.
    pub registry: Registry,
    /// What is waiting, and whether it can commit.
    pub ledger: Ledger,
    /// The state of the way to Devo.
    pub outlet: Outlet,
    /// What Microsoft last listed.
    pub observed: Observed,
    /// Whether there is a public port.
    pub is_called: bool,
    /// Whose records are collected.
    pub tenants: Tenants,
    /// Wall time.
    pub clock: Clock,
    /// Requested once the process drains.
    pub draining: Shutdown,
}

/// The admin port, bound.
#[derive(Debug)]
pub struct Admin {
    listener: Listener,
    shown: Arc<Shown>,
}

#[derive(Debug)]
struct Shown {
    parts: Parts,
    backlog: Backlog,
    vitals: Vitals,
}

impl Admin {
    /// Binds the port and registers the series that are read at each scrape.
    ///
    /// # Errors
    ///
    /// When the port cannot be bound.
    pub async fn bind(config: Config, parts: Parts) -> io::Result<Self> {
        let backlog =
            Backlog::register(&parts.registry, &parts.tenants).map_err(io::Error::other)?;
        let vitals =
            Vitals::register(&parts.registry, parts.is_called).map_err(io::Error::other)?;
        let listener = Listener::bind(config.listen).await?;
        Ok(Self { listener, shown: Arc::new(Shown { parts, backlog, vitals }) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// The series that are set at each scrape.
    pub fn series(&self) -> impl PerTenant + use<> {
        self.shown.backlog.clone()
    }

    /// Serves until asked to stop.
    pub async fn run(self, shutdown: Shutdown) {
        let shown = self.shown;
        let answer = move |_, request: Request<Incoming>| {
            let shown = shown.clone();
            async move { shown.answer(&request).await }
        };
        self.listener.serve(limits(), Front::default(), answer, shutdown).await;
    }
}

impl Shown {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return http::empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        match request.uri().path() {
            "/" => {
                let page = page::render(&self.whole_status().await);
                answer(StatusCode::OK, "text/html; charset=utf-8", page)
            }
            "/api/status" => json(StatusCode::OK, &self.whole_status().await),
            "/livez" => answer(StatusCode::OK, "text/plain", "alive\n"),
            "/metrics" => self.metrics().await,
            "/readyz" => {
                // Without the backlog: probes come often, and no readiness depends on it.
                let seen = self.status(&[]).await;
                let status = match seen.readiness {
                    Readiness::Ready | Readiness::Degraded => StatusCode::OK,
                    Readiness::NotReady => StatusCode::SERVICE_UNAVAILABLE,
                };
                json(status, &seen.health())
            }
            _ => http::empty(StatusCode::NOT_FOUND),
        }
    }

    async fn whole_status(&self) -> Status {
        let depth = self.parts.ledger.depth().await;
        let readable = depth.is_ok();
        let mut status = self.status(&depth.unwrap_or_default()).await;
        if !readable {
            status.backlog_is_unknown();
        }
        status
    }

    async fn status(&self, depth: &[Depth]) -> Status {
        let Parts { outlet, observed, is_called, tenants, clock, draining, .. } = &self.parts;
        status::gather(&status::Seen {
            now: clock.now(),
            draining: draining.is_requested(),
            writable: self.is_writable().await,
            depth,
            outlet: &outlet.state(),
            observed: &observed.status(),
            is_called: *is_called,
            tenants,
        })
    }

    /// A commit that takes longer than a prober waits is none, whatever becomes of it.
    async fn is_writable(&self) -> bool {
        timeout(COMMIT_WITHIN, self.parts.ledger.is_writable()).await.unwrap_or(false)
    }

    async fn metrics(&self) -> Response<Full<Bytes>> {
        // A ledger that cannot be read leaves the gauges as they were; a scrape must not fail
        // with it.
        let now = self.parts.clock.now();
        self.vitals.set(self.is_writable().await, self.parts.ledger.space());
        if let Ok(depth) = self.parts.ledger.depth().await {
            self.backlog.set(&depth, &self.parts.tenants, now);
        }
        let mut text = Vec::new();
        let encoder = TextEncoder::new();
        match encoder.encode(&self.parts.registry.gather(), &mut text) {
            Ok(()) => answer(StatusCode::OK, prometheus::TEXT_FORMAT, text),
            Err(_) => http::empty(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// Registers the series every process has: `process_*` and the build.
///
/// # Errors
///
/// When the registry already holds one of the names.
pub fn register_process(registry: &Registry) -> Result<(), prometheus::Error> {
    registry.register(Box::new(process_collector::ProcessCollector::for_self()))?;
    let build = IntGaugeVec::new(
        Opts::new("m365_build_info", "Always 1; the labels say which build this is."),
        &["version", "revision"],
    )?;
    registry.register(Box::new(build.clone()))?;
    let revision = option_env!("M365_COLLECTOR_REVISION").unwrap_or("unknown");
    build.with_label_values(&[env!("CARGO_PKG_VERSION"), revision]).set(1);
    Ok(())
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec_pretty(value) {
        Ok(text) => answer(status, "application/json", text),
        Err(_) => http::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = http::empty(status);
    let body = body.into();
    response.headers_mut().insert(hyper::header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.body_mut() = Full::new(body);
    response
}

/// Probers commonly give up after a few seconds.
const COMMIT_WITHIN: Duration = Duration::from_secs(2);

/// Scrapers, probes and a few people; nobody from outside.
fn limits() -> Limits {
    Limits {
        max_connections: 64,
        // They all come from a few machines.
        max_per_source: usize::MAX,
        header_timeout: Duration::from_secs(5),
        drain_timeout: Duration::from_secs(1),
        ..Limits::default()
    }
}
