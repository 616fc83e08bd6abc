//! The simulated world with the real service in it.
//!
//! [`Service`] drives the composition root of production, from a configuration file to the drain.
//! [`Service::finish`] fails a test that leaves something behind: a part that ended by itself,
//! content that is not settled, or a record that arrived without having been published.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use m365_collector::{
    app::{App, RunError},
    clock::Clock,
    config::{Config, Loaded},
    content::{ContentType, TenantId},
    ledger::{Filter, Location, Reader, Status, SweepDepth, Swept},
    shutdown::Shutdown,
    simulator::{Generator, Operation, SimulatedTenant, Simulator, devo::fingerprint},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};
use uuid::Uuid;

pub mod bait;
pub mod balancer;
pub mod books;
mod builder;
mod child;
pub mod collector;
pub mod edge;
pub mod ending;
pub mod memory;
pub mod metrics;
pub mod ports;
pub mod postgres;
pub mod processes;
pub mod rsyslog;
pub mod series;

pub use builder::Builder;

/// A running service in its simulated world.
pub struct Service {
    pub simulator: Simulator,
    pub tenants: Vec<(String, SimulatedTenant)>,
    pub config: Config,
    pub config_path: PathBuf,
    pub webhook: SocketAddr,
    pub admin: SocketAddr,
    pub clock: Clock,
    pub folder: TempDir,
    /// Records that must arrive exactly once, by fingerprint.
    expected: HashMap<u128, u32>,
    overrides: Vec<(String, String)>,
    stop: Shutdown,
    running: JoinSet<Result<(), RunError>>,
}

impl Service {
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub fn tenant(&self, index: usize) -> TenantId {
        self.tenants[index].1.id
    }

    /// Binds and runs the app, as at the start; also after [`Service::stop`].
    pub async fn run(&mut self) {
        self.run_with(|_| ()).await;
    }

    /// As [`Service::run`], with what no file may say.
    pub async fn run_with(&mut self, change: impl FnOnce(&mut Config)) {
        self.config = load(&self.config_path, &self.overrides);
        change(&mut self.config);
        // Everything the process is made of; every test would be as large.
        let app = Box::pin(App::bind(self.config.clone().into(), self.clock.clone()));
        let app = app.await.expect("the app can be bound");
        self.admin = app.admin_addr();
        if let Some(webhook) = app.webhook_addr() {
            self.webhook = webhook;
            self.simulator.set_edge(webhook);
        }
        self.stop = Shutdown::new();
        self.running.spawn(app.run(self.stop.clone()));
    }

    /// Drains the app and waits for its end.
    pub async fn stop(&mut self) {
        self.stop.request();
        let ended = within(Duration::from_secs(35), "the drain", self.running.join_next()).await;
        ended.expect("the app runs").expect("no panic").expect("no part ends by itself");
    }

    /// Cuts the app off wherever it is, as a kill would, but for what the kernel still does.
    pub async fn kill(&mut self) {
        self.running.shutdown().await;
        let Location::Sqlite(_) = self.config.ledger.location else { return };
        // Its parts are tasks of their own, and the last of them has let go when the lock is free.
        let lock = self.folder.path().join("ledger.db.lock");
        eventually("the ledger is let go", async || {
            let lock = std::fs::File::options().write(true).open(&lock);
            lock.expect("the ledger has a lock").try_lock().is_ok()
        })
        .await;
    }

    /// Waits until every subscription is enabled, and validated where there is a webhook.
    pub async fn registered(&self) {
        let wanted: usize =
            self.config.tenants.iter().map(|tenant| tenant.content_types.len()).sum();
        eventually("every subscription is registered", async || {
            let subscriptions = self.simulator.microsoft().subscriptions();
            let called = self.config.webhook.is_some();
            let ready = subscriptions
                .iter()
                .filter(|(_, state)| state.enabled && state.webhook.is_some() == called);
            ready.count() == wanted
        })
        .await;
    }

    /// Waits for the list that follows the first starts of each tenant.
    async fn looked_at_again(&self) {
        eventually("every subscription is looked at again", async || {
            let requests = self.simulator.microsoft().requests();
            self.tenants.iter().all(|(_, tenant)| {
                let lists = requests.iter().filter(|request| {
                    request.tenant == Some(tenant.id) && request.operation == Operation::List
                });
                lists.filter(|list| list.status == Some(200)).count() >= 2
            })
        })
        .await;
    }

    /// Publishes records as one content and expects each to arrive exactly once.
    pub fn publish<R: AsRef<[u8]>>(
        &mut self,
        tenant: usize,
        content_type: ContentType,
        records: &[R],
    ) -> m365_collector::content::ContentId {
        self.expect(records);
        self.simulator.microsoft().publish(self.tenant(tenant), content_type, records)
    }

    /// Expects records that are published otherwise.
    pub fn expect<R: AsRef<[u8]>>(&mut self, records: &[R]) {
        for record in records {
            *self.expected.entry(fingerprint(record.as_ref())).or_default() += 1;
        }
    }

