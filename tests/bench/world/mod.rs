//! A simulated Microsoft, a lean receiver, and the binary under test between them.
//!
//! Both remote sides live in the process of the benchmark, so that the process under test has
//! nothing in it but the work: a child of its own, started with a configuration file and an empty
//! environment, as an operator's service manager would.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each benchmark uses its own part")]
#![allow(clippy::string_slice, clippy::unwrap_used, reason = "as in the tests it shares with")]

use std::{path::PathBuf, time::Duration};

use m365_collector::{
    content::{ContentId, ContentType, TenantId},
    demo::Setup,
    simulator::{
        self, Blob, Feed, SimulatedTenant, Simulator,
        microsoft::{Announcing, IdForm, Publication},
    },
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub mod collector;
pub mod load;
#[path = "../../it/support/ports.rs"]
mod ports;
pub mod receiver;
#[path = "../../it/support/series.rs"]
pub mod series;
mod stored;

use crate::support::Cost;

pub use collector::Collector;
pub use load::Load;
pub use receiver::{Arrived, Receiver};

/// Both remote sides, and a folder for the collector.
pub struct World {
    pub simulator: Simulator,
    pub receiver: Receiver,
    pub tenants: Vec<(String, SimulatedTenant)>,
    folder: TempDir,
    config: PathBuf,
    admin: std::net::SocketAddr,
    variables: Vec<(String, String)>,
}

impl World {
    /// A world of so many tenants, as `change` makes it. Nothing that was published is ever
    /// dropped, for more than one process may fetch it.
    pub async fn start(tenants: usize, change: impl FnOnce(&mut simulator::Config)) -> Self {
        let tenants: Vec<_> = (0..tenants).map(tenant).collect();
        let mut world = simulator::Config::new(tenants.iter().map(|(_, it)| it.clone()).collect());
        let (webhook, admin) = (ports::free(), ports::free());
        world.devo = None;
        world.edge = Some(webhook);
        world.notification_delay = Duration::from_millis(1);
        (world.retain, world.retain_contents) = (usize::MAX, usize::MAX);
        change(&mut world);
        let simulator = Simulator::start(world).await.expect("loopback ports are free");
        let receiver = Receiver::start(simulator.material()).await;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let setup = Setup {
            simulator: &simulator,
            tenants: &tenants,
            folder: folder.path(),
            webhook: Some(webhook),
            admin,
            devo: Some(&receiver.endpoint()),
        };
        let config = setup.write().expect("the folder can be written to");
        let mut world =
            Self { simulator, receiver, tenants, folder, config, admin, variables: Vec::new() };
        let material = world.simulator.material();
        let [ca, cert, key] =
            [material.microsoft_ca(), material.domain_cert(), material.domain_key()]
                .map(|path| path.display().to_string());
        world.set("devo.ca", &ca);
        world.set("devo.cert", &cert);
        world.set("devo.key", &key);
        // The pace Microsoft asks for is not what is measured.
        world.set("fetch.requests_per_minute", "1000000");
        world
    }

    /// Overrides a key of the configuration of the collectors that are started from now on.
    pub fn set(&mut self, key: &str, value: &str) {
        let name = key.to_uppercase().replace('.', "__");
        self.variables.push((format!("M365_COLLECTOR__{name}"), value.to_owned()));
    }

    pub fn tenant(&self, index: usize) -> TenantId {
        self.tenants[index].1.id
    }

    /// Where the ledger of the collector is.
    pub fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    /// A feed of a tenant.
    pub fn feed(&self, tenant: usize) -> Feed {
        Feed { tenant: self.tenant(tenant), content_type: TYPE }
    }

    /// Opens the subscriptions of every tenant, for a client that opens none itself.
    pub fn subscribe(&self) {
        for (_, tenant) in &self.tenants {
            self.simulator.microsoft().change_subscription(tenant.id, TYPE, |it| {
                it.enabled = true;
            });
        }
    }

    /// Puts a blob where Microsoft keeps them. It is neither listed nor announced.
    pub fn put(&self, feed: Feed, blob: Blob, gzip: bool) -> ContentId {
        let publication = Publication {
            listed: false,
            announcing: Some(Announcing::LOST),
            gzip: Some(gzip),
            ..Publication::of(blob)
        };
        self.simulator.microsoft().publish_as(feed.tenant, feed.content_type, publication)
    }

    /// Has Microsoft announce what was put there.
    pub fn announce(&self, feed: Feed, id: &ContentId) {
        let microsoft = self.simulator.microsoft();
        let entry = microsoft.entry(feed.tenant, id, IdForm::Listed).expect("it was put there");
        microsoft.notify(feed.tenant, feed.content_type, &entry);
    }

    /// Starts the collector without waiting for anything.
    pub fn spawn(&self) -> Collector {
        Collector::start(&self.config, &self.variables, self.admin, self.folder.path())
    }

    /// Starts the collector and waits until everything is subscribed and swept, so that from there
    /// on it does what it is told about.
    pub async fn run(&self) -> Collector {
        let collector = self.spawn();
        let feeds = self.tenants.len() * ContentType::ALL.len();
        eventually("every subscription is registered", async || {
            let subscriptions = self.simulator.microsoft().subscriptions();
            subscriptions.iter().filter(|(_, state)| state.webhook.is_some()).count() == feeds
        })
        .await;
        // What else is asked at the start ends with the first look at what was registered.
        let mut calls = 0;
        eventually("the first sweep is over", async || {
            sleep(Duration::from_millis(500)).await;
            let before = std::mem::replace(&mut calls, self.calls());
            before == calls
        })
        .await;
        collector
    }

    /// Has Microsoft announce the contents, and measures until they are settled. The time on the
    /// wall ends with the last line, for a confirmation waits for company.
    pub async fn deliver(
        &self,
        collector: &mut Collector,
        contents: &[(Feed, ContentId)],
        expected: &Arrived,
    ) -> Cost {
        let meter = collector.process.meter();
        for (feed, id) in contents {
            self.announce(*feed, id);
        }
        self.receiver.has(|arrived| arrived.lines >= expected.lines).await;
        let wall = meter.cost().wall;
        collector.settled(contents.len()).await;
        let cost = Cost { wall, ..meter.cost() };
        assert_eq!(self.receiver.arrived(), *expected, "every record arrives once");
        cost
    }

    fn calls(&self) -> u64 {
        use simulator::Operation::{Content, List, Start, Token};
        let microsoft = self.simulator.microsoft();
        [Content, List, Start, Token].iter().map(|it| microsoft.count(None, it)).sum()
    }
}

fn tenant(serial: usize) -> (String, SimulatedTenant) {
    let tenant = SimulatedTenant {
        id: Uuid::new_v4().into(),
        client_id: Uuid::new_v4().into(),
        client_secret: Uuid::new_v4().to_string(),
    };
    (format!("tenant-{serial}"), tenant)
}

/// Waits for a condition that must come to hold.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// The feed that is measured.
pub const TYPE: ContentType = ContentType::SharePoint;

/// Far longer than anything takes on a machine that works.
const PATIENCE: Duration = Duration::from_secs(1800);
