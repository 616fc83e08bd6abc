//! The admin port: metrics, health and the status page.
//!
//! | path | answer |
//! | --- | --- |
//! | `/metrics` | Prometheus text |
//! | `/livez` | 200 while the process can answer at all |
//! | `/readyz` | 200, or 503 with the part that is not ready |
//! | `/api/status` | everything the page shows, as JSON |
//! | `/api/events` | what changes on the page, as it changes |
//! | `/` | the status page |
//!
//! Only shows; nothing can be changed from here. What it shows is asked of the parts at the moment
//! of the request, so there is no second truth; what would cost too much to ask for each request,
//! a task of its own looks up while somebody watches (`looks`). No answer holds a secret, a record or a content id
//! (I9).

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue},
};
use prometheus::{Encoder, IntGaugeVec, Opts, Registry, TextEncoder, process_collector};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::{
    clock::Clock,
    completeness::Completeness,
    content::Tenants,
    deliver::{Outlet, State},
    expiry::Ends,
    http::{self, Front, Limits, Listener},
    ledger::{Depth, Ledger},
    roster::PerTenant,
    shutdown::Shutdown,
    subscriptions::{self, Observed},
};

mod backlog;
mod events;
mod looks;
mod page;
mod status;
mod vitals;

use backlog::Backlog;
use events::{Content, Events, Seats};
use looks::{Board, Keeper, Looks};
use page::{Page, View};
use status::{Health, Readiness, Status};
use vitals::Vitals;

/// Where the admin port is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address; keep it inside.
    pub listen: SocketAddr,
    /// The file the configuration was read from, for the commands the page shows.
    pub file: Option<PathBuf>,
}

/// Whom the admin port asks.
#[derive(Debug)]
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
    /// The books of the last week.
    pub completeness: Completeness,
    /// When certificates end.
    pub ends: Ends,
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
    keeper: Keeper,
    shown: Arc<Shown>,
}

#[derive(Debug)]
struct Shown {
    parts: Facts,
    file: Option<PathBuf>,
    backlog: Backlog,
    vitals: Vitals,
    board: Board,
    seats: Seats,
    /// The page of everything, for all who ask at about the same time.
    page: Mutex<Option<(Instant, Arc<Page>)>>,
}

/// What is asked at each request.
#[derive(Debug)]
struct Facts {
    registry: Registry,
    ledger: Ledger,
    outlet: Outlet,
    observed: Observed,
    is_called: bool,
    tenants: Tenants,
    clock: Clock,
    draining: Shutdown,
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
        let Parts { registry, ledger, outlet, observed, is_called, .. } = parts;
        let Parts { completeness, ends, tenants, clock, draining, .. } = parts;
        let board = Board::new();
        let keeper = Keeper::new(
            board.clone(),
            ledger.clone(),
            completeness,
            ends,
            tenants.clone(),
            clock.clone(),
        );
        let parts =
            Facts { registry, ledger, outlet, observed, is_called, tenants, clock, draining };
        let (file, seats, page) = (config.file, Seats::new(), Mutex::default());
        let shown = Arc::new(Shown { parts, file, backlog, vitals, board, seats, page });
        Ok(Self { listener, keeper, shown })
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
        // The ledger is closed before this port is.
        let looking = self.keeper.run(shown.draining());
        let answer = move |_, request: Request<Incoming>| {
            let shown = shown.clone();
            async move { shown.answer(&request).await }
        };
        let served = self.listener.serve(limits(), Front::default(), answer, shutdown);
        tokio::join!(looking, served);
    }
}