    /// Waits until the sweep of the start has read the whole week of every feed, so that for as
    /// long as `sweep.interval` nothing is asked that a test does not cause.
    pub async fn swept(&self) {
        eventually("everything is swept", async || {
            for tenant in 0..self.tenants.len() {
                let sweeps = self.sweeps(tenant).await;
                let weeks = sweeps.iter().filter(|swept| swept.depth == SweepDepth::Week).count();
                let feeds = self.config.tenants.find(self.tenant(tenant));
                if weeks < feeds.map_or(0, |tenant| tenant.content_types.len()) {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// Waits until everything expected arrived and nothing is unsettled.
    pub async fn delivered(&self) {
        let total: u32 = self.expected.values().sum();
        let within = patience();
        let arrived = self.simulator.devo().wait_for(u64::from(total), within).await;
        if let Err(shortfall) = arrived {
            let (now, waiting) = (self.clock.now(), self.pending().await);
            panic!("not everything published arrives: {shortfall}; at {now} wait {waiting:#?}");
        }
        self.settled().await;
    }

    /// Waits until the ledger has nothing left to do.
    pub async fn settled(&self) {
        eventually("everything is settled", async || {
            self.status().await.iter().all(|row| row.waiting + row.leased == 0)
        })
        .await;
    }

    /// The ledger's books.
    pub async fn status(&self) -> Vec<Status> {
        let reader = Reader::open(&self.config.ledger).await.expect("the ledger can be opened");
        reader.status(self.clock.now()).await.expect("the ledger can be read")
    }

    /// Undelivered content, whosever it is.
    pub async fn pending(&self) -> Vec<m365_collector::ledger::Pending> {
        let reader = Reader::open(&self.config.ledger).await.expect("the ledger can be opened");
        let filter = Filter { tenant: None, content_type: None };
        reader.pending(filter, 10_000, self.clock.now()).await.expect("the ledger can be read")
    }

    /// How far the sweeps of a tenant came.
    pub async fn sweeps(&self, tenant: usize) -> Vec<Swept> {
        let reader = Reader::open(&self.config.ledger).await.expect("the ledger can be opened");
        reader.sweeps(self.tenant(tenant)).await.expect("the ledger can be read")
    }

    /// A page of the admin port: status and body.
    pub async fn admin(&self, path: &str) -> (u16, String) {
        get(self.admin, path).await
    }

    /// The value of a series by its exact name and labels as written in `/metrics`; 0 if absent.
    pub async fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.admin("/metrics").await;
        metrics::value(&text, series).unwrap_or(0.0)
    }

    /// Of how many subscriptions of the first tenant these words are said.
    pub async fn said_of_subscriptions(&self, words: &str) -> usize {
        let (_, status) = self.admin("/api/status").await;
        let status: serde_json::Value = serde_json::from_str(&status).expect("it is JSON");
        let subscriptions = status["tenants"][0]["subscriptions"].as_array();
        let details = subscriptions.into_iter().flatten().filter_map(|one| one["detail"].as_str());
        details.filter(|detail| detail.contains(words)).count()
    }

    /// Drains and checks that nothing is left over and everything expected arrived exactly once.
    pub async fn finish(mut self) {
        self.stop().await;
        let status = self.status().await;
        let unsettled: u64 = status.iter().map(|row| row.waiting + row.leased).sum();
        assert_eq!(unsettled, 0, "unsettled content is left: {status:#?}");
        let arrivals = self.simulator.devo().arrivals();
        let wrong = |a: &HashMap<u128, u32>, b: &HashMap<u128, u32>| {
            a.iter().filter(|(record, times)| b.get(*record) != Some(times)).count()
        };
        assert_eq!(wrong(&self.expected, &arrivals), 0, "records are missing or came again");
        assert_eq!(wrong(&arrivals, &self.expected), 0, "records arrived that nobody published");
        assert_eq!(self.simulator.devo().received().malformed, 0, "every line is well-formed");
        self.simulator.shutdown().await;
    }
}

/// Records of every kind the generator knows, without repetition.
pub fn records(
    seed: u64,
    tenant: TenantId,
    content_type: ContentType,
    count: usize,
) -> Vec<Vec<u8>> {
    let mut generator = Generator::new(seed);
    (0..count).map(|_| generator.record(tenant, content_type)).collect()
}

/// Waits for a condition, and fails with its name when it never holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + patience();
    while !holds().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for a future, and fails with its name when it takes too long.
pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit.max(patience()), future).await {
        Ok(value) => value,
        Err(_) => panic!("not in time: {what}"),
    }
}

/// How long a test waits for what should happen; `M365_TEST_PATIENCE` seconds for slow machines.
pub fn patience() -> Duration {
    let seconds = std::env::var("M365_TEST_PATIENCE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// One `GET` over a connection of its own: status and body. Where the process gets no turn for as
/// long as the port waits for a head, nothing comes, and it is asked again.
pub async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let exchange = async {
        let mut answer = String::new();
        while answer.is_empty() {
            let mut connection = TcpStream::connect(address).await.expect("the port is open");
            let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
            connection.write_all(request.as_bytes()).await.expect("the request is taken");
            connection.read_to_string(&mut answer).await.expect("the answer is text");
        }
        answer
    };
    let answer = within(Duration::from_secs(10), path, exchange).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("the answer has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("the answer has a status"), body.to_owned())
}

pub fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

pub fn tenant(serial: usize) -> (String, SimulatedTenant) {
    let tenant = SimulatedTenant {
        id: Uuid::new_v4().into(),
        client_id: Uuid::new_v4().into(),
        client_secret: Uuid::new_v4().to_string(),
    };
    (format!("tenant-{serial}"), tenant)
}

fn load(path: &std::path::Path, overrides: &[(String, String)]) -> Config {
    match Config::load(path, overrides.iter().cloned()) {
        Ok(Loaded { config, .. }) => config,
        Err(problems) => panic!("the configuration is invalid:\n{problems}"),
    }
}
