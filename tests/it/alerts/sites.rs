//! The worlds in which something goes wrong: few tenants, much traffic, little patience.

use std::{
    collections::HashSet,
    fs,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use m365_collector::{
    content::{ContentId, ContentType, TenantId},
    simulator::{
        self, Blob, Fault, Operation,
        microsoft::{Announcing, Microsoft, Publication},
    },
};
use tokio::task::JoinSet;

use super::stack::Alert;
use crate::support::{
    collector::{Collector, Site},
    eventually, get, ports, records,
    series::Scrape,
};

/// A running service, scraped as a job of its own, with content of every type coming.
pub struct Job {
    pub name: &'static str,
    pub site: Site,
    pub collector: Collector,
    mute: Mute,
    _traffic: JoinSet<()>,
}

/// Feeds of which nothing is published, by the number of the tenant.
type Mute = Arc<Mutex<HashSet<(usize, ContentType)>>>;

impl Job {
    /// `mute` are feeds of which nothing is published.
    pub async fn start(
        name: &'static str,
        tenants: usize,
        mute: &[(usize, ContentType)],
        settings: &[(&str, &str)],
        change: impl FnOnce(&mut simulator::Config),
    ) -> Self {
        // A file that has become too large is an error to it, and not its death.
        Self::start_after("trap '' XFSZ", name, tenants, mute, settings, change).await
    }

    /// The same, from a shell that was told this before.
    pub async fn start_after(
        script: &str,
        name: &'static str,
        tenants: usize,
        mute: &[(usize, ContentType)],
        settings: &[(&str, &str)],
        change: impl FnOnce(&mut simulator::Config),
    ) -> Self {
        let mut site = Site::start(tenants, None, |world| {
            world.start_interval = Duration::ZERO;
            // Microsoft does not lose patience before the test does.
            world.notification_retries = vec![Duration::from_millis(500); 10_000];
            change(world);
        })
        .await;
        let quick = [
            ("subscriptions.check_interval", "1s"),
            ("subscriptions.restart_after", "1s"),
            ("sweep.interval", "2s"),
            ("sweep.settle", "1s"),
            ("fetch.retry_max", "1s"),
            ("devo.confirm_interval", "300ms"),
        ];
        for (key, value) in quick.iter().chain(settings) {
            site.set(key, value);
        }
        // Its own copies, so that a test can replace them.
        for (key, from) in [
            ("cert", site.simulator.devo_cert_path().to_owned()),
            ("key", site.simulator.devo_key_path().to_owned()),
        ] {
            let place = site.folder.path().join("domain").with_extension(key);
            fs::copy(from, &place).expect("the folder is writable");
            site.set(&format!("devo.{key}"), &place.display());
        }
        let collector = site.run_after(script).await;
        site.registered(tenants * ContentType::ALL.len()).await;
        let ids: Vec<_> = (0..tenants).map(|tenant| site.tenant(tenant)).collect();
        let mute: Mute = Arc::new(Mutex::new(mute.iter().copied().collect()));
        let mut traffic = JoinSet::new();
        traffic.spawn(publish(site.simulator.microsoft().clone(), ids, mute.clone()));
        Self { name, site, collector, mute, _traffic: traffic }
    }

    /// Waits until every feed but those that are mute was delivered and listed.
    pub async fn flows(&self) {
        let feeds = self.site.tenants.len() * ContentType::ALL.len();
        let loud = feeds - self.mute.lock().expect("no holder panics").len();
        eventually("every feed flows", async || {
            let Scrape(series) = Scrape::parse(&get(self.site.admin, "/metrics").await.1);
            let positive = |name: &str| {
                series.iter().filter(|series| series.name == name && series.value > 0.0).count()
            };
            positive("m365_last_success_timestamp_seconds") >= loud
                && positive("m365_sweep_last_complete_timestamp_seconds") == feeds
        })
        .await;
    }

    /// When the first process last delivered something, by feed.
    pub async fn succeeded(&self) -> Vec<f64> {
        let Scrape(series) = Scrape::parse(&get(self.site.admin, "/metrics").await.1);
        let name = "m365_last_success_timestamp_seconds";
        series.iter().filter(|series| series.name == name).map(|series| series.value).collect()
    }

    /// Starts another process on the same ledger, and says where it is scraped. Microsoft calls
    /// the first one.
    pub async fn replica(&mut self) -> (Collector, SocketAddr) {
        let (webhook, admin) = (ports::free(), ports::free());
        self.site.set("webhook.listen", &webhook);
        self.site.set("admin.listen", &admin);
        (self.replica_again(admin).await, admin)
    }

    /// Starts the other process once more, where it was.
    pub async fn replica_again(&self, admin: SocketAddr) -> Collector {
        let mut replica = self.site.spawn(&["run"]);
        eventually("the replica listens", async || {
            assert!(replica.process.is_running(), "it ended:\n{}", replica.stderr());
            replica.stderr().contains("listening for notifications")
                && get(admin, "/livez").await.0 == 200
        })
        .await;
        replica
    }

    /// As Prometheus is told of it.
    pub fn target(&self) -> (&'static str, SocketAddr) {
        (self.name, self.site.admin)
    }

    pub fn microsoft(&self) -> &Microsoft {
        self.site.simulator.microsoft()
    }

    /// Publishes nothing more of a feed.
    pub fn mute(&self, tenant: usize, content_type: ContentType) {
        self.mute.lock().expect("no holder panics").insert((tenant, content_type));
    }

    /// Publishes all of them again.
    pub fn unmute(&self, tenant: usize) {
        self.mute.lock().expect("no holder panics").retain(|(mute, _)| *mute != tenant);
    }

    /// Has every such request of a tenant meet this until it is healed.
    pub fn fail(&self, tenant: usize, operation: Operation, fault: Fault) {
        self.microsoft().fail_tenant(self.site.tenant(tenant), operation, fault, u32::MAX);
    }

    pub fn heal(&self, tenant: usize, operation: &Operation) {
        self.microsoft().heal_operation(Some(self.site.tenant(tenant)), operation);
    }

    /// Publishes a content created so long ago, which meets this when it is fetched.
    pub fn publish_old(
        &self,
        tenant: usize,
        age: Duration,
        fault: Option<(Fault, u32)>,
    ) -> ContentId {
        let id = self.site.tenant(tenant);
        let mut content = Publication::of(Blob::array(&fresh(id, ContentType::General)));
        content.created = Some(self.site.simulator.clock().now() - age);
        // A notification has no age but its own.
        content.announcing = Some(Announcing::LOST);
        content.fault = fault;
        self.microsoft().publish_as(id, ContentType::General, content)
    }

    /// The alert of this name about a tenant, or (`None`) about no tenant.
    pub fn alert(&self, tenant: Option<usize>, name: &str) -> Alert {
        let tenant = tenant.map_or("", |tenant| &self.site.tenants[tenant].0);
        Alert::new(self.name, tenant, name)
    }
}

async fn publish(microsoft: Microsoft, tenants: Vec<TenantId>, mute: Mute) {
    let mut ticks = tokio::time::interval(Duration::from_secs(2));
    loop {
        ticks.tick().await;
        for (serial, tenant) in tenants.iter().enumerate() {
            for content_type in ContentType::ALL {
                let feed = (serial, content_type);
                if !mute.lock().expect("no holder panics").contains(&feed) {
                    microsoft.publish(*tenant, content_type, &fresh(*tenant, content_type));
                }
            }
        }
    }
}

/// A record that was not there before.
fn fresh(tenant: TenantId, content_type: ContentType) -> Vec<Vec<u8>> {
    static SEED: AtomicU64 = AtomicU64::new(0);
    records(SEED.fetch_add(1, Ordering::Relaxed), tenant, content_type, 1)
}