impl Shown {
    async fn answer(self: Arc<Self>, request: &Request<Incoming>) -> Response<Content> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        match request.uri().path() {
            "/" => {
                let Some(view) = self.view(request) else { return empty(StatusCode::NOT_FOUND) };
                let page = self.page(&view).await.document(&view);
                let mut page = answer(StatusCode::OK, "text/html; charset=utf-8", page);
                for (name, value) in PAGE_HEADERS {
                    page.headers_mut().insert(name, HeaderValue::from_static(value));
                }
                if let Ok(policy) = HeaderValue::from_str(page::policy()) {
                    page.headers_mut().insert("content-security-policy", policy);
                }
                page
            }
            "/api/events" => self.events(request),
            "/api/status" => json(StatusCode::OK, &self.whole_status().await),
            "/livez" => answer(StatusCode::OK, "text/plain", "alive\n"),
            "/metrics" => self.metrics().await,
            "/readyz" => {
                let health = self.health().await;
                let status = match health.status {
                    Readiness::Ready | Readiness::Degraded => StatusCode::OK,
                    Readiness::NotReady => StatusCode::SERVICE_UNAVAILABLE,
                };
                json(status, &health)
            }
            _ => empty(StatusCode::NOT_FOUND),
        }
    }

    fn draining(&self) -> Shutdown {
        self.parts.draining.clone()
    }

    /// What is to be seen; none when there is no such tenant.
    fn view(&self, request: &Request<Incoming>) -> Option<View> {
        let Some(query) = request.uri().query() else { return Some(View::All) };
        let id = query.strip_prefix("tenant=")?.parse().ok()?;
        self.parts.tenants.find(id).map(|tenant| View::Tenant(tenant.id.to_string()))
    }

    fn events(self: Arc<Self>, request: &Request<Incoming>) -> Response<Content> {
        let Some(view) = self.view(request) else { return empty(StatusCode::NOT_FOUND) };
        let seat = self.seats.take().filter(|_| !self.parts.draining.is_requested());
        let Some(seat) = seat else { return empty(StatusCode::SERVICE_UNAVAILABLE) };
        let mut response = answer(StatusCode::OK, "text/event-stream", Bytes::new());
        if *request.method() == Method::GET {
            response.headers_mut().remove(hyper::header::CONTENT_LENGTH);
            *response.body_mut() = Content::Events(Events::new(self, view, seat));
        }
        response
    }

    async fn page(&self, view: &View) -> Arc<Page> {
        if *view != View::All {
            return Arc::new(Page::new(&self.whole_status().await, view));
        }
        let mut newest = self.page.lock().await;
        if let Some((at, page)) = &*newest
            && at.elapsed() < SAME
            && !self.parts.draining.is_requested()
        {
            return page.clone();
        }
        let page = Arc::new(Page::new(&self.whole_status().await, view));
        *newest = Some((Instant::now(), page.clone()));
        page
    }

    async fn whole_status(&self) -> Status {
        let looks = self.board.look().await;
        let depth = self.parts.ledger.depth().await;
        let writable = self.is_writable().await;
        let mut status = status::gather(&self.seen(&Around {
            writable,
            depth: depth.as_deref().unwrap_or_default(),
            looks: &looks,
            outlet: &self.parts.outlet.state(),
            observed: &self.parts.observed.status(),
        }));
        if depth.is_err() {
            status.backlog_is_unknown();
        }
        status
    }

    /// Without the backlog: probes come often, and no readiness depends on it.
    async fn health(&self) -> Health {
        let writable = self.is_writable().await;
        status::health(&self.seen(&Around {
            writable,
            depth: &[],
            looks: &Looks::default(),
            outlet: &self.parts.outlet.state(),
            observed: &self.parts.observed.status(),
        }))
    }

    async fn is_writable(&self) -> bool {
        // A commit that takes longer than a prober waits is none, whatever becomes of it.
        timeout(COMMIT_WITHIN, self.parts.ledger.is_writable()).await.unwrap_or(false)
    }

    fn seen<'a>(&'a self, around: &Around<'a>) -> status::Seen<'a> {
        let Around { writable, depth, looks, outlet, observed } = *around;
        status::Seen {
            now: self.parts.clock.now(),
            draining: self.parts.draining.is_requested(),
            writable,
            depth,
            outlet,
            observed,
            is_called: self.parts.is_called,
            tenants: &self.parts.tenants,
            looks,
            file: self.file.as_deref(),
        }
    }

    async fn metrics(&self) -> Response<Content> {
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
            Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// What was asked of others before.
struct Around<'a> {
    writable: bool,
    depth: &'a [Depth],
    looks: &'a Looks,
    outlet: &'a State,
    observed: &'a [subscriptions::Status],
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

fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Content> {
    match serde_json::to_vec_pretty(value) {
        Ok(text) => answer(status, "application/json", text),
        Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn empty(status: StatusCode) -> Response<Content> {
    http::empty(status).map(Content::Whole)
}

fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Content> {
    let mut response = empty(status);
    let body = body.into();
    response.headers_mut().insert(hyper::header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.body_mut() = Content::Whole(Full::new(body));
    response
}

/// The page belongs to nobody else's: it is not framed, guessed about or told of.
const PAGE_HEADERS: [(HeaderName, &str); 3] = [
    (hyper::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (hyper::header::X_FRAME_OPTIONS, "DENY"),
    (hyper::header::REFERRER_POLICY, "no-referrer"),
];

/// Viewers within this see the same page.
const SAME: Duration = Duration::from_millis(900);

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
